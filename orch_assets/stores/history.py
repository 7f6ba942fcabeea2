"""What a store knows of its artifacts, and does with them, whatever they hold."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, Final

from orch_assets.errors import ArtifactNotFoundError, StoreUnavailableError
from orch_assets.stores.artifacts import ArtifactKind, Published
from orch_assets.stores.backend import Backend
from orch_assets.stores.formats import StorageFormat
from orch_assets.stores.keys import ArtifactKeys, probe_key
from orch_assets.stores.manifest import Content, Manifest
from orch_assets.stores.names import check_name, check_prefix
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.retention import Retention
from orch_assets.stores.spooling import spool
from orch_assets.stores.verification import Fault, Verification
from orch_assets.study import publishing

_PROBE: Final = b"orch-assets wrote this to see whether it can write and read here.\n"


class ArtifactHistory:
    """Artifacts by name and kind: which there are, their versions and manifests.

    Args:
        backend: holds the bytes.
        prefix: goes before every name.
        format: of tables.
    """

    def __init__(self, backend: Backend, prefix: str, format: StorageFormat) -> None:  # noqa: A002
        self._backend = backend
        self._prefix = check_prefix(prefix)
        self._format = StorageFormat(format)
        self._publisher = Publisher(backend)

    def try_access(self) -> None:
        """Write one small object and read it back: the same one each time, and none is removed.

        Two requests of a bucket. It tells whether credentials, permissions, room and encryption are
        as publishing needs them, before there is anything to publish.

        Raises:
            StoreUnavailableError: the store can't be written, or not read; says what to do.
        """
        key = probe_key(self._prefix)
        with self._backend.spool() as path:
            self._backend.put(spool(path, lambda file: file.write(_PROBE)), key)
        with self._backend.open(key) as file:
            found = file.read()
        if found != _PROBE:
            uri = self._backend.uri(key)
            raise StoreUnavailableError(
                f"The store at {uri} gives back other bytes than were written. Check what is "
                "between this computer and the store.",
                artifact=uri,
            )

    def list_artifacts(
        self, prefix: str = "", *, kind: ArtifactKind = ArtifactKind.TABLE
    ) -> list[str]:
        """Return the sorted names below a prefix: whole parts, so ``prod`` has no ``prod2``."""
        ending = f".{self._extension(kind)}"
        start = len(self._prefix) + 1 if self._prefix else 0
        keys = self._backend.list(self._folder(prefix))
        return sorted(key[start : -len(ending)] for key in keys if key.endswith(ending))

    def exists(self, name: str, *, kind: ArtifactKind = ArtifactKind.TABLE) -> bool:
        """Tell whether an artifact was published."""
        return self._publisher.exists(self._keys(name, kind))

    def manifest(
        self, name: str, version: str | None = None, *, kind: ArtifactKind = ArtifactKind.TABLE
    ) -> Manifest:
        """Return what is known of an artifact, of its current version by default.

        Raises:
            ArtifactNotFoundError: nothing of that name, or no such version, is stored.
            ArtifactCorruptError: the bytes are not what was published.
            StoreUnavailableError: the store can't be read.
        """
        keys = self._keys(name, kind)
        with self._opened(keys, version) as (_, manifest):
            sha256 = manifest.content.sha256
        return self._publisher.manifests(keys, sha256)[0]

    def versions(self, name: str, *, kind: ArtifactKind = ArtifactKind.TABLE) -> list[Manifest]:
        """Return all versions of an artifact: the one last published comes last."""
        return self._publisher.manifests(self._keys(name, kind))

    def restore(
        self, name: str, version: str, *, kind: ArtifactKind = ArtifactKind.TABLE
    ) -> Published:
        """Make an earlier version the current one, as a publication of its own.

        Raises:
            ArtifactNotFoundError: there is no such version.
            ArtifactCorruptError: it is not what was published; nothing changed.
            StudyGivenUpError: the study at work may not publish any more; nothing changed.
            StoreUnavailableError: the store can't be read or written.
        """
        keys = self._keys(name, kind)
        with self._opened(keys, version) as (file, manifest):
            size = file.seek(0, 2)
            self._check_members(keys, file)
        return self._published(keys, size, manifest.content)

    def delete(
        self,
        name: str,
        *,
        kind: ArtifactKind = ArtifactKind.TABLE,
        history: bool = False,
    ) -> None:
        """Remove an artifact; its versions stay for :meth:`restore`, unless told otherwise.

        Args:
            name: the artifact's.
            kind: of what it is.
            history: whether its versions and manifests go too, for good.

        Raises:
            StudyGivenUpError: the study at work may not publish any more; nothing changed.
            StoreUnavailableError: the store can't be written.
        """
        keys = self._keys(name, kind)
        with publishing():
            self._backend.delete(keys.current)
        if history:
            for each in (
                *self._publisher.entries(keys),
                *self._backend.list(keys.hidden, hidden=True),
            ):
                self._backend.delete(each)

    def verify(
        self, prefix: str = "", *, progress: Callable[[int, int], object] | None = None
    ) -> list[Fault]:
        """Read everything below a prefix, every version of every kind; return what is wrong.

        Data that no publication has, left by one that was killed or is just under way, is told
        as a leftover (``Fault.leftover``): no reader meets it, and :meth:`retain` removes it.

        Args:
            prefix: whole parts, as of :meth:`list_artifacts`.
            progress: is told how many objects are done, and of how many.

        Raises:
            StoreUnavailableError: the store can't be read.
        """
        return Verification(self._publisher, self._backend, self._prefix).run(
            self._folder(prefix), progress or (lambda _done, _total: None)
        )

    def retain(
        self, prefix: str = "", *, keep_last: int | None = None, keep_days: float | None = None
    ) -> list[str]:
        """Remove old versions, of every kind of artifact, below a prefix.

        What stays: the current version, whatever is among the last ones or young enough, and each
        version that the manifest of a version that stays, anywhere in this store, names as its
        input. Nothing may be published below the prefix meanwhile: a publisher that finds its
        version there counts on it.

        Args:
            prefix: whole parts, as of :meth:`list_artifacts`.
            keep_last: keep this many versions of each artifact, those last published.
            keep_days: keep versions that were published in so many days.

        Returns:
            the URIs of what was removed, manifests left out.

        Raises:
            ValueError: neither is given, or one makes no sense.
            ArtifactCorruptError: a manifest can't be read, so nothing was removed.
            StoreUnavailableError: the store can't be read or written.
        """
        if keep_last is None and keep_days is None:
            raise ValueError("Give keep_last, keep_days or both.")
        if (keep_last or 0) < 0 or (keep_days or 0) < 0:
            raise ValueError("keep_last and keep_days can't be negative.")
        return Retention(self._publisher, self._backend, self._prefix).run(
            self._folder(prefix), keep_last or 0, keep_days
        )

    def _check_members(self, keys: ArtifactKeys, file: BinaryIO) -> None:
        """Verify what an artifact consists of beside its own file."""

    def _extension(self, kind: ArtifactKind) -> str:
        return self._format.value if kind == ArtifactKind.TABLE else ArtifactKind(kind).value

    def _folder(self, prefix: str) -> str:
        return "/".join(filter(None, (self._prefix, check_prefix(prefix))))

    def _keys(self, name: str, kind: ArtifactKind) -> ArtifactKeys:
        return ArtifactKeys(
            check_name(name), self._prefix, ArtifactKind(kind).value, self._extension(kind)
        )

    @contextmanager
    def _opened(
        self, keys: ArtifactKeys, version: str | None
    ) -> Iterator[tuple[BinaryIO, Manifest]]:
        if version is not None and not re.fullmatch("[0-9a-f]{64}", version):
            raise ArtifactNotFoundError(
                f"{version!r} is no version of {keys.name!r}: a version is a SHA-256 in "
                "hexadecimal, see versions().",
                artifact=keys.name,
            )
        with self._publisher.open(keys, version) as opened:
            yield opened

    def _published(
        self,
        keys: ArtifactKeys,
        size: int,
        content: Content,
        members: Mapping[str, Content] | None = None,
    ) -> Published:
        manifest = self._publisher.commit(keys, size, content)
        return Published(
            uri=self._backend.uri(keys.current),
            artifact=keys.name,
            sha256=content.sha256,
            bytes=content.bytes,
            rows=content.rows,
            columns=content.columns,
            published_at=manifest.publications[0].published_at,
            members=members or {},
        )
