"""Compacting the manifest entries of repeated publications into one object.

A *period* is a sequence of publications of one version in one place, and so with none of another
version in between.
Its first entry stays unchanged. The others become one object, which is written and read back before
any of them is removed. Readers that find a publication in two objects count it once, by its ID, so
that an interruption neither loses nor duplicates anything.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.marked_names import named, named_uri
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.manifest import Entry
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.stores.order.places import COMPACTED, Place

if TYPE_CHECKING:
    from orch_assets.stores.publishing import Publisher


class Compaction:
    """Compacts entries of an artifact."""

    def __init__(self, publisher: "Publisher", backend: Backend) -> None:
        self._publisher = publisher
        self._backend = backend

    def run(self, keys: ArtifactKeys, surplus: Iterable[Sequence[Entry]]) -> None:
        """Replace each group of :func:`surplus_entries` by one object."""
        for entries in surplus:
            compacted = _compacted(keys, entries)
            if compacted.key not in {entry.key for entry in entries}:
                self._publisher.put_entry(compacted)
            try:
                self._check(keys, compacted)
            except ArtifactNotFoundError:
                continue  # another retention has compacted it further since
            for entry in entries:
                if entry.key != compacted.key:
                    self._backend.delete(entry.key)

    def _check(self, keys: ArtifactKeys, compacted: Entry) -> None:
        stored = self._publisher.entry(keys, compacted.key, compacted.manifest.content.sha256)
        if stored != compacted:
            uri = self._backend.uri(compacted.key)
            raise ArtifactCorruptError(
                f"{named_uri(uri, compacted.key)} is not what was written there. No manifest of "
                f"{named(keys.name)} was removed. Remove that object, and call retain() again.",
                artifact=keys.name,
            )


def surplus_entries(entries: Collection[Entry], versions: Collection[str]) -> list[list[Entry]]:
    """Return the entries of an artifact that can be compacted, in groups of two or more.

    Args:
        entries: All entries of the artifact.
        versions: Only entries of these versions are returned.
    """
    first_of = _first_of_period(entries)
    groups = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: (entry.ids[0], entry.key)):
        first = first_of[entry.ids[0], _version(entry)]
        # Compacting an entry of a later release would lose the fields that this one doesn't know.
        if _version(entry) in versions and entry.ids != (first,) and entry.is_known:
            groups[first].append(entry)
    return [group for group in groups.values() if len(group) > 1]


def _first_of_period(entries: Iterable[Entry]) -> dict[tuple[str, str], str]:
    """Return the ID of the first publication of each publication's period, by ID and version."""
    first_of: dict[tuple[str, str], str] = {}
    first, period = "", (0, "", "")
    # The same CSV text may be a table of other types; the schema makes the difference.
    publications = {
        (id_, _version(entry), entry.manifest.content.schema or "")
        for entry in entries
        for id_ in entry.ids
    }
    for id_, version, schema in sorted(publications):
        if (Place.of(id_).number, version, schema) != period:
            first, period = id_, (Place.of(id_).number, version, schema)
        first_of[id_, version] = first
    return first_of


def _compacted(keys: ArtifactKeys, entries: Sequence[Entry]) -> Entry:
    publications = {
        id_: publication
        for entry in entries
        for id_, publication in zip(entry.ids, entry.manifest.publications, strict=True)
    }
    ids, manifest = tuple(sorted(publications)), entries[0].manifest
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    # The key depends on the publications alone, so that simultaneous retentions write the same one.
    # It begins with the ID of the last publication: a listing suffices to find the newest one.
    key = f"{keys.manifests(manifest.content.sha256)}/{ids[-1]}-{digest}{COMPACTED}"
    return Entry(key, replace(manifest, publications=tuple(publications[id_] for id_ in ids)), ids)


def _version(entry: Entry) -> str:
    return entry.manifest.content.sha256
