"""``orch-assets demo-server``: the simulator of the registry, in the foreground."""

import click


@click.command("demo-server")
@click.option("--studies", default=12, show_default=True, help="Number of studies.")
@click.option("--subjects", default=40, show_default=True, help="Subjects in a typical study.")
@click.option("--seed", default=7, show_default=True, help="Random seed of all data.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port; 0 takes a free one.")
def demo_server(studies: int, subjects: int, seed: int, host: str, port: int) -> int:
    """Serve a simulated iMednet account until Ctrl-C; prints its address and keys."""
    import threading

    from orch_assets.demo import DemoServer

    with DemoServer(studies=studies, subjects=subjects, seed=seed, host=host, port=port) as server:
        click.echo(f"Demo registry at {server.base_url} (Ctrl-C stops it). Made-up keys:")
        click.echo(f"export IMEDNET_BASE_URL={server.base_url}")
        click.echo(f"export IMEDNET_API_KEY={server.api_key}")
        click.echo(f"export IMEDNET_SECURITY_KEY={server.security_key}")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            click.echo("Stopped.")
    return 0
