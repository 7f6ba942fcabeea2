"""Refreshed tables: what a reading of iMednet and a store tell each other about them.

A refresh reads what changed since a stored version, and merges it with that version. The modules of
``imednet`` make such streams; the stores read the versions and publish the streams. Neither imports
the other, so they meet here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

# How a result was refreshed; see ``RowChanges`` and ``MatrixEntry``.
COUNTED: Final = "counted"
READ_WHOLE: Final = "read whole"
APPENDED: Final = "appended"
CARRIED_FORWARD: Final = "carried forward"


class StoredTable(Protocol):
    """A version of a table in a store. All bytes are verified before the first row is returned."""

    @property
    def uri(self) -> str:
        """URI of the artifact's current object."""
        ...

    @property
    def version(self) -> str:
        """SHA-256 of the version."""
        ...

    @property
    def state(self) -> Mapping[str, Any]:
        """What was stored in the manifest with the version's last publication; empty if nothing."""
        ...

    @property
    def inputs(self) -> Mapping[str, str]:
        """What the version was last made from: versions by artifact URI."""
        ...

    @property
    def schema(self) -> "pa.Schema":
        """Schema of the table."""
        ...

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        ...

    def columns(self, names: Sequence[str]) -> "pa.Table":
        """Return some columns of all rows; only these are read, if the format allows it."""
        ...

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Yield all rows; one row group at a time is in memory."""
        ...


def _none_stored(_name: str) -> None:
    """Return no result."""


@dataclass(frozen=True)
class PreviousResult:
    """The current result of a pipeline, which its next run may start from.

    Attributes:
        table: The table, or its open part.
        withheld: Its withheld part; None if none is stored.
        read_whole: Whether everything must be read again: somebody asked for it.
        accept_other_registry: Whether a result of another account may be replaced.
        inputs: Versions of the upstreams' open parts that the pipeline now receives, by the names
            of the upstreams; those without a stored version are left out.
        upstreams: What :meth:`upstream` calls.
    """

    table: StoredTable
    withheld: StoredTable | None = None
    read_whole: bool = False
    accept_other_registry: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)
    upstreams: "Callable[[str], PreviousResult | None]" = _none_stored

    def upstream(self, name: str) -> "PreviousResult | None":
        """Return the version of an upstream's result from which this result was made.

        Args:
            name: Name of the upstream pipeline.

        Returns:
            Its open and its withheld part, or None: the result wasn't made from this upstream, or
            the version of its open part was removed. Without an open part there is no result.
        """
        return self.upstreams(name)


@dataclass(frozen=True)
class PublishedVersion:
    """A version of a table that is current, or was.

    Attributes:
        version: SHA-256 of the version.
        number: Its place in the order of the artifact's publications.
        published_at: When it became current.
    """

    version: str
    number: int
    published_at: datetime


class PartHistory(Protocol):
    """The versions of a stored table, or of one part of it, in order of publication."""

    @property
    def version(self) -> str | None:
        """SHA-256 of the current version; None if nothing is stored.

        It is not looked up if the run has published it.
        """
        ...

    @property
    def current(self) -> PublishedVersion | None:
        """The current version; None if nothing is stored."""
        ...

    def since(self, number: int) -> Sequence[PublishedVersion]:
        """Return what became current after this place, oldest first, and ends with ``current``.

        Versions that retention removed are left out.
        """
        ...

    def at(self, moment: datetime) -> str | None:
        """Return the SHA-256 of what was current at a moment; None if it is unknown or removed."""
        ...

    def table(self, version: str) -> StoredTable | None:
        """Return a version; None if it was removed."""
        ...


@dataclass(frozen=True)
class TableHistory:
    """The stored versions of an upstream's result, for a parameter annotated with this class.

    Attributes:
        table: Those of the table, or of its open part; None if a user's own IO manager stores it.
        withheld: Those of its withheld part; None if it can't have one.
    """

    table: PartHistory | None
    withheld: PartHistory | None = None


@dataclass(frozen=True)
class StoredTables:
    """An upstream's stored set of tables, unread, for a parameter annotated with this class.

    Use it for tables that are too large to be held, or that are read more than once.

    Attributes:
        table: The set, or its open part: names of tables, ``table(name)`` to read one, and what its
            manifest says. A ``stores.stored_versions.SetVersion``.
        withheld: Its withheld part; None if none is stored.
    """

    table: Any
    withheld: Any = None


@dataclass
class RowChanges:
    """What a refresh found; complete when the last row has been passed on.

    Attributes:
        reading: ``counted`` if only what changed was read, and the rows after the merge are as many
            as the API counts; ``read whole`` if all rows were read; ``appended`` if rows were added
            to a table that only grows, and nothing was read.
        reason: Why all rows were read, or what was compared; None for ``counted``.
        new: Rows that the earlier version lacks.
        changed: Rows with another date than in the earlier version.
        deleted: Rows that are marked as deleted since; they count as changed, too.
        vanished: Rows of the earlier version that the API no longer returns.
        unchanged: All other rows.
        requests: Requests of this refresh, without retries.
        requests_saved: Requests that reading the whole table would have taken beyond these.
    """

    reading: str = READ_WHOLE
    reason: str | None = None
    new: int = 0
    changed: int = 0
    deleted: int = 0
    vanished: int = 0
    unchanged: int = 0
    requests: int = 0
    requests_saved: int = 0

    @property
    def text(self) -> str:
        """The numbers of new, changed and removed rows, for people; a row is in one of them.

        Removed are rows that were deleted or that vanished. Example: ``+12 ~3 \N{MINUS SIGN}1``.
        """
        removed = self.deleted + self.vanished
        return f"+{self.new:,} ~{self.changed - self.deleted:,} \N{MINUS SIGN}{removed:,}"


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class PartRefresh:
    """How a stream of one part of a table was made, for whoever stores it.

    Attributes:
        earlier: The version that the stream was merged or compared with; None if there is none. The
            stream may be published only if that version is still the current one.
        unchanged: Whether the earlier version is still right. The stream then has no batches, and
            must not be stored.
        state: Returns what the manifest must hold for the next refresh, as JSON values without
            data; complete when the last row has been passed on.
        changes: What the refresh found.
    """

    earlier: StoredTable | None = None
    unchanged: bool = False
    state: Callable[[], Mapping[str, Any]] = _nothing
    changes: RowChanges = field(default_factory=RowChanges)
