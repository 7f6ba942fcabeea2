"""Where the objects of an artifact are.

An artifact ``features/windows`` kept as Parquet is, below the store's prefix::

    features/windows.parquet                                         the current object
    features/.orch/windows/parquet/versions/<sha256>                 every version, for good
    features/.orch/windows/parquet/manifests/<sha256>/<time>-<token> one entry a publication

What is hidden (``.orch``) is in no listing and has no extension, so that ``**/*.parquet`` sees a
table once. It lies beside its object, not at the store's root: an object has the same history
through whichever store, with whatever prefix, it is reached.

``.orch/_probe`` below the prefix is what a store was tried with. No artifact's name begins with
``_``, so it is in nobody's way; a listing, ``verify`` and ``retain`` pass it over.
"""

import re
from dataclasses import dataclass

from orch_assets.stores.names import EXTENSIONS


@dataclass(frozen=True)
class ArtifactKeys:
    """Where an artifact's objects are.

    Attributes:
        name: the artifact's name in its store.
        prefix: the store's prefix, without slashes at its ends.
        kind: for the manifest.
        extension: of the current object, without a dot.
    """

    name: str
    prefix: str
    kind: str
    extension: str

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
    def path(self) -> str:
        """The name below the store's prefix."""
        return f"{self.prefix}/{self.name}" if self.prefix else self.name

    @property
    def hidden(self) -> str:
        """Folder of the versions, members and manifests."""
        folder, slash, leaf = self.path.rpartition("/")
        return f"{folder}{slash}.orch/{leaf}/{self.extension}"


def probe_key(prefix: str) -> str:
    """Return the key of the object that a store with that prefix is tried with."""
    return f"{prefix}/.orch/_probe" if prefix else ".orch/_probe"


_ENDINGS = "|".join(extension[1:] for extension in EXTENSIONS)
_HIDDEN = re.compile(
    rf"(?P<folder>(?:.*/)?)\.orch/(?P<leaf>[^/]+)/(?P<extension>{_ENDINGS})/"
    r"(?P<role>versions|members|manifests)/(?P<sha256>[0-9a-f]{64})(?:/[^/]+)?"
)
_CURRENT = re.compile(rf"(?P<path>.*)\.(?P<extension>{_ENDINGS})")
_KINDS = {"set": "set", "json": "json"}


def parse_key(key: str, prefix: str) -> tuple[ArtifactKeys, str, str] | None:
    """Return whose object a key below a prefix is, its role and its version.

    Roles are ``versions``, ``members``, ``manifests`` and ``current``; the key alone doesn't tell
    which version the current object is. None for a key that is no artifact's.
    """
    found = _HIDDEN.fullmatch(key)
    if found:
        path, role, sha256 = found["folder"] + found["leaf"], found["role"], found["sha256"]
    else:
        found = _CURRENT.fullmatch(key)
        if not found or "/." in f"/{key}":
            return None
        path, role, sha256 = found["path"], "current", ""
    name = path[len(prefix) + 1 :] if prefix else path
    extension = found["extension"]
    return ArtifactKeys(name, prefix, _KINDS.get(extension, "table"), extension), role, sha256
