"""The store of artifacts: tables, sets of tables and JSON values by name, over any backend."""

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orch_assets.errors import ArtifactNotFoundError, StoreError, UnstorableTableError
from orch_assets.stores.artifacts import ArtifactKind, Published
from orch_assets.stores.backend import Backend
from orch_assets.stores.formats import StorageFormat
from orch_assets.stores.manifest import Content, Manifest
from orch_assets.stores.names import check_name, check_prefix
from orch_assets.stores.publishing import ArtifactKeys, Publisher
from orch_assets.stores.spooling import HashingFile
from orch_assets.stores.table_files import TableFiles

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class PipelineStore:
    """Artifacts by name: whole or not at all, verified, with their history.

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
        self._files = TableFiles(self._publisher, self._format)

    def upload(self, df: "pd.DataFrame | pa.Table", name: str) -> str:
        """Publish a table and return its URI; see :meth:`publish`."""
        return self.publish(df, name).uri

    def publish(self, table: "pd.DataFrame | pa.Table", name: str) -> Published:
        """Publish a table: what ``download`` gives back is what it is, exactly.

        Raises:
            ArtifactNameError: the name can't be stored.
            UnstorableTableError: the table would not come back as it is.
            StudyGivenUpError: the study at work may not publish any more; nothing changed.
            StoreUnavailableError: the store can't be written.
        """
        from orch_assets.stores.tables import incoming

        keys = self._keys(name, ArtifactKind.TABLE)
        with _naming(name):
            content = self._files.write(incoming(table), keys.version)
        return self._published(keys, content.bytes, content)

    def publish_stream(
        self, batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", name: str
    ) -> Published:
        """Publish a table as its rows arrive; raises as :meth:`publish`, and what ``batches`` does.

        Memory holds one row group, however many rows follow.
        """
        from orch_assets.stores.tables import incoming_stream

        keys = self._keys(name, ArtifactKind.TABLE)
        with _naming(name):
            content = self._files.write(incoming_stream(batches, schema), keys.version)
        return self._published(keys, content.bytes, content)

    def publish_set(self, tables: "Mapping[str, pd.DataFrame | pa.Table]", name: str) -> Published:
        """Publish tables that belong together: a reader sees all of one publication or of another.

        The tables are stored first, each under its hash, where nothing sees them. The set's
        current object is a small index of their names and hashes, ``<name>.set``, published as
        any artifact is: it is the only commit, and its manifest the only one.
        """
        from orch_assets.stores.tables import incoming

        keys = self._keys(name, ArtifactKind.SET)
        members = {}
        for member, table in tables.items():
            if not isinstance(member, str):
                raise UnstorableTableError(
                    f"A table of the set {name!r} is named by {type(member).__name__}, not text."
                )
            with _naming(name, member):
                members[member] = self._files.write(incoming(table), keys.member)
        index = {
            "format": self._format.value,
            "members": {k: asdict(v) for k, v in members.items()},
        }
        stored = self._publisher.store(_writes(_to_json(index)), keys.version)
        content = Content(
            stored.sha256,
            stored.size + sum(each.bytes for each in members.values()),
            rows=sum(each.rows or 0 for each in members.values()),
        )
        return self._published(keys, stored.size, content, members)

    def publish_json(self, value: Any, name: str) -> Published:
        """Publish a value as JSON has it: tuples become lists, keys text.

        Raises:
            StoreError: the value, or one inside it, is nothing JSON has.
        """
        keys = self._keys(name, ArtifactKind.JSON)
        try:
            data = _to_json(value)
        except (TypeError, ValueError, RecursionError):
            raise StoreError(
                f"{name!r} is no table and can't be stored as JSON: it is, or holds, what "
                f"JSON has not (its type is {type(value).__name__}). Return a table (pandas or "
                "Arrow), a dict of tables, or text, finite numbers, lists and dicts.",
                artifact=name,
            ) from None
        stored = self._publisher.store(_writes(data), keys.version)
        return self._published(keys, stored.size, Content(stored.sha256, stored.size))

    def download(self, name: str, version: str | None = None) -> "pd.DataFrame":
        """Return a table as pandas has it, verified.

        Args:
            name: the artifact's.
            version: its SHA-256, one of :meth:`versions`; the current one by default.

        Raises:
            ArtifactNotFoundError: nothing of that name, or no such version, is stored.
            ArtifactCorruptError: the bytes are not what was published.
            StoreUnavailableError: the store can't be read.
        """
        from orch_assets.stores.frames import arrow_to_frame

        return arrow_to_frame(self._read(name, version))

    def download_table(self, name: str, version: str | None = None) -> "pa.Table":
        """Return a table as Arrow has it, verified; raises as :meth:`download`."""
        from orch_assets.stores.tables import without_notes

        return without_notes(self._read(name, version))

    def download_set(self, name: str, version: str | None = None) -> "dict[str, pd.DataFrame]":
        """Return the tables of a set as pandas has them; raises as :meth:`download`."""
        from orch_assets.stores.frames import arrow_to_frame

        return {member: arrow_to_frame(table) for member, table in self._members(name, version)}

    def download_set_tables(self, name: str, version: str | None = None) -> "dict[str, pa.Table]":
        """Return the tables of a set as Arrow has them; raises as :meth:`download`."""
        from orch_assets.stores.tables import without_notes

        return {member: without_notes(table) for member, table in self._members(name, version)}

    def download_json(self, name: str, version: str | None = None) -> Any:
        """Return a JSON value; raises as :meth:`download`."""
        keys = self._keys(name, ArtifactKind.JSON)
        with self._publisher.open(keys, _checked(version, name)) as (file, _):
            return json.load(file)

    def list_artifacts(
        self, prefix: str = "", *, kind: ArtifactKind = ArtifactKind.TABLE
    ) -> list[str]:
        """Return the sorted names below a prefix: whole parts, so ``prod`` has no ``prod2``."""
        below = check_prefix(prefix)
        folder = "/".join(filter(None, (self._prefix, below)))
        ending = f".{self._extension(kind)}"
        start = len(self._prefix) + 1 if self._prefix else 0
        keys = self._backend.list(folder)
        return sorted(key[start : -len(ending)] for key in keys if key.endswith(ending))

    def exists(self, name: str, *, kind: ArtifactKind = ArtifactKind.TABLE) -> bool:
        """Tell whether an artifact was published."""
        return self._publisher.exists(self._keys(name, kind))

    def manifest(
        self, name: str, version: str | None = None, *, kind: ArtifactKind = ArtifactKind.TABLE
    ) -> Manifest:
        """Return what is known of an artifact, of its current version by default.

        Raises as :meth:`download`.
        """
        keys = self._keys(name, kind)
        with self._publisher.open(keys, _checked(version, name)) as (_, manifest):
            sha256 = manifest.content.sha256
        return self._publisher.manifests(keys, sha256)[0]

    def versions(self, name: str, *, kind: ArtifactKind = ArtifactKind.TABLE) -> list[Manifest]:
        """Return all versions of an artifact: the one last published comes last."""
        return self._publisher.manifests(self._keys(name, kind))

    def _extension(self, kind: ArtifactKind) -> str:
        return self._format.value if kind == ArtifactKind.TABLE else ArtifactKind(kind).value

    def _keys(self, name: str, kind: ArtifactKind) -> ArtifactKeys:
        return ArtifactKeys(
            check_name(name), self._prefix, ArtifactKind(kind).value, self._extension(kind)
        )

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

    def _read(self, name: str, version: str | None) -> "pa.Table":
        keys = self._keys(name, ArtifactKind.TABLE)
        with self._publisher.open(keys, _checked(version, name)) as (file, manifest):
            return self._files.read(file, manifest.content, name)

    def _members(self, name: str, version: str | None) -> "Iterator[tuple[str, pa.Table]]":
        keys = self._keys(name, ArtifactKind.SET)
        with self._publisher.open(keys, _checked(version, name)) as (file, _):
            index = json.load(file)
        files = TableFiles(self._publisher, StorageFormat(index["format"]))
        for member, value in index["members"].items():
            content = Content.from_json(value)
            with self._publisher.open_member(keys, content.sha256) as table:
                yield member, files.read(table, content, name)


def _to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _writes(data: bytes) -> Callable[[HashingFile], object]:
    return lambda file: file.write(data)


def _checked(version: str | None, name: str) -> str | None:
    if version is not None and not re.fullmatch("[0-9a-f]{64}", version):
        raise ArtifactNotFoundError(
            f"{version!r} is no version of {name!r}: a version is a SHA-256 in hexadecimal, "
            "see versions().",
            artifact=name,
        )
    return version


@contextlib.contextmanager
def _naming(name: str, member: str | None = None) -> Iterator[None]:
    try:
        yield
    except UnstorableTableError as error:
        table = repr(name) if member is None else f"Table {member!r} of {name!r}"
        raise UnstorableTableError(f"{table} can't be stored: {error}", artifact=name) from None
