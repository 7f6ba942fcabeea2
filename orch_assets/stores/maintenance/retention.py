"""Removing old versions that no retained version was made from, and compacting manifests."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from orch_assets.errors import StoreUnavailableError
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.maintenance.compaction import Compaction, surplus_entries
from orch_assets.stores.maintenance.input_versions import add_inputs
from orch_assets.stores.maintenance.inventory import (
    ArtifactObjects,
    collect_objects,
    stored_hash,
    stored_members,
)
from orch_assets.stores.manifest import Entry, Manifest, manifests_of
from orch_assets.stores.members.readable_files import BEGUN
from orch_assets.stores.object_keys import ArtifactKeys, below
from orch_assets.stores.order.marks import Marks
from orch_assets.stores.order.places import Place
from orch_assets.stores.publishing import Publisher

# A key at which nothing is ever stored.
_UNUSED_KEY: Final = ".orch/never-there"


@dataclass(frozen=True)
class _Plan:
    """What is to be removed from an artifact, and what is to be compacted.

    Attributes:
        keys: Keys of the artifact.
        manifests: Keys of the manifest entries to be removed.
        data: Keys of the versions and set members to be removed.
        surplus: Groups of entries to be compacted.
        places: Keys of the claims to be removed.
    """

    keys: ArtifactKeys
    manifests: Sequence[str]
    data: Sequence[str]
    surplus: Sequence[Sequence[Entry]]
    places: Sequence[str]


class Retention:
    """Removes versions below a folder of a store."""

    def __init__(self, publisher: Publisher, backend: Backend, prefix: str) -> None:
        self._publisher = publisher
        self._backend = backend
        self._prefix = prefix

    def run(self, folder: str, keep_last: int, keep_days: float | None) -> list[str]:
        """Remove what no rule retains, and return the URIs of the removed data."""
        artifacts = collect_objects(self._backend, self._prefix, self._prefix)
        entries = {objects.keys.current: self._entries(objects) for objects in artifacts}
        manifests = {
            current: {manifest.content.sha256: manifest for manifest in manifests_of(found)}
            for current, found in entries.items()
        }
        start = f"{folder}/" if folder else ""
        chosen = [objects for objects in artifacts if objects.keys.current.startswith(start)]
        retained = {current: set(versions) for current, versions in manifests.items()}
        for objects in chosen:
            current = objects.keys.current
            retained[current] = self._by_rules(objects, manifests[current], keep_last, keep_days)
        for current, version in Marks(self._backend, self._prefix).pinned(self._prefix):
            retained.get(current, set()).add(version)
        add_inputs(self._backend, retained, manifests)
        plans = [self._plan(objects, retained, entries) for objects in chosen]
        if any(plan.manifests or plan.data or plan.surplus or plan.places for plan in plans):
            self._check_permission()
        for objects in chosen:
            if any(name.startswith(BEGUN) for name in objects.readable):
                self._publisher.readable.mend_current(objects.keys)
        return [uri for plan in plans for uri in self._carry_out(plan)]

    def _entries(self, objects: ArtifactObjects) -> list[Entry]:
        return self._publisher.read_entries(objects.keys) if objects.manifests else []

    def _plan(
        self,
        objects: ArtifactObjects,
        retained: Mapping[str, set[str]],
        entries: Mapping[str, Collection[Entry]],
    ) -> _Plan:
        keys = objects.keys
        versions = retained[keys.current]
        removed = sorted((objects.versions | set(objects.manifests)) - versions)
        unused = sorted(objects.members - self._members(objects, versions))
        return _Plan(
            keys=keys,
            manifests=[entry for sha256 in removed for entry in objects.manifests.get(sha256, ())],
            data=[*map(keys.version, removed), *map(keys.member, unused)],
            surplus=surplus_entries(entries[keys.current], versions),
            places=[keys.place(number) for number in unused_places(objects, versions)],
        )

    def _check_permission(self) -> None:
        """Delete an object that doesn't exist, to find out before anything is changed."""
        try:
            self._backend.delete(below(self._prefix, _UNUSED_KEY))
        except StoreUnavailableError as error:
            raise StoreUnavailableError(
                f"retain() can't delete objects here, so nothing was changed. {error.marked}",
                artifact=error.artifact,
            ) from None

    def _carry_out(self, plan: _Plan) -> list[str]:
        # Manifests first: a version without a manifest is a harmless leftover, but a manifest
        # without its version is damage.
        for key in (*plan.manifests, *plan.data, *plan.places):
            self._backend.delete(key)
        Compaction(self._publisher, self._backend).run(plan.keys, plan.surplus)
        return [self._backend.uri(key) for key in plan.data]

    def _by_rules(
        self,
        objects: ArtifactObjects,
        manifests: Mapping[str, Manifest],
        keep_last: int,
        keep_days: float | None,
    ) -> set[str]:
        versions = list(manifests)
        if objects.keys.is_certificate:
            return set(versions)
        retained = set(versions[max(0, len(versions) - keep_last) :])
        retained |= {sha256 for sha256 in versions if _is_young(manifests[sha256], keep_days)}
        if objects.has_current and not objects.versions <= retained:
            current = stored_hash(self._backend, objects.keys.current)
            retained |= {current} if current else set()
        return retained

    def _members(self, objects: ArtifactObjects, versions: set[str]) -> set[str]:
        """Return the tables that these versions of a set consist of."""
        if not objects.members:
            return set()
        stored = versions & objects.versions
        return {
            member
            for sha256 in stored
            for member in stored_members(self._backend, objects.keys, sha256)
        }


def unused_places(objects: ArtifactObjects, versions: Collection[str]) -> list[int]:
    """Return the places of versions that don't stay.

    The first and the last one stay: they show that an artifact has been published before, and that
    a number is taken. So does the one after each version that stays: ``as_of`` reads from it until
    when that version was current.
    """
    entries = [entry for sha256 in versions for entry in objects.manifests.get(sha256, ())]
    retained = {Place.of(entry.rpartition("/")[2]).number for entry in entries}
    needed = retained | {number + 1 for number in retained}
    last = max(objects.places, default=0)
    return sorted(number for number in objects.places if 1 < number < last and number not in needed)


def _is_young(manifest: Manifest, keep_days: float | None) -> bool:
    if keep_days is None:
        return False
    # Of all publications, since the clock of the last one may have been behind.
    published = max(datetime.fromisoformat(each.published_at) for each in manifest.publications)
    return datetime.now(UTC) - published < timedelta(days=keep_days)
