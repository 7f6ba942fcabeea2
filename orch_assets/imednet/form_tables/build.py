"""Builds a study's form tables from its records."""

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import WithheldValueError
from orch_assets.imednet.blinding.record_data import rows_by_form
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.form_tables.changed_forms import EarlierForms, FormTables, find_changes
from orch_assets.imednet.form_tables.form_columns import form_columns
from orch_assets.imednet.form_tables.form_table import FormTable
from orch_assets.imednet.form_tables.record_columns import RecordColumns
from orch_assets.imednet.form_tables.spill_buffer import SpillBuffer
from orch_assets.imednet.form_tables.study_forms import StudyForm, StudyForms

if TYPE_CHECKING:
    import pyarrow as pa

# Records are decoded in chunks of this size: as Python objects they are four times as large.
_CHUNK_BYTES: Final = 8 << 20


def build_form_tables(
    records: "pa.Table | pa.RecordBatchReader",
    variables: "pa.Table",
    forms: "pa.Table",
    *,
    withheld: bool = False,
    only_open: bool = False,
    memory_bytes: int | None = None,
    earlier: EarlierForms | None = None,
) -> FormTables:
    """Return a table for each form of a study, by table name. The package describes its columns.

    Args:
        records: The study's table ``records`` or a stream of it: its open part or its withheld
            part, as `blinding.split.splitter` returns them.
        variables: The study's table ``variables``.
        forms: The study's table ``forms``.
        withheld: Whether ``records`` is the withheld part. Then the columns are the variables that
            are not open, and the tables are those of forms with such variables or with records.
        only_open: Refuse records with a value that the dictionary withholds, because they were
            split by an older dictionary.
        memory_bytes: How many bytes of finished rows stay in memory; None for all. If there are
            more, the others are written to a temporary file, and streams are returned instead of
            tables: each has a ``schema`` and ``num_rows``, can be iterated repeatedly, and
            returns all rows by its method ``table()``.
        earlier: What an earlier version of the records gave. Of forms whose records are still the
            same, its tables are returned instead of new ones.

    Returns:
        The forms of ``forms`` by ID, then those that only variables or records refer to. A form
        without records has a table without rows.

    Raises:
        WithheldValueError: ``only_open`` is set, and the records hold a withheld value.
        msgspec.DecodeError: A ``record_data`` is not a JSON object.
    """
    study = StudyForms(forms, variables)
    columns = RecordColumns(records.schema, with_data_only=withheld)
    builder = _Builder(study, BlindingRules(variables), columns, withheld, only_open, memory_bytes)
    batches = columns.select(records)
    if earlier is None or not earlier.is_comparable(columns, variables, forms):
        builder.add(batches)
        return builder.tables({})
    found = find_changes(batches, earlier, columns, study, memory_bytes)
    builder.add(found.batches, set(study) - set(found.unchanged))
    tables = builder.tables(found.unchanged)
    tables.changes = found.changes
    return tables


class _Builder:
    """Builds the tables of forms while their records arrive."""

    def __init__(
        self,
        study: StudyForms,
        rules: BlindingRules,
        columns: RecordColumns,
        withheld: bool,
        only_open: bool,
        memory_bytes: int | None,
    ) -> None:
        self._study = study
        self._rules = rules
        self._keys = columns.keys
        self._withheld = withheld
        self._only_open = only_open
        self._chunk_bytes = min(_CHUNK_BYTES, memory_bytes or _CHUNK_BYTES)
        self._buffer = SpillBuffer(memory_bytes)
        self._tables: dict[StudyForm, FormTable] = {}

    def add(
        self, records: "Iterable[pa.RecordBatch]", forms: Collection[StudyForm] | None = None
    ) -> None:
        """Add the records of some forms; of all by default."""
        for chunk in _chunks(records, self._chunk_bytes):
            for reference, rows in rows_by_form(chunk):
                form = self._study.of_records(*reference)
                if forms is not None and form not in forms:
                    continue
                unknown_keys = self._table_of(form).add(chunk.take(rows), self._buffer)
                if self._only_open and not all(
                    self._rules.shows_key(key, *reference) for key in unknown_keys
                ):
                    raise WithheldValueError

    def tables(self, finished: dict[StudyForm, Any]) -> FormTables:
        """Return the tables of all forms by name; for some, those that are finished already."""
        tables = FormTables()
        for name, form in self._study.by_table_name().items():
            if form in finished:
                tables[name] = finished[form]
            elif not self._withheld or self._table_of(form).has_content:
                stream = self._table_of(form).finish()
                tables[name] = stream if self._buffer.overflowed else stream.table()
                tables.built.append(name)
        return tables

    def _table_of(self, form: StudyForm) -> FormTable:
        if form not in self._tables:
            columns = form_columns(form, self._rules, withheld=self._withheld)
            self._tables[form] = FormTable(form, self._keys, columns)
        return self._tables[form]


def _chunks(records: "Iterable[pa.RecordBatch]", size: int) -> "Iterator[pa.Table]":
    """Yield the records in tables of about ``size`` bytes: small batches joined, large ones cut."""
    import pyarrow as pa

    pending: list[pa.RecordBatch] = []
    free = size
    for batch in records:
        rows = max(1, batch.num_rows * size // max(1, batch.nbytes))
        for start in range(0, batch.num_rows, rows):
            pending.append(batch.slice(start, rows))
            free -= pending[-1].nbytes
            if free <= 0:
                yield pa.Table.from_batches(pending).combine_chunks()
                pending, free = [], size
    if pending:
        yield pa.Table.from_batches(pending).combine_chunks()
