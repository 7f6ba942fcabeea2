"""Which manifest entries and versions are old, by the names of the objects alone.

A version that is published again and again, unchanged, gets an entry each time. The first and the
last entry of such a *period* say all that a reader needs. Those in between only say that the
version was published then, too, and by whom.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from itertools import groupby

from orch_assets.stores.maintenance.inventory import ArtifactObjects
from orch_assets.stores.order.marks import Mark
from orch_assets.stores.order.places import COMPACTED, NOWHERE, REDACTED, Place

# Versions by the key of their artifact's current object, and when each of them was last marked.
MarkedUntil = Mapping[tuple[str, str], datetime]


def marked_until(marks: Iterable[tuple[Mark, str]]) -> MarkedUntil:
    """Return the marked versions.

    Args:
        marks: Each mark with the prefix of its store.
    """
    found: dict[tuple[str, str], datetime] = {}
    for mark, prefix in marks:
        moment = datetime.fromisoformat(mark.marked_at)
        for each in mark.versions:
            marked = (each.keys(prefix).current, each.version)
            found[marked] = max(moment, found.get(marked, moment))
    return found


def surplus_manifests(objects: ArtifactObjects, before: datetime, marked: MarkedUntil) -> list[str]:
    """Return the keys of the entries between the first and the last of each period.

    Those of a marked version stay if they are older than the mark, or may be so in part: one of
    them says what the marked run published.

    Args:
        objects: The objects of an artifact.
        before: Entries of this moment or later stay.
        marked: The marked versions.
    """
    entries = sorted(
        (key.rpartition("/")[2], sha256, key)
        for sha256, keys in objects.manifests.items()
        for key in keys
    )
    surplus = []
    for (_, sha256), period in groupby(entries, lambda each: (_place(each[0]).number, each[1])):
        mark = marked.get((objects.keys.current, sha256))
        for name, _, key in [*period][1:-1]:
            moment = _place(name).moment
            # The name of a compacted entry has the moment of its last publication only.
            is_marked = mark is not None and (moment <= mark or name.endswith(COMPACTED))
            if moment < before and not is_marked and _is_plain(name):
                surplus.append(key)
    return surplus


def young_versions(objects: ArtifactObjects, since: datetime) -> set[str]:
    """Return the versions that were published last, or at this moment or later."""
    newest = {
        sha256: max(_place(key.rpartition("/")[2]) for key in keys)
        for sha256, keys in objects.manifests.items()
    }
    last = max(newest.values(), default=NOWHERE)
    return {sha256 for sha256, place in newest.items() if place == last or place.moment >= since}


def newest_moment(keys: Collection[str]) -> datetime:
    """Return when the last of some entries was published."""
    return max((_place(key.rpartition("/")[2]).moment for key in keys), default=NOWHERE.moment)


def _place(name: str) -> Place:
    return Place.of(name)


def _is_plain(name: str) -> bool:
    """Return whether it is the entry of a publication, and not of another release's doing."""
    return Place.of(name) != NOWHERE and not name.endswith(REDACTED)
