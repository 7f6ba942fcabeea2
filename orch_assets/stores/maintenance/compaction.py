"""Manifests of repeated publications, put together: who published and when, in one object.

A *period* of a version is a run of publications of an artifact between two of other versions. Its
first entry stays as it is. The others become one object, which is written and read back before any
of them is removed. A reader who finds a publication in two objects counts it once, by its ID, so
that an interruption loses nothing and doubles nothing.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.marked_names import named, named_uri
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.manifest import Entry
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.stores.publishing import COMPACTED, Publisher


class Compaction:
    """Puts entries of an artifact together."""

    def __init__(self, publisher: Publisher, backend: Backend) -> None:
        self._publisher = publisher
        self._backend = backend

    def run(self, keys: ArtifactKeys, surplus: Iterable[Sequence[Entry]]) -> None:
        """Replace each group that :func:`surplus_entries` found by one object."""
        for entries in surplus:
            together = _together(keys, entries)
            if together.key not in {entry.key for entry in entries}:
                self._publisher.put_entry(together)
            try:
                self._check(keys, together)
            except ArtifactNotFoundError:
                continue  # another retention has put it together with more since
            for entry in entries:
                if entry.key != together.key:
                    self._backend.delete(entry.key)

    def _check(self, keys: ArtifactKeys, together: Entry) -> None:
        stored = self._publisher.entry(keys, together.key, together.manifest.content.sha256)
        if stored != together:
            uri = self._backend.uri(together.key)
            raise ArtifactCorruptError(
                f"{named_uri(uri, together.key)} isn't what was written there. No manifest of "
                f"{named(keys.name)} was removed. "
                "Remove that object, and call retain() again.",
                artifact=keys.name,
            )


def surplus_entries(entries: Collection[Entry], versions: Collection[str]) -> list[list[Entry]]:
    """Return the entries of an artifact that can be put together, in groups of two or more.

    Args:
        entries: all of the artifact.
        versions: those that are wanted.
    """
    first_of = _first_of_period(entries)
    groups = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: (entry.ids[0], entry.key)):
        first = first_of[entry.ids[0], _version(entry)]
        # What a later release tells beyond this one's fields would be lost.
        if _version(entry) in versions and entry.ids != (first,) and entry.is_known:
            groups[first].append(entry)
    return [group for group in groups.values() if len(group) > 1]


def _first_of_period(entries: Iterable[Entry]) -> dict[tuple[str, str], str]:
    """Return the ID of the first publication of its period, by ID and version of each one."""
    found: dict[tuple[str, str], str] = {}
    first, period = "", ("", "")
    # The same text may be a table of other types, which the schema beside it tells.
    told = {(id_, _version(e), e.manifest.content.schema or "") for e in entries for id_ in e.ids}
    for id_, version, schema in sorted(told):
        if (version, schema) != period:
            first, period = id_, (version, schema)
        found[id_, version] = first
    return found


def _together(keys: ArtifactKeys, entries: Sequence[Entry]) -> Entry:
    told = {
        id_: publication
        for entry in entries
        for id_, publication in zip(entry.ids, entry.manifest.publications, strict=True)
    }
    ids, manifest = tuple(sorted(told)), entries[0].manifest
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    # The same publications have the same key, whoever puts them together. It begins with the ID of
    # the last one, so that a listing alone tells which publication is the newest.
    key = f"{keys.manifests(manifest.content.sha256)}/{ids[-1]}-{digest}{COMPACTED}"
    return Entry(key, replace(manifest, publications=tuple(told[id_] for id_ in ids)), ids)


def _version(entry: Entry) -> str:
    return entry.manifest.content.sha256
