"""Any table: exact or noted, in both versions."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orch_assets_tests.exports.transport.transport_cases import cell_notes, exported, listed

_EPOCH = dt.date(1960, 1, 1).toordinal()
# What notes say about cells that are otherwise as in the table.
_KEPT = {"not_ascii"}

# What nanoseconds reach.
_NEAR_DATETIMES = st.builds(
    dt.datetime.combine, st.dates(dt.date(1678, 1, 1), dt.date(2261, 1, 1)), st.times()
)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_TYPES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), _TEXT | st.text(" \0é€", max_size=80)),
    (pa.bool_(), st.booleans()),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float64(), st.floats()),
    (pa.float32(), st.floats(width=32)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("ns"), _NEAR_DATETIMES),
    (pa.time64("us"), st.times()),
    (pa.decimal128(20, 3), st.decimals(-(10**16), 10**16, places=3)),
]


@st.composite
def _tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 12))
    types = draw(st.lists(st.sampled_from(_TYPES), min_size=1, max_size=5))
    columns = {"record_id": pa.array(range(rows), pa.int64())}
    for number, (type_, values) in enumerate(types):
        cells = st.lists(st.none() | values, min_size=rows, max_size=rows)
        columns[f"c{number}"] = pa.array(draw(cells), type_)
    return pa.table(columns)


def _as_read(value: Any) -> Any:
    """Return what a value without a note is in the file."""
    if value is None:
        return None
    if isinstance(value, dt.datetime):
        days = value.date().toordinal() - _EPOCH
        return Decimal(days * 86400) + _as_read(value.time())
    if isinstance(value, dt.date):
        return value.toordinal() - _EPOCH
    if isinstance(value, dt.time):
        seconds = value.hour * 3600 + value.minute * 60 + value.second
        return Decimal(seconds) + Decimal(value.microsecond) / 10**6
    return value


def _same(value: Any, found: Any) -> bool:
    if isinstance(value, str) or value is None:
        return bool(found == (value or "")) or found is value
    if isinstance(value, float) and value == 0:
        return bool(found == 0) and math.copysign(1, value) == math.copysign(1, found)
    if isinstance(value, Decimal):
        return abs(Decimal(found) - value) < Decimal("0.0000005")
    return bool(found == value)


@pytest.mark.parametrize("format_name", ["xpt", "xpt8"])
@settings(max_examples=40, deadline=None)
@given(table=_tables())
def test_each_cell_without_a_note_is_exact(format_name: str, table: pa.Table) -> None:
    """A cell reads back as it was, or has a note."""
    read = exported(table, format_name, disable_datetime_conversion=True)
    noted = {(column, row) for column, row, kind in cell_notes(read) if kind not in _KEPT}
    for column in table.schema.names:
        found = listed(read, read.names[column])
        assert len(found) == table.num_rows
        cells = table[column].to_pylist()
        for row, (value, cell) in enumerate(zip(cells, found, strict=True), 1):
            assert (column, row) in noted or _same(_as_read(value), cell)


@pytest.mark.parametrize("format_name", ["xpt", "xpt8"])
@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(
        st.floats(16.0**-65, math.nextafter(16.0**63, 0)).flatmap(
            lambda size: st.sampled_from([size, -size])
        )
    )
)
def test_each_double_in_range_is_exact(format_name: str, values: list[float]) -> None:
    """The 56 bits of an IBM double hold the 53 of each double."""
    read = exported(pa.table({"X": pa.array(values, pa.float64())}), format_name)
    assert (listed(read, "X"), cell_notes(read)) == (values, [])
