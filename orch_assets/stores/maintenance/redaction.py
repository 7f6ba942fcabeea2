"""Taking values that must be withheld out of an artifact's history.

A version is replaced by a *redacted* one: the same table without these values. It takes the place
of the old version in the order of publications, so that ``as_of`` finds it there, and in the marks.
Its manifest has the publications of the old one, and says which variables were removed, who did it,
when and from which version. If the old version is the current one, the redacted one is published
first.

The old version stays whole until the redacted one is. What a killed process leaves undone, the next
redaction completes.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.json_values import to_json
from orch_assets.lazy import cached_property
from orch_assets.refreshing import StoredTable
from orch_assets.stores.artifacts import ArtifactKind, SetIndex, StorageFormat
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.formats.table_files import TableFiles
from orch_assets.stores.lineage import CARRIED_OVER, derived_from, published_by
from orch_assets.stores.maintenance.blinded_since import BlindedSince, BlindedVersions
from orch_assets.stores.maintenance.inventory import stored_members
from orch_assets.stores.manifest import (
    Content,
    Entry,
    Manifest,
    Publication,
    publication_here_and_now,
)
from orch_assets.stores.object_keys import ArtifactKeys, mark_prefix
from orch_assets.stores.order.marks import Marks
from orch_assets.stores.order.places import REDACTED
from orch_assets.stores.publishing import Publisher

if TYPE_CHECKING:
    import pyarrow as pa

# Returns a table, or any of its rows, without the values that must be withheld.
Rewrite: TypeAlias = "Callable[[pa.Table], pa.Table]"

_REASON: Final = "The values of these variables are removed: they were blinded later."


@dataclass(frozen=True)
class RedactedVersion:
    """What became of a version.

    Attributes:
        found: The version.
        version: SHA-256 of the redacted version in its place; the same as before if the version
            holds none of the values. None if nothing is in its place.
    """

    found: BlindedSince
    version: str | None


class Redaction:
    """Redacts the versions of a store that hold values of variables blinded since.

    Args:
        publisher: Reads and writes versions and manifests.
        backend: Holds the bytes.
        prefix: Prefix of the store.
        files: Reads and writes tables, by format.
        blinded: Finds the versions that hold values blinded since.

    Attributes:
        found: These versions.
        concerns: See :meth:`BlindedVersions.concerns`.
    """

    def __init__(
        self,
        publisher: Publisher,
        backend: Backend,
        prefix: str,
        files: Mapping[StorageFormat, TableFiles],
        blinded: BlindedVersions,
    ) -> None:
        self.found = [*blinded]
        self.concerns = blinded.concerns
        self._publisher = publisher
        self._backend = backend
        self._prefix = prefix
        self._marks = Marks(backend, prefix)
        self._files = files
        self._blinded = {self.place(each): each for each in self.found}

    def replace(
        self, found: BlindedSince, rewrite: Rewrite, dictionary: StoredTable
    ) -> RedactedVersion:
        """Put a redacted version in the place of a version, and remove that one.

        Args:
            found: The version of a table or a set.
            rewrite: Rewrites the table, or each table of the set.
            dictionary: The study's current table ``variables``, by which it does so.

        Raises:
            KeyError: The table lacks a column that ``rewrite`` needs; nothing changed.
            ArtifactReplacedError: The version was current, and no longer is; nothing changed.
            StoreError: The store can't be read or written. Another redaction completes this one.
        """
        keys = found.keys(self._prefix)
        content = self._successor(keys, found.version) or self._rewritten(keys, found, rewrite)
        publications = list(self._publications(keys, found, dictionary))
        if found.is_current:
            newest = publications[-1][1]
            with published_by(newest.provenance), derived_from(newest.inputs):
                size = self._size(keys, content.sha256)
                self._publisher.commit(keys, size, content, replaces=found.version)
        if content.sha256 == found.version:  # it holds none of the values
            publications = [] if found.is_current else publications[-1:]
        for id_, publication in publications:
            self._publisher.put_entry(_entry(keys, content, f"{id_}{REDACTED}", publication))
        if content.sha256 != found.version:
            self._remove_version(keys, found.version, content.sha256)
        return RedactedVersion(found, content.sha256)

    def remove(self, found: BlindedSince) -> RedactedVersion:
        """Remove a version that isn't the current one, with nothing in its place.

        Raises:
            StoreError: The store can't be read or written. Another redaction completes this one.
        """
        keys = found.keys(self._prefix)
        self._remove_version(keys, found.version, None)
        return RedactedVersion(found, None)

    def is_marked(self, found: BlindedSince) -> bool:
        """Return whether a mark holds a version."""
        item = (found.keys(self._prefix).current, found.version)
        return item in self._pinned

    def place(self, found: BlindedSince) -> tuple[str, str]:
        """Return a version as manifests list their inputs: URI of the artifact, SHA-256."""
        return self._backend.uri(found.keys(self._prefix).current), found.version

    def inputs(self, found: BlindedSince) -> set[tuple[str, str]]:
        """Return what a version was made from or carries over, by all of its publications."""
        manifests = self._publisher.manifests(found.keys(self._prefix), found.version)
        publications = [each for manifest in manifests for each in manifest.publications]
        uri, _ = self.place(found)
        carried = {(uri, version) for each in publications for version in each.carried_over}
        return carried.union(*(publication.inputs.items() for publication in publications))

    @cached_property
    def _pinned(self) -> set[tuple[str, str]]:
        return set(self._marks.pinned(self._prefix))

    def _successor(self, keys: ArtifactKeys, version: str) -> Content | None:
        """Return the redacted version that a killed redaction has put in a version's place."""
        content = self._publisher.redacted(keys, version)
        if content is None or not self._backend.exists(keys.version(content.sha256)):
            return None
        return content

    def _rewritten(self, keys: ArtifactKeys, found: BlindedSince, rewrite: Rewrite) -> Content:
        with self._publisher.open(keys, found.version) as (file, manifest):
            if found.kind == ArtifactKind.TABLE:
                files = self._files[StorageFormat(keys.extension)]
                return self._rewritten_table(
                    files, file, manifest.content, rewrite, keys, keys.version
                )
            index = SetIndex.read(file)
        files, members = self._files[StorageFormat(index.format)], {}
        for name, content in index.members.items():
            with self._publisher.open_member(keys, content.sha256) as table:
                members[name] = self._rewritten_table(
                    files, table, content, rewrite, keys, keys.member
                )
        text = to_json(SetIndex(index.format, members).to_json())
        stored = self._publisher.store(lambda file: file.write(text), keys.version)
        return Content(
            stored.sha256,
            stored.size + sum(each.bytes for each in members.values()),
            rows=sum(each.rows or 0 for each in members.values()),
        )

    def _rewritten_table(
        self,
        files: TableFiles,
        file: BinaryIO,
        content: Content,
        rewrite: Rewrite,
        keys: ArtifactKeys,
        target: Callable[[str], str],
    ) -> Content:
        import pyarrow as pa

        from orch_assets.stores.tables import incoming_stream

        schema, batches = files.stream(file, content, keys.name)
        redacted = rewrite(schema.empty_table()).schema

        def rewritten() -> "Iterator[pa.RecordBatch]":
            for batch in batches:
                yield from rewrite(pa.Table.from_batches([batch])).cast(redacted).to_batches()

        return files.write(incoming_stream(rewritten(), redacted), target)

    def _publications(
        self, keys: ArtifactKeys, found: BlindedSince, dictionary: StoredTable
    ) -> Iterator[tuple[str, Publication]]:
        """Yield the publications of a version with their IDs, as those of the redacted version."""
        publications = {
            id_: publication
            for entry in self._publisher.read_entries(keys, found.version)
            for id_, publication in zip(entry.ids, entry.manifest.publications, strict=True)
        }
        here = publication_here_and_now()
        for id_, publication in sorted(publications.items()):
            facts = {
                **publication.provenance,
                "redacts": " ".join([*publication.redacts, found.version]),
                "redacted_variables": json.dumps(
                    sorted({*publication.redacted_variables, *found.variables})
                ),
                "redacted_dictionaries": json.dumps(
                    sorted({*publication.redacted_dictionaries, *_older(publication, dictionary)})
                ),
                "redaction_reason": _REASON,
                "redacted_by": f"{here.user}@{here.host}",
                "redacted_at": here.published_at,
            }
            facts.pop(CARRIED_OVER, None)  # these rows were rewritten, too
            # Nothing that holds the values is an input of what doesn't hold them.
            kept = {
                (uri, version)
                for uri, version in publication.inputs.items()
                if (uri, version) not in self._blinded and not _is_same_name(uri, dictionary.uri)
            }
            inputs = {**dict(kept), dictionary.uri: dictionary.version}
            yield id_, replace(publication, inputs=inputs, provenance=facts, state={})

    def _remove_version(self, keys: ArtifactKeys, version: str, redacted: str | None) -> None:
        """Remove a version, before and after which marks are moved: one may be set meanwhile."""
        self._move_marks(keys, version, redacted)
        self._remove_data(keys, version)
        self._move_marks(keys, version, redacted)

    def _move_marks(self, keys: ArtifactKeys, version: str, redacted: str | None) -> None:
        """Let the marks of a version hold the redacted one, or nothing of the artifact."""
        for key in self._marks.keys(self._prefix):
            mark, prefix = self._marks.read(key), mark_prefix(key) or ""
            if mark is None:
                continue
            versions = []
            for each in mark.versions:
                if (each.keys(prefix).current, each.version) != (keys.current, version):
                    versions.append(each)
                elif redacted:
                    versions.append(replace(each, version=redacted))
            if versions != [*mark.versions]:
                self._marks.overwrite(key, replace(mark, versions=tuple(versions)))

    def _remove_data(self, keys: ArtifactKeys, version: str) -> None:
        """Remove a version: its tables, its own object, and its manifest entries last.

        As long as there is an entry, the next redaction finds it.
        """
        others = {*self._versions(keys)} - {version}
        if keys.has_members:
            # The copies may still be this version's, whatever was noted about them.
            self._publisher.readable.renew(keys)
            self._publisher.readable.mend_current(keys)
            used = self._members(keys, others)
            for member in self._members(keys, [version]) - used:
                self._backend.delete(keys.member(member))
        self._backend.delete(keys.version(version))
        for entry in self._publisher.entries(keys, version):
            self._backend.delete(entry)

    def _versions(self, keys: ArtifactKeys) -> list[str]:
        listed = self._backend.list(f"{keys.hidden}/versions", hidden=True)
        return [key.rpartition("/")[2] for key in listed]

    def _members(self, keys: ArtifactKeys, versions: Collection[str]) -> set[str]:
        members: set[str] = set()
        for version in versions:
            try:
                members |= stored_members(self._backend, keys, version)
            except ArtifactNotFoundError:  # a killed redaction removed it
                continue
        return members

    def _size(self, keys: ArtifactKeys, version: str) -> int:
        with self._backend.open(keys.version(version)) as file:
            return file.seek(0, 2)


def _is_same_name(uri: str, other: str) -> bool:
    """Return whether two artifacts differ in their formats at most."""
    return uri.rpartition(".")[0] == other.rpartition(".")[0]


def _older(publication: Publication, dictionary: StoredTable) -> list[str]:
    """Return the dictionary by which a version was made, unless it is the current one."""
    version = publication.inputs.get(dictionary.uri, dictionary.version)
    return [] if version == dictionary.version else [version]


def _entry(keys: ArtifactKeys, content: Content, name: str, publication: Publication) -> Entry:
    manifest = Manifest(keys.name, keys.kind, content, (publication,))
    return Entry(f"{keys.manifests(content.sha256)}/{name}", manifest, (name,))
