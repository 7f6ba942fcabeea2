"""Progress on a terminal: a bar for the studies, and a line for each table being read."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orch_assets.orchestration.reporting.results import FAILED, OrchestratorResult
from orch_assets.orchestration.returned_values import is_skipped

if TYPE_CHECKING:
    from rich.progress import Progress


def progress_with_readings(*columns: Any, **options: Any) -> "Progress":
    """Return a rich progress display with these columns and, below it, the tables being read."""
    from rich.progress import Progress
    from rich.text import Text

    from orch_assets.imednet.progress import readings_under_way

    class ProgressWithReadings(Progress):
        def get_renderables(self) -> Iterator[Any]:
            yield from super().get_renderables()
            for reading in readings_under_way():
                yield Text(f"  {reading}", overflow="ellipsis", no_wrap=True, style="dim")

    return ProgressWithReadings(*columns, **options)


@contextmanager
def progress_bar(total: int, *, enabled: bool) -> Iterator[Callable[[OrchestratorResult], None]]:
    """Show a progress bar on standard error, if enabled and standard error is a terminal.

    Yields:
        A function to call with each study's result.
    """
    if not (enabled and sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("studies"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed, {task.fields[skipped]} skipped"),
        TimeElapsedColumn(),
    )
    failed = skipped = 0
    with progress_with_readings(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("studies", total=total, failed=0, skipped=0)

        def advance(result: OrchestratorResult) -> None:
            nonlocal failed, skipped
            failed += result["status"] == FAILED
            skipped += is_skipped(result["data"])
            progress.update(task, advance=1, failed=failed, skipped=skipped)

        yield advance
