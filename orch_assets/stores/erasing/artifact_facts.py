"""What is known about artifacts of a store, each read once: manifests, indexes and tables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.erasing.known_artifacts import (
    STUDY_COLUMN,
    ErasedStudy,
    KnownArtifact,
    KnownVersion,
)
from orch_assets.stores.formats.table_files import TableFiles
from orch_assets.stores.maintenance.inventory import ArtifactObjects, stored_members
from orch_assets.stores.manifest import Entry, manifests_of
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.stores.publishing import Publisher

# How many artifacts' manifests, or tables, are read at the same time.
AT_ONCE: Final = 8


class ArtifactFacts:
    """Reads what is known about artifacts. What it reads doesn't change, once it is stored.

    Args:
        publisher: Reads versions and manifests.
        backend: Holds the bytes.
        files: Reads tables, by format.
    """

    def __init__(
        self, publisher: Publisher, backend: Backend, files: Mapping[StorageFormat, TableFiles]
    ) -> None:
        self._publisher = publisher
        self._backend = backend
        self._files = files
        self._artifacts: dict[str, tuple[frozenset[str], KnownArtifact]] = {}
        self._rows: dict[tuple[str, str], bool] = {}
        self._members: dict[str, frozenset[str]] = {}

    def known(self, objects: ArtifactObjects) -> KnownArtifact:
        """Return an artifact with what its manifests say."""
        if not objects.manifests:
            return KnownArtifact(objects, (), is_damaged=False)
        entries = frozenset(key for keys in objects.manifests.values() for key in keys)
        before = self._artifacts.get(objects.keys.current)
        if before is None or before[0] != entries:
            before = entries, self._read(objects)
            self._artifacts[objects.keys.current] = before
        return KnownArtifact(objects, before[1].versions, before[1].is_damaged)

    def members(self, keys: ArtifactKeys, versions: Iterable[str]) -> set[str]:
        """Return the members that stored versions consist of, by their SHA-256."""
        members: set[str] = set()
        for version in versions:
            key = keys.version(version)
            if key not in self._members:
                found = stored_members(self._backend, keys, version)
                self._members[key] = frozenset(found)
            members |= self._members[key]
        return members

    def rows_of(
        self, judged: Sequence[tuple[KnownArtifact, KnownVersion]], study: ErasedStudy
    ) -> dict[tuple[str, str], bool]:
        """Return whether versions of tables have rows of the study, by a column ``study_key``.

        Returns:
            By URI and version. Versions whose column is of a type that is never a study's key are
            left out.

        Raises:
            ArtifactCorruptError: A version can't be read.
        """
        places = {
            (self._backend.uri(artifact.keys.current), version.sha256): (artifact, version)
            for artifact, version in judged
            if version.has_study_keys
        }
        new = [place for place in places if place not in self._rows]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda place: self._has_rows(*places[place], study), new)
            self._rows.update(zip(new, found, strict=True))
        return {place: self._rows[place] for place in places}

    def _read(self, objects: ArtifactObjects) -> KnownArtifact:
        found: Iterable[Entry]
        try:
            found, is_damaged = self._publisher.read_entries(objects.keys), False
        except ArtifactCorruptError:
            found, is_damaged = self._readable_entries(objects), True
        versions = [*map(KnownVersion.of, manifests_of(found))]
        return KnownArtifact(objects, versions, is_damaged)

    def _readable_entries(self, objects: ArtifactObjects) -> Iterator[Entry]:
        for sha256, keys in objects.manifests.items():
            for key in keys:
                try:
                    yield self._publisher.entry(objects.keys, key, sha256)
                except (ArtifactCorruptError, ArtifactNotFoundError):
                    continue

    def _has_rows(self, artifact: KnownArtifact, version: KnownVersion, study: ErasedStudy) -> bool:
        keys = artifact.keys
        (manifest,) = self._publisher.manifests(keys, version.sha256)
        files = self._files[StorageFormat(keys.extension)]
        with self._publisher.open_version(keys, version.sha256) as file:
            _, batches = files.stream(file, manifest.content, keys.name)
            return any(
                study.key in map(str, batch[STUDY_COLUMN].unique().to_pylist()) for batch in batches
            )
