"""Publishing: an immutable version, its manifest, then the current object, which is the commit.

The current object is a copy of its version, so that editing it can't change the version. Nothing
points anywhere: which version is current is what the current object's own hash says, and reading
requires a manifest of that hash.

Publications follow each other by the names of their manifest entries. A name sorts after all that
were there before it, also where the clock was set back or another machine's is ahead.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import BinaryIO, Final

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.marked_names import named, named_uri
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.manifest import (
    Content,
    Entry,
    Manifest,
    entry_instant,
    new_entry_id,
    publication_here_and_now,
    told_by,
)
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.stores.spooling import HashingFile, Spooled, sha256_of, spool
from orch_assets.study import publishing

# Ends the name of an object that tells of several publications.
COMPACTED: Final = "-compacted"
# How often entries are read anew that retention put together meanwhile.
_READINGS: Final = 5


class Publisher:
    """Publishes artifacts on a backend, and reads them back verified."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def store(self, write: Callable[[HashingFile], object], key: Callable[[str], str]) -> Spooled:
        """Write a file and store it under a key made of its hash, unless it is there."""
        with self._backend.spool() as path:
            spooled = spool(path, write)
            target = key(spooled.sha256)
            if not self._backend.holds(target, spooled.sha256, spooled.size):
                self._backend.put(spooled, target)
        return spooled

    def commit(self, keys: ArtifactKeys, size: int, content: Content) -> Manifest:
        """Make a stored version the current one.

        Args:
            keys: the artifact's.
            size: of the stored version, in bytes.
            content: what it is.

        Raises:
            StudyCancelledError: the study at work may not publish any more; nothing changed.
        """
        publication = publication_here_and_now()
        manifest = Manifest(keys.name, keys.kind, content, (publication,))
        version, _, newest = self._newest_entry(keys).rpartition("/")
        id_ = new_entry_id(publication, newest)
        entry = Entry(f"{keys.manifests(content.sha256)}/{id_}", manifest, (id_,))
        again = version == keys.manifests(content.sha256)
        with (
            self._new_current(keys, content.sha256, size, again=again) as make_current,
            self._put(entry) as put,
            publishing(),
        ):
            put()
            make_current()
        return manifest

    def put_entry(self, entry: Entry) -> None:
        """Store what tells of publications that other entries tell of as well."""
        with self._put(entry) as put:
            put()

    def exists(self, keys: ArtifactKeys) -> bool:
        """Tell whether an artifact was published."""
        return self._backend.exists(keys.current)

    @contextlib.contextmanager
    def open(
        self, keys: ArtifactKeys, version: str | None = None
    ) -> Iterator[tuple[BinaryIO, Manifest]]:
        """Open the current object, or a version, verified, and what its manifest tells of it.

        Raises:
            ArtifactNotFoundError: there is none.
            ArtifactCorruptError: the bytes aren't what was published.
        """
        key = keys.version(version) if version else keys.current
        with self._opened(keys, key) as file:
            found = sha256_of(file)
            if version and found != version:
                raise self._corrupt(keys, f"version {version} holds other bytes ({found})")
            yield file, self._described(keys, found)

    @contextlib.contextmanager
    def open_member(self, keys: ArtifactKeys, sha256: str) -> Iterator[BinaryIO]:
        """Open a table of a set, verified."""
        with self._opened(keys, keys.member(sha256)) as file:
            if sha256_of(file) != sha256:
                raise self._corrupt(keys, f"its member {sha256} holds other bytes")
            yield file

    def manifests(self, keys: ArtifactKeys, version: str | None = None) -> list[Manifest]:
        """Return the manifests of all versions, or of one: the last published comes last."""
        return told_by(self.read_entries(keys, version))

    def read_entries(self, keys: ArtifactKeys, version: str | None = None) -> list[Entry]:
        """Return what the entries of all versions, or of one, tell.

        Retention may put entries together meanwhile. No listing is of one moment: where one has
        lost an entry, or has a new object of several, all of them are read anew.
        """
        listed = self.entries(keys, version)
        for _ in range(_READINGS):
            found = [self._entry_if_there(keys, each) for each in listed]
            before, listed = listed, self.entries(keys, version)
            new = set(listed).difference(before)
            if set(before) <= set(listed) and not any(each.endswith(COMPACTED) for each in new):
                break
        return [entry for entry in found if entry]

    @contextlib.contextmanager
    def _put(self, entry: Entry) -> Iterator[Callable[[], None]]:
        with self._backend.spool() as path:
            spooled = spool(path, lambda file: file.write(entry.to_bytes()))
            yield lambda: self._backend.put(spooled, entry.key)

    def _newest_entry(self, keys: ArtifactKeys) -> str:
        """Return the key of the newest publication's entry; empty before the first."""

        def order(key: str) -> tuple[datetime, str]:
            name = key.rpartition("/")[2]
            return entry_instant(name), name

        return max(self.entries(keys), key=order, default="")

    @contextlib.contextmanager
    def _new_current(
        self, keys: ArtifactKeys, sha256: str, size: int, *, again: bool
    ) -> Iterator[Callable[[], None]]:
        """Prepare the current object: the one that is there, where the newest is published again.

        That one is looked at first: whoever published it may have been killed, or somebody may
        have changed or deleted it since.
        """
        if again and self._backend.holds(keys.current, sha256, size):
            yield lambda: None
            return
        with self._backend.copying(keys.version(sha256), keys.current, sha256, size) as commit:
            yield commit

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
        """Return the keys of the manifests of a version, oldest first; or of all versions."""
        return sorted(self._backend.list(keys.manifests(version), hidden=True))

    def entry(self, keys: ArtifactKeys, entry: str, sha256: str) -> Entry:
        """Return what one entry tells.

        Raises:
            ArtifactNotFoundError: it isn't there.
            ArtifactCorruptError: it can't be read, or is of another version.
        """
        with self._opened(keys, entry) as file:
            try:
                found = Entry.from_bytes(entry, file.read())
            except ValueError:
                found = None
        if found is None or found.manifest.content.sha256 != sha256:
            raise self._corrupt(
                keys, f"its manifest {named_uri(self._backend.uri(entry), entry)} can't be read"
            )
        # A store with another prefix, that wrote it, may have had another name for the artifact.
        return replace(found, manifest=replace(found.manifest, artifact=keys.name))

    def _described(self, keys: ArtifactKeys, sha256: str) -> Manifest:
        """Return what one entry of a version tells.

        That is the first one, which retention leaves where it is; the newest one where the bytes
        don't hold their schema (CSV): tables of other types may have the same text.
        """
        for _ in range(_READINGS):
            listed = self.entries(keys, sha256)
            if not listed:
                break
            found = self._entry_if_there(keys, listed[0])
            if found and found.manifest.content.schema is not None:
                found = self._newest_readable(keys, listed)
            if found:
                return found.manifest
        raise self._corrupt(keys, f"no manifest knows its bytes ({sha256})")

    def _newest_readable(self, keys: ArtifactKeys, listed: Sequence[str]) -> Entry | None:
        """Return the newest entry; for one that is damaged another, if all others agree on types.

        Raises:
            ArtifactCorruptError: it is damaged, and of which types its table was, nobody can tell.
        """
        try:
            return self._entry_if_there(keys, listed[-1])
        except ArtifactCorruptError:
            others = [self._entry_if_there(keys, entry) for entry in listed[:-1]]
            types = {each.manifest.content.schema for each in others if each}
            if len(types) != 1:
                raise
            return others[0]

    def _entry_if_there(self, keys: ArtifactKeys, entry: str) -> Entry | None:
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
