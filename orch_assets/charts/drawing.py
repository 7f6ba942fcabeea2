"""Draws the charts of a study; needs the extra ``charts``.

The same panels give the same bytes, with the same release of matplotlib.
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from orch_assets.charts.summary_panels import Panel, cell_label, named_label
from orch_assets.extras import needing
from orch_assets.stores.formats.documents import rendered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which people with any colour vision can tell apart.
_BLUE: Final = "#0072B2"
_SERIES: Final = ("#D55E00", "#56B4E9", "#999999")
_GREY: Final = "#595959"
_INCHES: Final = (12, 6.5)
_DPI: Final = 100
_SMALL_SCALE: Final = 0.6
_SMALL_PALETTE: Final = ("#FFFFFF", _GREY, _BLUE, "#CCE3F0", *_SERIES)
# Fixed, because matplotlib's layouts draw everything twice.
_GRID: Final = {
    "left": 0.04,
    "right": 0.98,
    "top": 0.88,
    "bottom": 0.11,
    "hspace": 0.4,
    "wspace": 0.22,
}
_LONGEST_NAME: Final = 24
_NAMES_WIDTH: Final = 0.1
_FEW_LABELS: Final = 5


def draw(panels: Sequence[Panel], title: str) -> "Figure":
    """Return the figure of a study's charts, three in a row.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with needing("charts"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=_INCHES, dpi=_DPI)
    figure.suptitle(_plain(title), fontsize=13, fontweight="bold")
    grid = figure.subplots(-(-len(panels) // 3), 3, gridspec_kw=_GRID)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, panel)
    figure.text(0.04, 0.012, note(panels[0].limit), fontsize="small", color=_GREY)
    return figure


def note(limit: int) -> str:
    """Return how small counts are treated, in one sentence; empty if they are shown."""
    return "" if limit == 1 else f"Groups of fewer than {limit} are merged with others."


def png(figure: "Figure") -> bytes:
    """Return a figure as a PNG file without a date or the name of a program."""
    return rendered(figure)[0]


def small_png(picture: bytes) -> bytes:
    """Return a PNG file of these charts as a picture of a few kilobytes, with a few colours."""
    from PIL import Image

    colours = [int(colour[at : at + 2], 16) for colour in _SMALL_PALETTE for at in (1, 3, 5)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours)
    file = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        size = (int(image.width * _SMALL_SCALE), int(image.height * _SMALL_SCALE))
        small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    reduced = small.quantize(palette=palette, dither=Image.Dither.NONE)
    reduced.save(file, format="png", optimize=True)
    return file.getvalue()


def described(panel: Panel) -> str:
    """Return what a chart shows as text, for people who can't see it."""
    if panel.instead is not None:
        return f"{panel.title}: {panel.instead}."
    total = sum(cell.total for cell in panel.cells)
    return f"{panel.title}: {total:,} in all."


def _draw_panel(axes: "Axes", panel: Panel) -> None:
    axes.set_title(panel.title, loc="left", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(_GREY)
    axes.tick_params(color=_GREY, labelcolor=_GREY)
    if panel.instead is not None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, panel.instead, ha="center", color=_GREY, transform=axes.transAxes)
        return
    if panel.kind == "bars":
        _draw_bars(axes, panel)
        return
    if panel.kind == "line":
        _draw_line(axes, panel)
    else:
        _draw_columns(axes, panel)
    beside = panel.note or any(panel.series)
    axes.set_ylim(0, axes.get_ylim()[1] * (1.35 if beside else 1.05))
    if panel.note:
        axes.text(0.02, 0.92, panel.note, fontsize="small", transform=axes.transAxes)
    axes.locator_params(axis="y", integer=True)


def _draw_line(axes: "Axes", panel: Panel) -> None:
    """Draw the sum up to the end of each cell, at its last month."""
    places, sums, place = [0], [0], 0
    for cell in panel.cells:
        place += len(cell.labels)
        places.append(place)
        sums.append(sums[-1] + cell.total)
    axes.fill_between(places, sums, color=_BLUE, alpha=0.2, linewidth=0)
    axes.plot(places, sums, color=_BLUE, marker="o", markersize=2.5)
    axes.annotate(f"{sums[-1]:,}", (places[-1], sums[-1]), ha="right", va="bottom")
    _label(axes, [0.5, place], [panel.cells[0].labels[0], panel.cells[-1].labels[-1]])


def _draw_columns(axes: "Axes", panel: Panel) -> None:
    cells = panel.cells
    bottom = [0] * len(cells)
    palette = _SERIES if len(panel.series) > 1 else (_BLUE,)
    for number, name in enumerate(panel.series):
        heights = [cell.counts[number] for cell in cells]
        axes.bar(range(len(cells)), heights, bottom=bottom, color=palette[number], label=name)
        bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
    labels = [cell_label(cell) for cell in cells]
    if len(cells) > _FEW_LABELS + 1:
        ends = [0, len(cells) - 1]
        _label(axes, ends, [cells[0].labels[0], cells[-1].labels[-1]])
    else:
        _label(axes, range(len(cells)), [_lines(label) for label in labels])
        for place, height in enumerate(bottom):
            axes.annotate(f"{height:,}", (place, height), ha="center", va="bottom")
    if any(panel.series):
        axes.legend(frameon=False, fontsize="small", loc="upper left")


def _draw_bars(axes: "Axes", panel: Panel) -> None:
    cells = panel.cells[::-1]  # the first is drawn at the bottom
    axes.barh(range(len(cells)), [cell.total for cell in cells], color=_BLUE)
    for place, cell in enumerate(cells):
        axes.annotate(f" {cell.total:,}", (cell.total, place), ha="left", va="center")
    box = axes.get_position()
    axes.set_position((box.x0 + _NAMES_WIDTH, box.y0, box.width - _NAMES_WIDTH, box.height))
    names = [named_label(cell) for cell in cells]
    short = [n if len(n) <= _LONGEST_NAME else f"{n[: _LONGEST_NAME - 1]}…" for n in names]
    axes.set_yticks(range(len(cells)), [_plain(name) for name in short], fontsize="small")
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.margins(x=0.15)


def _label(axes: "Axes", places: Any, labels: Sequence[str]) -> None:
    axes.set_xticks(places, labels)


def _plain(text: str) -> str:
    """Return a text that isn't taken for a formula; ``?`` for what matplotlib's font lacks."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = get_font(findfont(FontProperties())).get_charmap()
    return "".join(each if ord(each) in known else "?" for each in text).replace("$", r"\$")


def _lines(label: str) -> str:
    """Return a label on lines that don't overlap their neighbours'."""
    first, _, rest = label.replace(" to ", " to\n").partition(" ")
    return f"{first}\n{rest}" if rest else first
