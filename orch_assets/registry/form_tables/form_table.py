"""A form's table while its records come in."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orch_assets.registry.form_tables.answers import Answers
from orch_assets.registry.form_tables.columns import Column, table_schema
from orch_assets.registry.form_tables.forms import Form
from orch_assets.registry.form_tables.shelf import Shelf

if TYPE_CHECKING:
    import pyarrow as pa


class FormTable:
    """The table of one form.

    Args:
        form: whose records come.
        keys: the columns that are taken over as they are.
        columns: those of the questions.
    """

    def __init__(self, form: Form, keys: "Sequence[pa.Field]", columns: Sequence[Column]) -> None:
        self._form = form
        self._keys = keys
        self._columns = columns
        self._schema = table_schema(form, keys, columns, {})
        self._misfits: dict[str, int] = {}
        self._batches: list[Callable[[], pa.RecordBatch]] = []

    @property
    def holds_anything(self) -> bool:
        """Whether there are questions, or records."""
        return bool(self._columns or self._batches)

    def add(self, records: "pa.Table", shelf: Shelf) -> None:
        """Take records of this form in; at least one."""
        import pyarrow as pa

        answers = Answers(records["record_data"].to_pylist(), self._columns)
        keys = [records[field.name].combine_chunks() for field in self._keys]
        batch = pa.record_batch([*keys, *answers.arrays()], schema=self._schema)
        for name, count in answers.misfits.items():
            self._misfits[name] = self._misfits.get(name, 0) + count
        self._batches.append(shelf.put(batch))

    def whole(self) -> "pa.Table":
        """Return the table, sorted, with the misfits counted in its metadata."""
        import pyarrow as pa

        table = pa.Table.from_batches([take() for take in self._batches], self._schema)
        if not _is_sorted(table["record_id"]):
            table = table.sort_by("record_id")
        schema = table_schema(self._form, self._keys, self._columns, self._misfits)
        return pa.Table.from_arrays(table.columns, schema=schema)


def _is_sorted(ids: "pa.ChunkedArray") -> bool:
    """Whether IDs rise, as the registry sends them; in a file, sorting would load the table."""
    import pyarrow.compute as pc

    ids = ids.combine_chunks()
    rising = pc.all(pc.less_equal(ids[:-1], ids[1:])).as_py()
    return not ids.null_count and rising is not False
