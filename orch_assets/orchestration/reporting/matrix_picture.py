"""The portfolio as a small SVG picture, which Dagster's UI shows in Markdown.

Text in it is set by the browser, so it needs no fonts and no plotting library. The letters of a row
are one text, stretched to the row's width: a cell takes 5 bytes, and not the 40 of an element.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

from orch_assets.orchestration.reporting.portfolio import Portfolio, State

# Tints of Okabe and Ito's palette, which people with color vision deficiencies can tell
# apart; dark text on each has a contrast of at least 5:1.
_COLORS: Final = {
    State.FAILED: "#e8813c",
    State.OLD: "#f7d774",
    State.RECENT: "#c5e8dc",
    State.SKIPPED: "#dddddd",
    State.NEVER: "#ffffff",
}
_CELL: Final = 4  # letters of a cell at most
_WIDTH: Final = 36
_HEIGHT: Final = 18
_NAME: Final = 28  # letters of a study's key or a pipeline's name that there is room for
_LETTER: Final = 7.2  # width of a letter
_ANGLE: Final = 50  # of the pipelines' names
_RISE: Final = 0.8  # sine of the angle, rounded up


def matrix_svg(portfolio: Portfolio, studies: Sequence[str]) -> str:
    """Return a picture of some studies of a portfolio: a row for each, a column for each pipeline.

    A cell has the text of :meth:`Portfolio.cell` on the color of its state.
    """
    pipelines = [_short(name) for name in portfolio.pipelines]
    left = round(_LETTER * max((_letters(_short(study)) for study in studies), default=0)) + 10
    slope = round(_LETTER * _RISE * max(map(_letters, pipelines), default=0))
    across, down = _WIDTH * len(pipelines), _HEIGHT * len(studies)
    top = slope + 12
    width, height = left + across + slope, top + down + 2
    names = "".join(
        f'<text transform="translate({_WIDTH * column + _WIDTH // 2} -6)rotate(-{_ANGLE})">'
        f"{escape(name)}</text>"
        for column, name in enumerate(pipelines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="monospace" font-size="12" fill="#111">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>'
        f'<g transform="translate({left} {top})">'
        f'<rect width="{across}" height="{down}" fill="{_COLORS[State.RECENT]}"/>'
        f"{''.join(_cells(portfolio, studies))}{_grid(across, down)}{names}"
        f'<g text-anchor="end">{"".join(_study_names(studies))}</g>'
        f"{''.join(_rows(portfolio, studies, across))}</g></svg>"
    )


def _cells(portfolio: Portfolio, studies: Sequence[str]) -> Iterator[str]:
    """Yield a path for each state, with its cells, neighbors joined; recent ones need none."""
    steps: dict[State, list[str]] = {state: [] for state in _COLORS if state is not State.RECENT}
    for row, study in enumerate(studies):
        column = 0
        states = (portfolio.state(study, pipeline) for pipeline in portfolio.pipelines)
        for state, neighbors in groupby(states):
            cells = sum(1 for _ in neighbors)
            if state in steps:
                width = _WIDTH * cells
                steps[state].append(
                    f"M{_WIDTH * column} {_HEIGHT * row}h{width}v{_HEIGHT}h-{width}z"
                )
            column += cells
    for state, paths in steps.items():
        if paths:
            yield f'<path fill="{_COLORS[state]}" d="{"".join(paths)}"/>'


def _grid(across: int, down: int) -> str:
    """Return the lines between the cells."""
    rows = "".join(f"M0 {y}H{across}" for y in range(0, down + 1, _HEIGHT))
    columns = "".join(f"M{x} 0V{down}" for x in range(0, across + 1, _WIDTH))
    return f'<path stroke="#fff" stroke-width="2" d="{rows}{columns}"/>'


def _study_names(studies: Sequence[str]) -> Iterator[str]:
    for row, study in enumerate(studies):
        yield f'<text x="-4" y="{_HEIGHT * row + 13}">{escape(_short(study))}</text>'


def _rows(portfolio: Portfolio, studies: Sequence[str], across: int) -> Iterator[str]:
    """Yield the text of each row, which the browser stretches to the row's width."""
    for row, study in enumerate(studies):
        cells = (portfolio.cell(study, pipeline) for pipeline in portfolio.pipelines)
        text = "".join(f"{cell:>{_CELL}} " for cell in cells)
        yield (
            # Browsers heed xml:space on the text alone, not on what it is in.
            f'<text x="3" y="{_HEIGHT * row + 13}" xml:space="preserve" textLength="{across}">'
            f"{text}</text>"
        )


def _letters(name: str) -> int:
    """Return how many letters wide a name is; a Chinese or Japanese character is two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in name)


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
