"""What a store knows of its artifacts, and does with them, whatever they hold."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import BinaryIO, Final

from orch_assets.errors import (
    ArtifactNameError,
    ArtifactNotFoundError,
    StoreUnavailableError,
)
from orch_assets.marked_names import named, named_uri
from orch_assets.stores.artifacts import ArtifactKind, Published, StorageFormat
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.earlier_names import earlier_paths
from orch_assets.stores.maintenance.inventory import find_objects
from orch_assets.stores.maintenance.retention import Retention
from orch_assets.stores.maintenance.verification import Problem, Verification
from orch_assets.stores.manifest import Content, Manifest
from orch_assets.stores.names import check_prefix, decode_path, encode_folders, leads_from_below
from orch_assets.stores.object_keys import ArtifactKeys, below, inside, probe_key
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.spooling import spool
from orch_assets.study import publishing

_PROBE: Final = b"orch-assets wrote this to see whether it can write and read here.\n"
# How what isn't there as it was asked for can be read.
_READ_AS: Final = {
    "set": "it is a set of tables: read it by download_set(), or open_reader(member=…)",
    "json": "it is a JSON value: read it by download_json()",
    **{
        each.value: f"it is a table stored as {each.value}: open the store with that format, or "
        "set ORCH_STORE_FORMAT"
        for each in StorageFormat
    },
}


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

    def list_artifacts(self, prefix: str = "", *, kind: ArtifactKind | None = None) -> list[str]:
        """Return the sorted names below a prefix: whole parts, so ``prod`` has no ``prod2``.

        Args:
            prefix: parts of a name, as people type them.
            kind: of what is listed; by default tables, sets and JSON values alike.

        Raises:
            ArtifactNameError: the prefix can't be one, or artifacts lie there that no name of
                this store leads to.
            StoreUnavailableError: the store can't be read.
        """
        kinds = ArtifactKind if kind is None else [ArtifactKind(kind)]
        wanted = {self._extension(each) for each in kinds}
        folder = self._folder(prefix)
        found = [
            parsed
            for _, parsed in find_objects(self._backend, folder, self._prefix, hidden=False)
            if parsed.role == "current" and parsed.keys.extension in wanted
        ]
        others = [parsed.keys for parsed in found if not parsed.is_named]
        lost = next(filter(self._publisher.entries, others), None)
        if lost:
            raise ArtifactNameError(
                f"Not all artifacts in {self._named_uri(folder)} can be listed: no name of this "
                f"store leads to {self._named_uri(lost.current)}. {self._advice(lost)} "
                "`orch-assets verify` names all that a development version wrote.",
                artifact=lost.name,
            )
        start = f"{prefix.strip('/')}/".lstrip("/")
        # On a disk that is blind to case, the folder may be another prefix's, too.
        names = {each.keys.name for each in found if each.is_named}
        # Files that no store published are called as they are.
        files = {inside(self._prefix, keys.path) for keys in others}
        return sorted({name for name in names if name.startswith(start)} | files)

    def exists(self, name: str, *, kind: ArtifactKind = ArtifactKind.TABLE) -> bool:
        """Tell whether an artifact was published.

        Raises:
            ArtifactNameError: the name can't be stored; or a development version stored it as no
                name is stored now.
            StoreUnavailableError: the store can't be read.
        """
        keys = self._keys(name, kind)
        if self._publisher.exists(keys):
            return True
        self._refuse_earlier(keys)
        return False

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
        """Return all versions of an artifact: the one last published comes last.

        Publications follow each other as they were made, whatever the clocks said. One that was
        killed before its end may come last without having become current.
        """
        keys = self._keys(name, kind)
        found = self._publisher.manifests(keys)
        if not found:
            self._refuse_earlier(keys)
        return found

    def restore(
        self, name: str, version: str, *, kind: ArtifactKind = ArtifactKind.TABLE
    ) -> Published:
        """Make an earlier version the current one, as a publication of its own.

        Raises:
            ArtifactNotFoundError: there is no such version.
            ArtifactCorruptError: it is not what was published; nothing changed.
            StudyCancelledError: the study at work may not publish any more; nothing changed.
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
            StudyCancelledError: the study at work may not publish any more; nothing changed.
            StoreUnavailableError: the store can't be written.
        """
        keys = self._keys(name, kind)
        if not self._publisher.exists(keys):
            self._refuse_earlier(keys)
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
    ) -> list[Problem]:
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
        """Remove old versions, of every kind of artifact, below a prefix, and compact manifests.

        What stays: the current version, whatever is among the last ones or young enough, and each
        version that the manifest of a version that stays, anywhere in this store, names as its
        input.

        Publications of one version that followed each other, with no other version between them,
        are put together: the first one's manifest stays, the others become one object that tells
        of each who, when, in which run and from which inputs. :meth:`versions` answers as before.

        What is current may be published again meanwhile. Other versions may not: a publisher that
        finds its version there counts on it.

        Args:
            prefix: whole parts, as of :meth:`list_artifacts`.
            keep_last: keep this many versions of each artifact, those last published.
            keep_days: keep versions that were published in so many days.

        Returns:
            the URIs of what was removed, manifests left out.

        Raises:
            ValueError: neither is given, or one makes no sense.
            ArtifactCorruptError: a manifest can't be read, so nothing was removed.
            StoreUnavailableError: the store can't be read or written, or objects can't be
                deleted: then nothing was changed.
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
        return below(self._prefix, encode_folders(prefix))

    def _keys(self, name: str, kind: ArtifactKind) -> ArtifactKeys:
        return ArtifactKeys.of(name, self._prefix, ArtifactKind(kind).value, self._extension(kind))

    def _refuse_earlier(self, keys: ArtifactKeys) -> None:
        """Raise where a development version stored an artifact as no name is stored now."""
        for path in earlier_paths(keys.name):
            earlier = replace(keys, path=below(self._prefix, path))
            if not self._backend.exists(earlier.current) or not self._publisher.entries(earlier):
                continue
            folder = earlier.current.rpartition("/")[0]
            listed = find_objects(self._backend, folder, self._prefix, hidden=False)
            # On a disk that is blind to case, it may be an artifact of another name.
            if any(key == earlier.current and not parsed.is_named for key, parsed in listed):
                raise ArtifactNameError(
                    f"{named(keys.name)} is stored, but not at {self._named_uri(keys.current)}, "
                    f"where its name leads. {self._advice(earlier)}",
                    artifact=keys.name,
                )

    def _advice(self, keys: ArtifactKeys) -> str:
        """Say what to do about an artifact that no name of this store leads to."""
        uri = self._named_uri
        if leads_from_below(inside(self._prefix, keys.path)):
            return (
                f"It belongs to a store that begins further down, in a folder of "
                f"{uri(keys.current)}: open it there."
            )
        return (
            f"A development version stored it as {uri(keys.current)}: publish {named(keys.name)} "
            f"again, then remove that object and {uri(keys.hidden)}."
        )

    def _named_uri(self, key: str) -> str:
        return named_uri(self._backend.uri(key), key)

    def _where_else(self, keys: ArtifactKeys) -> str:
        """Say how to read what isn't there as it was asked for; empty where nothing is known."""
        for extension, how in _READ_AS.items():
            if self._backend.exists(replace(keys, extension=extension).current):
                return f" But {how}."
        try:
            plain = decode_path(keys.name)
        except ArtifactNameError:
            return ""
        other = ArtifactKeys.of(plain, self._prefix, keys.kind, keys.extension)
        is_there = plain != keys.name and self._backend.exists(other.current)
        return (
            f" But {named(plain)} is: names are plain, and only URIs are escaped."
            if is_there
            else ""
        )

    @contextmanager
    def _opened(
        self, keys: ArtifactKeys, version: str | None
    ) -> Iterator[tuple[BinaryIO, Manifest]]:
        if version is not None and not re.fullmatch("[0-9a-f]{64}", version):
            raise ArtifactNotFoundError(
                f"{named(version)} is no version of {named(keys.name)}: a version is a SHA-256 in "
                "hexadecimal, see versions().",
                artifact=keys.name,
            )
        with ExitStack() as stack:
            try:
                opened = stack.enter_context(self._publisher.open(keys, version))
            except ArtifactNotFoundError as error:
                self._refuse_earlier(keys)
                where_else = "" if version else self._where_else(keys)
                raise ArtifactNotFoundError(
                    f"{error.marked}{where_else}", artifact=keys.name
                ) from None
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
