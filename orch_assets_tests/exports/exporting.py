"""Exports a table of a test, and makes tables of all types."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from orch_assets.exports.export_format import ExportFile, format_named
from orch_assets.exports.export_notes import Notes
from orch_assets.exports.exported_table import ExportedTable

PUBLISHED_AT = "2026-11-29T05:00:00.123456+00:00"


def exported_table(rows: pa.Table, batch_rows: int = 2) -> ExportedTable:
    """Return form AE of study ONC-301, in small batches."""
    return ExportedTable(
        study_key="ONC-301",
        name="AE",
        schema=rows.schema,
        num_rows=rows.num_rows,
        open_batches=lambda: iter(rows.to_batches(batch_rows)),
        uri="file:///artifacts/form_tables/ONC-301",
        version="ab" * 32,
        published_at=PUBLISHED_AT,
    )


@dataclass(frozen=True)
class Exported:
    """A table that was exported and verified.

    Attributes:
        file: The file of the format.
        path: Where it is.
        columns: Kinds of notes about whole columns, by column.
        cells: Kinds of notes about cells, by row (from 0) and column.
    """

    file: ExportFile
    path: Path
    columns: Mapping[str, set[str]] = field(default_factory=dict)
    cells: Mapping[tuple[int, str], set[str]] = field(default_factory=dict)


def exported(format_name: str, rows: pa.Table, folder: Path) -> Exported:
    """Export a table into a folder, read it back, and return the file and its notes."""
    format_ = format_named(format_name)
    file = format_.prepare([exported_table(rows)], {})
    path = folder / f"AE.{format_.extension}"
    path.unlink(missing_ok=True)
    with Notes(folder) as notes:
        file.write(path, notes)
        file.verify(path)
        noted = notes.table().to_pylist()
    columns: dict[str, set[str]] = {}
    cells: dict[tuple[int, str], set[str]] = {}
    for note in noted:
        if note["row"] is None:
            columns.setdefault(note["column"], set()).add(note["kind"])
        else:
            cells.setdefault((note["row"] - 1, note["column"]), set()).add(note["kind"])
    return Exported(file, path, columns, cells)


def _counts(type_: pa.DataType, storage: pa.DataType, least: int, most: int) -> Any:
    """Return columns of a type that stores whole numbers."""
    cells = st.lists(st.none() | st.integers(least, most) | st.sampled_from([0, least, most]))
    return cells.map(lambda counts: pa.array(counts, storage).view(type_))


def _columns(type_: pa.DataType, cells: Any) -> Any:
    return st.lists(st.none() | cells).map(lambda values: pa.array(values, type_))


_TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["", " ", "001", "1e5", "NA", "null", '"', "a,b", "a\nb", "\r", "\r\n", "x\0y", "=1+1", "]}\n"]
)
_INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
_UNSIGNED = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
_DAY = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}
_FIRST, _LAST = -719_162, 2_932_896  # the years 1 and 9999
_INT64 = 2**63 - 1


def _integers(type_: pa.DataType) -> Any:
    bits = type_.bit_width - (type_ in _INTEGERS)
    least = -(2**bits) if type_ in _INTEGERS else 0
    return _counts(type_, type_, least, 2**bits - 1)


def _timestamps(unit: str, zone: str | None) -> Any:
    least, most = ((day * _DAY[unit]) for day in (_FIRST - 2, _LAST + 2))
    type_ = pa.timestamp(unit, zone)
    return _counts(type_, pa.int64(), max(least, -_INT64), min(most, _INT64))


def _floats(type_: pa.DataType, width: Any) -> Any:
    return _columns(type_, st.floats(width=width) | st.sampled_from([0.0, -0.0, 1.0]))


def _decimals(make: Callable[[int, int], pa.DataType], digits: int, scale: int) -> Any:
    cells = st.decimals(places=scale, allow_nan=False, allow_infinity=False).filter(
        lambda number: len(number.as_tuple().digits) <= digits
    )
    return _columns(make(digits, scale), cells)


_COLUMNS = st.one_of(
    _columns(pa.bool_(), st.booleans()),
    _columns(pa.string(), _TEXT),
    _columns(pa.large_string(), _TEXT),
    _columns(pa.string(), _TEXT).map(lambda cells: cells.dictionary_encode()),
    *map(_integers, _INTEGERS + _UNSIGNED),
    _floats(pa.float16(), 16),
    _floats(pa.float32(), 32),
    _floats(pa.float64(), 64),
    _decimals(pa.decimal128, 20, 3),
    _decimals(pa.decimal128, 38, 12),
    _decimals(pa.decimal256, 60, 5),
    _counts(pa.date32(), pa.int32(), _FIRST - 2, _LAST + 2),
    _counts(pa.date64(), pa.int64(), _FIRST * _DAY["ms"], _LAST * _DAY["ms"]),
    _counts(pa.time32("s"), pa.int32(), 0, _DAY["s"] - 1),
    _counts(pa.time32("ms"), pa.int32(), 0, _DAY["ms"] - 1),
    _counts(pa.time64("us"), pa.int64(), 0, _DAY["us"] - 1),
    _counts(pa.time64("ns"), pa.int64(), 0, _DAY["ns"] - 1),
    *(_timestamps(unit, None) for unit in _DAY),
    *(_timestamps(unit, "UTC") for unit in _DAY),
    _timestamps("us", "Europe/Berlin"),
    _counts(pa.duration("us"), pa.int64(), -_INT64, _INT64),
    _columns(pa.binary(), st.binary(max_size=4)),
    _columns(pa.null(), st.none()),
    _columns(pa.list_(pa.float64()), st.lists(st.floats(), max_size=2)),
)


@st.composite
def tables(draw: Any) -> pa.Table:
    """Return tables of up to four columns of any types, and up to seven rows."""
    columns = draw(st.lists(_COLUMNS, min_size=1, max_size=4))
    rows = draw(st.integers(0, 7))
    names = st.sampled_from(["AETERM", "aeterm", "Größe", 'a "b"', "x,y", " z"])
    return pa.table(
        [pa.concat_arrays([cells, pa.nulls(rows, cells.type)])[:rows] for cells in columns],
        names=draw(st.lists(names, min_size=len(columns), max_size=len(columns), unique=True)),
    )


def moment_text(cell: pa.Scalar) -> str | None:
    """Return a date, time or timestamp in ISO 8601, by Python's calendar; years 1 to 9999."""
    if not cell.is_valid:
        return None
    if pa.types.is_date(cell.type):
        days = cell.value if cell.type == pa.date32() else cell.value // _DAY["ms"]
        return (date(1970, 1, 1) + timedelta(days)).isoformat()
    seconds, parts = divmod(cell.value, _DAY[cell.type.unit] // 86_400)
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[cell.type.unit]
    fraction = f".{parts:0{digits}}".rstrip("0") if parts else ""
    moment = datetime(1970, 1, 1) + timedelta(seconds=seconds)  # noqa: DTZ001 - written as it is
    if pa.types.is_time(cell.type):
        return f"{moment:%H:%M:%S}{fraction}"
    return f"{moment.isoformat()}{fraction}{'Z' if cell.type.tz else ''}"
