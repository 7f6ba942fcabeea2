"""Which forms' records changed since an earlier version, whose other tables are taken over."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from orch_assets.errors import ImednetError
from orch_assets.imednet.blinding.record_data import FormReference, rows_by_form
from orch_assets.imednet.form_tables.record_columns import RecordColumns
from orch_assets.imednet.form_tables.spill_buffer import SpillBuffer
from orch_assets.imednet.form_tables.study_forms import StudyForm, StudyForms
from orch_assets.imednet.history.row_differences import RowDifferences, row_differences
from orch_assets.refreshing import PreviousResult, RowChanges, StoredTable

if TYPE_CHECKING:
    import pyarrow as pa

_References: TypeAlias = dict[FormReference, None]


class FormTables(dict[str, Any]):
    """Tables of forms, by table name: each a ``pyarrow.Table``, a ``FormStream`` or an earlier one.

    Attributes:
        built: Names of the tables that were built.
        changes: What changed in the records since the earlier version; None if everything was
            built.
    """

    def __init__(self) -> None:
        super().__init__()
        self.built: list[str] = []
        self.changes: RowChanges | None = None


@dataclass(frozen=True)
class EarlierForms:
    """Form tables that were built by the same code, and what they were built from.

    Attributes:
        tables: The tables by name.
        records: The part of the records from which they were built.
        variables: The table ``variables`` from which they were built.
        forms: The table ``forms`` from which they were built.
    """

    tables: Mapping[str, Any]
    records: StoredTable
    variables: StoredTable
    forms: StoredTable

    @classmethod
    def of(
        cls, previous: PreviousResult | None, *, withheld: bool = False
    ) -> "EarlierForms | None":
        """Return one part of a previous result; None if it, or what it was built from, is gone."""
        if previous is None:
            return None
        records, variables, forms = map(previous.upstream, ("records", "variables", "forms"))
        if records is None or variables is None or forms is None:
            return None
        tables: Any = previous.withheld if withheld else previous.table
        part = records.withheld if withheld else records.table
        if not isinstance(tables, Mapping) or part is None:
            return None
        return cls(tables, part, variables.table, forms.table)

    def is_comparable(
        self, columns: RecordColumns, variables: "pa.Table", forms: "pa.Table"
    ) -> bool:
        """Return whether only the records may differ, and their columns are the same."""
        stored = RecordColumns(self.records.schema).schema
        return (
            stored.equals(columns.schema, check_metadata=True)
            and _is_same(self.variables, variables)
            and _is_same(self.forms, forms)
        )


@dataclass
class FoundChanges:
    """What comparing two versions of the records has found.

    Attributes:
        batches: The records again, to be read once.
        unchanged: The earlier tables of forms whose records are the same.
        changes: How many records changed.
    """

    batches: "Iterable[pa.RecordBatch]"
    unchanged: dict[StudyForm, Any] = field(default_factory=dict)
    changes: RowChanges | None = None


def find_changes(
    records: "Iterator[pa.RecordBatch]",
    earlier: EarlierForms,
    columns: RecordColumns,
    study: StudyForms,
    memory_bytes: int | None,
) -> FoundChanges:
    """Compare records with their earlier version.

    Args:
        records: The columns of the records; read to their end.
        earlier: What was built before.
        columns: Selects the columns of the earlier records.
        study: The study's forms; those to which only records refer are added.
        memory_bytes: How many bytes of records stay in memory for the second reading.
    """
    buffer = SpillBuffer(memory_bytes)
    now = _Reading(columns.schema, records, buffer)
    before = _Reading(columns.schema, columns.select(earlier.records.batches()))
    changes, changed = RowChanges(), set[FormReference]()
    try:
        for differences in row_differences(before, now, "record_id"):
            _count(changes, differences)
            changed |= _forms_of(differences)
    except ImednetError:  # not sorted by ID, as records from elsewhere may be: build everything
        return FoundChanges(now.again(records))
    changes.unchanged = now.rows - changes.new - changes.changed
    unchanged = _unchanged(study, now.references, before.references, changed, earlier.tables)
    return FoundChanges(now.again(), unchanged, changes)


class _Reading:
    """Batches of records while they are compared; notes their forms and, if asked, keeps them."""

    def __init__(
        self,
        schema: "pa.Schema",
        batches: "Iterator[pa.RecordBatch]",
        buffer: SpillBuffer | None = None,
    ) -> None:
        self.schema = schema
        self.references: _References = {}
        self.rows = 0
        self._batches = batches
        self._buffer = buffer
        self._kept: list[Any] = []

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        for batch in self._batches:
            self.references |= dict.fromkeys(form for form, _ in rows_by_form(batch))
            self.rows += batch.num_rows
            if self._buffer is not None:
                self._kept.append(self._buffer.put(batch))
            yield batch

    def again(
        self, rest: "Iterator[pa.RecordBatch] | Sequence[pa.RecordBatch]" = ()
    ) -> "Iterator[pa.RecordBatch]":
        """Yield the kept batches, then the rest."""
        for take in self._kept:
            yield take()
        yield from rest


def _count(changes: RowChanges, differences: RowDifferences) -> None:
    changes.new += differences.added.num_rows
    changes.changed += differences.after.num_rows
    changes.vanished += differences.removed.num_rows
    if "deleted" in differences.after.schema.names:
        changes.deleted += _marked_since(differences.before, differences.after)


def _marked_since(before: "pa.RecordBatch", after: "pa.RecordBatch") -> int:
    """Return how many records were marked as deleted."""
    import pyarrow.compute as pc

    then, now = (pc.fill_null(part["deleted"], False) for part in (before, after))
    return int(pc.and_not(now, then).true_count)


def _forms_of(differences: RowDifferences) -> set[FormReference]:
    """Return the forms of all rows that differ: a record that moved has two."""
    parts = (differences.added, differences.removed, differences.before, differences.after)
    return {form for part in parts for form, _ in rows_by_form(part)}


def _unchanged(
    study: StudyForms,
    now: _References,
    before: _References,
    changed: set[FormReference],
    tables: Mapping[str, Any],
) -> dict[StudyForm, Any]:
    """Return the earlier tables of the forms that have the same records as before."""
    earlier_study = study.without_records()
    earlier = _by_form(earlier_study, before)
    names = {form: name for name, form in earlier_study.by_table_name().items()}
    by_identity = {(form.form_id, form.form_key): form for form in earlier_study}
    unchanged = {}
    for form, references in _by_form(study, now).items():
        same = by_identity.get((form.form_id, form.form_key))
        if same is None or references & changed or references != earlier[same]:
            continue
        if names[same] in tables:
            unchanged[form] = tables[names[same]]
    return unchanged


def _by_form(study: StudyForms, references: _References) -> dict[StudyForm, set[FormReference]]:
    """Return all forms with the IDs and keys by which records refer to them."""
    forms = [(study.of_records(*reference), reference) for reference in references]
    by_form: dict[StudyForm, set[FormReference]] = {form: set() for form in study}
    for form, reference in forms:
        by_form[form].add(reference)
    return by_form


def _is_same(stored: StoredTable, table: "pa.Table") -> bool:
    if not stored.schema.remove_metadata().equals(table.schema.remove_metadata()):
        return False
    return bool(stored.columns(table.column_names).equals(table))
