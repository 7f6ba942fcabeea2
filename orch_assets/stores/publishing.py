"""Publishing: an immutable version, its manifest, then the current object, which is the commit.

The current object is a copy of its version, so that editing it can't change the version. Nothing
points anywhere: which version is current is what the current object's own hash says, and reading
requires a manifest of that hash.
"""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.stores.backend import Backend
from orch_assets.stores.keys import ArtifactKeys
from orch_assets.stores.manifest import (
    Content,
    Manifest,
    entry_from_bytes,
    entry_to_bytes,
    publication_here_and_now,
)
from orch_assets.stores.spooling import HashingFile, Spooled, sha256_of, spool
from orch_assets.study import publishing


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
            StudyGivenUpError: the study at work may not publish any more; nothing changed.
        """
        publication = publication_here_and_now()
        manifest = Manifest(keys.name, keys.kind, content, (publication,))
        instant = "".join(filter(str.isalnum, publication.published_at))
        entry = f"{keys.manifests(content.sha256)}/{instant}-{uuid.uuid4().hex[:8]}"
        with (
            self._backend.spool() as path,
            self._new_current(keys, content.sha256, size) as make_current,
        ):
            spooled = spool(path, lambda file: file.write(entry_to_bytes(manifest)))
            with publishing():
                self._backend.put(spooled, entry)
                make_current()
        return manifest

    def exists(self, keys: ArtifactKeys) -> bool:
        """Tell whether an artifact was published."""
        return self._backend.exists(keys.current)

    @contextlib.contextmanager
    def open(
        self, keys: ArtifactKeys, version: str | None = None
    ) -> Iterator[tuple[BinaryIO, Manifest]]:
        """Open the current object, or a version, verified, with its newest manifest entry.

        Raises:
            ArtifactNotFoundError: there is none.
            ArtifactCorruptError: the bytes aren't what was published.
        """
        key = keys.version(version) if version else keys.current
        with self._opened(keys, key) as file:
            found = sha256_of(file)
            if version and found != version:
                raise self._corrupt(keys, f"version {version} holds other bytes ({found})")
            entries = self.entries(keys, found)
            if not entries:
                raise self._corrupt(keys, f"no manifest knows its bytes ({found})")
            yield file, self.entry(keys, entries[-1], found)

    @contextlib.contextmanager
    def open_member(self, keys: ArtifactKeys, sha256: str) -> Iterator[BinaryIO]:
        """Open a table of a set, verified."""
        with self._opened(keys, keys.member(sha256)) as file:
            if sha256_of(file) != sha256:
                raise self._corrupt(keys, f"its member {sha256} holds other bytes")
            yield file

    def manifests(self, keys: ArtifactKeys, version: str | None = None) -> list[Manifest]:
        """Return the manifests of all versions, or of one: the last published comes last."""
        found: dict[str, Manifest] = {}
        for entry in sorted(self.entries(keys, version), key=_instant):
            sha256 = entry.split("/")[-2]
            manifest = self.entry(keys, entry, sha256)
            earlier = found.pop(sha256).publications if sha256 in found else ()
            found[sha256] = replace(manifest, publications=earlier + manifest.publications)
        return list(found.values())

    @contextlib.contextmanager
    def _new_current(
        self, keys: ArtifactKeys, sha256: str, size: int
    ) -> Iterator[Callable[[], None]]:
        if self._backend.holds(keys.current, sha256, size):
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
                    f"No {keys.kind} {keys.name!r} is stored at {uri}.", artifact=keys.name
                ) from None
            yield file

    def entries(self, keys: ArtifactKeys, version: str | None = None) -> list[str]:
        """Return the keys of the manifests of a version, oldest first; or of all versions."""
        return sorted(self._backend.list(keys.manifests(version), hidden=True))

    def entry(self, keys: ArtifactKeys, entry: str, sha256: str) -> Manifest:
        """Return one publication's manifest.

        Raises:
            ArtifactCorruptError: it can't be read, or is of another version.
        """
        with self._opened(keys, entry) as file:
            try:
                manifest = entry_from_bytes(file.read())
            except ValueError:
                manifest = None
        if manifest is None or manifest.content.sha256 != sha256:
            raise self._corrupt(keys, f"its manifest {self._backend.uri(entry)} can't be read")
        return manifest

    def _corrupt(self, keys: ArtifactKeys, problem: str) -> ArtifactCorruptError:
        uri = self._backend.uri(keys.current)
        return ArtifactCorruptError(
            f"{keys.name!r} at {uri} is not what was published: {problem}. "
            "Publish it again, or read one of versions().",
            artifact=keys.name,
        )


def _instant(entry: str) -> str:
    return entry.rpartition("/")[2]
