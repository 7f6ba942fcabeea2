"""Which versions, members and failure reports of a store are old and needed by nothing."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.maintenance.input_versions import add_inputs
from orch_assets.stores.maintenance.inventory import ArtifactObjects, stored_hash, stored_members
from orch_assets.stores.maintenance.old_reports import old_reports
from orch_assets.stores.maintenance.retention import unused_places
from orch_assets.stores.maintenance.store_contents import StoreContents, at_once
from orch_assets.stores.maintenance.surplus_manifests import young_versions
from orch_assets.stores.maintenance.upkeep_terms import (
    LEFTOVERS,
    REPORTS,
    VERSIONS,
    Cutoffs,
    Neighbour,
    Removal,
)
from orch_assets.stores.order.places import NOWHERE


class OldData:
    """Finds what is old.

    Args:
        contents: What is in the store.
        backend: Holds the bytes.
        neighbour: What is around the store.
        cutoffs: What is old.
        is_chosen: Returns whether an artifact is looked at, by its name.
    """

    def __init__(
        self,
        contents: StoreContents,
        backend: Backend,
        neighbour: Neighbour,
        cutoffs: Cutoffs,
        is_chosen: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        self._contents = contents
        self._backend = backend
        self._neighbour = neighbour
        self._cutoffs = cutoffs
        self._is_chosen = is_chosen
        self.problems: list[str] = []

    def removals(self) -> Iterator[Removal]:
        """Yield what is to be removed of each artifact; ``problems`` then says what can't be."""
        chosen = [each for each in self._contents.own if self._is_chosen(each.keys.name)]
        reports = old_reports(chosen, self._cutoffs.reports, self._neighbour.runs())
        marked = {current for current, _ in self._contents.marked}
        reports = [each for each in reports if each.keys.current not in marked]
        for objects in reports:
            yield self._whole(objects)
        gone = {each.keys.current for each in reports}
        own = [each for each in chosen if each.keys.current not in gone]
        try:
            removed = self._old_versions(own)
        except ArtifactCorruptError as error:
            self.problems.append(f"No version was removed. {error}")
            return
        yield from chain.from_iterable(
            at_once(
                lambda each: self._of_artifact(each, removed.get(each.keys.current, set())),
                own,
            )
        )

    def _whole(self, objects: ArtifactObjects) -> Removal:
        """Return the removal of a failure report: first what readers see, places last."""
        keys = objects.keys
        return Removal(
            objects,
            REPORTS,
            manifests=[
                *([keys.current] if objects.has_current else ()),
                *(key for found in objects.manifests.values() for key in found),
            ],
            data=[*map(keys.version, sorted(objects.versions))],
            places=[*map(keys.place, sorted(objects.places))],
        )

    def _old_versions(self, own: Iterable[ArtifactObjects]) -> dict[str, set[str]]:
        """Return the versions to be removed, by key of the current object."""
        retained = {each.keys.current: set(each.manifests) for each in self._contents.artifacts}
        old: dict[str, set[str]] = {}
        for objects in own:
            current = objects.keys.current
            if self._cutoffs.versions is not None and not objects.keys.is_certificate:
                retained[current] = young_versions(objects, self._cutoffs.versions)
            found = (objects.versions | set(objects.manifests)) - retained[current]
            # A version that was just stored may not have its manifest yet.
            found = {each for each in found if self._is_old(objects.keys.version(each))}
            retained[current] |= set(objects.manifests) - found
            if found:
                old[current] = found
        for current, version in zip(old, at_once(self._current_version, [*old]), strict=True):
            retained[current] |= {version} if version else set()
        if old:
            self._add_needed(retained)
        return {current: versions - retained[current] for current, versions in old.items()}

    def _current_version(self, current: str) -> str | None:
        stored = self._backend.stored(current)
        if stored and stored.sha256 is None:  # another program wrote it
            return stored_hash(self._backend, current)
        return stored.sha256 if stored else None

    def _add_needed(self, retained: Mapping[str, set[str]]) -> None:
        """Add marked versions, and the inputs of all that stay."""
        for current, version in self._contents.marked:
            retained.get(current, set()).add(version)
        manifests = self._contents.manifests
        add_inputs(self._backend, retained, manifests, self._neighbour.inputs())

    def _of_artifact(self, objects: ArtifactObjects, removed: set[str]) -> list[Removal]:
        keys, found = objects.keys, []
        members = self._unused_members(objects, removed)
        published = sorted(removed & set(objects.manifests))
        if published:
            left = set(objects.manifests) - removed
            removal = Removal(
                objects,
                VERSIONS,
                manifests=[key for each in published for key in objects.manifests[each]],
                data=[*map(keys.version, published), *map(keys.member, members)],
                places=[*map(keys.place, unused_places(objects, left))],
            )
            found, members = [removal], []
        leftovers = sorted(removed - set(objects.manifests))
        data = [*map(keys.version, leftovers), *map(keys.member, members)]
        return [*found, Removal(objects, LEFTOVERS, data=data)] if data else found

    def _unused_members(self, objects: ArtifactObjects, removed: Collection[str]) -> list[str]:
        """Return the old members that no version has that stays; none if one can't be read.

        If all versions stay, only members are looked at that were stored lately. So a set's history
        isn't read each time.
        """
        keys = objects.keys
        since = NOWHERE.moment if removed else self._cutoffs.leftovers - self._cutoffs.look_back
        unused = {
            each: self._contents.listed[key].modified
            for each in objects.members
            if (key := keys.member(each)) in self._contents.listed
            and since <= self._contents.listed[key].modified < self._cutoffs.leftovers
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
            if each not in removed
            and (listed := self._contents.listed.get(objects.keys.version(each)))
        )
        places = sorted({bisect_left(moments, (each, "")) for each in members})
        likely = [moments[place][1] for place in places if place < len(moments)]
        return dict.fromkeys([*likely, *(each for _, each in moments)])

    def _is_old(self, key: str) -> bool:
        listed = self._contents.listed.get(key)
        return listed is None or listed.modified < self._cutoffs.leftovers
