"""All that is stored below a folder, artifact by artifact."""

from collections import defaultdict
from dataclasses import dataclass, field

from orch_assets.stores.backend import Backend
from orch_assets.stores.keys import ArtifactKeys, parse_key


@dataclass
class Stock:
    """The objects of one artifact.

    Attributes:
        keys: where they are.
        current: whether the current object is there.
        versions: those stored.
        members: tables of a set, by their hashes.
        manifests: keys of the entries, oldest first, by version.
    """

    keys: ArtifactKeys
    current: bool = False
    versions: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    manifests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __len__(self) -> int:
        """Return the number of objects."""
        entries = sum(map(len, self.manifests.values()))
        return self.current + len(self.versions) + len(self.members) + entries


def take_stock(backend: Backend, folder: str, prefix: str) -> list[Stock]:
    """Return what is stored below a folder of the store with that prefix, in order of names.

    What is no artifact's is left out.
    """
    found: dict[str, Stock] = {}
    for key in sorted(backend.list(folder, hidden=True)):
        parsed = parse_key(key, prefix)
        if parsed is None:
            continue
        keys, role, sha256 = parsed
        stock = found.setdefault(keys.current, Stock(keys))
        if role == "current":
            stock.current = True
        elif role == "manifests":
            stock.manifests[sha256].append(key)
        else:
            (stock.versions if role == "versions" else stock.members).add(sha256)
    return [found[current] for current in sorted(found)]
