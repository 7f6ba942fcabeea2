"""Names as development versions before the first release stored them, to be told from nothing."""

import re
from collections.abc import Iterator

from orch_assets.errors import ArtifactNameError
from orch_assets.stores.names import DEVICES, MAX_PART_BYTES, decode_path, encode_name

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]|^_")


def earlier_paths(name: str) -> Iterator[str]:
    """Yield the paths that an artifact of this name may have from a development version.

    A name that a person chose was stored as it is; of a study's key, or a part of an asset's key,
    every part was encoded for itself, by another rule than now. A path that is some name's path
    now is left out.
    """
    asset, *keys = name.split("/")
    assets = {_encoded(asset), ".".join(map(_encoded, filter(None, asset.split("."))))}
    for path in {name, *("/".join([each, *map(_encoded, keys)]) for each in assets)}:
        is_possible = all(len(part.encode()) <= MAX_PART_BYTES for part in path.split("/"))
        if is_possible and not _is_a_path(path):
            yield path


def _is_a_path(path: str) -> bool:
    try:
        return encode_name(decode_path(path)) == path
    except ArtifactNameError:
        return False


def _encoded(text: str) -> str:
    body = _UNSAFE.sub(lambda found: _escape(found[0]), text)
    if text.lower() in DEVICES:
        body = _escape(text[0]) + text[1:]
    capitals = re.search("[-0-9]", text) is not None and "_" not in text
    letters = (letter for letter in text if letter.isascii() and letter.isalpha())
    mask = int("".join("01"[letter.isupper() != capitals] for letter in letters) or "0", 2)
    return f"{body}~~{mask:x}" if mask else body


def _escape(character: str) -> str:
    return "".join(f"~{byte:02x}" for byte in character.encode())
