"""Where the objects of an artifact are.

An artifact ``features/windows`` kept as Parquet is, below the store's prefix::

    features/windows.parquet                                         the current object
    features/.orch/windows/parquet/versions/<sha256>                 every version, for good
    features/.orch/windows/parquet/manifests/<sha256>/<time>-<token> one entry a publication

The name ``subjects/onc-301`` has the path ``subjects/onc-301~~7``: here, and nowhere else, names
become paths. What is hidden (``.orch``) is in no listing and has no extension, so that
``**/*.parquet`` sees a table once. It lies beside its object, not at the store's root: an object
has the same history through whichever store, with whatever prefix, it is reached.

``.orch/_probe`` below the prefix is what a store was tried with. A listing, ``verify`` and
``retain`` pass it over.
"""

import re
from dataclasses import dataclass

from orch_assets.errors import ArtifactNameError
from orch_assets.marked_names import named
from orch_assets.stores.names import EXTENSIONS, decode_path, encode_name, guess_name

# S3 and GCS hold 1,024 bytes a key; the folders and name of a manifest take up to 170 of them.
MAX_PATH_BYTES = 850


@dataclass(frozen=True)
class ArtifactKeys:
    """Where an artifact's objects are; made by :meth:`of`, or by :func:`parse_key` from a key.

    Attributes:
        name: the artifact's name in its store.
        path: the key of the current object, without its extension.
        kind: for the manifest.
        extension: of the current object, without a dot.
    """

    name: str
    path: str
    kind: str
    extension: str

    @classmethod
    def of(cls, name: str, prefix: str, kind: str, extension: str) -> "ArtifactKeys":
        """Return where the artifact of that name is in the store with that prefix.

        Raises:
            ArtifactNameError: the name can't be stored.
        """
        path = below(prefix, encode_name(name))
        size = len(path.encode())
        if size > MAX_PATH_BYTES:
            raise ArtifactNameError(
                f"Artifact name {named(name)} takes {size} bytes with the store's prefix; "
                f"{MAX_PATH_BYTES} are possible. Shorten one of them.",
                artifact=name,
            )
        return cls(name, path, kind, extension)

    @property
    def current(self) -> str:
        """Key of the current object."""
        return f"{self.path}.{self.extension}"

    def version(self, sha256: str) -> str:
        """Key of a version."""
        return f"{self.hidden}/versions/{sha256}"

    def member(self, sha256: str) -> str:
        """Key of a table of a set."""
        return f"{self.hidden}/members/{sha256}"

    def manifests(self, sha256: str | None = None) -> str:
        """Folder of the manifests, of all versions or of one."""
        return f"{self.hidden}/manifests" + (f"/{sha256}" if sha256 else "")

    @property
    def hidden(self) -> str:
        """Folder of the versions, members and manifests."""
        folder, slash, leaf = self.path.rpartition("/")
        return f"{folder}{slash}.orch/{leaf}/{self.extension}"


def probe_key(prefix: str) -> str:
    """Return the key of the object that a store with that prefix is tried with."""
    return f"{prefix}/.orch/_probe" if prefix else ".orch/_probe"


@dataclass(frozen=True)
class ParsedKey:
    """An artifact's object, by its key.

    Attributes:
        keys: of its artifact.
        role: ``versions``, ``members``, ``manifests`` or ``current``.
        sha256: its version; empty for the current object, whose key doesn't tell it.
        own_key: the key that the artifact's name leads to, which differs from the key found at
            most in the case of folders; None where no name leads there.
        is_named: whether the two are one.
    """

    keys: ArtifactKeys
    role: str
    sha256: str
    own_key: str | None
    is_named: bool


_ENDINGS = "|".join(extension[1:] for extension in EXTENSIONS)
_HIDDEN = re.compile(
    rf"(?P<folder>(?:.*/)?)\.orch/(?P<leaf>[^/]+)/(?P<extension>{_ENDINGS})/"
    r"(?P<role>versions|members|manifests)/(?P<sha256>[0-9a-f]{64})(?:/[^/]+)?",
    re.DOTALL,
)
_CURRENT = re.compile(rf"(?P<path>.*)\.(?P<extension>{_ENDINGS})", re.DOTALL)
_KINDS = {"set": "set", "json": "json"}


def below(prefix: str, path: str) -> str:
    """Return a path below a prefix; either may be empty."""
    return f"{prefix}/{path}" if prefix and path else prefix or path


def inside(prefix: str, path: str) -> str:
    """Return what follows the prefix in a path below it."""
    return path[len(prefix) + 1 :] if prefix else path


def parse_key(key: str, prefix: str) -> ParsedKey | None:
    """Return what a key below a prefix is; None for one that is no artifact's."""
    found = _HIDDEN.fullmatch(key)
    if found:
        path, role, sha256 = found["folder"] + found["leaf"], found["role"], found["sha256"]
    else:
        found = _CURRENT.fullmatch(key)
        if not found or "/." in f"/{key}":
            return None
        path, role, sha256 = found["path"], "current", ""
    start = len(prefix) + 1 if prefix else 0
    inner, extension = path[start:], found["extension"]
    try:
        name = decode_path(inner)
        own_key = key if name == inner else key[:start] + _folders_as_in(name, key[start:])
    except ArtifactNameError:
        name, own_key = "", None
    is_named = own_key == key
    keys = ArtifactKeys(
        name if is_named else guess_name(inner), path, _KINDS.get(extension, "table"), extension
    )
    return ParsedKey(keys, role, sha256, own_key, is_named)


def _folders_as_in(name: str, key: str) -> str:
    path = encode_name(name)
    length = path.rfind("/") + 1
    return path[:length] + key[length:]
