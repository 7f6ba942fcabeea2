"""One store, and which of its artifacts are those of a study.

An artifact is a study's if the last part of its name is the study's key, as in those of pipelines
(``records/ONC-301``), or one of its other parts but the first is, as in those of further
dimensions. So is one of another name if only the study's pipelines published it. An artifact that a
pipeline of another study published is not, whatever its name.
"""

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from orch_assets.errors import ArtifactCorruptError
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.erasing.erased_objects import ErasedArtifact, ErasedVersion
from orch_assets.stores.formats.table_files import TableFiles
from orch_assets.stores.maintenance.inventory import (
    ArtifactObjects,
    collect_objects,
    stored_members,
)
from orch_assets.stores.maintenance.verification import Problem
from orch_assets.stores.manifest import Entry, Manifest, manifests_of
from orch_assets.stores.names import escaped
from orch_assets.stores.object_keys import (
    ArtifactKeys,
    below,
    erasure_key,
    inside,
    mark_prefix,
    parse_key,
)
from orch_assets.stores.order.marks import Marks
from orch_assets.stores.publishing import Publisher

# Folder of the certificates, which stay.
CERTIFICATES: Final = "erasures"
# Failure reports: failures/<run>/<pipeline>/<study>. A study may be named like a pipeline.
_REPORTS: Final = "failures"
# Folders of this package's own artifacts, which are each of one study.
OWN_FOLDERS: Final = frozenset({CERTIFICATES, _REPORTS})
# How many artifacts' manifests are read at the same time.
_AT_ONCE: Final = 8
# A key at which nothing is ever stored.
_UNUSED_KEY: Final = ".orch/never-there"
# The column of tables over several studies.
STUDY_COLUMN: Final = "study_key"


@dataclass(frozen=True)
class ErasedStudy:
    """The study that is erased.

    Attributes:
        key: Key of the study.
        parts: The key as it may be written in artifacts' names.
    """

    key: str
    parts: frozenset[str]

    @property
    def certificate(self) -> str:
        """Name of the artifact with its certificates."""
        return f"{CERTIFICATES}/{self.key}"


@dataclass(frozen=True)
class KnownArtifact:
    """An artifact with all that its manifests say.

    Attributes:
        objects: Its objects.
        manifests: Its versions, in order of their last publication.
        is_damaged: Whether a manifest can't be read, and so is missing here.
    """

    objects: ArtifactObjects
    manifests: Sequence[Manifest]
    is_damaged: bool

    @property
    def keys(self) -> ArtifactKeys:
        """Keys of the artifact."""
        return self.objects.keys

    @property
    def studies(self) -> set[str | None]:
        """The studies whose pipelines published it; None for publications outside of these."""
        return {each.study for manifest in self.manifests for each in manifest.publications}


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
        verify: The argument ``verify``.
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
        self.verify = verify
        self.backend = backend
        self.prefix = prefix
        self.publisher = publisher
        self.marks = Marks(backend, prefix)
        self._files = files
        self.left_out: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """URI of the store, ending with a slash."""
        return f"{self.backend.uri(self.prefix).rstrip('/')}/"

    def record_key(self, study: ErasedStudy) -> str:
        """Return the key of the record of an unfinished erasure, or of a note about it."""
        return erasure_key(self.prefix, study.key)

    def without(self, roots: Collection[str]) -> "StudyStore":
        """Return the store without the artifacts below the roots of other stores."""
        other = copy.copy(self)
        other.left_out = tuple(
            root for root in roots if root != self.root and root.startswith(self.root)
        )
        return other

    def uri(self, keys: ArtifactKeys) -> str:
        """Return the URI of an artifact's current object."""
        return self.backend.uri(keys.current)

    def artifacts(
        self, study: ErasedStudy, among: Collection[str] | None = None
    ) -> list[KnownArtifact]:
        """Return all artifacts but the study's certificates.

        Args:
            study: The study.
            among: Return only those with these URIs, and those whose names have the study's key.
        """
        chosen = [
            objects
            for objects in collect_objects(self.backend, self.prefix, self.prefix)
            if (objects.keys.name, objects.keys.kind) != (study.certificate, "json")
            and not self.uri(objects.keys).startswith(self.left_out)
            and (among is None or _has_name(objects, study) or self.uri(objects.keys) in among)
        ]
        with ThreadPoolExecutor(_AT_ONCE) as pool:  # in a bucket, each manifest is a request
            return [*pool.map(self._known, chosen)]

    def is_of_study(self, artifact: KnownArtifact, study: ErasedStudy) -> bool:
        """Return whether a whole artifact is the study's."""
        if artifact.studies - {study.key, None}:
            return False
        return _has_name(artifact.objects, study) or artifact.studies == {study.key}

    def has_name(self, artifact: KnownArtifact, study: ErasedStudy) -> bool:
        """Return whether an artifact is named like those of the study."""
        return _has_name(artifact.objects, study)

    def whole(self, artifact: KnownArtifact) -> ErasedArtifact:
        """Return an artifact to be erased.

        Its current object goes first, so that nobody finds it any more, then its manifests. Copies
        of members go before it, because it tells that they are copies.
        """
        objects, keys = artifact.objects, artifact.keys
        versions = {each.content.sha256: ErasedVersion.of(each) for each in artifact.manifests}
        for sha256 in sorted(objects.versions - versions.keys()):
            stored = self.backend.stored(keys.version(sha256))
            versions[sha256] = ErasedVersion(sha256, stored.size if stored else 0)
        hidden = sorted(
            self.backend.list(keys.hidden, hidden=True),
            key=lambda key: (not key.startswith(keys.manifests()), key),
        )
        current = [keys.current] if objects.has_current else []
        listed = (*self._copies(keys), *current, *hidden)
        folders = (keys.hidden.rpartition("/")[0], keys.path)
        return self._erased(keys, "", tuple(versions.values()), listed, folders)

    def some(
        self, artifact: KnownArtifact, versions: Collection[str], reason: str
    ) -> ErasedArtifact:
        """Return versions to be erased of an artifact that stays."""
        objects, keys = artifact.objects, artifact.keys
        erased = [each for each in artifact.manifests if each.content.sha256 in versions]
        listed = [key for version in versions for key in objects.manifests.get(version, ())]
        listed += [keys.version(version) for version in versions if version in objects.versions]
        if objects.members:
            used = self._members(keys, objects.versions - {*versions})
            unused = self._members(keys, objects.versions & {*versions}) - used
            listed += [keys.member(each) for each in sorted(unused & objects.members)]
        return self._erased(keys, reason, tuple(map(ErasedVersion.of, erased)), listed)

    def unused(self, artifact: KnownArtifact, recorded: Sequence[str]) -> list[str]:
        """Return those keys that belong to no version that an artifact has now.

        An unfinished erasure listed them. The artifact may have been published since, by others.
        """
        keys, versions = artifact.keys, {each.content.sha256 for each in artifact.manifests}
        used = {keys.version(each) for each in versions}
        if keys.has_members:
            members = self._members(keys, versions & artifact.objects.versions)
            used |= {keys.member(each) for each in members}
        entries = tuple(f"{keys.manifests(each)}/" for each in versions)
        data = (f"{keys.hidden}/versions/", f"{keys.hidden}/members/", keys.manifests())
        return [
            key
            for key in recorded
            if key.startswith(data) and key not in used and not key.startswith(entries)
        ]

    def has_rows_of(self, artifact: KnownArtifact, manifest: Manifest, study: ErasedStudy) -> bool:
        """Return whether a version of a table has rows of the study, by a column ``study_key``.

        Raises:
            ArtifactCorruptError: The version can't be read.
        """
        content = manifest.content
        if artifact.keys.kind != "table" or STUDY_COLUMN not in dict(content.columns):
            return False
        files = self._files[StorageFormat(artifact.keys.extension)]
        with self.publisher.open_version(artifact.keys, content.sha256) as file:
            _, batches = files.stream(file, content, artifact.keys.name)
            return any(study.key in batch[STUDY_COLUMN].to_pylist() for batch in batches)

    def current_version(self, keys: ArtifactKeys) -> str | None:
        """Return the current version of an artifact; None if nothing is current."""
        return self.publisher.order.head(keys).version

    def mend_copies(self, artifact: ErasedArtifact) -> None:
        """Let the copies of members be those of the current version.

        If its publisher was killed, they may still be those of an earlier one.
        """
        keys = ArtifactKeys.of(artifact.artifact, self.prefix, artifact.kind, artifact.kind)
        if keys.has_members:
            self.publisher.readable.mend_current(keys)

    def foreign(self, study: ErasedStudy) -> Iterator[str]:
        """Yield the keys of objects in a folder, or of a name, of the study that no store wrote."""
        parts = {escaped(part) for part in study.parts}
        for key in self.backend.list(self.prefix, hidden=True):
            *folders, leaf = inside(self.prefix, key).split("/")
            names = {part.partition("~~")[0] for part in (*folders, leaf, leaf.rpartition(".")[0])}
            parsed = parse_key(key, self.prefix)
            is_artifact = parsed is not None and parsed.is_named
            if names & parts and not is_artifact and mark_prefix(key) is None:
                yield key

    def check_deletion(self) -> None:
        """Delete an object that doesn't exist, to find out whether this is permitted.

        Raises:
            StoreUnavailableError: It isn't.
        """
        self.backend.delete(below(self.prefix, _UNUSED_KEY))

    def _known(self, objects: ArtifactObjects) -> KnownArtifact:
        if not objects.manifests:
            return KnownArtifact(objects, (), is_damaged=False)
        try:
            entries = self.publisher.read_entries(objects.keys)
        except ArtifactCorruptError:
            readable = manifests_of(self._readable_entries(objects))
            return KnownArtifact(objects, readable, is_damaged=True)
        return KnownArtifact(objects, manifests_of(entries), is_damaged=False)

    def _readable_entries(self, objects: ArtifactObjects) -> Iterator[Entry]:
        for sha256, keys in objects.manifests.items():
            for key in keys:
                try:
                    yield self.publisher.entry(objects.keys, key, sha256)
                except ArtifactCorruptError:
                    continue

    def _copies(self, keys: ArtifactKeys) -> list[str]:
        """Return the keys of the copies of an artifact's members."""
        if not keys.has_members:
            return []
        listed = sorted(self.backend.list(keys.path))
        return [
            key
            for key in listed
            if (parsed := parse_key(key, self.prefix)) is None or not parsed.is_named
        ]

    def _members(self, keys: ArtifactKeys, versions: Collection[str]) -> set[str]:
        members: set[str] = set()
        return members.union(*(stored_members(self.backend, keys, each) for each in versions))

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


def _has_name(objects: ArtifactObjects, study: ErasedStudy) -> bool:
    first, *others = objects.keys.name.split("/")
    if not others or first == "~ops":
        return False
    *middle, last = others
    # A file that no name leads to is the copy of a member, if the folder's index is missing.
    if last in study.parts and objects.is_named:
        return True
    return first != _REPORTS and not study.parts.isdisjoint(middle)
