"""A progress bar of studies, on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orch_assets.orchestration.result import FAILED, OrchestratorResult


@contextmanager
def progress_bar(total: int) -> Iterator[Callable[[OrchestratorResult], None]]:
    """Show a bar on standard error while the block lasts; nothing where that is no terminal.

    Yields:
        What to call with each study's result.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("studies"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
    )
    failed = 0
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("studies", total=total, failed=failed)

        def advance(result: OrchestratorResult) -> None:
            nonlocal failed
            failed += result["status"] == FAILED
            progress.update(task, advance=1, failed=failed)

        yield advance
