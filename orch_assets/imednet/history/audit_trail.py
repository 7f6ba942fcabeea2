"""The record revisions that belong to a change: who saved it, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from orch_assets.imednet.refresh.endpoint_rules import REVISION_DELAY
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
    """The revisions of a change.

    Attributes:
        revision_ids: Their IDs.
        kind: ``single``: there is exactly one revision, without doubt. ``none``: no revision can
            belong to the change. ``ambiguous``: anything else.
        user: Who saved the only revision; None if the kind isn't ``single``. So is all below.
        role: The user's role.
        reason: The reason, if it is open.
        withheld_reason: The reason, if it is withheld.
        form_key: Key of the form, by the revision.
    """

    revision_ids: tuple[int, ...] = ()
    kind: str = "none"
    user: str | None = None
    role: str | None = None
    reason: str | None = None
    withheld_reason: str | None = None
    form_key: str | None = None


class AuditTrail:
    """Finds the revisions of changes; reads the tables when it is first asked.

    A change is what differs between two versions of a record. A revision doesn't say to which
    change it belongs, so dates decide. Each save moves the date of its record and adds a revision
    with the same date, or one up to a minute later (``REVISION_DELAY``). Therefore:

    - The revision of a version is dated within the minute from the version's date on. If there is
      only one in that minute, that is it.
    - A change has the revisions after those of its earlier version, up to a minute after the date
      of its later version. Revisions after that minute belong to the next change: the record was
      saved again after it was read.
    - If there are several in the minute of the earlier version, each of them may belong to the
      change, unless it is dated before that version was read. They are listed unless an earlier
      change lists them. So no revision is listed twice, unless its record vanished and came back.
    - A change has a user, a role and a reason only if exactly one revision can belong to it, and
      only if that can be the revision of its later version.

    This holds if ``revisions`` has the revisions of all saves that ``records`` shows. If one is
    missing there, that of another save within the same minute may be taken for it. If it arrives
    after its change was compared, no change lists it.

    Args:
        revisions: The current ``record_revisions``; None if there are none.
        withheld: Its withheld part.
        listed: Returns the IDs of revisions that earlier changes list.
    """

    def __init__(
        self,
        revisions: StoredTable | None,
        withheld: StoredTable | None,
        listed: "Callable[[], NDArray[np.int64]]",
    ) -> None:
        self._revisions = revisions
        self._withheld = withheld
        self._load_listed = listed
        self._listed_now: set[int] = set()

    def between(
        self,
        record_id: int,
        since: datetime | None,
        until: datetime | None,
        read_at: datetime | None = None,
    ) -> Attribution:
        """Return the revisions of a change. Ask for the changes of a record in their order.

        Args:
            record_id: The record.
            since: Date of the record's earlier version; the earliest possible one for a new
                record. None if it is unknown.
            until: Date of its later version; None if it is unknown, or if there is none.
            read_at: A moment, by the registry, at which the earlier version had not yet been read;
                None if none is known.
        """
        if self._revisions is None or (since is None and until is None):
            return Attribution()
        dates = self._dates(record_id, until)
        if since is None or None in dates.values() or (until is not None and until < since):
            later, doubtful = [], [*dates]  # the dates don't say what followed what
        else:
            later = [row for row, date in dates.items() if date > since + REVISION_DELAY]
            near = [row for row, date in dates.items() if since <= date <= since + REVISION_DELAY]
            seen = read_at or since
            doubtful = [row for row in near if dates[row] >= seen] if len(near) > 1 else []
        ids = {int(self._ids[row]) for row in later}
        ids |= {int(self._ids[row]) for row in doubtful if not self._is_listed[row]}
        ids -= self._listed_now
        self._listed_now |= ids
        if not doubtful and len(later) == 1 and until is not None and dates[later[0]] >= until:
            return self._single(*later)
        return Attribution(tuple(sorted(ids)), "ambiguous" if later or doubtful else "none")

    def _dates(self, record_id: int, until: datetime | None) -> dict[int, Any]:
        """Return the dates of a record's revisions by row, without those after ``until``."""
        first, end = self._record_ids.searchsorted([record_id, record_id + 1])
        dates = self._table["date_created"][first:end].to_pylist()
        return {
            row: date
            for row, date in enumerate(dates, first)
            if date is None or until is None or date <= until + REVISION_DELAY
        }

    def _single(self, row: int) -> Attribution:
        revision_id = int(self._ids[row])
        names = ("user", "role", _REASON, "form_key")
        user, role, reason, form_key = (self._table[name][row].as_py() for name in names)
        withheld_reason = self._withheld_reasons.get(revision_id)
        return Attribution((revision_id,), "single", user, role, reason, withheld_reason, form_key)

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
    def _is_listed(self) -> "NDArray[np.bool_]":
        import numpy as np

        return np.isin(self._ids, self._load_listed())

    @cached_property
    def _withheld_reasons(self) -> dict[int, str]:
        if self._withheld is None:
            return {}
        table = self._withheld.columns([_ID, _REASON])
        return dict(zip(table[_ID].to_pylist(), table[_REASON].to_pylist(), strict=True))


def _numbers(column: "pa.ChunkedArray") -> "NDArray[np.int64]":
    numbers: NDArray[np.int64] = column.to_numpy()
    return numbers
