"""What an upkeep is told, and what it says."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from orch_assets.stores.maintenance.inventory import ArtifactObjects

MANIFESTS: Final = "manifests"
VERSIONS: Final = "versions"
LEFTOVERS: Final = "leftovers"
REPORTS: Final = "failure reports"
TEMPORARY: Final = "temporary parts"
KINDS: Final = (MANIFESTS, VERSIONS, REPORTS, LEFTOVERS, TEMPORARY)


@dataclass(frozen=True, kw_only=True)
class Cutoffs:
    """Before which moment each kind is old. What is as old as that may be removed.

    Attributes:
        manifests: Entries of a version between the first and the last one.
        versions: Versions, by their last publication; None keeps all of them.
        reports: Failure reports; None keeps all of them.
        leftovers: What killed publications left behind.
        look_back: How long before that the members were stored that are looked at, if all versions
            of their artifact stay. Earlier upkeeps have looked at the others.
    """

    manifests: datetime
    versions: datetime | None = None
    reports: datetime | None = None
    leftovers: datetime
    look_back: timedelta = timedelta(days=30)


_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
# By these, leftovers alone are old, whatever their age.
ALL_LEFTOVERS: Final = Cutoffs(manifests=_FIRST, leftovers=_LAST, look_back=_LAST - _FIRST)


@dataclass
class Freed:
    """What was removed of one kind.

    Attributes:
        kind: Such as ``manifests``.
        count: Number of objects.
        bytes: Their bytes.
    """

    kind: str
    count: int = 0
    bytes: int = 0

    def add(self, count: int, size: int) -> None:
        """Add objects to it."""
        self.count += count
        self.bytes += size


@dataclass(frozen=True)
class Neighbour:
    """What an upkeep must know of everything around its store.

    Attributes:
        inside: URI of a store inside this one, which has an upkeep of its own.
        inputs: Returns the versions of this store that another one's manifests list as inputs.
        runs: Returns the IDs of runs whose failure reports stay.
        is_busy: Returns whether data must stay for now, because runs may be publishing.
    """

    inside: str | None = None
    inputs: Callable[[], Iterable[tuple[str, str]]] = tuple
    runs: Callable[[], Collection[str]] = tuple
    is_busy: Callable[[], bool] = lambda: False


@dataclass
class Removal:
    """What is to be removed of an artifact, each in an order that a kill may interrupt."""

    objects: ArtifactObjects
    kind: str
    manifests: Sequence[str] = ()
    data: Sequence[str] = ()
    places: Sequence[str] = ()
