"""``orch-assets demo-server``: serves the simulator in the foreground."""

import click

from orch_assets.commands.exit_codes import SUCCEEDED


@click.command("demo-server")
@click.option("--studies", default=12, show_default=True, help="Number of studies.")
@click.option(
    "--subjects", default=40, show_default=True, help="Number of subjects in a typical study."
)
@click.option("--seed", default=7, show_default=True, help="Random seed for all data.")
@click.option(
    "--days",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Days of edits by the studies' staff before the account is served.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=0, show_default=True, help="Port to listen on. 0 chooses a free port."
)
def demo_server(studies: int, subjects: int, seed: int, days: int, host: str, port: int) -> int:
    """Serve a simulated iMednet account until Ctrl-C.

    Prints its address and keys as environment variables.
    """
    import threading

    from orch_assets.demo import DemoServer

    with DemoServer(
        studies=studies, subjects=subjects, seed=seed, days=days, host=host, port=port
    ) as server:
        click.echo(
            f"Serving the simulator at {server.base_url} (Ctrl-C stops it). Its keys are made up:"
        )
        click.echo(f"export IMEDNET_BASE_URL={server.base_url}")
        click.echo(f"export IMEDNET_API_KEY={server.api_key}")
        click.echo(f"export IMEDNET_SECURITY_KEY={server.security_key}")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            click.echo("Stopped.")
    return SUCCEEDED
