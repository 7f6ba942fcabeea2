"""The artifact store: tables, sets of tables, values and documents by name, on any backend."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from orch_assets.errors import (
    ArtifactNotFoundError,
    ArtifactReplacedError,
    UnstorableTableError,
)
from orch_assets.json_values import to_json
from orch_assets.marked_names import named, named_type, named_uri
from orch_assets.stores.artifacts import ArtifactKind, Published, SetIndex, StorageFormat
from orch_assets.stores.erasing.study_store import StudyStore
from orch_assets.stores.formats.plain_state import State, plain_state
from orch_assets.stores.formats.refusing import storable
from orch_assets.stores.formats.table_files import TableFiles, table_format
from orch_assets.stores.lineage import carrying_over
from orch_assets.stores.maintenance.blinded_since import (
    BlindedSince,
    BlindedVersions,
    read_version,
)
from orch_assets.stores.maintenance.inventory import collect_objects
from orch_assets.stores.maintenance.redaction import Redaction
from orch_assets.stores.maintenance.store_upkeep import StoreUpkeep
from orch_assets.stores.maintenance.upkeep_terms import Neighbour
from orch_assets.stores.maintenance.verification import Problem
from orch_assets.stores.manifest import Content, Manifest
from orch_assets.stores.members.stored_files import StoredFiles, content_of_index
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.stores.order.table_versions import TableVersions
from orch_assets.stores.reading import StoredArtifacts
from orch_assets.stores.spooling import writes
from orch_assets.stores.stored_values import StoredValues
from orch_assets.stores.stored_versions import StoredMember, TableVersion

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.refreshing import PartRefresh
    from orch_assets.stores.tables import Incoming, Table


class PipelineStore(StoredArtifacts, StoredValues, StoredFiles):
    """Stores artifacts by name: completely or not at all, verified, with their history.

    Args:
        backend: Holds the bytes.
        prefix: Folder on the backend, for all artifacts of the store.
        format: Format of tables.
        escape_formulas: See :class:`~orch_assets.stores.formats.csv_text.CsvFormat`.
    """

    def upload(self, df: "Table", name: str) -> str:
        """Publish a table and return its URI; see :meth:`publish`."""
        return self.publish(df, name).uri

    def upload_stream(
        self, batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", name: str
    ) -> str:
        """Publish a table as its rows arrive and return its URI; see :meth:`publish_stream`."""
        return self.publish_stream(batches, schema, name).uri

    def upload_set(self, tables: "Mapping[str, Table]", name: str) -> str:
        """Publish tables as one set and return the set's URI; see :meth:`publish_set`."""
        return self.publish_set(tables, name).uri

    def publish(
        self,
        table: "Table",
        name: str,
        *,
        replaces: str | None = None,
        state: State | None = None,
    ) -> Published:
        """Publish a table; ``download`` returns exactly the same table.

        A stream with a schema, such as a ``pyarrow.RecordBatchReader``, is published as
        :meth:`publish_stream` does.

        Args:
            table: The table.
            name: Name of the artifact.
            replaces: Publish it only if this version is current when it becomes visible. Use this
                for a table that was made from that version: the manifest then says that it may
                still have its rows. By default, it replaces any version.
            state: What the manifest must hold for whoever makes the next version from this one:
                JSON values, and no data. A function is called once all rows are written.
                :meth:`previous` returns it.

        Raises:
            ArtifactNameError: The name can't be stored.
            ArtifactReplacedError: ``replaces`` is no longer current; nothing changed.
            UnstorableTableError: The table can't be stored without a change.
            UnstorableValueError: The state is not JSON-serializable.
            StudyCancelledError: The running study may no longer publish; nothing changed.
            StoreUnavailableError: The store can't be written.
        """
        from orch_assets.stores.tables import incoming

        return self._publish_rows(partial(incoming, table), name, replaces, state)

    def publish_stream(
        self,
        batches: "Iterable[pa.RecordBatch]",
        schema: "pa.Schema",
        name: str,
        *,
        replaces: str | None = None,
        state: State | None = None,
    ) -> Published:
        """Publish a table while its rows arrive.

        Only one row group is held in memory, whatever the number of rows.

        A refreshed stream, such as ``sdk.records.refresh`` returns, is published with its own
        state. It replaces only the version that it was merged or compared with. If nothing has
        changed since, nothing is written: the earlier version is returned, provided that it is
        still current.

        Raises what :meth:`publish` and ``batches`` raise.
        """
        from orch_assets.stores.tables import incoming_stream

        return self._publish_rows(partial(incoming_stream, batches, schema), name, replaces, state)

    def publish_set(
        self,
        tables: "Mapping[str, Table | StoredMember]",
        name: str,
        *,
        replaces: str | None = None,
        state: State | None = None,
    ) -> Published:
        """Publish several tables as one: a reader never sees tables of different publications.

        A table may be a stream of record batches, of which one row group is held in memory. The
        tables are stored first, in their order, each under its hash, where no reader looks. The
        set's current object, ``<name>.set``, is a small index of their names and hashes. It is
        published like any other artifact, with the only commit and the only manifest.

        A table may be one that :meth:`previous_members` returned. It is neither read nor written
        again. Unless ``replaces`` is given, the new set then replaces only the version that the
        table comes from. The manifest names that version as one that the set has rows of.

        Raises:
            ArtifactNotFoundError: A table is no longer stored, because :meth:`retain` or another
                command has removed it. Nothing changed, unless the text says so.
        """
        keys = self._keys(name, ArtifactKind.SET)
        members: dict[str, Content] = {}
        waits: list[Callable[[], object]] = []
        for member, table in tables.items():
            members[member], wait = self._store_member(keys, len(waits), member, table)
            waits.append(wait)
        for wait in waits:
            wait()
        index = SetIndex(self._format, members).to_json()
        stored = self._publisher.store(writes(to_json(index)), keys.version)
        rows = sum(each.rows or 0 for each in members.values())
        content = content_of_index(stored, members, rows)
        sources = {each.set_version for each in tables.values() if isinstance(each, StoredMember)}
        carrying = carrying_over(replaces, *sources)
        if replaces is None and len(sources) == 1:
            (replaces,) = sources
        with carrying:
            return self._published(
                keys, stored.size, content, members, replaces, plain_state(state, name)
            )

    def history(self, name: str, known: Mapping[str, str] | None = None) -> TableVersions:
        """Return the versions of a table; what is read of them is not noted as an input.

        Args:
            name: Name of the artifact.
            known: Current versions that the caller knows, by artifact URI.
        """
        keys = self._keys(name, ArtifactKind.TABLE)
        uri, previous = self._backend.uri(keys.current), partial(self.previous, name)
        version = (known or {}).get(uri)
        return TableVersions(uri, keys, self._publisher, self._at_moments, previous, version)

    def blinded_since(self, names: Iterable[str] | None = None) -> list[BlindedSince]:
        """Return the versions that may hold values of variables that have been blinded since.

        To remove the values, publish the current versions again, then use ``orch-assets redact``.
        See the module ``blinded_since``.

        Args:
            names: Names of the artifacts to check, and of the tables ``variables`` from which they
                were made; by default all artifacts.

        Raises:
            ArtifactCorruptError: A manifest, or a table ``variables``, can't be read.
            StoreUnavailableError: The store can't be read.
        """
        return [*self._blinded_versions(names)]

    def redaction(self) -> Redaction:
        """Return what replaces the versions that :meth:`blinded_since` returns."""
        files, blinded = self._files_of_all_formats(), self._blinded_versions()
        return Redaction(self._publisher, self._backend, self._prefix, files, blinded)

    def study_store(self) -> StudyStore:
        """Return what an erasure needs of this store; see the module ``erasing.study_erasure``."""
        files = self._files_of_all_formats()

        def verify(progress: Callable[[int, int], object]) -> list[Problem]:
            return self.verify(progress=progress)

        return StudyStore(verify, self._publisher, self._backend, self._prefix, files)

    def upkeep(self, neighbour: Neighbour | None = None) -> StoreUpkeep:
        """Return what removes old manifests, versions, reports and leftovers from this store.

        Args:
            neighbour: What is around the store; by default nothing.
        """
        return StoreUpkeep(self._publisher, self._backend, self._prefix, neighbour or Neighbour())

    @property
    def address(self) -> str:
        """The URI of the store's folder."""
        return self._backend.uri(self._prefix)

    def _blinded_versions(self, names: Iterable[str] | None = None) -> BlindedVersions:
        if names is None:
            objects = collect_objects(self._backend, self._prefix, self._prefix)
            artifacts = [each.keys for each in objects]
        else:
            artifacts = [self._keys(name, kind) for name in names for kind in ArtifactKind]
        files = self._files_of_all_formats()
        read = partial(read_version, self._publisher, files)
        extension = self._format.value
        return BlindedVersions(self._publisher, self._backend, artifacts, read, extension)

    def _files_of_all_formats(self) -> Mapping[StorageFormat, TableFiles]:
        files = {each: TableFiles(self._publisher, table_format(each)) for each in StorageFormat}
        return {**files, self._format: self._files}

    def _publish_rows(
        self,
        open_rows: "Callable[[], Incoming]",
        name: str,
        replaces: str | None,
        state: State | None,
    ) -> Published:
        keys = self._keys(name, ArtifactKind.TABLE)
        with _naming(name):
            rows = open_rows()
            refresh = rows.refresh
            if refresh and refresh.unchanged:
                rows.before_commit()
                return self._unchanged(keys, refresh)
            content = self._files.write(rows, keys.version)
        rows.before_commit()
        carrying = carrying_over(None if refresh else replaces)
        if refresh and refresh.earlier:
            replaces = replaces or refresh.earlier.version
        if refresh and state is None:
            state = refresh.state
        with carrying:
            return self._published(
                keys, content.bytes, content, replaces=replaces, state=plain_state(state, name)
            )

    def _unchanged(self, keys: ArtifactKeys, refresh: "PartRefresh") -> Published:
        """Return the earlier version of a table that hasn't changed, if it is still current."""
        earlier, uri = refresh.earlier, self._backend.uri(keys.current)
        version = earlier.version if earlier else ""
        manifest: Manifest | None
        if isinstance(earlier, TableVersion) and earlier.uri == uri:
            manifest, current = earlier.manifest, self._publisher.order.head(keys).version
        else:
            manifest = self._publisher.last_publication(keys)
            current = manifest.content.sha256 if manifest else None
        if manifest is None or current != version:
            raise ArtifactReplacedError(keys.name, version, current)
        return Published.of(uri, manifest)

    def _store_member(
        self, keys: ArtifactKeys, position: int, member: str, table: "Table | StoredMember"
    ) -> tuple[Content, Callable[[], object]]:
        """Store a table of a set; return its description, and what to call before the commit."""
        from orch_assets.stores.tables import incoming

        if not isinstance(member, str):
            raise UnstorableTableError(
                f"The set {named(keys.name)} has a table whose name is of type "
                f"{named_type(type(member))}, not text. Name tables by text: for the key k of "
                "a group str(k), or '-'.join(map(str, k)) if it consists of several columns."
            )
        with _naming(keys.name, member, position):
            with storable("Its name", "UTF-8"):
                member.encode()
            if isinstance(table, StoredMember):
                self._check_stored(keys, table, named(member, str(position)))
                return table.content, lambda: None
            rows = incoming(table)
            return self._files.write(rows, keys.member), rows.before_commit

    def _check_stored(self, keys: ArtifactKeys, member: StoredMember, label: str) -> None:
        if (member.uri, member.format) != (self._backend.uri(keys.current), self._format):
            raise UnstorableTableError(
                f"It is stored in {named_uri(member.uri)} as {member.format}. Only the same set, "
                "in a store with the same format, can take it as it is; otherwise, read it with "
                "open_reader(member=…)."
            )
        if not self._backend.exists(keys.member(member.content.sha256)):
            raise ArtifactNotFoundError(
                f"Table {label} of {named(keys.name)} is no longer stored, so the next version of "
                "the set can't take it as it is. Make it again. Nothing was published.",
                artifact=keys.name,
            )


@contextlib.contextmanager
def _naming(name: str, member: str | None = None, position: int = 0) -> Iterator[None]:
    try:
        yield
    except UnstorableTableError as error:
        table = named(name)
        if member is not None:
            table = f"Table {named(member, str(position))} of {table}"
        problem = f"{table} can't be stored: {error.marked}"
        raise UnstorableTableError(problem, artifact=name) from None
