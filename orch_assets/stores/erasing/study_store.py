"""One store from which a study is erased: what is in it, and which objects are whose.

An artifact is a study's if only its pipelines published it, or if it is a partition of an asset
whose partitions are studies; see ``known_artifacts``. An artifact that a pipeline of another study
published is not, whatever its name.
"""

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.erasing.artifact_facts import AT_ONCE, ArtifactFacts
from orch_assets.stores.erasing.erased_objects import ErasedArtifact, ErasedVersion
from orch_assets.stores.erasing.known_artifacts import ErasedStudy, KnownArtifact
from orch_assets.stores.formats.table_files import TableFiles
from orch_assets.stores.maintenance.inventory import ArtifactObjects, collect_objects
from orch_assets.stores.maintenance.verification import Problem
from orch_assets.stores.names import escaped
from orch_assets.stores.object_keys import (
    INDEX_EXTENSIONS,
    ArtifactKeys,
    below,
    erasure_key,
    inside,
    mark_prefix,
    parse_key,
)
from orch_assets.stores.order.marks import Marks
from orch_assets.stores.publishing import Publisher

# A key at which nothing is ever stored.
_UNUSED_KEY: Final = ".orch/never-there"


class StudyStore:
    """A store from which a study is erased.

    Args:
        verify: Verifies the whole store; see ``ArtifactHistory.verify``.
        publisher: Reads versions and manifests.
        backend: Holds the bytes.
        prefix: Prefix of the store.
        files: Reads tables, by format.

    Attributes:
        backend: Holds the bytes.
        prefix: Prefix of the store.
        publisher: Reads versions and manifests.
        marks: The marks that the store reaches.
        facts: Reads what is known about artifacts.
        left_out: URIs of folders whose artifacts are those of other stores.
    """

    def __init__(
        self,
        verify: "Callable[[Callable[[int, int], object]], list[Problem]]",
        publisher: Publisher,
        backend: Backend,
        prefix: str,
        files: Mapping[StorageFormat, TableFiles],
    ) -> None:
        self._verify = verify
        self.backend = backend
        self.prefix = prefix
        self.publisher = publisher
        self.marks = Marks(backend, prefix)
        self.facts = ArtifactFacts(publisher, backend, files)
        self.left_out: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """URI of the store, ending with a slash."""
        return f"{self.backend.uri(self.prefix).rstrip('/')}/"

    @property
    def place(self) -> str:
        """The same without symbolic links, so that two addresses of one store are alike."""
        address = urlsplit(self.root)
        if address.scheme != "file":
            return self.root
        return f"{Path(unquote(address.path)).resolve().as_uri().rstrip('/')}/"

    def record_key(self, study: ErasedStudy) -> str:
        """Return the key of the record of an unfinished erasure, or of a note about it."""
        return erasure_key(self.prefix, study.key)

    def without(self, places: Collection[str]) -> "StudyStore":
        """Return the store without the artifacts in the places of other stores."""
        other, own = copy.copy(self), self.place
        inner = (each for each in places if each != own and each.startswith(own))
        other.left_out = tuple(self.root + each.removeprefix(own) for each in inner)
        return other

    def uri(self, keys: ArtifactKeys) -> str:
        """Return the URI of an artifact's current object."""
        return self.backend.uri(keys.current)

    def artifacts(self, study: ErasedStudy) -> list[KnownArtifact]:
        """Return all artifacts but the study's certificates."""
        chosen = [
            objects
            for objects in self._own_objects()
            if (objects.keys.name, objects.keys.kind) != (study.certificate, "json")
        ]
        with ThreadPoolExecutor(AT_ONCE) as pool:  # in a bucket, each manifest is a request
            return [*pool.map(self.facts.known, chosen)]

    def again(self, keys: ArtifactKeys) -> KnownArtifact | None:
        """Return an artifact as it is now; None if nothing is left of it."""
        listed = [*self.backend.list(keys.hidden, hidden=True)]
        listed += [keys.current] if self.backend.exists(keys.current) else []
        found = collect_objects(self.backend, keys.path, self.prefix, listed)
        return next((self.facts.known(each) for each in found if each.keys == keys), None)

    def keys_of(self, artifact: ErasedArtifact) -> ArtifactKeys:
        """Return the keys of an artifact of this store."""
        extension = artifact.uri.rpartition(".")[2]
        return ArtifactKeys.of(artifact.artifact, self.prefix, artifact.kind, extension)

    def whole(self, artifact: KnownArtifact) -> ErasedArtifact:
        """Return an artifact to be erased.

        Its current object goes first, so that nobody finds it any more, then its manifests. Copies
        of members go before it, because it tells that they are copies.
        """
        objects, keys = artifact.objects, artifact.keys
        versions = {each.sha256: ErasedVersion.of(each) for each in artifact.versions}
        for sha256 in sorted(objects.versions - versions.keys()):
            stored = self.backend.stored(keys.version(sha256))
            versions[sha256] = ErasedVersion(sha256, stored.size if stored else 0)
        hidden = sorted(
            self.backend.list(keys.hidden, hidden=True),
            key=lambda key: (not key.startswith(keys.manifests()), key),
        )
        copies = self.publisher.readable.copies(keys, objects.versions) if keys.has_members else []
        current = [keys.current] if objects.has_current else []
        listed = (*copies, *current, *hidden)
        folders = (keys.hidden.rpartition("/")[0], keys.path)
        return self._erased(keys, "", tuple(versions.values()), listed, folders)

    def some(
        self, artifact: KnownArtifact, versions: Collection[str], reason: str, *, current: bool
    ) -> ErasedArtifact:
        """Return versions to be erased of an artifact that stays.

        Args:
            artifact: The artifact.
            versions: The versions.
            reason: Why, as a clause.
            current: Whether its current object goes, too.
        """
        objects, keys = artifact.objects, artifact.keys
        erased = [each for each in artifact.versions if each.sha256 in versions]
        listed = [keys.current] if current else []
        listed += [key for version in versions for key in objects.manifests.get(version, ())]
        listed += [keys.version(version) for version in versions if version in objects.versions]
        if objects.members:
            used = self.facts.members(keys, objects.versions - {*versions})
            unused = self.facts.members(keys, objects.versions & {*versions}) - used
            listed += [keys.member(each) for each in sorted(unused & objects.members)]
        return self._erased(keys, reason, tuple(map(ErasedVersion.of, erased)), listed)

    def unused(self, artifact: KnownArtifact, erased: ErasedArtifact) -> list[str]:
        """Return those keys of an erasure that an artifact, as it is now, doesn't need.

        The artifact may have been published since they were listed: a version that was published
        again stays, and so does a member that another version has.
        """
        keys, objects, listed = artifact.keys, artifact.objects, {*erased.keys}
        current = self.current_version(keys)
        goes = {
            each.sha256
            for each in erased.versions
            if listed.issuperset(objects.manifests.get(each.sha256, ()))
            and (each.sha256 != current or keys.current in listed)
        }
        found = {keys.current} if current in goes else set()
        found |= {keys.version(each) for each in goes}
        members = listed & {*map(keys.member, objects.members)}
        if members:
            members -= {*map(keys.member, self.facts.members(keys, objects.versions - goes))}
        entries = tuple(f"{keys.manifests(each)}/" for each in goes)
        return [
            key
            for key in erased.keys
            if key in found or key in members or (entries and key.startswith(entries))
        ]

    def remove(self, artifact: ErasedArtifact, keys: Sequence[str]) -> None:
        """Remove objects of an artifact: copies, the current object, manifests, and the rest."""
        own = self.keys_of(artifact)
        readable = (own.current, f"{own.hidden}/")
        for part in (
            [key for key in keys if not key.startswith(readable)],
            [key for key in keys if key == own.current],
            [key for key in keys if key.startswith(own.manifests())],
        ):
            if part:
                self.backend.delete_all(part)
        rest = [key for key in keys if key.startswith(f"{own.hidden}/")]
        if data := [key for key in rest if not key.startswith(own.manifests())]:
            self.backend.delete_all(data)

    def current_version(self, keys: ArtifactKeys) -> str | None:
        """Return the current version of an artifact; None if nothing is current."""
        return self.publisher.order.head(keys).version

    def mend_copies(self, artifact: ErasedArtifact) -> None:
        """Let the copies of members be those of the current version.

        If its publisher was killed, they may still be those of an earlier one.
        """
        keys = self.keys_of(artifact)
        if keys.has_members:
            self.publisher.readable.mend_current(keys)

    def verify(self, progress: Callable[[int, int], object]) -> list[Problem]:
        """Verify the store; see ``ArtifactHistory.verify``. Problems of other stores are left out.

        Args:
            progress: Called with the number of objects verified, and of all objects.
        """
        return [each for each in self._verify(progress) if not each.uri.startswith(self.left_out)]

    def count(self) -> int:
        """Return the number of the objects of its artifacts."""
        return sum(map(len, self._own_objects()))

    def foreign(self, study: ErasedStudy, known: Collection[str]) -> Iterator[str]:
        """Yield the keys of objects in a folder, or of a name, of the study that no store wrote.

        Args:
            study: The study.
            known: Keys of objects that stores wrote.
        """
        parts = {escaped(part) for part in study.parts}
        for key in self.backend.list(self.prefix, hidden=True):
            *folders, leaf = inside(self.prefix, key).split("/")
            names = {part.partition("~~")[0] for part in (*folders, leaf, leaf.rpartition(".")[0])}
            is_own = key in known or mark_prefix(key) is not None
            if names & parts and not is_own and not self._is_of_artifact(key):
                yield key

    def check_deletion(self) -> None:
        """Delete an object that doesn't exist, to find out whether this is permitted.

        Raises:
            StoreUnavailableError: It isn't.
        """
        self.backend.delete(below(self.prefix, _UNUSED_KEY))

    def _is_of_artifact(self, key: str) -> bool:
        parsed = parse_key(key, self.prefix)
        if parsed is None or not parsed.is_named:
            return self._is_copy(key)
        # Without hidden objects, it is a file that is only named like an artifact.
        hidden = self.backend.list(parsed.keys.hidden, hidden=True)
        return parsed.role != "current" or any(True for _ in hidden)

    def _is_copy(self, key: str) -> bool:
        """Return whether an object is the copy of a member, perhaps of another study's set."""
        path = key.rpartition("/")[0]
        owners = (ArtifactKeys("", path, kind, kind) for kind in INDEX_EXTENSIONS)
        return any(self.publisher.readable.is_copy(owner, key) for owner in owners if path)

    def _own_objects(self) -> list[ArtifactObjects]:
        found = collect_objects(self.backend, self.prefix, self.prefix)
        return [each for each in found if not self.uri(each.keys).startswith(self.left_out)]

    def _erased(
        self,
        keys: ArtifactKeys,
        reason: str,
        versions: tuple[ErasedVersion, ...],
        listed: Sequence[str],
        folders: tuple[str, ...] = (),
    ) -> ErasedArtifact:
        uri, whole = self.uri(keys), not reason
        return ErasedArtifact(
            keys.name, keys.kind, uri, whole, reason, versions, tuple(listed), folders
        )
