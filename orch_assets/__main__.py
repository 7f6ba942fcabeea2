"""The command ``orch-assets``: the main job on the registry of the environment.

``orch-assets run`` makes the studies match the registry, runs every pipeline for every study in
one run, and prints what came of each. It does so by the code location's own jobs: what it leaves
in the Dagster instance (``DAGSTER_HOME``) is what a run from the UI leaves there.
"""

import argparse
import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import OrchAssetsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dagster as dg
    from rich.console import Console
    from rich.table import Table

_PLAIN_WIDTH: Final = 200
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 when every study succeeded, 1 when one failed, 2 when none ran."""
    parser = argparse.ArgumentParser(
        prog="orch-assets",
        description="Runs every study pipeline for every study of the registry, in one run.",
    )
    parser.add_argument("command", choices=["run"], help="run the main job once")
    parser.parse_args(arguments)
    if not os.environ.get("DAGSTER_HOME"):
        print("Set DAGSTER_HOME to a folder for Dagster's state (make does).", file=sys.stderr)
        return 2
    try:
        return _run()
    except OrchAssetsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2


def _run() -> int:
    import dagster as dg
    from rich.console import Console

    from orch_assets.defs.partitions import STUDIES_NAME, range_tags

    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)  # a file or a CI log wraps nothing
    with dg.DagsterInstance.get() as instance:
        console.print("Reading the registry's studies …")
        _execute(instance, "sync_studies")
        study_keys = instance.get_dynamic_partitions(STUDIES_NAME)
        if not study_keys:
            console.print("The registry has no study: nothing to run.")
            return 2
        console.print(
            f"{len(study_keys)} studies: {', '.join(study_keys)}", markup=False, highlight=False
        )
        with _progress(console, len(study_keys)) as on_event:
            run = _execute(
                instance,
                "study_pipelines",
                tags=range_tags(study_keys[0], study_keys[-1]),
                on_event=on_event,
                raise_on_error=False,
            )
        _execute(instance, "refresh_study_results")
        _print_results(instance, console)
        console.print(f"\n{_last_words(run)}", highlight=False, soft_wrap=True, markup=False)
    return 0 if run.success else 1


def _execute(
    instance: "dg.DagsterInstance",
    job_name: str,
    *,
    tags: Mapping[str, str] | None = None,
    on_event: "Callable[[Any], None] | None" = None,
    raise_on_error: bool = True,
) -> "dg.ExecuteInProcessResult":
    from orch_assets.definitions import defs

    run_id = str(uuid.uuid4())
    if on_event is not None:
        instance.add_event_listener(run_id, on_event)
    return defs.resolve_job_def(job_name).execute_in_process(
        instance=instance,
        run_id=run_id,
        run_config=_QUIET,
        tags=dict(tags or {}),
        raise_on_error=raise_on_error,
    )


@contextmanager
def _progress(console: "Console", studies: int) -> "Iterator[Callable[[Any], None]]":
    """Show how many results are in: a bar on a terminal, a line per tenth elsewhere."""
    import dagster as dg
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from orch_assets.definitions import defs

    job = defs.resolve_job_def("study_pipelines")
    total = studies * len(job.asset_layer.selected_asset_keys)
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION}
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("results", total=total)
        done = 0

        def on_event(entry: Any) -> None:
            nonlocal done
            if entry.is_dagster_event and entry.dagster_event.event_type in kinds:
                done += 1
                progress.advance(bar)
                if not console.is_terminal and done % max(1, total // 10) == 0:
                    console.print(f"{done} of {total} results")

        yield on_event


def _print_results(instance: "dg.DagsterInstance", console: "Console") -> None:
    """Print the matrix: a table where it fits, else a paragraph for each study."""
    from rich.markup import escape

    from orch_assets.definitions import defs
    from orch_assets.defs.results import load_results
    from orch_assets.orchestration.matrix import as_grid

    io_manager: Any = (defs.resources or {})["io_manager"]
    entries, _ = load_results(instance, io_manager)
    grid = as_grid(entries)
    pipelines = sorted({entry.pipeline for entry in entries})
    console.print("\nRows of each study's tables; ✗ is a failure.")
    table = _table(grid, pipelines)
    if console.measure(table).maximum <= console.width:
        console.print(table)
        return
    for study, cells in grid.items():
        results = ", ".join(f"{pipeline} {cells.get(pipeline, '-')}" for pipeline in pipelines)
        console.print(f"[bold]{escape(study)}[/bold]  {escape(results)}", highlight=False)


def _table(grid: Mapping[str, Mapping[str, str]], pipelines: Sequence[str]) -> "Table":
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("study", no_wrap=True)
    for pipeline in pipelines:
        table.add_column(pipeline.replace("_", "\n"), justify="right", no_wrap=True)
    for study, cells in grid.items():
        table.add_row(escape(study), *(cells.get(pipeline, "-") for pipeline in pipelines))
    return table


def _last_words(run: "dg.ExecuteInProcessResult") -> str:
    from orch_assets.defs.resources import StoreResource

    where = f"Artifacts: {StoreResource().location()}. Run: {run.run_id}."
    if run.success:
        return f"Every study succeeded. {where}"
    failures = [
        event.step_failure_data.user_failure_data.description
        for event in run.all_events
        if event.is_step_failure and event.step_failure_data.user_failure_data is not None
    ]
    return f"{' '.join(str(failure) for failure in failures) or 'The run failed.'} {where}"


if __name__ == "__main__":
    sys.exit(main())
