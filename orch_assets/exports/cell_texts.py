"""Cells as text: dates and times as in ISO 8601, and what a format has no type for."""

import base64
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from orch_assets.errors import ExportError
from orch_assets.exports.export_notes import NoteKind
from orch_assets.stores.formats.nested_json import has_json, to_json

if TYPE_CHECKING:
    import pyarrow as pa

# Digits of a fraction of a second, by Arrow's unit.
_DIGITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def iso_texts(cells: "pa.Array") -> "pa.Array":
    """Return dates, times or timestamps (of the years 1 to 9999) in ISO 8601.

    Seconds are always written, fractions of a second only where there are any, without trailing
    zeros. A timestamp with the zone UTC ends in ``Z``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(cells.type):
        return cells.cast(pa.string())
    if pa.types.is_timestamp(cells.type):
        # Mostly there are no fractions, and Arrow's regular expressions are slow.
        with contextlib.suppress(pa.ArrowInvalid):
            cells = cells.cast(pa.timestamp("s", cells.type.tz))
    texts = cells.cast(pa.string())
    texts = pc.replace_substring(texts, " ", "T", max_replacements=1)
    return without_zeros(texts) if cells.type.unit != "s" else texts


def without_zeros(texts: "pa.Array") -> "pa.Array":
    """Return times without trailing zeros of the fraction, whatever letter follows them."""
    import pyarrow.compute as pc

    texts = pc.replace_substring_regex(texts, r"(\.\d*[1-9])0+([A-Z]?)$", r"\1\2")
    return pc.replace_substring_regex(texts, r"\.0+([A-Z]?)$", r"\1")


def moments_of(texts: "pa.Array", type_: "pa.DataType") -> "pa.Array":
    """Return dates, times or timestamps from the texts of :func:`iso_texts`.

    Raises:
        pyarrow.ArrowInvalid: A text is none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(type_) and type_.unit == "ns":
        return _nanoseconds_of(texts).view(type_)
    if not pa.types.is_time(type_):
        return texts.cast(type_)
    on_a_day = pc.binary_join_element_wise("1970-01-01", texts, "T")
    return on_a_day.cast(pa.timestamp(type_.unit)).cast(type_)


def _nanoseconds_of(texts: "pa.Array") -> "pa.Array":
    """Return the nanoseconds since 1970; Arrow refuses those of the earliest second."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = pc.extract_regex(texts, r"^(?P<second>[0-9T:-]{19})\.?(?P<parts>\d{0,9})Z?$")
    if parts.null_count != texts.null_count:
        raise pa.ArrowInvalid("not a timestamp")
    seconds = pc.struct_field(parts, "second").cast(pa.timestamp("s")).cast(pa.int64())
    nanoseconds = pc.utf8_rpad(pc.struct_field(parts, "parts"), 9, "0").cast(pa.int64())
    # The product alone may be less than the least number, and come back with the sum.
    return pc.add(pc.multiply(seconds, 10**9), nanoseconds)


def decimal_texts(cells: "pa.Array") -> "pa.Array":
    """Return decimals with all digits of their scale, never with an exponent."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = cells.cast(pa.string())
    if not pc.any(pc.match_substring(texts, "E")).as_py():
        return texts
    plain = [None if cell is None else f"{cell:f}" for cell in cells.to_pylist()]
    return pa.array(plain, pa.string())


def period_texts(cells: "pa.Array") -> "pa.Array":
    """Return durations as seconds in ISO 8601, such as ``PT5400.5S`` or ``-PT1S``."""
    import pyarrow as pa

    digits = _DIGITS[cells.type.unit]
    texts: list[str | None] = []
    for count in cells.cast(pa.int64()).to_pylist():
        if count is None:
            texts.append(None)
            continue
        seconds, parts = divmod(abs(count), 10**digits)
        fraction = f".{parts:0{digits}}".rstrip("0") if parts else ""
        texts.append(f"{'-' if count < 0 else ''}PT{seconds}{fraction}S")
    return pa.array(texts, pa.string())


def packed_texts(cells: "pa.Array") -> "pa.Array":
    """Return bytes in base64."""
    import pyarrow as pa

    texts = [
        None if cell is None else base64.b64encode(cell).decode() for cell in cells.to_pylist()
    ]
    return pa.array(texts, pa.string())


def json_texts(cells: "pa.Array") -> "tuple[pa.Array, Mapping[NoteKind, pa.BooleanArray]]":
    """Return lists, structs and maps as JSON; null where JSON lacks a value, such as NaN.

    Raises:
        ExportError: They hold a type that can't be written as JSON.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not has_json(cells.type):
        raise ExportError(
            "A column has lists or structs of a type that can't be exported. "
            "Store it as text, numbers, dates or times."
        )
    try:
        return to_json(cells), {}
    except (ValueError, OverflowError):  # one of the cells, or several
        texts = [_json_text(cells.slice(row, 1)) for row in range(len(cells))]
    written = pa.array(texts, pa.string())
    return written, {NoteKind.OUT_OF_RANGE: pc.and_(written.is_null(), cells.is_valid())}


def _json_text(cell: "pa.Array") -> str | None:
    try:
        text: str | None = to_json(cell)[0].as_py()
    except (ValueError, OverflowError):
        return None
    return text
