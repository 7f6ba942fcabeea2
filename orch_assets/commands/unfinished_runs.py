"""``orch-assets runs``: shows and closes runs whose process is gone."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from orch_assets.commands.exit_codes import FAILED, SUCCEEDED
from orch_assets.commands.location import settled_instance

if TYPE_CHECKING:
    import dagster as dg

    from orch_assets.defs.runs.abandoned_runs import UnfinishedRun


@click.group(invoke_without_command=True)
@click.pass_context
def runs(context: click.Context) -> int:
    """Show unfinished runs, and close dead ones.

    Shows which of the unfinished runs no process executes any more. A process that is killed leaves
    its run unfinished. Studies can't be retired while they are in an unfinished run.
    """
    return SUCCEEDED if context.invoked_subcommand else _show_runs()


def _show_runs() -> int:
    from orch_assets.defs.runs.abandoned_runs import unfinished_runs
    from orch_assets.terminal import print_keys

    with settled_instance() as instance:
        unfinished = unfinished_runs(instance)
    titles = {
        False: "Not executed by any process",
        None: "Unknown whether a process executes them",
        True: "In progress",
    }
    for is_executed, title in titles.items():
        print_keys(
            title, _descriptions(each for each in unfinished if each.is_executed is is_executed)
        )
    if not unfinished:
        click.echo("Every run is finished.")
    elif not all(each.is_executed for each in unfinished):
        click.echo(
            "`orch-assets runs close` closes the runs that no process executes. To close another "
            "run that you know is dead, use `orch-assets runs close ID`."
        )
    return SUCCEEDED


@runs.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN_ID ...]")
@click.option("--yes", is_flag=True, help="Close without asking for confirmation.")
def close(run_ids: Sequence[str], *, yes: bool) -> int:
    """Close runs that no process executes.

    The runs are marked as failed, and their results are kept.

    Without RUN_ID, closes every run whose process is known to be gone. A run of another host, or
    one that Dagster launched, is closed only by its ID: first make sure that no process executes
    it.
    """
    from orch_assets.defs.runs.abandoned_runs import close_run, unfinished_runs
    from orch_assets.terminal import agreed, print_keys

    with settled_instance() as instance:
        chosen = _to_close(unfinished_runs(instance), run_ids)
        if not chosen:
            click.echo("No unfinished run is known to have lost its process: nothing to close.")
            return SUCCEEDED
        print_keys("To close", _descriptions(chosen))
        if not yes and not agreed("Close?", "--yes closes without asking."):
            click.echo("Nothing was closed.", err=True)
            return FAILED
        for each in chosen:
            close_run(instance, each.run.run_id)
    click.echo(
        f"Closed: {', '.join(each.run.run_id for each in chosen)}. Their results are kept; "
        "`orch-assets run --failed` runs what is missing from the last run."
    )
    return SUCCEEDED


def warn_of_abandoned_runs(instance: "dg.DagsterInstance") -> None:
    """Print one line that names the runs without a process and how to close them, if any."""
    from orch_assets.defs.runs.abandoned_runs import unfinished_runs

    gone = [each.run.run_id for each in unfinished_runs(instance) if each.is_executed is False]
    if gone:
        click.echo(
            f"No process executes {', '.join(gone)} any more: `orch-assets runs` shows such runs, "
            "`orch-assets runs close` closes them.",
            err=True,
        )


def _to_close(
    unfinished: "Sequence[UnfinishedRun]", run_ids: Sequence[str]
) -> "list[UnfinishedRun]":
    by_id = {each.run.run_id: each for each in unfinished}
    for run_id in run_ids:
        if run_id not in by_id:
            raise click.BadParameter(f"{run_id} is not an unfinished run. Nothing was closed.")
        if by_id[run_id].is_executed:
            raise click.BadParameter(
                f"run {run_id} is in progress ({by_id[run_id].describe()}). Terminate it in the "
                "UI, or stop its process. Nothing was closed."
            )
    if run_ids:
        return [by_id[run_id] for run_id in dict.fromkeys(run_ids)]
    return [each for each in unfinished if each.is_executed is False]


def _descriptions(unfinished: "Iterable[UnfinishedRun]") -> dict[str, str | None]:
    return {each.run.run_id: each.describe() for each in unfinished}
