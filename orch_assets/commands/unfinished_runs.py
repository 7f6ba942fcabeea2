"""``orch-assets runs``: runs that seem to go on and that nobody executes."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import click

from orch_assets.commands.location import settled_instance

if TYPE_CHECKING:
    import dagster as dg

    from orch_assets.defs.runs.abandoned_runs import UnfinishedRun

_SUCCEEDED: Final = 0
_FAILED: Final = 1


@click.group(invoke_without_command=True)
@click.pass_context
def runs(context: click.Context) -> int:
    """Show the runs that Dagster takes for unfinished, and which of them nobody executes.

    A process that was killed leaves such a run; it keeps studies from being retired.
    """
    return _SUCCEEDED if context.invoked_subcommand else _show_runs()


def _show_runs() -> int:
    from orch_assets.defs.runs.abandoned_runs import unfinished_runs
    from orch_assets.terminal import print_keys

    with settled_instance() as instance:
        found = unfinished_runs(instance)
    titles = {
        False: "Nobody executes",
        None: "Not known whether anybody executes",
        True: "Go on",
    }
    for is_executed, title in titles.items():
        print_keys(title, _described(each for each in found if each.is_executed is is_executed))
    if not found:
        click.echo("Every run is finished.")
    elif not all(each.is_executed for each in found):
        click.echo(
            "`orch-assets runs close` closes those that nobody executes; "
            "`orch-assets runs close ID` another one that you know to be dead."
        )
    return _SUCCEEDED


@runs.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN_ID ...]")
@click.option("--yes", is_flag=True, help="Don't ask first.")
def close(run_ids: Sequence[str], *, yes: bool) -> int:
    """Close runs that nobody executes: they fail; results that they have stay.

    Without RUN_ID, these are the runs whose process is known to be gone. A run of another host, or
    one that Dagster launched, is closed by its ID only: first make sure that nobody executes it.
    """
    from orch_assets.defs.runs.abandoned_runs import close_run, unfinished_runs
    from orch_assets.terminal import agreed, print_keys

    with settled_instance() as instance:
        chosen = _to_close(unfinished_runs(instance), run_ids)
        if not chosen:
            click.echo("No run is known to have lost its process: nothing to close.")
            return _SUCCEEDED
        print_keys("To close", _described(chosen))
        if not yes and not agreed("Close?", "--yes closes without asking."):
            click.echo("Nothing was closed.", err=True)
            return _FAILED
        for each in chosen:
            close_run(instance, each.run.run_id)
    click.echo(
        f"Closed: {', '.join(each.run.run_id for each in chosen)}. Their results stay; "
        "`orch-assets run --failed` runs what is missing of the last run."
    )
    return _SUCCEEDED


def name_abandoned_runs(instance: "dg.DagsterInstance") -> None:
    """Say in one line which runs nobody executes, and what to do; nothing where there is none."""
    from orch_assets.defs.runs.abandoned_runs import unfinished_runs

    gone = [each.run.run_id for each in unfinished_runs(instance) if each.is_executed is False]
    if gone:
        click.echo(
            f"Nobody executes {', '.join(gone)} any more: `orch-assets runs` shows such runs, "
            "`orch-assets runs close` closes them.",
            err=True,
        )


def _to_close(found: "Sequence[UnfinishedRun]", run_ids: Sequence[str]) -> "list[UnfinishedRun]":
    by_id = {each.run.run_id: each for each in found}
    for run_id in run_ids:
        if run_id not in by_id:
            raise click.BadParameter(f"no unfinished run is {run_id}. Nothing was closed.")
        if by_id[run_id].is_executed:
            raise click.BadParameter(
                f"run {run_id} goes on ({by_id[run_id].describe()}). Terminate it in the UI, or "
                "stop its process. Nothing was closed."
            )
    if run_ids:
        return [by_id[run_id] for run_id in dict.fromkeys(run_ids)]
    return [each for each in found if each.is_executed is False]


def _described(found: "Iterable[UnfinishedRun]") -> dict[str, str | None]:
    return {each.run.run_id: each.describe() for each in found}
