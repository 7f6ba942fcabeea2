"""Output of ``orch-assets``: the progress of a run, lists of studies."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_PLAIN_WIDTH: Final = 200
_CARRIED: Final = "carried_from"  # metadata of a result that an earlier run made
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
        is_due = self.done == self.total or self.done % max(1, self.total // 10) == 0
        if is_due and not self.console.is_terminal:
            self.console.print(f"{self.done} of {self.total} results")


@contextmanager
def result_count(console: "Console", total: int) -> Iterator[ResultCount]:
    """Show the number of results: a bar on a terminal, else a line for each tenth and all."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn

    from orch_assets.orchestration.reporting.terminal_progress import progress_with_readings

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    display = progress_with_readings(*columns, console=console, disable=not console.is_terminal)
    with display as progress:
        yield ResultCount(console, progress, progress.add_task("results", total=total), total)


@contextmanager
def verification_bar() -> Iterator[Callable[[int, int], None]]:
    """Show a bar while objects are verified; yield what takes the numbers of those done and all."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("Verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("Verifying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


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
