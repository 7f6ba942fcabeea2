"""What a store does with any artifact, whatever it holds: list, check, restore, delete, retain."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, BinaryIO, Final

from orch_assets.errors import ArtifactNotFoundError, StoreUnavailableError
from orch_assets.marked_names import named
from orch_assets.stores.artifacts import ArtifactKind, Published, StorageFormat
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.lineage import note_input
from orch_assets.stores.maintenance.inventory import find_objects
from orch_assets.stores.maintenance.retention import Retention
from orch_assets.stores.maintenance.verification import Problem, Verification
from orch_assets.stores.manifest import Content, Manifest
from orch_assets.stores.misplaced import MisplacedArtifacts
from orch_assets.stores.names import check_prefix, encode_folders
from orch_assets.stores.object_keys import ArtifactKeys, below, inside, probe_key
from orch_assets.stores.order.as_of import VersionsAtMoments, moment_of
from orch_assets.stores.order.marks import Marks, is_moment
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.spooling import spool
from orch_assets.study import publishing

_PROBE: Final = b"orch-assets wrote this to see whether it can write and read here.\n"


class ArtifactHistory:
    """Artifacts by name and kind, with their versions and manifests.

    Args:
        backend: Holds the bytes.
        prefix: Folder on the backend, for all artifacts of the store.
        format: Format of tables.
    """

    def __init__(self, backend: Backend, prefix: str, format: StorageFormat) -> None:  # noqa: A002
        self._backend = backend
        self._prefix = check_prefix(prefix)
        self._format = StorageFormat(format)
        self._publisher = Publisher(backend)
        self._at_moments = VersionsAtMoments(self._publisher)
        self._marks = Marks(backend, self._prefix)
        self._misplaced = MisplacedArtifacts(backend, self._publisher, self._prefix)

    def try_access(self) -> None:
        """Write a small object and read it back: always the same one, which is never removed.

        This takes two requests to a bucket. It shows whether credentials, permissions, space and
        encryption suffice for publishing, before there is anything to publish.

        Raises:
            StoreUnavailableError: The store can't be written or read; says what to do.
        """
        key = probe_key(self._prefix)
        with self._backend.spool() as path:
            self._backend.put(spool(path, lambda file: file.write(_PROBE)), key)
        with self._backend.open(key) as file:
            stored = file.read()
        if stored != _PROBE:
            uri = self._backend.uri(key)
            raise StoreUnavailableError(
                f"The store at {uri} returned other bytes than were written. Check for a cache or "
                "proxy between this computer and the store.",
                artifact=uri,
            )

    def list_artifacts(self, prefix: str = "", *, kind: ArtifactKind | None = None) -> list[str]:
        """Return the sorted names below a prefix. ``prod`` does not match ``prod2``.

        Args:
            prefix: One or more leading parts of names, unescaped.
            kind: Return artifacts of this kind only; by default all kinds.

        Raises:
            ArtifactNameError: No name can begin with the prefix, or artifacts are stored there to
                which no name of this store leads.
            StoreUnavailableError: The store can't be read.
        """
        kinds = ArtifactKind if kind is None else [ArtifactKind(kind)]
        extensions = {self._extension(each) for each in kinds}
        folder = self._folder(prefix)
        listed = [
            parsed
            for _, parsed in find_objects(self._backend, folder, self._prefix, hidden=False)
            if parsed.role == "current" and parsed.keys.extension in extensions
        ]
        unnamed = [parsed.keys for parsed in listed if not parsed.is_named]
        self._misplaced.refuse_unnamed(unnamed, folder)
        start = f"{prefix.strip('/')}/".lstrip("/")
        # On a case-insensitive disk, the folder may also be that of another prefix.
        names = {each.keys.name for each in listed if each.is_named}
        # Files that no store published are listed under their own names.
        files = {inside(self._prefix, keys.path) for keys in unnamed}
        return sorted({name for name in names if name.startswith(start)} | files)

    def exists(self, name: str, *, kind: ArtifactKind = ArtifactKind.TABLE) -> bool:
        """Return whether an artifact was published.

        Raises:
            ArtifactNameError: The name can't be stored, or a development version stored it
                elsewhere.
            StoreUnavailableError: The store can't be read.
        """
        keys = self._keys(name, kind)
        if self._backend.exists(keys.current):
            return True
        self._misplaced.refuse_earlier(keys)
        return False

    def uri(self, name: str, *, kind: ArtifactKind = ArtifactKind.TABLE) -> str:
        """Return the URI at which an artifact is stored, or would be."""
        return self._backend.uri(self._keys(name, kind).current)

    def version_as_of(
        self, name: str, as_of: datetime | str, *, kind: ArtifactKind = ArtifactKind.TABLE
    ) -> str:
        """Return the SHA-256 of the version that ``as_of`` means, without reading it.

        Raises what :meth:`~orch_assets.stores.PipelineStore.download` raises.
        """
        return self._version_as_of(self._keys(name, kind), as_of)

    def manifest(
        self,
        name: str,
        version: str | None = None,
        *,
        kind: ArtifactKind = ArtifactKind.TABLE,
        as_of: datetime | str | None = None,
    ) -> Manifest:
        """Return the manifest of a version, by default of the current one.

        Args:
            name: Name of the artifact.
            version: SHA-256 of one of its :meth:`versions`.
            kind: Kind of the artifact.
            as_of: See :meth:`~orch_assets.stores.PipelineStore.download`.

        Raises:
            ValueError: Both a version and a moment are given, or the moment has no time zone.
            ArtifactNotFoundError: There is no such artifact or version.
            ArtifactCorruptError: The bytes are not those that were published.
            StoreUnavailableError: The store can't be read.
        """
        keys = self._keys(name, kind)
        with self._opened(keys, version, as_of) as (_, manifest):
            sha256 = manifest.content.sha256
        return self._publisher.manifests(keys, sha256)[0]

    def versions(self, name: str, *, kind: ArtifactKind = ArtifactKind.TABLE) -> list[Manifest]:
        """Return the manifests of all versions, in order of their last publication.

        The order is that of the publications, whatever the clocks said: that of their ``number``.
        A publication that was killed before its end may come last without having become current.
        """
        keys = self._keys(name, kind)
        manifests = self._publisher.manifests(keys)
        if not manifests:
            self._misplaced.refuse_earlier(keys)
        return manifests

    def restore(
        self, name: str, version: str, *, kind: ArtifactKind = ArtifactKind.TABLE
    ) -> Published:
        """Make an earlier version the current one; this is a new publication.

        Raises:
            ArtifactNotFoundError: There is no such version.
            ArtifactCorruptError: The version is not what was published; nothing changed.
            StudyCancelledError: The running study may no longer publish; nothing changed.
            StoreUnavailableError: The store can't be read or written.
        """
        keys = self._keys(name, kind)
        with self._opened(keys, version) as (file, manifest):
            size = file.seek(0, 2)
            self._check_members(keys, file)
        if keys.has_members:
            self._publisher.readable.renew(keys)
        return self._published(keys, size, manifest.content)

    def delete(
        self,
        name: str,
        *,
        kind: ArtifactKind = ArtifactKind.TABLE,
        history: bool = False,
    ) -> None:
        """Remove an artifact; by default, its versions stay and :meth:`restore` brings it back.

        Args:
            name: Name of the artifact.
            kind: Kind of the artifact.
            history: Whether to remove all versions and manifests as well, for good.

        Raises:
            MarkError: A mark holds a version of it, which must not be removed; nothing changed.
            StudyCancelledError: The running study may no longer publish; nothing changed.
            StoreUnavailableError: The store can't be written.
        """
        keys = self._keys(name, kind)
        if history:
            self._marks.refuse_held(keys)
        is_stored = self._backend.exists(keys.current)
        if not is_stored:
            self._misplaced.refuse_earlier(keys)
        with publishing():
            if is_stored and not history:
                self._publisher.note_deletion(keys)
            if keys.has_members:
                self._publisher.readable.remove(keys)
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
        """Read every version of every artifact below a prefix, and return what is wrong.

        Data that belongs to no publication, because the publication was killed or is just under
        way, is reported as a leftover (``Problem.leftover``). No reader ever sees leftovers;
        :meth:`retain` removes them.

        Args:
            prefix: See :meth:`list_artifacts`.
            progress: Called with the number of objects read so far, and of all objects.

        Raises:
            StoreUnavailableError: The store can't be read.
        """
        return Verification(self._publisher, self._backend, self._prefix).run(
            self._folder(prefix), progress or (lambda _done, _total: None)
        )

    def retain(
        self, prefix: str = "", *, keep_last: int | None = None, keep_days: float | None = None
    ) -> list[str]:
        """Remove old versions of all artifacts below a prefix, and compact manifests.

        These versions stay: the current one, those that ``keep_last`` or ``keep_days`` covers,
        marked ones (see :meth:`~orch_assets.stores.PipelineStore.mark`), and those that the
        manifest of a retained version, anywhere in this store, lists as an input.

        Consecutive publications of one version, with no other version between them, are compacted:
        the first one's manifest stays, and the others become one object that still records who
        published, when, in which run and from which inputs. :meth:`versions` returns the same as
        before.

        Don't run it beside publishers; :meth:`~orch_assets.stores.PipelineStore.upkeep` may run
        beside them. Only the current version may be published again at the same time. What else is
        stored but not yet published looks like a leftover of a killed process and is removed, and
        its publisher fails. A publisher that finds an older version already stored relies on it.

        A set whose members are missing is passed over; :meth:`verify` reports it.

        ``as_of`` says of a moment whose version was removed that it was.

        Args:
            prefix: See :meth:`list_artifacts`.
            keep_last: Keep this many versions of each artifact, those published last.
            keep_days: Keep versions that were published within this many days.

        Returns:
            The URIs of the data that was removed, without manifests.

        Raises:
            ValueError: Neither is given, or one is negative.
            ArtifactCorruptError: A manifest or a mark can't be read; nothing was removed.
            StoreUnavailableError: The store can't be read or written; or objects can't be
                deleted, and nothing was changed.
        """
        if keep_last is None and keep_days is None:
            raise ValueError("Give keep_last, keep_days or both.")
        if (keep_last or 0) < 0 or (keep_days or 0) < 0:
            raise ValueError("keep_last and keep_days can't be negative.")
        return Retention(self._publisher, self._backend, self._prefix).run(
            self._folder(prefix), keep_last or 0, keep_days
        )

    def _mending(self, keys: ArtifactKeys, manifest: Manifest) -> Callable[[], object]:
        number, version = manifest.publications[-1].number, manifest.content.sha256
        return lambda: self._publisher.readable.mend(keys, number, version)

    def _check_members(self, keys: ArtifactKeys, file: BinaryIO) -> None:
        """Verify the objects of a version beyond its own file."""

    def _extension(self, kind: ArtifactKind) -> str:
        return self._format.value if kind == ArtifactKind.TABLE else ArtifactKind(kind).value

    def _folder(self, prefix: str) -> str:
        return below(self._prefix, encode_folders(prefix))

    def _keys(self, name: str, kind: ArtifactKind) -> ArtifactKeys:
        return ArtifactKeys.of(name, self._prefix, ArtifactKind(kind).value, self._extension(kind))

    @contextmanager
    def _input(
        self, keys: ArtifactKeys, version: str | None, as_of: datetime | str | None
    ) -> Iterator[tuple[BinaryIO, Manifest]]:
        with self._opened(keys, version, as_of) as (file, manifest):
            note_input(self._backend.uri(keys.current), manifest.content.sha256)
            yield file, manifest

    @contextmanager
    def _opened(
        self, keys: ArtifactKeys, version: str | None, as_of: datetime | str | None = None
    ) -> Iterator[tuple[BinaryIO, Manifest]]:
        if version is not None and as_of is not None:
            raise ValueError("Give either a version or as_of.")
        if version is not None and not re.fullmatch("[0-9a-f]{64}", version):
            raise ArtifactNotFoundError(
                f"{named(version)} is not a version of {named(keys.name)}: a version is a SHA-256 "
                "in hexadecimal, see versions().",
                artifact=keys.name,
            )
        with ExitStack() as stack:
            try:
                if as_of is not None:
                    version = self._version_as_of(keys, as_of)
                opened = stack.enter_context(self._publisher.open(keys, version))
            except ArtifactNotFoundError as error:
                self._misplaced.refuse_earlier(keys)
                is_unknown = version is None and not self._publisher.entries(keys)
                hint = (
                    self._misplaced.hint(keys)
                    if is_unknown
                    else self._publisher.redacted_hint(keys, version)
                )
                raise ArtifactNotFoundError(f"{error.marked}{hint}", artifact=keys.name) from None
            yield opened

    def _version_as_of(self, keys: ArtifactKeys, as_of: datetime | str) -> str:
        """Return the version that a mark holds, or that was current at a moment."""
        if isinstance(as_of, str) and not is_moment(as_of):
            return self._marks.version(keys, as_of)
        return self._at_moments.version(keys, moment_of(as_of))

    def _published(
        self,
        keys: ArtifactKeys,
        size: int,
        content: Content,
        members: Mapping[str, Content] | None = None,
        replaces: str | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> Published:
        manifest = self._publisher.commit(keys, size, content, replaces, state)
        return Published.of(self._backend.uri(keys.current), manifest, members)
