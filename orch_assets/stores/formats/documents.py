"""Documents: figures as bytes that are always the same, and the media types that are stored.

A figure's package is used only if the figure comes from it; nothing here imports one.
"""

import io
import threading
from collections.abc import Mapping
from typing import Any, Final

from orch_assets.errors import UnstorableValueError
from orch_assets.marked_names import named
from orch_assets.stores.artifacts import DOCUMENT_KINDS, ArtifactKind

PNG: Final = "image/png"
SVG: Final = "image/svg+xml"
HTML: Final = "text/html"
PDF: Final = "application/pdf"

_MATPLOTLIB: Final = ("matplotlib", "Figure")
_PLOTLY: Final = ("plotly", "BaseFigure")
# What matplotlib writes by itself: dates, and its own version.
_UNWANTED: Final[Mapping[str, Mapping[str, None]]] = {
    PNG: {"Software": None},
    SVG: {"Creator": None, "Date": None},
    PDF: {"Creator": None, "Producer": None, "CreationDate": None},
}
_BEGINNINGS: Final = {PNG: b"\x89PNG\r\n\x1a\n", PDF: b"%PDF-"}
_SALT: Final = "svg.hashsalt"
# matplotlib's parser of formulas has one state for all threads.
_drawing = threading.Lock()


def is_png(value: Any) -> bool:
    """Return whether a value is the bytes of a PNG picture."""
    return isinstance(value, bytes) and value.startswith(_BEGINNINGS[PNG])


def is_figure(value: Any) -> bool:
    """Return whether a value is a figure of matplotlib or plotly."""
    return _is_from(value, _MATPLOTLIB) or _is_from(value, _PLOTLY)


def rendered(figure: Any, media_type: str | None = None) -> tuple[bytes, str]:
    """Return a figure as bytes, and their media type; the same figure always as the same bytes.

    The bytes also depend on the versions of matplotlib or plotly and of the fonts. A plotly figure
    becomes a page that holds plotly.js (about 5 MB), so that it opens without a network.

    Args:
        figure: A figure of matplotlib or plotly.
        media_type: The type to make; by default PNG of a matplotlib and HTML of a plotly figure.

    Raises:
        UnstorableValueError: The figure can't become a document of this type.
    """
    if _is_from(figure, _PLOTLY):
        _check_type(media_type or HTML, {HTML}, "A plotly figure")
        page: str = figure.to_html(full_html=True, include_plotlyjs=True, div_id="figure")
        return page.encode(), HTML
    media_type = media_type or PNG
    _check_type(media_type, _UNWANTED, "A matplotlib figure")
    with _drawing:
        return _drawn(figure, media_type), media_type


def document_kind(data: bytes, media_type: str, name: str) -> ArtifactKind:
    """Return the kind of artifact for a document.

    Args:
        data: The document.
        media_type: Its media type, which may have parameters, such as a character set.
        name: Name of the artifact. Used in error messages.

    Raises:
        UnstorableValueError: The type is not supported, or the bytes are not of that type.
    """
    plain = media_type.partition(";")[0].strip().lower()
    if plain not in DOCUMENT_KINDS:
        raise UnstorableValueError(
            f"{named(name)} has the media type {named(media_type)}, which can't be stored. Use "
            f"{_listed(DOCUMENT_KINDS)}.",
            artifact=name,
        )
    if not data.startswith(_BEGINNINGS.get(plain, b"")) or not data:
        raise UnstorableValueError(
            f"{named(name)} was returned as {plain}, but its bytes are something else. Give the "
            "document's own bytes and media type.",
            artifact=name,
        )
    return DOCUMENT_KINDS[plain]


def _drawn(figure: Any, media_type: str) -> bytes:
    import matplotlib as mpl

    file, salt = io.BytesIO(), mpl.rcParams[_SALT]
    # Without it, the identifiers in an SVG are random.
    mpl.rcParams[_SALT] = "orch-assets" if salt is None else salt
    try:
        figure.savefig(
            file, format=DOCUMENT_KINDS[media_type].value, metadata={**_UNWANTED[media_type]}
        )
    finally:
        mpl.rcParams[_SALT] = salt
    return file.getvalue()


def _check_type(media_type: str, supported: Any, what: str) -> None:
    if media_type not in supported:
        raise UnstorableValueError(
            f"{what} can't be stored as {named(media_type)}. Use {_listed(supported)}."
        )


def _listed(media_types: Any) -> str:
    *others, last = sorted(media_types)
    return f"{', '.join(others)} or {last}" if others else str(last)


def _is_from(value: Any, wanted: tuple[str, str]) -> bool:
    package, name = wanted
    return any(
        each.__name__ == name and each.__module__.partition(".")[0] == package
        for each in type(value).__mro__
    )
