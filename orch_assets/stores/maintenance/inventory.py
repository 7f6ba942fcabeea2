"""All objects below a folder of a store, grouped by artifact."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.stores.artifacts import SetIndex
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.object_keys import INDEX_EXTENSIONS, ArtifactKeys, ParsedKey, parse_key
from orch_assets.stores.spooling import sha256_of


@dataclass
class ArtifactObjects:
    """The objects of one artifact.

    Attributes:
        keys: Keys of the artifact.
        is_named: Whether a name of the store leads to it.
        has_current: Whether the current object exists.
        versions: SHA-256 of the stored versions.
        members: SHA-256 of the stored tables of a set, or of stored files.
        manifests: Keys of the entries, oldest first, by version.
        places: Numbers of the places that were claimed.
        readable: Names of the objects that say which members are copied; see ``readable_files``.
    """

    keys: ArtifactKeys
    is_named: bool = True
    has_current: bool = False
    versions: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    manifests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    places: set[int] = field(default_factory=set)
    readable: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        """Return the number of objects."""
        entries = sum(map(len, self.manifests.values()))
        data = len(self.versions) + len(self.members)
        return self.has_current + data + entries + len(self.places) + len(self.readable)


def collect_objects(
    backend: Backend, folder: str, prefix: str, listed: Iterable[str] | None = None
) -> list[ArtifactObjects]:
    """Return the objects below a folder of a store, by artifact, in order of their keys.

    Objects that belong to no artifact are left out.

    Args:
        backend: Holds the bytes.
        folder: Folder to search, including the prefix.
        prefix: Prefix of the store.
        listed: The keys below the folder, the hidden ones too, if they are known.
    """
    artifacts: dict[str, ArtifactObjects] = {}
    for key, parsed in find_objects(backend, folder, prefix, hidden=True, listed=listed):
        keys = parsed.keys
        objects = artifacts.setdefault(keys.current, ArtifactObjects(keys, parsed.is_named))
        if parsed.role == "current":
            objects.has_current = True
        elif parsed.role == "manifests":
            objects.manifests[parsed.sha256].append(key)
        elif parsed.role == "places":
            objects.places.add(int(key.rpartition("/")[2]))
        elif parsed.role == "readable":
            objects.readable.add(key.rpartition("/")[2])
        else:
            (objects.versions if parsed.role == "versions" else objects.members).add(parsed.sha256)
    return [artifacts[current] for current in sorted(artifacts)]


def find_objects(
    backend: Backend,
    folder: str,
    prefix: str,
    *,
    hidden: bool,
    listed: Iterable[str] | None = None,
) -> Iterator[tuple[str, ParsedKey]]:
    """Yield the artifacts' objects below a folder, in order of their keys."""
    found = set(backend.list(folder, hidden=hidden) if listed is None else listed)
    members = _ReadableMembers(backend, found)
    for key in sorted(found):
        parsed = parse_key(key, prefix)
        if parsed is None or (parsed.role == "current" and members.has(key, parsed)):
            continue
        # A case-insensitive disk lists a folder in the spelling in which it was created. The same
        # object is then also found under the artifact's own key.
        own = parsed.own_key
        if own not in {None, key} and own not in found and backend.exists(own):
            yield own, parse_key(own, prefix) or parsed
        else:
            yield key, parsed


class _ReadableMembers:
    """Tells copies of the members of sets and files from artifacts.

    No name leads to such a copy. Its folder is that of an index.

    Args:
        backend: Holds the bytes.
        listed: Keys that are known to exist.
    """

    def __init__(self, backend: Backend, listed: set[str]) -> None:
        self._backend = backend
        self._listed = listed
        self._folders: dict[str, bool] = {}

    def has(self, key: str, parsed: ParsedKey) -> bool:
        """Return whether there is such a copy at a key."""
        folder = key.rpartition("/")[0]
        if parsed.is_named or not folder:
            return False
        if folder not in self._folders:
            indexes = {f"{folder}.{each}" for each in INDEX_EXTENSIONS}
            is_listed = bool(indexes & self._listed)
            is_index = is_listed or bool(self._backend.extensions(folder, INDEX_EXTENSIONS))
            self._folders[folder] = is_index
        return self._folders[folder]


def stored_hash(backend: Backend, key: str) -> str | None:
    """Return the SHA-256 of an object's bytes; None if there is no such object."""
    try:
        with backend.open(key) as file:
            return sha256_of(file)
    except ArtifactNotFoundError:
        return None


def stored_members(backend: Backend, keys: ArtifactKeys, version: str) -> set[str]:
    """Return the SHA-256 of each table or file that a stored version consists of."""
    with backend.open(keys.version(version)) as file:
        return SetIndex.read(file).hashes()
