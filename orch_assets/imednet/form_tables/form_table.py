"""One form's table, collected while its records arrive."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch_assets.imednet.form_tables.decode import Answers
from orch_assets.imednet.form_tables.form_columns import MISFITS, REPLACED, Column, table_schema
from orch_assets.imednet.form_tables.merged_form import MergedForm, stored_counts
from orch_assets.imednet.form_tables.spill_buffer import SpillBuffer
from orch_assets.imednet.form_tables.study_forms import StudyForm
from orch_assets.refreshing import StoredTable

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FormStream:
    """A form's table as a stream, which can be read more than once.

    Attributes:
        schema: The schema of every batch, with the counts of misfits.
        num_rows: The number of rows in all batches.
        takes: One function for each batch, which returns it.
    """

    schema: "pa.Schema"
    num_rows: int
    takes: "Sequence[Callable[[], pa.RecordBatch]]"

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa

        for take in self.takes:
            yield pa.record_batch(take().columns, schema=self.schema)

    def table(self) -> "pa.Table":
        """Return all rows in memory."""
        import pyarrow as pa

        return pa.Table.from_batches(self, self.schema)


class FormTable:
    """Collects the records of one form.

    Args:
        form: The form.
        keys: The fields of the key columns, which are copied from the records.
        columns: The columns of the form's variables.

    Attributes:
        misfits: How many answers so far could not be read, by column.
        replaced: How many surrogates U+FFFD replaces so far, by column.
        rows: The number of records so far.
    """

    def __init__(
        self, form: StudyForm, keys: "Sequence[pa.Field]", columns: Sequence[Column]
    ) -> None:
        self._form = form
        self._keys = keys
        self._columns = columns
        self._schema = table_schema(form, keys, columns, {}, {})
        self.misfits: Counter[str] = Counter()
        self.replaced: Counter[str] = Counter()
        self._takes: list[Callable[[], pa.RecordBatch]] = []
        self.rows = 0
        self._last_id: int | None = None
        self._is_sorted = True

    @property
    def has_content(self) -> bool:
        """Whether the table has variables or records."""
        return bool(self._columns or self._takes)

    def add(self, records: "pa.Table", buffer: SpillBuffer) -> set[str]:
        """Add at least one record. Return the keys in ``record_data`` that belong to no column."""
        import pyarrow as pa

        answers = Answers(records["record_data"].to_pylist(), self._columns)
        keys = [records[field.name].combine_chunks() for field in self._keys]
        batch = pa.record_batch([*keys, *answers.arrays()], schema=self._schema)
        self.misfits.update(answers.misfits)
        self.replaced.update(answers.replaced)
        self._takes.append(buffer.put(batch))
        self.rows += batch.num_rows
        self._check_order(batch.column("record_id"))
        return answers.unknown_keys

    def _check_order(self, ids: "pa.Array") -> None:
        import pyarrow.compute as pc

        rising = pc.all(pc.less_equal(ids[:-1], ids[1:])).as_py() is not False
        first = ids[0].as_py()
        self._is_sorted &= (
            not ids.null_count and rising and (self._last_id is None or self._last_id <= first)
        )
        self._last_id = ids[-1].as_py()

    def merged(
        self, earlier: StoredTable, gone: "FormTable", replaced: "NDArray[Any]"
    ) -> MergedForm:
        """Return an earlier table with the collected rows in the place of others.

        Args:
            earlier: The earlier table.
            gone: Has collected the records to be replaced, as they were.
            replaced: The IDs of the records to be replaced and of those that were collected.
        """
        counts = [
            stored_counts(earlier.schema, name) - lost + found
            for name, lost, found in (
                (MISFITS, gone.misfits, self.misfits),
                (REPLACED, gone.replaced, self.replaced),
            )
        ]
        schema = table_schema(self._form, self._keys, self._columns, *counts)
        rows = FormStream(schema, self.rows, self._takes).table()
        total = earlier.num_rows - gone.rows + self.rows
        return MergedForm(earlier, rows, replaced, total)

    def finish(self) -> FormStream:
        """Return the rows, sorted by ``record_id``."""
        schema = table_schema(self._form, self._keys, self._columns, self.misfits, self.replaced)
        rows = FormStream(schema, self.rows, self._takes)
        if self._is_sorted:
            return rows
        # The API sorts records by ID; records from elsewhere are sorted here, in memory.
        memory = SpillBuffer(memory_bytes=None)
        batches = rows.table().sort_by("record_id").to_batches()
        return FormStream(schema, self.rows, [memory.put(batch) for batch in batches])
