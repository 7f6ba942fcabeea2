"""Studies × pipelines on a terminal: the results of a run, and the portfolio.

As much as fits is shown: a table with the names of the pipelines above it; the same with the names
as stairs, which need no width; or a paragraph for each study. A file or a CI log has lines to grep,
so it has no stairs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from orch_assets.terminal import say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from orch_assets.orchestration.reporting.matrix import MatrixEntry
    from orch_assets.orchestration.reporting.portfolio import Portfolio

# The text of each study's cells, by pipeline.
Grid: TypeAlias = Mapping[str, Mapping[str, str]]

_UNLIMITED: Final = 100_000
_NONE: Final = "·"
_UNCHANGED: Final = "="
_CHANGES: Final = "+ new, ~ changed, \N{MINUS SIGN} removed, = unchanged; "
_SKIPPED: Final = "– is skipped; "
_SYMBOLS: Final = "✓ has a result, which wasn't compared; ~ changed, = unchanged, · has no result"


def print_matrix(console: "Console", entries: Sequence["MatrixEntry"]) -> None:
    """Print the results of a run: as a table if it fits, else as a paragraph for each study.

    Where rows were compared with the result before, a narrow table has only their changes. On a
    terminal whose screen is too small for the paragraphs, a result is one symbol.
    """
    from orch_assets.orchestration.reporting.matrix import as_grid, as_symbols

    pipelines = sorted({entry.pipeline for entry in entries})
    refreshed = any(entry.changes is not None for entry in entries)
    skipped = any(entry.skipped is not None for entry in entries)
    marks = f"{_CHANGES if refreshed else ''}{_SKIPPED if skipped else ''}✗ is a failure."
    console.print(f"\nRows of each study's tables; {marks}")
    for brief in (False, True):
        table = _table(as_grid(entries, brief=brief), pipelines)
        if _fits(console, table):
            console.print(table)
            return
    lines = {
        study: _folded(study, _results(cells, pipelines), console.width)
        for study, cells in as_grid(entries).items()
    }
    symbols = _stairs_that_fit(console, as_symbols(entries), pipelines)
    if symbols and sum(map(len, lines.values())) > console.height:
        say(console, f"There is no room for numbers: {_SYMBOLS}.")
        console.print(symbols)
    else:
        _print_paragraphs(console, lines)


def print_portfolio(console: "Console", portfolio: "Portfolio") -> None:
    """Print the newest results by state and age: each cell is :meth:`Portfolio.cell`.

    If they don't fit, they are symbols; if these don't either, or in a file, a study has a
    paragraph, which counts its recent results.
    """
    from orch_assets.orchestration.reporting.portfolio import SYMBOLS, State

    pipelines = portfolio.pipelines
    cells: dict[str, dict[str, str]] = {}
    symbols: dict[str, dict[str, str]] = {}
    paragraphs: dict[str, list[str]] = {}
    for study in portfolio.rows:
        states = {pipeline: portfolio.state(study, pipeline) for pipeline in pipelines}
        cells[study] = {pipeline: portfolio.cell(study, pipeline) for pipeline in pipelines}
        symbols[study] = {pipeline: SYMBOLS[state] for pipeline, state in states.items()}
        shown = [f"{p} {cells[study][p]}" for p in pipelines if states[p] is not State.RECENT]
        recent = f"{len(pipelines) - len(shown)} recent"
        paragraphs[study] = _folded(study, [*shown, recent], console.width)
    say(console, portfolio.summary)
    table = _table(cells, pipelines)
    if fitting := table if _fits(console, table) else _stairs_that_fit(console, cells, pipelines):
        say(console, portfolio.legend)
        console.print(fitting)
    elif fitting := _stairs_that_fit(console, symbols, pipelines):
        say(console, portfolio.symbol_legend)
        console.print(fitting)
    else:
        say(console, portfolio.legend)
        _print_paragraphs(console, paragraphs)


def _fits(console: "Console", shown: "Table | Text") -> bool:
    # Without this, the measure is never above the console's width.
    unlimited = console.options.update(max_width=_UNLIMITED)
    return console.measure(shown, options=unlimited).maximum <= console.width


def _stairs_that_fit(console: "Console", grid: Grid, pipelines: Sequence[str]) -> "Text | None":
    """Return stairs; None if they don't fit, or if nobody looks at a terminal."""
    lines = _marked("\n".join(stairs(grid, pipelines)))
    return lines if console.is_terminal and _fits(console, lines) else None


def _marked(cell: str) -> "Text":
    """Return text whose failures and old results stand out."""
    from rich.text import Text

    text = Text(cell, no_wrap=True)
    text.highlight_regex(r"✗\w*", "bold red")
    text.highlight_regex(r"(?<!\S)\w*!", "yellow")
    return text


def stairs(grid: Grid, pipelines: Sequence[str]) -> list[str]:
    """Return a table in which each name stands a line above and left of the next one.

    A column is as wide as its widest cell and a space, whatever the length of its name.
    """
    from rich.cells import cell_len, set_cell_size

    left = max(map(cell_len, grid), default=0) + 2
    cells = [cell for row in grid.values() for cell in row.values()]
    width = max(map(cell_len, cells), default=1) + 1
    rail = set_cell_size("│", width)
    lines = [" " * left + rail * column + name for column, name in enumerate(pipelines)]
    for study, row in grid.items():
        shown = (set_cell_size(row.get(pipeline, _NONE), width) for pipeline in pipelines)
        lines.append(f"{set_cell_size(study, left)}{''.join(shown)}".rstrip())
    return lines


def _results(cells: Mapping[str, str], pipelines: Sequence[str]) -> list[str]:
    """Return the results of a study that differ from those before, and the number of the others."""
    unchanged = {pipeline for pipeline, cell in cells.items() if cell.endswith(_UNCHANGED)}
    results = [f"{each} {cells.get(each, _NONE)}" for each in pipelines if each not in unchanged]
    return [*results, f"{len(unchanged)} unchanged"] if unchanged else results


def _print_paragraphs(console: "Console", paragraphs: Mapping[str, Iterable[str]]) -> None:
    from rich.markup import escape

    for study, (first, *more) in paragraphs.items():
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


def _table(grid: Grid, pipelines: Sequence[str]) -> "Table":
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("study", no_wrap=True)
    for pipeline in pipelines:
        table.add_column(pipeline.replace("_", "\n"), justify="right", no_wrap=True)
    for study, cells in grid.items():
        shown = (_marked(cells.get(pipeline, _NONE)) for pipeline in pipelines)
        table.add_row(escape(study), *shown)
    return table
