"""Errors about artifacts that are stored elsewhere than where they were requested.

Development versions before the first release encoded names by other rules. An artifact that one
of them stored must never be reported as missing.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from orch_assets.errors import ArtifactNameError
from orch_assets.marked_names import named, named_uri
from orch_assets.stores.artifacts import DOCUMENT_KINDS, StorageFormat
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.maintenance.inventory import find_objects
from orch_assets.stores.names import (
    DEVICES,
    MAX_PART_BYTES,
    decode_path,
    encode_name,
    leads_from_below,
)
from orch_assets.stores.object_keys import ArtifactKeys, below, inside
from orch_assets.stores.publishing import Publisher

# How to read an artifact that was requested as another kind or in another format, by extension.
_READ_AS: Final = {
    "set": "it is a set of tables: read it with download_set(), or open_reader(member=…)",
    "files": "it consists of files: open one with open_file()",
    "json": "it is a JSON value: read it with download_json()",
    **{
        kind.value: "it is a document: read it with download_document()"
        for kind in DOCUMENT_KINDS.values()
    },
    **{
        each.value: f"it is a table stored as {each.value}: open the store with that format, or "
        "set ORCH_STORE_FORMAT"
        for each in StorageFormat
    },
}
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]|^_")


class MisplacedArtifacts:
    """Finds artifacts of a store at other keys than those that their names lead to.

    Args:
        backend: Holds the bytes.
        publisher: Finds manifests.
        prefix: Prefix of the store.
    """

    def __init__(self, backend: Backend, publisher: Publisher, prefix: str) -> None:
        self._backend = backend
        self._publisher = publisher
        self._prefix = prefix

    def refuse_earlier(self, keys: ArtifactKeys) -> None:
        """Raise if a development version stored an artifact where its name no longer leads.

        Raises:
            ArtifactNameError: Names both locations and says what to do.
        """
        for path in _earlier_paths(keys.name):
            earlier = replace(keys, path=below(self._prefix, path))
            if not self._backend.exists(earlier.current) or not self._publisher.entries(earlier):
                continue
            folder = earlier.current.rpartition("/")[0]
            listed = find_objects(self._backend, folder, self._prefix, hidden=False)
            # On a case-insensitive disk, it may be an artifact of another name.
            if any(key == earlier.current and not parsed.is_named for key, parsed in listed):
                raise ArtifactNameError(
                    f"{named(keys.name)} is stored, but not at {self._uri(keys.current)}, where "
                    f"its name leads. {self._advice(earlier)}",
                    artifact=keys.name,
                )

    def refuse_unnamed(self, artifacts: Iterable[ArtifactKeys], folder: str) -> None:
        """Raise if one of these artifacts, to which no name of the store leads, was published.

        Args:
            artifacts: Those to check.
            folder: The folder that is being listed. Used in the error message.

        Raises:
            ArtifactNameError: Names the artifact and says what to do.
        """
        published = next(filter(self._publisher.entries, artifacts), None)
        if published:
            raise ArtifactNameError(
                f"Not all artifacts in {self._uri(folder)} can be listed: no name of this store "
                f"leads to {self._uri(published.current)}. {self._advice(published)} "
                "`orch-assets verify` lists everything that a development version wrote.",
                artifact=published.name,
            )

    def hint(self, keys: ArtifactKeys) -> str:
        """Return a sentence on how to read what is not stored as requested; empty if unknown."""
        for extension, how in _READ_AS.items():
            if self._backend.exists(replace(keys, extension=extension).current):
                return f" But {how}."
        try:
            plain = decode_path(keys.name)
        except ArtifactNameError:
            return ""
        other = ArtifactKeys.of(plain, self._prefix, keys.kind, keys.extension)
        if plain == keys.name or not self._backend.exists(other.current):
            return ""
        return f" But {named(plain)} is: names are plain, and only URIs are escaped."

    def _advice(self, keys: ArtifactKeys) -> str:
        """Return what to do about an artifact to which no name of this store leads."""
        if leads_from_below(inside(self._prefix, keys.path)):
            return (
                "It belongs to a store that begins further down, in a folder of "
                f"{self._uri(keys.current)}: open it there."
            )
        return (
            f"A development version stored it as {self._uri(keys.current)}: publish "
            f"{named(keys.name)} again, then remove that object and {self._uri(keys.hidden)}."
        )

    def _uri(self, key: str) -> str:
        return named_uri(self._backend.uri(key), key)


@lru_cache(maxsize=4096)  # each run looks the same names up several times
def _earlier_paths(name: str) -> tuple[str, ...]:
    """Return the paths at which a development version may have stored an artifact.

    Names that a person chose were stored unchanged. In names made of an asset's key and a study's
    key, each part was encoded by an earlier rule. Paths that are the current path of some name are
    left out.
    """
    asset, *keys = name.split("/")
    assets = {_encoded(asset), ".".join(map(_encoded, filter(None, asset.split("."))))}
    paths = {name, *("/".join([each, *map(_encoded, keys)]) for each in assets)}
    return tuple(
        path
        for path in paths
        if all(len(part.encode()) <= MAX_PART_BYTES for part in path.split("/"))
        and not _is_current_path(path)
    )


def _is_current_path(path: str) -> bool:
    try:
        return encode_name(decode_path(path)) == path
    except ArtifactNameError:
        return False


def _encoded(text: str) -> str:
    body = _UNSAFE.sub(lambda match: _escape(match[0]), text)
    if text.lower() in DEVICES:
        body = _escape(text[0]) + text[1:]
    capitals = re.search("[-0-9]", text) is not None and "_" not in text
    letters = (letter for letter in text if letter.isascii() and letter.isalpha())
    mask = int("".join("01"[letter.isupper() != capitals] for letter in letters) or "0", 2)
    return f"{body}~~{mask:x}" if mask else body


def _escape(character: str) -> str:
    return "".join(f"~{byte:02x}" for byte in character.encode())
