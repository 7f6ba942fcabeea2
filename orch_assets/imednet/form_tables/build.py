"""Builds a study's form tables from its records."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import WithheldValueError
from orch_assets.imednet.blinding.record_data import FormReference, rows_by_form
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.form_tables.changed_forms import EarlierForms, FormTables, find_changes
from orch_assets.imednet.form_tables.form_columns import form_columns
from orch_assets.imednet.form_tables.form_table import FormTable
from orch_assets.imednet.form_tables.merged_form import FormChanges, MergedForm
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
        return builder.tables()
    found = find_changes(batches, earlier, columns, study, memory_bytes)
    merged = {form: builder.merged(form, each) for form, each in found.changed.items()}
    if rest := set(study) - set(found.unchanged) - set(merged):
        builder.add(found.batches, rest)
    tables = builder.tables(found.unchanged, merged)
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
                if forms is None or form in forms:
                    self._add(reference, self._table_of(form), chunk.take(rows))

    def merged(self, form: StudyForm, changes: FormChanges) -> MergedForm:
        """Return the table of a form, made from its earlier version."""
        gone, come = self._new_table(form), self._new_table(form)
        if changes.gone.num_rows:
            gone.add(changes.gone, SpillBuffer(None))
        if changes.come.num_rows:
            self._add(changes.reference, come, changes.come)
        return come.merged(changes.earlier, gone, changes.ids)

    def tables(
        self,
        unchanged: Mapping[StudyForm, Any] = MappingProxyType({}),
        merged: Mapping[StudyForm, MergedForm] = MappingProxyType({}),
    ) -> FormTables:
        """Return the tables of all forms by name; for some, those that are finished already."""
        tables = FormTables()
        for name, form in self._study.by_table_name().items():
            if form in unchanged:
                tables[name] = unchanged[form]
                continue
            if form in merged:
                tables[name] = merged[form]
            elif not self._withheld or self._table_of(form).has_content:
                stream = self._table_of(form).finish()
                tables[name] = stream if self._buffer.overflowed else stream.table()
            else:
                continue
            tables.built.append(name)
        return tables

    def _add(self, reference: FormReference, table: FormTable, records: "pa.Table") -> None:
        unknown_keys = table.add(records, self._buffer)
        if self._only_open and not all(
            self._rules.shows_key(key, *reference) for key in unknown_keys
        ):
            raise WithheldValueError

    def _table_of(self, form: StudyForm) -> FormTable:
        if form not in self._tables:
            self._tables[form] = self._new_table(form)
        return self._tables[form]

    def _new_table(self, form: StudyForm) -> FormTable:
        columns = form_columns(form, self._rules, withheld=self._withheld)
        return FormTable(form, self._keys, columns)


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
