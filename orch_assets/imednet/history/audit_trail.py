"""The record revisions that belong to a change: who saved it, and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from orch_assets.lazy import cached_property
from orch_assets.refreshing import StoredTable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_ID: Final = "record_revision_id"
_COLUMNS: Final = (_ID, "record_id", "date_created", "user", "role", "form_key")
_REASON: Final = "reason_for_change"


@dataclass(frozen=True)
class Attribution:
    """The revisions between two versions of a record.

    Attributes:
        revision_ids: Their IDs.
        user: Who saved the only revision; None if there is not exactly one. So is all below.
        role: The user's role.
        reason: The reason, if it is open.
        withheld_reason: The reason, if it is withheld.
        form_key: Key of the form, by the revision.
    """

    revision_ids: tuple[int, ...] = ()
    user: str | None = None
    role: str | None = None
    reason: str | None = None
    withheld_reason: str | None = None
    form_key: str | None = None

    @property
    def kind(self) -> str:
        """``single``, ``ambiguous`` if there are several revisions, or ``none``."""
        return {0: "none", 1: "single"}.get(len(self.revision_ids), "ambiguous")


class AuditTrail:
    """Finds the revisions of records; reads the tables when it is first asked.

    Each revision belongs to one change only.

    Args:
        revisions: The current ``record_revisions``; None if there are none.
        withheld: Its withheld part.
        earlier: The version with which records were compared last; None if it is unknown.
    """

    def __init__(
        self,
        revisions: StoredTable | None,
        withheld: StoredTable | None = None,
        earlier: StoredTable | None = None,
    ) -> None:
        self._revisions = revisions
        self._withheld = withheld
        self._earlier = earlier
        self._used: set[int] = set()

    def between(
        self, record_id: int, since: datetime | None, until: datetime | None
    ) -> Attribution:
        """Return the revisions of a record that belong to its change.

        They are those that ``earlier`` lacks, and those created after the record's earlier
        version. So a revision that was read before the change itself counts, too.

        Args:
            record_id: The record.
            since: Date of the record's earlier version; the earliest possible one for a new
                record. None if it is unknown.
            until: Leave later revisions to a later change; None for the last change.
        """
        if self._revisions is None:
            return Attribution()
        first, end = self._record_ids.searchsorted([record_id, record_id + 1])
        rows = [row for row in range(first, end) if self._belongs(row, since, until)]
        ids = tuple(int(self._ids[row]) for row in rows)
        self._used.update(ids)
        if len(rows) != 1:
            return Attribution(ids)
        (row,) = rows
        user, role, reason, form_key = (
            self._table[name][row].as_py() for name in ("user", "role", _REASON, "form_key")
        )
        return Attribution(ids, user, role, reason, self._withheld_reasons.get(ids[0]), form_key)

    def _belongs(self, row: int, since: datetime | None, until: datetime | None) -> bool:
        revision_id, created = int(self._ids[row]), self._table["date_created"][row].as_py()
        if revision_id in self._used or (until and created and created > until):
            return False
        follows = since is not None and created is not None and created > since
        return follows or bool(self._is_new[row])

    @cached_property
    def _table(self) -> "pa.Table":
        """The revisions, sorted by record and revision."""
        import pyarrow.compute as pc

        revisions: Any = self._revisions
        table = revisions.columns([*_COLUMNS, _REASON])
        table = table.filter(pc.is_valid(table["record_id"]))
        by = [("record_id", "ascending"), (_ID, "ascending")]
        return table.sort_by(by).combine_chunks()

    @cached_property
    def _record_ids(self) -> "NDArray[np.int64]":
        return _numbers(self._table["record_id"])

    @cached_property
    def _ids(self) -> "NDArray[np.int64]":
        return _numbers(self._table[_ID])

    @cached_property
    def _is_new(self) -> "NDArray[np.bool_]":
        import numpy as np

        if self._earlier is None:
            return np.zeros(len(self._ids), bool)
        known = _numbers(self._earlier.columns([_ID])[_ID])
        return ~np.isin(self._ids, known)

    @cached_property
    def _withheld_reasons(self) -> dict[int, str]:
        if self._withheld is None:
            return {}
        table = self._withheld.columns([_ID, _REASON])
        return dict(zip(table[_ID].to_pylist(), table[_REASON].to_pylist(), strict=True))


def _numbers(column: "pa.ChunkedArray") -> "NDArray[np.int64]":
    numbers: NDArray[np.int64] = column.to_numpy()
    return numbers
