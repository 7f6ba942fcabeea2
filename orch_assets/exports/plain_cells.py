"""Tables in plain types: what Dataset-JSON, CSV and Parquet have in common.

Arrow has more types than other tools know. Here a column gets the plain type that holds the same
cells, or becomes text. A cell that a format can't hold becomes null, or loses digits, and is noted.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orch_assets.errors import ExportError
from orch_assets.exports.cell_texts import decimal_texts, json_texts, packed_texts, period_texts
from orch_assets.exports.export_notes import NoteKind, Notes
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.plain_types import HeldByFormat, is_binary
from orch_assets.exports.two_at_once import one_ahead
from orch_assets.lazy import cached_property
from orch_assets.marked_names import named

if TYPE_CHECKING:
    import pyarrow as pa

# Masks of the cells of a column that change, by what changes.
Changes = Mapping[NoteKind, "pa.BooleanArray"]

# The years 1 to 9999, which ISO 8601 writes with four digits, in days since 1970.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_DAY_UNITS: Final = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}
_INT64 = 2**63


@dataclass(frozen=True)
class PlainTable:
    """A table as a format holds it.

    Attributes:
        table: The table.
        held: What the format can hold.
    """

    table: ExportedTable
    held: HeldByFormat

    @cached_property
    def schema(self) -> "pa.Schema":
        """The columns in plain types, with the metadata of the table's."""
        import pyarrow as pa

        fields = [field.with_type(self.held.plain_type(field.type)) for field in self.table.schema]
        return pa.schema(fields, self.table.schema.metadata)

    def batches(self, rows: int, notes: Notes | None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows in plain types, and note the cells that change.

        Args:
            rows: Maximum number of rows of a batch.
            notes: Receives the notes; None if they were made before.

        Raises:
            ExportError: The table has other rows than it says.
        """
        import pyarrow as pa

        first_row = 1
        for batch in one_ahead(self.table.batches(rows)):
            columns = []
            for field, cells in zip(batch.schema, batch.columns, strict=True):
                plain, changes = plain_cells(cells, self.held)
                columns.append(plain)
                if notes is not None:
                    for kind, changed in changes.items():
                        notes.add_cells(self.table, batch, first_row, field.name, kind, changed)
            first_row += batch.num_rows
            yield pa.record_batch(columns, schema=self.schema)
        if first_row - 1 != self.table.num_rows:
            raise ExportError(
                f"{named(self.table.name)} of study "
                f"{named(self.table.study_key, shown=self.table.study_key)} has "
                f"{first_row - 1:,} rows, and says {self.table.num_rows:,}. Verify its store."
            )

    def note_columns(self, notes: Notes) -> None:
        """Note the columns whose type changes."""
        for field in self.table.schema:
            if self.held.is_other_type(field.type):
                notes.add_column(self.table, field.name, NoteKind.TYPE)


def plain_cells(cells: "pa.Array", held: HeldByFormat) -> "tuple[pa.Array, Changes]":
    """Return a column's cells in its plain type, and which of them change.

    Raises:
        ExportError: Its type can't be exported.
    """
    import pyarrow.types as t

    type_ = cells.type
    if t.is_dictionary(type_):
        return plain_cells(cells.dictionary_decode(), held)
    plain = held.plain_type(type_)
    if t.is_date(type_) or t.is_timestamp(type_):
        return _plain_moments(cells, plain)
    if t.is_time(type_):
        return _plain_times(cells, plain)
    if t.is_nested(type_):
        return json_texts(cells)
    if t.is_floating(type_) and not held.not_finite:
        return _finite(cells.cast(plain))
    return _texts(cells) if t.is_string(plain) else cells.cast(plain), {}


def _texts(cells: "pa.Array") -> "pa.Array":
    """Return cells without a plain type of their own as text."""
    import pyarrow as pa
    import pyarrow.types as t

    writers: dict[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]] = {
        t.is_decimal: decimal_texts,
        t.is_duration: period_texts,
        is_binary: packed_texts,
    }
    for is_kind, write in writers.items():
        if is_kind(cells.type):
            return write(cells)
    try:
        return cells.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ExportError(
            "A column's type can't be exported. Store it as text, numbers, dates or times."
        ) from None


def _finite(cells: "pa.Array") -> "tuple[pa.Array, Changes]":
    import pyarrow as pa
    import pyarrow.compute as pc

    finite = pc.is_finite(cells)
    if pc.all(finite).as_py():
        return cells, {}
    plain = pc.if_else(finite, cells, pa.scalar(None, cells.type))
    return plain, {NoteKind.NOT_FINITE: pc.invert(finite)}


def _plain_moments(cells: "pa.Array", plain: "pa.DataType") -> "tuple[pa.Array, Changes]":
    """Return dates or timestamps; those that ISO 8601 can't write with four digits are null."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    type_ = cells.type
    if t.is_date32(type_):
        counts, unit = cells.view(pa.int32()), 1
    else:
        counts = cells.view(pa.int64())
        unit = _DAY_UNITS["ms" if t.is_date64(type_) else type_.unit]
    changes = {}
    first = max(_FIRST_DAY * unit, -_INT64)
    last = min((_LAST_DAY + 1) * unit - 1, _INT64 - 1)
    held = pc.and_(pc.greater_equal(counts, first), pc.less_equal(counts, last))
    if pc.all(held).as_py() is False:
        changes[NoteKind.OUT_OF_RANGE] = pc.invert(held)
        cells = pc.if_else(held, cells, pa.scalar(None, type_))
    if not t.is_date64(type_):
        return cells.cast(plain), changes
    dates = cells.cast(pa.timestamp("ms")).cast(plain, safe=False)
    changes[NoteKind.ROUNDED] = pc.not_equal(
        dates.cast(pa.timestamp("ms")), cells.cast(pa.timestamp("ms"))
    )
    return dates, changes


def _plain_times(cells: "pa.Array", plain: "pa.DataType") -> "tuple[pa.Array, Changes]":
    import pyarrow.compute as pc

    if cells.type.unit != "ns" or cells.type == plain:
        return cells.cast(plain), {}
    times = cells.cast(plain, safe=False)
    return times, {NoteKind.ROUNDED: pc.not_equal(times.cast(cells.type), cells)}
