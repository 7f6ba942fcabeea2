"""The changes between the publications of a study's ``records``, field by field.

The result is two tables, open and withheld, that only grow. Their states name the publication of
``records`` to which they are complete. The withheld part is committed first. If the open part was
not committed after it, the next run drops the rows that only the withheld part has, and makes them
again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from orch_assets.imednet.blinding import extra_fields
from orch_assets.imednet.blinding.fingerprint import fingerprint
from orch_assets.imednet.blinding.study_dictionary import StudyDictionary
from orch_assets.imednet.history.appended_tables import (
    NOTHING_PUBLISHED,
    NOTHING_TO_COMPARE,
    NewRows,
    appended,
    compared,
    first_rows,
    schema_of,
)
from orch_assets.imednet.history.audit_trail import Attribution, AuditTrail
from orch_assets.imednet.history.change_columns import RECORD_CHANGES
from orch_assets.imednet.history.changed_records import changed_records
from orch_assets.imednet.history.field_changes import (
    CONTEXT,
    DATE,
    FieldComparison,
    RecordVersions,
)
from orch_assets.imednet.history.publications import (
    VersionStep,
    position_of,
    steps_of_one_account,
    steps_since,
    stored_at,
)
from orch_assets.imednet.history.reblinding import Reblinding
from orch_assets.imednet.refresh.table_state import TableState
from orch_assets.imednet.streams import BatchStream
from orch_assets.refreshing import (
    APPENDED,
    PartRefresh,
    PreviousResult,
    PublishedVersion,
    RowChanges,
    StoredTable,
    TableHistory,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


def record_change_tables(
    records: TableHistory,
    revisions: TableHistory,
    dictionary: StudyDictionary,
    previous: PreviousResult | None = None,
) -> tuple[BatchStream, BatchStream]:
    """Return the open and the withheld part of ``record_changes``, as streams to be stored.

    All versions are compared before this returns.

    Args:
        records: The versions of ``records``.
        revisions: The versions of ``record_revisions``.
        dictionary: The study's dictionary as it is now.
        previous: The result so far; None if there is none, and so nothing to compare with.

    Raises:
        SettingError: ``ORCH_EXTRA_FIELDS`` is neither ``open`` nor ``withheld``.
    """
    extra_is_open = extra_fields.are_open()
    earlier = _Earlier(previous.table, previous.withheld) if previous else _Earlier()
    current: dict[str, Any] = {
        "records": position_of(records),
        "blinding": fingerprint("records", dictionary, extra_open=extra_is_open),
    }
    now = records.table.current if records.table else None
    lost = records.withheld is not None and earlier.lacks_withheld
    if now is None or (current.items() <= earlier.state.items() and not lost):
        return _unchanged(earlier)
    comparison = FieldComparison(dictionary.rules, extra_is_open=extra_is_open)
    rows = _NewRows(comparison, _trail(revisions, earlier))
    if lost:
        rows.add_unknown(rows.withheld, now)
    kept, reason = earlier, NOTHING_TO_COMPARE
    if earlier.table is not None:
        steps = steps_since(records, earlier.state.get("records"))
        comparable = steps_of_one_account(steps or [])
        if steps is None:
            rows.add_unknown(rows.opened, now)
        elif len(comparable) < len(steps):
            kept = _Earlier()
        for step in comparable:
            rows.add(step)
        reason = compared(len(comparable))
    is_reblinded = earlier.state.get("blinding") != current["blinding"]
    reblinding = Reblinding(comparison) if is_reblinded else None
    changes = RowChanges(APPENDED, reason, new=rows.opened.count, unchanged=kept.open_rows)
    return _grown(earlier, kept, rows, current, changes, reblinding)


@dataclass(frozen=True)
class _Earlier:
    """The result so far."""

    table: StoredTable | None = None
    withheld: StoredTable | None = None

    @property
    def state(self) -> Mapping[str, Any]:
        return self.table.state if self.table else {}

    @property
    def lacks_withheld(self) -> bool:
        """Whether the withheld part was stored, but is gone."""
        return "sequence" in self.state and self.withheld is None

    @property
    def open_rows(self) -> int:
        """The number of rows of the open part."""
        return self.table.num_rows if self.table else 0

    @property
    def withheld_rows(self) -> int:
        """How many rows of the withheld part belong to the open one."""
        if self.withheld is None:
            return 0
        state, open_sequence = self.withheld.state, self.state.get("sequence")
        is_ahead = open_sequence is not None and state.get("sequence") == open_sequence + 1
        return int(state["rows_before"]) if is_ahead else self.withheld.num_rows

    def listed_revisions(self) -> "NDArray[np.int64]":
        """Return the IDs of the revisions that the rows of both parts list."""
        import numpy as np
        import pyarrow.compute as pc

        found = [np.empty(0, np.int64)]
        for part, rows in ((self.table, self.open_rows), (self.withheld, self.withheld_rows)):
            if part is not None:
                ids = part.columns(["revision_ids"])["revision_ids"].slice(0, rows)
                found.append(pc.unique(pc.list_flatten(ids)).to_numpy())
        return np.concatenate(found)


def _unchanged(earlier: _Earlier) -> tuple[BatchStream, BatchStream]:
    changes = RowChanges(APPENDED, NOTHING_PUBLISHED, unchanged=earlier.open_rows)
    opened, withheld = (
        appended(
            schema_of(RECORD_CHANGES),
            [],
            PartRefresh(earlier=part, unchanged=part is not None, changes=changes),
        )
        for part in (earlier.table, earlier.withheld)
    )
    return opened, withheld


class _NewRows:
    """The rows that a result gets.

    Attributes:
        opened: Those of the open part.
        withheld: Those of the withheld part.
    """

    def __init__(self, comparison: FieldComparison, trail: AuditTrail) -> None:
        self._comparison = comparison
        self._trail = trail
        self.opened = NewRows(schema_of(RECORD_CHANGES))
        self.withheld = NewRows(schema_of(RECORD_CHANGES))

    def add(self, step: VersionStep) -> None:
        """Add a row for each field that differs between two publications."""
        versions = {
            "from_version": step.before.table.version,
            "to_version": step.after.table.version,
            "published_at": step.after.published_at,
        }
        state = TableState.of(step.before.table.state)
        read_at = state.watermark if state else None
        for record in changed_records(step.before, step.after):
            changes = self._comparison.changes(record)
            if not changes:
                continue
            attribution = self._attribution(record, read_at)
            common = {**_described(record, attribution), **versions}
            for change in changes:
                reason = self._reason(record, attribution, withheld=change.withheld)
                part = self.withheld if change.withheld else self.opened
                part.add({**common, **change.columns(), "reason_for_change": reason})

    def add_unknown(self, part: NewRows, current: PublishedVersion) -> None:
        """Add a row to a part that says that changes up to a version are unknown."""
        part.add(
            {
                "kind": "unknown",
                "attribution": "none",
                "revision_ids": [],
                "to_version": current.version,
                "published_at": current.published_at,
            }
        )

    def _attribution(self, record: RecordVersions, read_at: datetime | None) -> Attribution:
        since = record.before.get(DATE) if record.before else None
        until = record.after.get(DATE) if record.after else None
        since = _EARLIEST if record.kind == "added" else since
        return self._trail.between(record.row["record_id"], since, until, read_at)

    def _reason(
        self, record: RecordVersions, attribution: Attribution, *, withheld: bool
    ) -> str | None:
        if withheld:
            return attribution.withheld_reason or attribution.reason
        is_open = self._comparison.is_open_form(record.row.get("form_key"))
        return attribution.reason if is_open else None


def _described(record: RecordVersions, attribution: Attribution) -> dict[str, Any]:
    """Return the columns that all rows of a changed record share."""
    return {
        **{name: record.row.get(name) for name in CONTEXT},
        "date_modified": record.after.get(DATE) if record.after else None,
        "revision_ids": list(attribution.revision_ids),
        "attribution": attribution.kind,
        "user": attribution.user,
        "role": attribution.role,
    }


def _grown(
    earlier: _Earlier,
    kept: _Earlier,
    rows: _NewRows,
    current: Mapping[str, Any],
    changes: RowChanges,
    reblinding: Reblinding | None,
) -> tuple[BatchStream, BatchStream]:
    """Return both parts: the rows that are kept, and the new ones."""
    open_rows: Iterable[pa.RecordBatch] = _batches(kept.table)
    moved: Iterable[pa.RecordBatch] = ()
    if reblinding is not None:
        open_rows = reblinding.open_rows(open_rows)
        moved = reblinding.moved_rows(_batches(kept.table))
    withheld_rows = first_rows(_batches(kept.withheld), kept.withheld_rows)
    state = {**current, "sequence": earlier.state.get("sequence", 0) + 1}
    opened, withheld = (
        appended(
            schema_of(RECORD_CHANGES),
            batches,
            PartRefresh(part, state=state_of, changes=changes),
        )
        for part, batches, state_of in (
            (earlier.table, [open_rows, rows.opened.batches()], lambda: state),
            (
                earlier.withheld,
                [withheld_rows, moved, rows.withheld.batches()],
                lambda: {**state, "rows_before": kept.withheld_rows},
            ),
        )
    )
    return opened, withheld


def _batches(part: StoredTable | None) -> "Iterator[pa.RecordBatch]":
    return iter(part.batches() if part else ())


def _trail(revisions: TableHistory, earlier: _Earlier) -> AuditTrail:
    """Return the current revisions, and those that the result so far lists."""
    now = position_of(revisions)
    return AuditTrail(
        stored_at(revisions.table, now["table"]),
        stored_at(revisions.withheld, now["withheld"]),
        earlier.listed_revisions,
    )
