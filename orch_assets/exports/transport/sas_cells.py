"""Converts a column's cells to what a transport file holds, and finds what it can't hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from orch_assets.exports.cell_texts import json_texts
from orch_assets.exports.export_notes import NoteKind
from orch_assets.exports.transport import sas_numbers

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Numbers = np.ndarray[Any, Any]
    Masks = Mapping[NoteKind, Numbers]


@dataclass(frozen=True)
class SasCells:
    """Cells as a transport file has them.

    Attributes:
        values: ``double``, where null is a missing value; or ``large_string`` without null.
        noted: Which cells have which note.
    """

    values: "pa.Array"
    noted: "Mapping[NoteKind, pa.BooleanArray]"


def integers(array: "pa.Array") -> SasCells:
    """Convert booleans and whole numbers; those beyond 2^53 may be rounded."""
    import numpy as np
    import pyarrow as pa

    plain = array.cast(pa.uint8()) if pa.types.is_boolean(array.type) else array
    whole = _filled(plain)
    values = whole.astype(np.float64)
    # Rounded up to the first number that the type doesn't have: can't be cast back.
    fits = values < np.iinfo(whole.dtype).max + 1
    back = np.where(fits, values, 0.0).astype(whole.dtype)
    return _numbers(array, values, {NoteKind.ROUNDED: ~fits | (back != whole)})


def floats(array: "pa.Array") -> SasCells:
    """Convert floating-point numbers."""
    import numpy as np
    import pyarrow as pa

    return _numbers(array, np.array(_filled(array.cast(pa.float64()))), {})


def decimals(array: "pa.Array") -> SasCells:
    """Convert decimals; one is exact if it is the double, rounded to the decimals of the type."""
    import numpy as np

    exact = Context(prec=100)
    step = Decimal(1).scaleb(-array.type.scale, exact)
    given = [Decimal(0) if cell is None else cell for cell in array.to_pylist()]
    values = np.array([float(cell) for cell in given], np.float64)
    rounded = [
        Decimal(value).quantize(step, context=exact) != cell
        for value, cell in zip(values.tolist(), given, strict=True)
    ]
    return _numbers(array, values, {NoteKind.ROUNDED: np.array(rounded, bool)})


def dates(array: "pa.Array") -> SasCells:
    """Convert dates to days since 1960."""
    import numpy as np
    import pyarrow as pa

    days = _filled(array.cast(pa.date32()).cast(pa.int32())).astype(np.int64)
    values = (days + sas_numbers.EPOCH_DAYS).astype(np.float64)
    return _numbers(array, values, _outside_calendar(days))


def timestamps(array: "pa.Array") -> SasCells:
    """Convert instants, or local times without a zone, to seconds since 1960."""
    import pyarrow as pa

    counts = _filled(array.cast(pa.int64()))
    a_second = _units_a_second(array.type.unit)
    since = sas_numbers.EPOCH_DAYS * sas_numbers.SECONDS_A_DAY
    values, rounded = sas_numbers.seconds(counts, a_second, since)
    days = counts // (a_second * sas_numbers.SECONDS_A_DAY)
    return _numbers(array, values, {NoteKind.ROUNDED: rounded, **_outside_calendar(days)})


def times(array: "pa.Array") -> SasCells:
    """Convert times of day, and durations, to seconds."""
    import numpy as np
    import pyarrow as pa

    whole = pa.int32() if pa.types.is_time32(array.type) else pa.int64()
    counts = _filled(array.cast(whole)).astype(np.int64)
    values, rounded = sas_numbers.seconds(counts, _units_a_second(array.type.unit), 0)
    return _numbers(array, values, {NoteKind.ROUNDED: rounded})


def texts(array: "pa.Array", longest: int) -> SasCells:
    """Convert texts: without blanks at their end, cut to a number of bytes of UTF-8.

    NUL becomes a question mark, since readers end a text there.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.fill_null(array.cast(pa.large_string()), "")
    noted = {NoteKind.CONTROL_CHARACTER: pc.match_substring(text, "\0")}
    if noted[NoteKind.CONTROL_CHARACTER].true_count:
        text = pc.replace_substring(text, "\0", "?")
    trimmed = pc.ascii_rtrim(text, characters=" ")
    noted[NoteKind.EMPTY_TEXT] = pc.and_(array.is_valid(), pc.equal(text, ""))
    noted[NoteKind.TRAILING_BLANKS] = pc.not_equal(
        pc.binary_length(trimmed), pc.binary_length(text)
    )
    noted[NoteKind.NOT_ASCII] = pc.invert(pc.string_is_ascii(trimmed))
    noted[NoteKind.TOO_LONG] = pc.greater(pc.binary_length(trimmed), longest)
    if noted[NoteKind.TOO_LONG].true_count:
        cut = [cut_text(cell, longest).rstrip(" ") for cell in trimmed.to_pylist()]
        trimmed = pa.array(cut, pa.large_string())
    return SasCells(trimmed, noted)


def cut_text(text: str, longest: int) -> str:
    """Cut a text to a number of bytes of UTF-8, at the boundary of a character."""
    return text.encode()[:longest].decode(errors="ignore")


def as_hexadecimal(array: "pa.Array") -> "pa.Array":
    """Return binary cells as text."""
    import pyarrow as pa

    cells = [None if cell is None else bytes(cell).hex() for cell in array.to_pylist()]
    return pa.array(cells, pa.large_string())


def nested(array: "pa.Array", longest: int) -> SasCells:
    """Convert lists, structs and maps to JSON text, as the other formats do."""
    written, changes = json_texts(array)
    cells = texts(written, longest)
    return SasCells(cells.values, {**cells.noted, **changes})


def _units_a_second(unit: str) -> int:
    return {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]


def _filled(array: "pa.Array") -> "Numbers":
    import pyarrow.compute as pc

    numbers: Numbers = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
    return numbers


def _outside_calendar(days: "Numbers") -> "Masks":
    return {
        NoteKind.EARLY_DATE: days < sas_numbers.FIRST_DAY,
        NoteKind.OUT_OF_RANGE: days > sas_numbers.LAST_DAY,
    }


def _numbers(array: "pa.Array", values: "Numbers", noted: "Masks") -> SasCells:
    """Return numbers as cells: empty where the format has no such number."""
    import numpy as np
    import pyarrow as pa

    size = np.abs(values)
    infinite = ~np.isfinite(values)
    beyond = ~infinite & (size >= sas_numbers.TOO_LARGE)
    beyond |= (size < sas_numbers.SMALLEST) & (size > 0)
    early = noted.get(NoteKind.EARLY_DATE, np.zeros(len(values), bool))
    beyond |= noted.get(NoteKind.OUT_OF_RANGE, early) & ~early
    empty = infinite | beyond | early
    minus_zero = (values == 0) & np.signbit(values)
    given = array.is_valid().to_numpy(zero_copy_only=False)
    masks = {
        NoteKind.NOT_FINITE: infinite,
        NoteKind.OUT_OF_RANGE: beyond,
        NoteKind.EARLY_DATE: early,
        NoteKind.NEGATIVE_ZERO: minus_zero,
        NoteKind.ROUNDED: noted.get(NoteKind.ROUNDED, empty) & ~empty,
    }
    cells = pa.array(np.where(minus_zero, 0.0, values), pa.float64(), mask=empty | ~given)
    return SasCells(cells, {kind: pa.array(mask & given) for kind, mask in masks.items()})
