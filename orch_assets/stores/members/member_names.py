"""File names of tables and files that other tools read, beside the object that lists them.

The table ``AE`` of the set ``form_tables/ONC-301`` is ``form_tables/ONC-301/AE.parquet``. Here,
the usual case of letters is upper case, because EDC forms have such keys. Any other spelling gets
a suffix, as in the paths of artifacts: ``ae`` is ``ae~~3.parquet``. So no two members have the same
file on a disk that ignores case, and no artifact's path is that of a member.
"""

import contextlib
import hashlib
import re
from typing import Final

from orch_assets.errors import ArtifactNameError
from orch_assets.stores.names import DOCUMENT_EXTENSIONS, EXTENSIONS, decode_path, escaped

# With the longest path of an artifact, a key still has less than 1,024 bytes.
_MAX_BYTES: Final = 150
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,10}")


def table_file(member: str, extension: str) -> str:
    """Return the file name of a table of a set."""
    stem = _encoded(member)
    if f".{extension}" in {*EXTENSIONS, *DOCUMENT_EXTENSIONS} and _is_path_of_artifact(stem):
        stem += "~"  # no artifact's path ends so
    return f"{stem}.{extension}"


def plain_file(member: str) -> str:
    """Return the file name of one of several files, whose own name has an extension or not."""
    stem, dot, extension = member.rpartition(".")
    if dot and stem and _EXTENSION.fullmatch(extension):
        return table_file(stem, extension)
    return _encoded(member)


def _encoded(name: str) -> str:
    letters = [letter for letter in name if letter.isascii() and letter.isalpha()]
    mask = int("".join("01"[letter.islower()] for letter in letters) or "0", 2)
    encoded = (escaped(name) if name else "~") + (f"~~{mask:x}" if mask else "")
    if len(encoded) <= _MAX_BYTES:
        return encoded
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{encoded[: _MAX_BYTES - 40]}~~~{digest}"


def _is_path_of_artifact(stem: str) -> bool:
    with contextlib.suppress(ArtifactNameError):
        return bool(decode_path(stem))
    return False
