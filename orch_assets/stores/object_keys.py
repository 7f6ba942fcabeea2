"""The keys of an artifact's objects.

The table ``features/windows``, stored as Parquet, has these objects below the store's prefix::

    features/windows.parquet                                         the current object
    features/.orch/windows/parquet/versions/<sha256>                 one for each version
    features/.orch/windows/parquet/manifests/<sha256>/<place>-<time> one for each publication
    features/.orch/windows/parquet/places/<number>                   one for each new current object

A set, and files that belong together, also have these::

    form_tables/ONC-301.set                                 the current object: an index
    form_tables/ONC-301/AE.parquet                          one for each member, a copy
    form_tables/.orch/ONC-301/set/members/<sha256>          one for each member
    form_tables/.orch/ONC-301/set/readable/<place>-<sha256> whose copies are all there

Only this module turns names into paths: ``subjects/onc-301`` becomes ``subjects/onc-301~~7``.
Hidden objects (``.orch``) appear in no listing and have no extension, so that ``**/*.parquet``
matches a table once. They lie beside the current object, not at the store's root. An object
therefore has the same history in every store that reaches it, whatever the store's prefix.

``.orch/_probe`` below the prefix is written to test whether a store is usable. Listings,
``verify`` and ``retain`` ignore it. ``.orch/_marks/<name>/<study>`` is a mark; see the module
``order.marks``. ``.orch/_erasures/<study>`` is there while an erasure is unfinished; see the module
``erasing.erasure_record``.
"""

import re
from dataclasses import dataclass
from typing import Final

from orch_assets.errors import ArtifactNameError
from orch_assets.marked_names import named
from orch_assets.stores.names import (
    DOCUMENT_EXTENSIONS,
    EXTENSIONS,
    decode_path,
    encode_name,
    guess_name,
)

# Keys in S3 and GCS have up to 1,024 bytes. A manifest's folders and name take up to 170 of them.
MAX_PATH_BYTES = 850
# Folder of the certificates of erasures, which nothing removes but their deletion.
CERTIFICATES: Final = "erasures"
# Those of current objects that list other objects: the kinds of such artifacts.
INDEX_EXTENSIONS = frozenset({"set", "files"})


@dataclass(frozen=True)
class ArtifactKeys:
    """The keys of one artifact, created by :meth:`of`, or from a key by :func:`parse_key`.

    Attributes:
        name: Name of the artifact in its store.
        path: Key of the current object, without its extension.
        kind: An ``ArtifactKind``, such as ``table``, as manifests have it.
        extension: Extension of the current object, without a dot.
    """

    name: str
    path: str
    kind: str
    extension: str

    @classmethod
    def of(cls, name: str, prefix: str, kind: str, extension: str) -> "ArtifactKeys":
        """Return the keys of an artifact in a store.

        Args:
            name: Name of the artifact.
            prefix: Prefix of the store.
            kind: An ``ArtifactKind``.
            extension: Extension of the current object, without a dot.

        Raises:
            ArtifactNameError: The name can't be stored.
        """
        path = below(prefix, encode_name(name))
        size = len(path.encode())
        if size > MAX_PATH_BYTES:
            raise ArtifactNameError(
                f"Artifact name {named(name)} takes {size} bytes with the store's prefix; "
                f"the limit is {MAX_PATH_BYTES}. Shorten one of them.",
                artifact=name,
            )
        return cls(name, path, kind, extension)

    @property
    def current(self) -> str:
        """Key of the current object."""
        return f"{self.path}.{self.extension}"

    @property
    def is_certificate(self) -> bool:
        """Whether it is a certificate of erasures, in this store or in one inside it."""
        *folders, _ = self.name.split("/")
        return self.kind == "json" and folders[-1:] == [CERTIFICATES]

    @property
    def has_members(self) -> bool:
        """Whether the current object is an index of other objects: of tables, or of files."""
        return self.kind in INDEX_EXTENSIONS

    def version(self, sha256: str) -> str:
        """Key of a version."""
        return f"{self.hidden}/versions/{sha256}"

    def member(self, sha256: str) -> str:
        """Key of a table of a set, or of one of several files."""
        return f"{self.hidden}/members/{sha256}"

    @property
    def readable(self) -> str:
        """Folder of the names that say whose members are readable; see ``readable_files``."""
        return f"{self.hidden}/readable"

    def manifests(self, sha256: str | None = None) -> str:
        """Folder of the manifests of all versions, or of one version."""
        return f"{self.hidden}/manifests" + (f"/{sha256}" if sha256 else "")

    @property
    def places(self) -> str:
        """Folder of the claims of places."""
        return f"{self.hidden}/places"

    def place(self, number: int) -> str:
        """Key of the claim of a place."""
        return f"{self.places}/{number:09}"

    @property
    def hidden(self) -> str:
        """Folder of the versions, members, manifests and places."""
        folder, slash, leaf = self.path.rpartition("/")
        return f"{folder}{slash}.orch/{leaf}/{self.extension}"


def marks_folder(prefix: str, name: str | None = None) -> str:
    """Return the folder of all marks of a store with this prefix, or of those of one name."""
    folder = below(prefix, ".orch/_marks")
    return folder if name is None else f"{folder}/{encode_name(name)}"


def mark_key(prefix: str, name: str, study: str) -> str:
    """Return the key of the mark of a study in a store with this prefix."""
    return f"{marks_folder(prefix, name)}/{encode_name(study)}"


def mark_prefix(key: str) -> str | None:
    """Return the prefix of the store whose mark is at this key; None if it isn't that of a mark."""
    match = _MARK.fullmatch(key)
    return match["prefix"].rstrip("/") if match else None


def erasures_folder(prefix: str) -> str:
    """Return the folder of the unfinished erasures in a store with this prefix."""
    return below(prefix, ".orch/_erasures")


def erasure_key(prefix: str, study: str) -> str:
    """Return the key at which the unfinished erasure of a study is recorded."""
    return f"{erasures_folder(prefix)}/{encode_name(study)}"


def probe_key(prefix: str) -> str:
    """Return the key of the object that tests whether a store with this prefix is usable."""
    return f"{prefix}/.orch/_probe" if prefix else ".orch/_probe"


@dataclass(frozen=True)
class ParsedKey:
    """What the key of an object says about it.

    Attributes:
        keys: Keys of the artifact that the object belongs to.
        role: ``versions``, ``members``, ``manifests``, ``places``, ``readable`` or ``current``.
        sha256: Version of the object; empty where its key doesn't contain it.
        own_key: The object's key by the artifact's name. It differs from the parsed key at most in
            the case of folders. None if no name leads there.
        is_named: Whether the parsed key is the own key.
    """

    keys: ArtifactKeys
    role: str
    sha256: str
    own_key: str | None
    is_named: bool


_ENDINGS = "|".join(extension[1:] for extension in (*EXTENSIONS, *DOCUMENT_EXTENSIONS))
_HIDDEN = re.compile(
    rf"(?P<folder>(?:.*/)?)\.orch/(?P<leaf>[^/]+)/(?P<extension>{_ENDINGS})/"
    r"(?:(?P<role>versions|members|manifests)/(?P<sha256>[0-9a-f]{64})(?:/[^/]+)?"
    r"|(?P<rest>places/\d{9}|readable/[^/]+))",
    re.DOTALL,
)
_CURRENT = re.compile(rf"(?P<path>.*)\.(?P<extension>{_ENDINGS})", re.DOTALL)
_MARK = re.compile(r"(?P<prefix>(?:.*/)?)\.orch/_marks/[^/]+/[^/]+", re.DOTALL)
# All other extensions are those of tables.
_KINDS = {kind: kind for kind in ("set", "files", "json", "png", "svg", "html", "pdf")}


def below(prefix: str, path: str) -> str:
    """Return a path below a prefix; either may be empty."""
    return f"{prefix}/{path}" if prefix and path else prefix or path


def inside(prefix: str, path: str) -> str:
    """Return the part of a path that follows a prefix."""
    return path[len(prefix) + 1 :] if prefix else path


def parse_key(key: str, prefix: str) -> ParsedKey | None:
    """Parse a key below a prefix; return None if it belongs to no artifact."""
    match = _HIDDEN.fullmatch(key)
    if match:
        path, role = (
            match["folder"] + match["leaf"],
            match["role"] or match["rest"].partition("/")[0],
        )
        sha256 = match["sha256"] or ""
    else:
        match = _CURRENT.fullmatch(key)
        if not match or "/." in f"/{key}":
            return None
        path, role, sha256 = match["path"], "current", ""
    start = len(prefix) + 1 if prefix else 0
    inner, extension = path[start:], match["extension"]
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
