"""Output of ``orch-assets``: the progress of a run, the matrix of results, lists of studies."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from orch_assets.orchestration.reporting.matrix import MatrixEntry

_PLAIN_WIDTH: Final = 200
_UNLIMITED: Final = 100_000
_CARRIED: Final = "carried_from"  # metadata of a result that an earlier run made
_UNCHANGED: Final = "="
_CHANGES: Final = "+ new, ~ changed, \N{MINUS SIGN} removed, = unchanged; "
_RESULTS: Final = frozenset({"ASSET_MATERIALIZATION", "ASSET_OBSERVATION"})


def new_console() -> "Console":
    """Return a console. For a file or a CI log it is wide, so that lines aren't wrapped."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)


def say(console: "Console", text: str) -> None:
    """Print text that contains names, without rich's markup, highlighting and line breaks."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@dataclass
class ResultCount:
    """Counts the results of a run from the entries of its log, and shows the count.

    Attributes:
        console: Where to print the count if there is no terminal.
        progress: The progress display of a terminal.
        bar: The progress bar that is advanced.
        total: Number of expected results.
        done: Number of results so far.
        new: Number of these that the run made itself, and didn't carry forward from an earlier run.
    """

    console: "Console"
    progress: "Progress"
    bar: "TaskID"
    total: int
    done: int = 0
    new: int = 0

    def on_event(self, entry: Any) -> None:
        """Count an entry of a run's log if it is a result."""
        if not entry.is_dagster_event or entry.dagster_event.event_type_value not in _RESULTS:
            return
        self.done += 1
        event = entry.asset_materialization or entry.asset_observation
        self.new += _CARRIED not in event.metadata
        self.progress.advance(self.bar)
        if not self.console.is_terminal and self.done % max(1, self.total // 10) == 0:
            self.console.print(f"{self.done} of {self.total} results")


@contextmanager
def result_count(console: "Console", total: int) -> Iterator[ResultCount]:
    """Show the number of results: a progress bar on a terminal, else a line for each tenth."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn

    from orch_assets.orchestration.reporting.terminal_progress import progress_with_readings

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    display = progress_with_readings(*columns, console=console, disable=not console.is_terminal)
    with display as progress:
        yield ResultCount(console, progress, progress.add_task("results", total=total), total)


def agreed(question: str, otherwise: str) -> bool:
    """Ask for confirmation. If the input ends without an answer, print ``otherwise`` and refuse."""
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        click.echo(f"No answer; {otherwise}", err=True)
        return False


def print_keys(title: str, lines: Mapping[str, str | None]) -> None:
    """Print a title, and keys below it, each with its reason; print nothing if there are none."""
    if lines:
        click.echo(f"{title}: {len(lines)}")
        for key, reason in lines.items():
            click.echo(f"  {key}{f': {reason}' if reason else ''}")


def print_matrix(console: "Console", entries: Sequence["MatrixEntry"]) -> None:
    """Print the newest results: as a table if it fits, else as a paragraph for each study.

    Where rows were compared with the result before, a narrow table has only their changes.
    """
    from rich.markup import escape

    from orch_assets.orchestration.reporting.matrix import as_grid

    pipelines = sorted({entry.pipeline for entry in entries})
    refreshed = any(entry.changes is not None for entry in entries)
    console.print(f"\nRows of each study's tables; {_CHANGES if refreshed else ''}✗ is a failure.")
    for brief in (False, True):
        table = _table(as_grid(entries, brief=brief), pipelines)
        # Without this, the measure is never above the console's width.
        unlimited = console.options.update(max_width=_UNLIMITED)
        if console.measure(table, options=unlimited).maximum <= console.width:
            console.print(table)
            return
    for study, cells in as_grid(entries).items():
        unchanged = {pipeline for pipeline, cell in cells.items() if cell.endswith(_UNCHANGED)}
        results = [f"{each} {cells.get(each, '-')}" for each in pipelines if each not in unchanged]
        if unchanged:
            results.append(f"{len(unchanged)} unchanged")
        first, *more = _folded(study, results, console.width)
        console.print(f"[bold]{escape(study)}[/bold]{escape(first)}", highlight=False)
        for line in more:
            say(console, line)


def _folded(study: str, results: Sequence[str], width: int) -> list[str]:
    """Return results in lines that break only between them; the first follows the study's key."""
    from rich.cells import cell_len

    lines: list[list[str]] = [[]]
    used = cell_len(study) + 1
    for text in (*(f"{result}," for result in results[:-1]), *results[-1:]):
        needed = 1 + cell_len(text)
        if lines[-1] and used + needed > width:
            lines.append([])
            used = 1
        lines[-1].append(text)
        used += needed
    return [f"  {' '.join(line)}" for line in lines]


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
