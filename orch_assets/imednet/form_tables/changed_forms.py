"""Which forms' records changed since an earlier version, whose other tables are taken over."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from orch_assets.errors import ImednetError, StoreError
from orch_assets.imednet.blinding.record_data import FormReference, rows_by_form
from orch_assets.imednet.form_tables.merged_form import FormChanges
from orch_assets.imednet.form_tables.record_columns import RecordColumns
from orch_assets.imednet.form_tables.spill_buffer import SpillBuffer
from orch_assets.imednet.form_tables.study_forms import StudyForm, StudyForms
from orch_assets.imednet.history.row_differences import RowDifferences, row_differences
from orch_assets.refreshing import PreviousResult, RowChanges, StoredTable

if TYPE_CHECKING:
    import pyarrow as pa

_References: TypeAlias = dict[FormReference, None]
_GoneAndCome: TypeAlias = "tuple[pa.Table, pa.Table]"


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
        """Return whether only the records may differ, and their columns are the same.

        False also if what the tables were built from was removed or is damaged.
        """
        try:
            stored = RecordColumns(self.records.schema).schema
            _ = len(self.tables)  # fetches and verifies their list
            return (
                stored.equals(columns.schema, check_metadata=True)
                and _is_same(self.variables, variables)
                and _is_same(self.forms, forms)
            )
        except StoreError:
            return False

    def open_table(self, name: str) -> StoredTable | None:
        """Return one of the tables for reading; None if that isn't possible."""
        read = getattr(self.tables, "table", None)
        if read is None:
            return None
        table: StoredTable = read(name)
        try:
            _ = table.schema  # fetches and verifies the table
        except StoreError:
            return None
        return table


@dataclass
class FoundChanges:
    """What comparing two versions of the records has found.

    Attributes:
        batches: The records again, to be read once.
        unchanged: The earlier tables of forms whose records are the same.
        changed: The changed records of forms whose earlier tables can be read; the other forms
            must be built from all their records.
        changes: How many records changed.
    """

    batches: "Iterable[pa.RecordBatch]"
    unchanged: dict[StudyForm, Any] = field(default_factory=dict)
    changed: dict[StudyForm, FormChanges] = field(default_factory=dict)
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
        memory_bytes: How many bytes of records stay in memory for the second reading, and how many
            bytes of changed records.
    """
    now = _Reading(columns.schema, records, SpillBuffer(memory_bytes))
    before = _Reading(columns.schema, columns.select(earlier.records.batches()))
    changes, rows = RowChanges(), _DifferentRows(memory_bytes)
    try:
        for differences in row_differences(before, now, "record_id"):
            _count(changes, differences)
            rows.add(differences)
    except (ImednetError, StoreError):
        if now.failed:
            raise
        # Not sorted by ID, as records from elsewhere may be, or the earlier ones are damaged.
        return FoundChanges(now.again(records))
    changes.unchanged = now.rows - changes.new - changes.changed
    found = FoundChanges(now.again(), changes=changes)
    _compare_forms(found, earlier, _Forms(study, now.references), before.references, rows)
    return found


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
        self.failed = False
        self._batches = batches
        self._buffer = buffer
        self._kept: list[Any] = []

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        while True:
            try:
                batch = next(self._batches, None)
            except BaseException:
                self.failed = True
                raise
            if batch is None:
                return
            self.references |= dict.fromkeys(form for form, _ in rows_by_form(batch))
            self.rows += batch.num_rows
            if self._buffer is not None:
                self._kept.append(self._buffer.put(batch))
            yield batch

    def again(self, rest: "Iterable[pa.RecordBatch]" = ()) -> "Iterator[pa.RecordBatch]":
        """Yield the kept batches, then the rest."""
        for take in self._kept:
            yield take()
        yield from rest


class _DifferentRows:
    """The rows that differ: all of them, or only their forms if they take too much memory.

    Attributes:
        forms: The forms of these rows; a record that moved has two.
    """

    def __init__(self, memory_bytes: int | None) -> None:
        self.forms: set[FormReference] = set()
        self._free = math.inf if memory_bytes is None else memory_bytes
        self._gone: list[pa.RecordBatch] = []
        self._come: list[pa.RecordBatch] = []

    def add(self, differences: RowDifferences) -> None:
        """Add rows."""
        gone = [differences.removed, differences.before]
        come = [differences.added, differences.after]
        self.forms |= {form for part in (*gone, *come) for form, _ in rows_by_form(part)}
        self._free -= sum(part.nbytes for part in (*gone, *come))
        if self._free < 0:
            self._gone, self._come = [], []
        else:
            self._gone += gone
            self._come += come

    def by_form(self, before: "_Forms", now: "_Forms") -> "dict[StudyForm, _GoneAndCome]":
        """Return the rows that left and that came, by the form that they belong to now.

        Empty if they take too much memory.
        """
        if self._free < 0 or not self._gone:
            return {}
        gone, come = before.rows(self._gone), now.rows(self._come)
        pairs = {}
        for form in now.references_of:
            same = before.same_as(form)
            if same is not None and (same in gone or form in come):
                empty = next(iter((gone | come).values())).slice(0, 0)
                pairs[form] = gone.get(same, empty), come.get(form, empty)
        return pairs


class _Forms:
    """The forms of one version of the records, and how records refer to them."""

    def __init__(self, study: StudyForms, references: _References) -> None:
        self.study = study
        forms = [(study.of_records(*reference), reference) for reference in references]
        self.references_of: dict[StudyForm, set[FormReference]] = {form: set() for form in study}
        for form, reference in forms:
            self.references_of[form].add(reference)
        self._by_identity = {(form.form_id, form.form_key): form for form in study}

    def same_as(self, form: StudyForm) -> StudyForm | None:
        """Return the form that another version calls by the same ID and key."""
        return self._by_identity.get((form.form_id, form.form_key))

    def rows(self, batches: "Sequence[pa.RecordBatch]") -> "dict[StudyForm, pa.Table]":
        """Return rows by form, sorted by record ID."""
        import numpy as np
        import pyarrow as pa

        table = pa.Table.from_batches(batches).combine_chunks().sort_by("record_id")
        numbers: dict[StudyForm, list[Any]] = {}
        for reference, rows in rows_by_form(table):
            numbers.setdefault(self.study.of_records(*reference), []).append(rows)
        return {form: table.take(np.sort(np.concatenate(each))) for form, each in numbers.items()}


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


def _compare_forms(
    found: FoundChanges,
    earlier: EarlierForms,
    now: _Forms,
    earlier_references: _References,
    rows: _DifferentRows,
) -> None:
    """Find the forms whose earlier tables can be taken as they are, or be merged with changes."""
    before = _Forms(now.study.without_records(), earlier_references)
    names = {form: name for name, form in before.study.by_table_name().items()}
    changed = rows.by_form(before, now)
    for form, references in now.references_of.items():
        same = before.same_as(form)
        if same is None or names[same] not in earlier.tables:
            continue
        references_before = before.references_of[same]
        if references != references_before:
            continue
        if not references & rows.forms:
            found.unchanged[form] = earlier.tables[names[same]]
        elif form in changed and len(references) == 1:
            (reference,), (gone, come) = references, changed[form]
            merged = _changes_of_form(earlier, names[same], reference, gone, come)
            if merged is not None:
                found.changed[form] = merged


def _changes_of_form(
    earlier: EarlierForms,
    name: str,
    reference: FormReference,
    gone: "pa.Table",
    come: "pa.Table",
) -> FormChanges | None:
    """Return the changes of a form; None if building it from all its records is better."""
    table = earlier.open_table(name)
    if table is None or gone.num_rows + come.num_rows > table.num_rows:
        return None
    found = FormChanges(table, reference, gone, come)
    # Whether a table without rows is needed at all depends on its columns.
    return found if table.num_rows - gone.num_rows + come.num_rows else None


def _is_same(stored: StoredTable, table: "pa.Table") -> bool:
    if not stored.schema.remove_metadata().equals(table.schema.remove_metadata()):
        return False
    return bool(stored.columns(table.column_names).equals(table))
