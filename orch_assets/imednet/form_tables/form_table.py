"""A form's table: while its records come in, and when they are all there."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch_assets.imednet.form_tables.decode import Answers
from orch_assets.imednet.form_tables.form_columns import Column, table_schema
from orch_assets.imednet.form_tables.spill_buffer import SpillBuffer
from orch_assets.imednet.form_tables.study_forms import StudyForm

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class FormStream:
    """A form's table as a stream, which may be read more than once.

    Attributes:
        schema: of every batch; with the counts of misfits.
        num_rows: of all batches.
        takes: gives each batch.
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
    """Takes the records of one form in.

    Args:
        form: whose records come.
        keys: the columns that are taken over as they are.
        columns: those of the questions.
    """

    def __init__(
        self, form: StudyForm, keys: "Sequence[pa.Field]", columns: Sequence[Column]
    ) -> None:
        self._form = form
        self._keys = keys
        self._columns = columns
        self._schema = table_schema(form, keys, columns, {}, {})
        self._misfits: Counter[str] = Counter()
        self._replaced: Counter[str] = Counter()
        self._takes: list[Callable[[], pa.RecordBatch]] = []
        self._rows = 0
        self._last_id: int | None = None
        self._is_sorted = True

    @property
    def holds_anything(self) -> bool:
        """Whether there are questions, or records."""
        return bool(self._columns or self._takes)

    def add(self, records: "pa.Table", shelf: SpillBuffer) -> set[str]:
        """Take records in; at least one. Return the keys in them that no column answers to."""
        import pyarrow as pa

        answers = Answers(records["record_data"].to_pylist(), self._columns)
        keys = [records[field.name].combine_chunks() for field in self._keys]
        batch = pa.record_batch([*keys, *answers.arrays()], schema=self._schema)
        self._misfits.update(answers.misfits)
        self._replaced.update(answers.replaced)
        self._takes.append(shelf.put(batch))
        self._rows += batch.num_rows
        self._look_at_order(batch.column("record_id"))
        return answers.others

    def _look_at_order(self, ids: "pa.Array") -> None:
        import pyarrow.compute as pc

        rising = pc.all(pc.less_equal(ids[:-1], ids[1:])).as_py() is not False
        first = ids[0].as_py()
        self._is_sorted &= (
            not ids.null_count and rising and (self._last_id is None or self._last_id <= first)
        )
        self._last_id = ids[-1].as_py()

    def finish(self) -> FormStream:
        """Return the rows, sorted."""
        schema = table_schema(self._form, self._keys, self._columns, self._misfits, self._replaced)
        rows = FormStream(schema, self._rows, self._takes)
        if self._is_sorted:
            return rows
        # The registry sorts; what doesn't come from there is sorted here, in memory.
        here = SpillBuffer(memory_bytes=None)
        batches = rows.table().sort_by("record_id").to_batches()
        return FormStream(schema, self._rows, [here.put(batch) for batch in batches])
