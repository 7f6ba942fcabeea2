"""Publishing: write an immutable version, then its manifest, then the current object.

Writing the current object is the commit. It is a copy of its version, so that editing it can't
change the version. There are no pointers: the hash of the current object says which version is
current, and reading requires a manifest with that hash.

The names of manifest entries give the order of publications, whatever the clocks say; see the
module ``order.places``.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO, Final

from orch_assets.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    ArtifactReplacedError,
)
from orch_assets.marked_names import named, named_uri
from orch_assets.stores.backends.base import Backend, Copied
from orch_assets.stores.manifest import (
    Content,
    Entry,
    Manifest,
    manifests_of,
    publication_here_and_now,
)
from orch_assets.stores.members.readable_files import MemberPublication, ReadableFiles
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.stores.order.places import COMPACTED, DELETED, Place
from orch_assets.stores.order.publication_order import Head, PublicationOrder
from orch_assets.stores.spooling import HashingFile, Spooled, sha256_of, spool
from orch_assets.study import publishing

# How often entries are read again if retention compacts them at the same time.
_MAX_READS: Final = 5


class Publisher:
    """Publishes artifacts on a backend, and reads and verifies them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.order = PublicationOrder(backend)
        self.readable = ReadableFiles(backend, self.order)

    def store(self, write: Callable[[HashingFile], object], key: Callable[[str], str]) -> Spooled:
        """Write a file and store it under the key for its hash, unless it is already stored."""
        with self._backend.spool() as path:
            spooled = spool(path, write)
            target = key(spooled.sha256)
            if not self._backend.holds(target, spooled.sha256, spooled.size):
                self._backend.put(spooled, target)
        return spooled

    def commit(
        self,
        keys: ArtifactKeys,
        size: int,
        content: Content,
        replaces: str | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Make a stored version the current one, and its members readable where they lie.

        Args:
            keys: Keys of the artifact.
            size: Size of the version's object in bytes.
            content: Content of the version.
            replaces: Do it only if this version is current; by default in any case.
            state: State of the publication, as JSON values.

        Raises:
            ArtifactReplacedError: Another version is current; nothing changed.
            StudyCancelledError: The running study may no longer publish; nothing changed.
            ArtifactNameError: It would lie where a file of another artifact does; nothing changed.
            ArtifactNotFoundError: Another process has removed a member since it was stored. Its
                text says whether anything changed.
        """
        if not keys.has_members:
            return self._commit(keys, size, content, replaces, state)
        begun = self.readable.begin(keys, content.sha256)
        try:
            manifest = self._commit(keys, size, content, replaces, state)
        except Exception:
            self.readable.abandon(keys, begun)
            raise
        self.readable.finish(keys, begun, manifest.publications[-1].number, content.sha256)
        return manifest

    def _commit(
        self,
        keys: ArtifactKeys,
        size: int,
        content: Content,
        replaces: str | None,
        state: Mapping[str, Any] | None,
    ) -> Manifest:
        head = self.order.head(keys, verify=content.sha256)
        _require(keys, replaces, head, content.sha256)
        manifest = Manifest(keys.name, keys.kind, content, (publication_here_and_now(state),))
        stored = head.stored
        if stored is None or MemberPublication.of(
            stored
        ):  # a disk that ignores case finds another file
            self.readable.refuse_member(keys)
        is_current = stored and (stored.sha256, stored.size) == (content.sha256, size)
        if is_current and self.order.is_newest(keys, head.place):
            return self._publish_again(keys, manifest, head.place)
        return self._replace(keys, size, manifest, head, replaces)

    def note_deletion(self, keys: ArtifactKeys) -> None:
        """Claim a place for the deletion of the current object, which is to follow."""
        published_at = publication_here_and_now().published_at
        self.order.claim(keys, self.order.head(keys), DELETED, published_at)

    def put_entry(self, entry: Entry) -> None:
        """Store an entry; for publications that other entries record already."""
        with self._put(entry) as put:
            put()

    @contextlib.contextmanager
    def open(
        self, keys: ArtifactKeys, version: str | None = None
    ) -> Iterator[tuple[BinaryIO, Manifest]]:
        """Open and verify the current object or a version; yield the file and its manifest.

        Raises:
            ArtifactNotFoundError: There is no such object.
            ArtifactCorruptError: The bytes are not those that were published.
        """
        if version:
            with self.open_version(keys, version) as file:
                yield file, self._manifest(keys, version)
        else:
            with self._opened(keys, keys.current) as file:
                yield file, self._manifest(keys, sha256_of(file))

    @contextlib.contextmanager
    def open_version(self, keys: ArtifactKeys, version: str) -> Iterator[BinaryIO]:
        """Open and verify a version; raises as :meth:`open`."""
        with self._opened(keys, keys.version(version)) as file:
            sha256 = sha256_of(file)
            if sha256 != version:
                raise self._corrupt(keys, f"version {version} holds other bytes ({sha256})")
            yield file

    @contextlib.contextmanager
    def open_member(self, keys: ArtifactKeys, sha256: str) -> Iterator[BinaryIO]:
        """Open and verify a table of a set, or one of several files."""
        with self._opened(keys, keys.member(sha256)) as file:
            if sha256_of(file) != sha256:
                raise self._corrupt(keys, f"its member {sha256} holds other bytes")
            yield file

    def manifests(self, keys: ArtifactKeys, version: str | None = None) -> list[Manifest]:
        """Return the manifests of all versions, or of one, in order of their last publication."""
        return manifests_of(self.read_entries(keys, version))

    def last_publication(self, keys: ArtifactKeys, version: str | None = None) -> Manifest | None:
        """Return the manifest of a version with its last publication only, without reading data.

        Args:
            keys: Keys of the artifact.
            version: A version; by default the current one.

        Returns:
            None if nothing is current, or no such version was published.

        Raises:
            ArtifactCorruptError: The manifest can't be read, or no store published what is current.
        """
        if version:
            return self._last_publication(keys, version)
        head = self.order.head(keys)
        if not head.stored:
            return None
        manifest = self._last_publication(keys, head.version) if head.version else None
        if manifest is None:
            raise self._corrupt(keys, "no manifest has the hash of its bytes")
        return manifest

    def redacted(self, keys: ArtifactKeys, version: str) -> Content | None:
        """Return the version that stands for a redacted one; None if it was not redacted."""
        for manifest in self.manifests(keys):
            is_other = manifest.content.sha256 != version
            if is_other and any(version in each.redacts for each in manifest.publications):
                return manifest.content
        return None

    def redacted_hint(self, keys: ArtifactKeys, version: str | None) -> str:
        """Return a hint for an error if a version that isn't stored was redacted."""
        content = self.redacted(keys, version) if version else None
        return f" It was redacted: read version {content.sha256} instead." if content else ""

    def read_entries(self, keys: ArtifactKeys, version: str | None = None) -> list[Entry]:
        """Return the entries of all versions, or of one.

        Retention may compact entries at the same time, and no listing shows a single moment. If a
        second listing lacks an entry of the first, or has a new compacted one, all are read again.
        """
        listed = self.entries(keys, version)
        for _ in range(_MAX_READS):
            entries = [self._entry_if_exists(keys, each) for each in listed]
            before, listed = listed, self.entries(keys, version)
            new = set(listed).difference(before)
            if set(before) <= set(listed) and not any(each.endswith(COMPACTED) for each in new):
                break
        return [entry for entry in entries if entry]

    @contextlib.contextmanager
    def _put(self, entry: Entry) -> Iterator[Callable[[], None]]:
        with self._backend.spool() as path:
            spooled = spool(path, lambda file: file.write(entry.to_bytes()))
            yield lambda: self._backend.put(spooled, entry.key)

    def _publish_again(self, keys: ArtifactKeys, manifest: Manifest, place: Place) -> Manifest:
        """Record that the current version was published again."""
        sha256, (publication,) = manifest.content.sha256, manifest.publications
        last = max(self.order.places(keys, sha256), default=place)
        name = last.again(publication.published_at).new_name()
        manifest = _numbered(manifest, name, sha256)
        with self._put(_entry(keys, name, manifest)) as put, publishing():
            put()
        return manifest

    def _replace(
        self, keys: ArtifactKeys, size: int, manifest: Manifest, head: Head, replaces: str | None
    ) -> Manifest:
        sha256, (publication,) = manifest.content.sha256, manifest.publications
        with publishing():
            name, head = self.order.claim(keys, head, sha256, publication.published_at)
        _require(keys, replaces, head, sha256)
        manifest = _numbered(manifest, name, head.version)
        source = Copied(keys.version(sha256), sha256, size, name)
        over = head.stored if replaces else None
        with (
            self._backend.copying(source, keys.current, over=over) as make_current,
            self._put(_entry(keys, name, manifest)) as put,
            publishing(),
        ):
            put()
            if not make_current():
                self._require_own(keys, replaces or "", name)
        return manifest

    def _require_own(self, keys: ArtifactKeys, replaces: str, name: str) -> None:
        """Raise unless a refused commit was made: the answer to a first attempt may be lost."""
        head = self.order.head(keys)
        if not head.stored or head.stored.note != name:
            raise ArtifactReplacedError(keys.name, replaces, head.version)

    @contextlib.contextmanager
    def _opened(self, keys: ArtifactKeys, key: str) -> Iterator[BinaryIO]:
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(self._backend.open(key))
            except ArtifactNotFoundError:
                uri = self._backend.uri(key)
                raise ArtifactNotFoundError(
                    f"No {keys.kind} {named(keys.name)} is stored at {named_uri(uri, key)}.",
                    artifact=keys.name,
                ) from None
            yield file

    def entries(self, keys: ArtifactKeys, version: str | None = None) -> list[str]:
        """Return the keys of the entries of all versions, or of one version, oldest first."""
        return sorted(self._backend.list(keys.manifests(version), hidden=True))

    def entry(self, keys: ArtifactKeys, entry: str, sha256: str) -> Entry:
        """Read one entry.

        Args:
            keys: Keys of the artifact.
            entry: Key of the entry.
            sha256: The version that the entry must belong to.

        Raises:
            ArtifactNotFoundError: There is no such entry.
            ArtifactCorruptError: It is not what was written there, or belongs to another version.
        """
        with self._opened(keys, entry) as file:
            try:
                stored = Entry.from_bytes(entry, file.read())
            except ValueError:
                stored = None
        if stored is None or stored.manifest.content.sha256 != sha256:
            uri = named_uri(self._backend.uri(entry), entry)
            raise self._corrupt(keys, f"its manifest {uri} is not what was written there")
        # The store that wrote it may have another prefix, and so another name for the artifact.
        return replace(stored, manifest=replace(stored.manifest, artifact=keys.name))

    def _manifest(self, keys: ArtifactKeys, sha256: str) -> Manifest:
        """Return the manifest of one entry of a version.

        This is the first entry, which retention never moves. For CSV it is the newest one: the
        bytes don't hold their schema, and tables of other types may have the same text.
        """
        for _ in range(_MAX_READS):
            listed = self.entries(keys, sha256)
            if not listed:
                break
            entry = self._entry_if_exists(keys, listed[0])
            if entry and entry.manifest.content.schema is not None:
                entry = self._newest_readable(keys, listed)
            if entry:
                return entry.manifest
        raise self._corrupt(keys, f"no manifest has the hash of its bytes ({sha256})")

    def _last_publication(self, keys: ArtifactKeys, sha256: str) -> Manifest | None:
        for _ in range(_MAX_READS):
            listed = self.entries(keys, sha256)
            if not listed:
                break
            if entry := self._entry_if_exists(keys, listed[-1]):
                last = entry.manifest.publications[-1]
                return replace(entry.manifest, publications=(last,))
        return None

    def _newest_readable(self, keys: ArtifactKeys, listed: Sequence[str]) -> Entry | None:
        """Return the newest entry; if it is damaged, another one if all others agree on the types.

        Raises:
            ArtifactCorruptError: It is damaged, and the types of its table can't be determined.
        """
        try:
            return self._entry_if_exists(keys, listed[-1])
        except ArtifactCorruptError:
            others = [self._entry_if_exists(keys, entry) for entry in listed[:-1]]
            types = {each.manifest.content.schema for each in others if each}
            if len(types) != 1:
                raise
            return others[0]

    def _entry_if_exists(self, keys: ArtifactKeys, entry: str) -> Entry | None:
        try:
            return self.entry(keys, entry, entry.split("/")[-2])
        except ArtifactNotFoundError:
            return None

    def _corrupt(self, keys: ArtifactKeys, problem: str) -> ArtifactCorruptError:
        uri = self._backend.uri(keys.current)
        return ArtifactCorruptError(
            f"{named(keys.name)} at {named_uri(uri, keys.current)} is not what was published: "
            f"{problem}. Publish it again, or read one of versions().",
            artifact=keys.name,
        )


def _entry(keys: ArtifactKeys, name: str, manifest: Manifest) -> Entry:
    return Entry(f"{keys.manifests(manifest.content.sha256)}/{name}", manifest, (name,))


def _numbered(manifest: Manifest, name: str, replaced: str | None) -> Manifest:
    (publication,) = manifest.publications
    numbered = replace(publication, number=Place.of(name).number, replaces=replaced)
    return replace(manifest, publications=(numbered,))


def _require(keys: ArtifactKeys, replaces: str | None, head: Head, version: str) -> None:
    """Raise unless a version may replace what is current; ``replaces`` None stands for anything.

    Damaged bytes may be replaced by the version whose bytes they were.
    """
    is_mended = head.stored is not None and head.version is None and replaces == version
    if replaces is not None and head.version != replaces and not is_mended:
        raise ArtifactReplacedError(keys.name, replaces, head.version)
