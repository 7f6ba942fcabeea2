"""The command ``orch-assets``: the main job on the registry of the environment.

``orch-assets run`` makes the studies match the registry, runs every pipeline for every study in
one run, and prints what came of each. It does so by the code location's own jobs: what it leaves
in the Dagster instance (``DAGSTER_HOME``) is what a run from the UI leaves there.
"""

import argparse
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

_NONE_RAN: Final = 2
_INTERRUPTED: Final = 130
_PLAIN_WIDTH: Final = 200
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when every study succeeded, 1 when one failed, 2 when none could run, 130 when
        interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="orch-assets",
        description="Runs every study pipeline for every study of the registry, in one run.",
    )
    parser.add_argument("command", choices=["run"], help="run the main job once")
    parser.parse_args(arguments)
    import dagster as dg

    try:
        return _run()
    except dg.Failure as failure:  # of a job before or after the studies' own
        print(failure.description, file=sys.stderr)
        return _NONE_RAN
    except OrchAssetsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return _NONE_RAN
    except KeyboardInterrupt:  # Dagster's own interruption is one
        print("Interrupted. What had succeeded by then is materialized.", file=sys.stderr)
        return _INTERRUPTED


def _run() -> int:
    from rich.console import Console

    from orch_assets.defs.home import home_instance
    from orch_assets.defs.partitions import STUDIES_NAME

    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)  # a file or a CI log wraps nothing
    with home_instance() as instance:
        console.print("Reading the registry's studies …")
        _execute(instance, "sync_studies")
        study_keys = instance.get_dynamic_partitions(STUDIES_NAME)
        if not study_keys:
            console.print("The registry has no study: nothing to run.")
            return _NONE_RAN
        _say(console, f"Studies ({len(study_keys)}): {', '.join(study_keys)}")
        failure = _run_pipelines(instance, study_keys, console)
        try:
            _execute(instance, "refresh_study_results")
            _print_results(instance, console)
        finally:
            _say(console, f"\n{failure or 'Every study succeeded.'} {_where()}")
    return 1 if failure else 0


def _run_pipelines(
    instance: "dg.DagsterInstance", study_keys: Sequence[str], console: "Console"
) -> str | None:
    """Run every pipeline for the studies; return what the run says of failed studies, or None."""
    import dagster as dg

    from orch_assets.defs.partitions import range_tags

    tags = range_tags(study_keys[0], study_keys[-1])
    with _progress(console, len(study_keys)) as on_event:
        try:
            _execute(instance, "study_pipelines", tags=tags, on_event=on_event)
        except dg.Failure as failure:
            return failure.description
    return None


def _execute(
    instance: "dg.DagsterInstance",
    job_name: str,
    *,
    tags: Mapping[str, str] | None = None,
    on_event: "Callable[[Any], None] | None" = None,
) -> None:
    """Run a job of the code location; raise what ended it."""
    from orch_assets.definitions import defs

    run_id = str(uuid.uuid4())
    if on_event is not None:
        instance.add_event_listener(run_id, on_event)
    defs.resolve_job_def(job_name).execute_in_process(
        instance=instance, run_id=run_id, run_config=_QUIET, tags=dict(tags or {})
    )


def _say(console: "Console", text: str) -> None:
    """Print text that holds names: no mark-up, no colours, no line breaks of rich's own."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _progress(console: "Console", studies: int) -> "Iterator[Callable[[Any], None]]":
    """Show how many results are in: a bar on a terminal, a line per tenth elsewhere."""
    import dagster as dg
    from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn

    from orch_assets.definitions import defs
    from orch_assets.orchestration.progress import progress_with_readings

    job = defs.resolve_job_def("study_pipelines")
    total = studies * len(job.asset_layer.selected_asset_keys)
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION}
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    display = progress_with_readings(*columns, console=console, disable=not console.is_terminal)
    with display as progress:
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


def _where() -> str:
    from orch_assets.defs.resources import StoreResource

    return f"Artifacts: {StoreResource().location()}."


if __name__ == "__main__":
    sys.exit(main())
