"""All that is stored below a folder, artifact by artifact."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from orch_assets.stores.backends.base import Backend
from orch_assets.stores.object_keys import ArtifactKeys, ParsedKey, parse_key


@dataclass
class ArtifactObjects:
    """The objects of one artifact.

    Attributes:
        keys: where they are.
        is_named: whether a name leads to them.
        current: whether the current object is there.
        versions: those stored.
        members: tables of a set, by their hashes.
        manifests: keys of the entries, oldest first, by version.
    """

    keys: ArtifactKeys
    is_named: bool = True
    current: bool = False
    versions: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    manifests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __len__(self) -> int:
        """Return the number of objects."""
        entries = sum(map(len, self.manifests.values()))
        return self.current + len(self.versions) + len(self.members) + entries


def take_stock(backend: Backend, folder: str, prefix: str) -> list[ArtifactObjects]:
    """Return what is stored below a folder of the store with that prefix, in order of names.

    What is no artifact's is left out.
    """
    found: dict[str, ArtifactObjects] = {}
    for key, parsed in find_objects(backend, folder, prefix, hidden=True):
        keys = parsed.keys
        stock = found.setdefault(keys.current, ArtifactObjects(keys, parsed.is_named))
        if parsed.role == "current":
            stock.current = True
        elif parsed.role == "manifests":
            stock.manifests[parsed.sha256].append(key)
        else:
            (stock.versions if parsed.role == "versions" else stock.members).add(parsed.sha256)
    return [found[current] for current in sorted(found)]


def find_objects(
    backend: Backend, folder: str, prefix: str, *, hidden: bool
) -> Iterator[tuple[str, ParsedKey]]:
    """Yield the artifacts' objects below a folder, in order of their keys."""
    listed = set(backend.list(folder, hidden=hidden))
    for key in sorted(listed):
        parsed = parse_key(key, prefix)
        if parsed is None:
            continue
        # A disk that is blind to case lists a folder in the first spelling that came; the same
        # object answers to the artifact's own.
        own = parsed.own_key
        if own not in {None, key} and own not in listed and backend.exists(own):
            yield own, parse_key(own, prefix) or parsed
        else:
            yield key, parsed
