"""Removing from a store what is old and no longer needed, beside whoever publishes.

One listing of the store says almost all: names of manifest entries hold their moments, and each
object has its size and its age. Objects are read only if a version may be removed: manifests, to
find the inputs of the versions that stay; and the indexes of sets, to find their members.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Final, TypeVar

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError, StoreUnavailableError
from orch_assets.lazy import cached_property
from orch_assets.stores.backends.base import Backend, Listed
from orch_assets.stores.maintenance.inventory import (
    ArtifactObjects,
    collect_objects,
    stored_members,
)
from orch_assets.stores.maintenance.old_reports import old_reports
from orch_assets.stores.maintenance.retention import add_inputs, unused_places
from orch_assets.stores.maintenance.surplus_manifests import (
    MarkedUntil,
    marked_until,
    surplus_manifests,
    young_versions,
)
from orch_assets.stores.manifest import Manifest, manifests_of
from orch_assets.stores.members.readable_files import BEGUN
from orch_assets.stores.object_keys import mark_prefix
from orch_assets.stores.order.marks import Marks
from orch_assets.stores.order.places import NOWHERE
from orch_assets.stores.publishing import Publisher

MANIFESTS: Final = "manifests"
VERSIONS: Final = "versions"
LEFTOVERS: Final = "leftovers"
REPORTS: Final = "failure reports"
TEMPORARY: Final = "temporary parts"

# Requests that are sent at the same time.
_AT_ONCE: Final = 16
_LOOK_BACK: Final = timedelta(days=30)

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, kw_only=True)
class Cutoffs:
    """Before which moment each kind is old. What is as old as that may be removed.

    Attributes:
        manifests: Entries of a version between the first and the last one.
        versions: Versions, by their last publication; None keeps all of them.
        reports: Failure reports; None keeps all of them.
        leftovers: What killed publications left behind.
    """

    manifests: datetime
    versions: datetime | None = None
    reports: datetime | None = None
    leftovers: datetime


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
        runs: IDs of runs whose failure reports stay.
        is_busy: Returns whether data must stay for now, because runs may be publishing.
    """

    inside: str | None = None
    inputs: Callable[[], Iterable[tuple[str, str]]] = tuple
    runs: Collection[str] = ()
    is_busy: Callable[[], bool] = lambda: False


@dataclass
class _Removal:
    """What is to be removed of an artifact, each in an order that a kill may interrupt."""

    objects: ArtifactObjects
    kind: str
    manifests: Sequence[str] = ()
    data: Sequence[str] = ()
    places: Sequence[str] = ()


@dataclass
class _Findings:
    removals: list[_Removal] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class StoreUpkeep:
    """Removes from a store what is old.

    It never removes what is current, marked, or an input of a version that stays.

    Args:
        publisher: Reads manifests.
        backend: Holds the bytes.
        prefix: Prefix of the store.
        neighbour: What is around the store.
    """

    def __init__(
        self, publisher: Publisher, backend: Backend, prefix: str, neighbour: Neighbour
    ) -> None:
        self._publisher = publisher
        self._backend = backend
        self._prefix = prefix
        self._neighbour = neighbour
        self._freed: dict[str, Freed] = {}
        self._lock = threading.Lock()
        self.problems: list[str] = []

    def run(self, cutoffs: Cutoffs, *, dry_run: bool = False) -> list[Freed]:
        """Remove what is old, and return what that was, by kind.

        ``problems`` then has a sentence for each reason why something old stays.

        Args:
            cutoffs: What is old.
            dry_run: Write nothing; return what would be removed.

        Raises:
            ArtifactCorruptError: A mark can't be read; nothing was removed.
            StoreUnavailableError: The store can't be read, or objects can't be deleted.
        """
        removals = [*self._data_removals(cutoffs)]
        with_versions = {key for each in removals for key in each.manifests}
        surplus = [
            key
            for objects in self._own
            for key in surplus_manifests(objects, cutoffs.manifests, self._marked)
            if key not in with_versions
        ]
        self._remove(MANIFESTS, surplus, dry_run=dry_run)
        self._each(lambda each: self._carry_out(each, dry_run=dry_run), removals)
        self._remove_parts(cutoffs.leftovers, dry_run=dry_run)
        self._mend(cutoffs.leftovers, dry_run=dry_run)
        return [*self._freed.values()]

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Yield the inputs that manifests of this store list: artifact URIs and versions."""
        for manifests in self._manifests.values():
            for manifest in manifests.values():
                for publication in manifest.publications:
                    yield from publication.inputs.items()

    # What is there

    @cached_property
    def _listed(self) -> Mapping[str, Listed]:
        return {each.key: each for each in self._backend.listing(self._prefix)}

    @cached_property
    def _artifacts(self) -> Sequence[ArtifactObjects]:
        return collect_objects(self._backend, self._prefix, self._prefix, self._listed)

    @cached_property
    def _own(self) -> Sequence[ArtifactObjects]:
        """The artifacts of this store, without those of a store inside it."""
        inside = self._neighbour.inside
        if inside is None:
            return self._artifacts
        return [
            each
            for each in self._artifacts
            if not self._backend.uri(each.keys.current).startswith(f"{inside.rstrip('/')}/")
        ]

    @cached_property
    def _marked(self) -> MarkedUntil:
        marks = Marks(self._backend, self._prefix)
        keys = marks.keys(self._prefix, self._listed)
        found = ((marks.read(key), mark_prefix(key) or "") for key in keys)
        return marked_until((mark, prefix) for mark, prefix in found if mark is not None)

    @cached_property
    def _manifests(self) -> Mapping[str, Mapping[str, Manifest]]:
        """The manifests of all versions, by key of the current object and version."""

        def read(objects: ArtifactObjects) -> dict[str, Manifest]:
            entries = []
            for sha256, keys in objects.manifests.items():
                for key in keys:
                    try:
                        entries.append(self._publisher.entry(objects.keys, key, sha256))
                    except ArtifactNotFoundError:
                        continue  # another upkeep removed it
            return {each.content.sha256: each for each in manifests_of(entries)}

        found = self._each(read, self._artifacts)
        return {
            objects.keys.current: manifests
            for objects, manifests in zip(self._artifacts, found, strict=True)
        }

    # What is old

    def _data_removals(self, cutoffs: Cutoffs) -> Iterator[_Removal]:
        reports = old_reports(self._own, cutoffs.reports, self._neighbour.runs)
        marked = {current for current, _ in self._marked}
        reports = [each for each in reports if each.keys.current not in marked]
        for objects in reports:
            yield self._whole(objects)
        gone = {each.keys.current for each in reports}
        own = [each for each in self._own if each.keys.current not in gone]
        try:
            removed = self._old_versions(own, cutoffs)
        except ArtifactCorruptError as error:
            self.problems.append(f"No version was removed. {error}")
            return
        yield from chain.from_iterable(
            self._each(
                lambda each: self._of_artifact(
                    each, removed.get(each.keys.current, set()), cutoffs
                ),
                own,
            )
        )

    def _whole(self, objects: ArtifactObjects) -> _Removal:
        """Return the removal of a failure report: first what readers see, places last."""
        keys = objects.keys
        return _Removal(
            objects,
            REPORTS,
            manifests=[
                *([keys.current] if objects.has_current else ()),
                *(key for found in objects.manifests.values() for key in found),
            ],
            data=[*map(keys.version, sorted(objects.versions))],
            places=[*map(keys.place, sorted(objects.places))],
        )

    def _old_versions(
        self, own: Iterable[ArtifactObjects], cutoffs: Cutoffs
    ) -> dict[str, set[str]]:
        """Return the versions to be removed, by key of the current object."""
        retained = {each.keys.current: set(each.manifests) for each in self._artifacts}
        old: dict[str, set[str]] = {}
        for objects in own:
            current = objects.keys.current
            if cutoffs.versions is not None:
                retained[current] = young_versions(objects, cutoffs.versions)
            found = (objects.versions | set(objects.manifests)) - retained[current]
            # A version that was just stored may not have its manifest yet.
            found = {each for each in found if self._is_old(objects.keys.version(each), cutoffs)}
            retained[current] |= set(objects.manifests) - found
            if found:
                old[current] = found
        for current, stored in zip(old, self._each(self._backend.stored, [*old]), strict=True):
            retained[current] |= {stored.sha256} if stored and stored.sha256 else set()
        if old:
            self._add_needed(retained)
        return {current: versions - retained[current] for current, versions in old.items()}

    def _add_needed(self, retained: Mapping[str, set[str]]) -> None:
        """Add marked versions, and the inputs of all that stay."""
        for current, version in self._marked:
            retained.get(current, set()).add(version)
        by_uri = {self._backend.uri(current): current for current in retained}
        for uri, version in self._neighbour.inputs():
            retained.get(by_uri.get(uri, ""), set()).add(version)
        add_inputs(self._backend, retained, self._manifests)

    def _of_artifact(
        self, objects: ArtifactObjects, removed: set[str], cutoffs: Cutoffs
    ) -> list[_Removal]:
        keys, found = objects.keys, []
        members = self._unused_members(objects, removed, cutoffs)
        published = sorted(removed & set(objects.manifests))
        if published:
            left = set(objects.manifests) - removed
            removal = _Removal(
                objects,
                VERSIONS,
                manifests=[key for each in published for key in objects.manifests[each]],
                data=[*map(keys.version, published), *map(keys.member, members)],
                places=[*map(keys.place, unused_places(objects, left))],
            )
            found, members = [removal], []
        leftovers = sorted(removed - set(objects.manifests))
        data = [*map(keys.version, leftovers), *map(keys.member, members)]
        return [*found, _Removal(objects, LEFTOVERS, data=data)] if data else found

    def _unused_members(
        self, objects: ArtifactObjects, removed: Collection[str], cutoffs: Cutoffs
    ) -> list[str]:
        """Return the old members that no version has that stays; none if one can't be read.

        If all versions stay, only members of the last month are looked at: earlier upkeeps have
        looked at the others. So a set's history isn't read each time.
        """
        keys = objects.keys
        since = NOWHERE.moment if removed else cutoffs.leftovers - _LOOK_BACK
        unused = {
            each: self._listed[key].modified
            for each in objects.members
            if (key := keys.member(each)) in self._listed
            and since <= self._listed[key].modified < cutoffs.leftovers
        }
        try:
            for version in self._likely_first(objects, removed, unused.values()):
                if not unused:
                    break
                for member in stored_members(self._backend, keys, version):
                    unused.pop(member, None)
        except (ArtifactNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return []  # verify() reports it
        return sorted(unused)

    def _likely_first(
        self, objects: ArtifactObjects, removed: Collection[str], members: Iterable[datetime]
    ) -> Iterable[str]:
        """Return the versions that stay, first those that were stored next after a member was."""
        moments = sorted(
            (listed.modified, each)
            for each in objects.versions
            if each not in removed and (listed := self._listed.get(objects.keys.version(each)))
        )
        places = sorted({bisect_left(moments, (each, "")) for each in members})
        likely = [moments[place][1] for place in places if place < len(moments)]
        return dict.fromkeys([*likely, *(each for _, each in moments)])

    def _is_old(self, key: str, cutoffs: Cutoffs) -> bool:
        listed = self._listed.get(key)
        return listed is None or listed.modified < cutoffs.leftovers

    # Removing

    def _carry_out(self, removal: _Removal, *, dry_run: bool) -> None:
        if removal.kind != REPORTS and not dry_run and not self._is_quiet(removal.objects):
            return
        # Manifests first: a version without a manifest is a harmless leftover, but a manifest
        # without its version is damage.
        for keys in (removal.manifests, removal.data, removal.places):
            self._remove(removal.kind, keys, dry_run=dry_run)

    def _is_quiet(self, objects: ArtifactObjects) -> bool:
        """Return whether nobody publishes an artifact, who may rely on data that is stored."""
        hidden = self._backend.list(objects.keys.hidden, hidden=True)
        if self._neighbour.is_busy():
            problem = "Some versions and leftovers stay, because runs are under way."
        elif not set(hidden) <= self._listed.keys():
            problem = "Some versions and leftovers stay, because they were published meanwhile."
        else:
            return True
        with self._lock:
            if problem not in self.problems:
                self.problems.append(problem)
        return False

    def _remove(self, kind: str, keys: Sequence[str], *, dry_run: bool) -> None:
        listed = [self._listed[key] for key in keys if key in self._listed]
        if listed and not dry_run:
            self._backend.delete_all([each.key for each in listed])
        self._note(kind, len(listed), sum(each.size for each in listed))

    def _remove_parts(self, before: datetime, *, dry_run: bool) -> None:
        try:
            for part in self._backend.temporary_parts(self._prefix, before):
                if not dry_run:
                    part.remove()
                self._note(TEMPORARY, 1, part.size)
        except StoreUnavailableError as error:  # some buckets need another permission for it
            self.problems.append(f"Temporary parts stay. {error}")

    def _note(self, kind: str, count: int, size: int) -> None:
        with self._lock:
            if not count:
                return
            self._freed.setdefault(kind, Freed(kind)).add(count, size)

    def _each(self, work: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
        """Do something with each item, several at a time; return the results in their order."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [*pool.map(work, items)]

    def _mend(self, before: datetime, *, dry_run: bool) -> None:
        """Complete the copies of members that a killed publisher has begun."""
        for objects in self._own:
            begun = (name for name in objects.readable if name.startswith(BEGUN))
            found = [self._listed.get(f"{objects.keys.readable}/{name}") for name in begun]
            old = [each for each in found if each and each.modified < before]
            if old:
                self._note(LEFTOVERS, len(old), sum(each.size for each in old))
                if not dry_run:
                    self._publisher.readable.mend_current(objects.keys)
