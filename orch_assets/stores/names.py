"""Names of artifacts: which are valid, and how a name becomes a path on a backend.

An artifact's name is parts joined by ``/``, in plain text: ``subjects/KARDIO-Ü2``. A path is the
form of the name in keys, file names and URIs. It is ASCII, and different names have different
paths on every disk and in every bucket. Only :mod:`orch_assets.stores.object_keys` turns names into
paths.
"""

import contextlib
import re
import unicodedata
from functools import lru_cache

from orch_assets.errors import ArtifactNameError
from orch_assets.marked_names import named, named_type

# A file name may have 255 bytes, including its extension.
MAX_PART_BYTES = 240

# A folder with one of these endings would look like an artifact to globs and listings.
EXTENSIONS = (".parquet", ".csv", ".json", ".set")
# Those of documents and files came later. They change no path, or earlier artifacts would move.
DOCUMENT_EXTENSIONS = (".png", ".svg", ".html", ".pdf", ".files")

DEVICES = {"con", "prn", "aux", "nul"} | {f"{p}{n}" for p in ("com", "lpt") for n in range(10)}
_FORBIDDEN = '\\<>:"|?*'

_ENDINGS = "|".join(each[1:] for each in EXTENSIONS)
# A dot stays only inside a part, and not where the part would then end like a file.
_UNSAFE = re.compile(rf"[^A-Za-z0-9_.=-]|^[_.]|\.\Z|\.(?=(?i:{_ENDINGS})\Z)", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # Unicode's categories Cc and Cs
_NO_LETTER = re.compile("[^A-Za-z]+")
_ESCAPE = re.compile(rb"~([0-9a-f]{2})")
_MARK = "~~"
_STUDY_KEY = re.compile(r"(?=.*-)(?=.*[0-9])[^_]*", re.DOTALL)
# Run IDs, which Dagster writes in lower case.
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def check_name(name: str) -> str:
    """Return an artifact's name unchanged if it is valid.

    Raises:
        ArtifactNameError: The name is not text, is empty, has a part that is empty, ``.`` or
            ``..``, holds a control character or a lone surrogate, or has a part that is too long.
    """
    encode_name(name)
    return name


def check_prefix(prefix: str) -> str:
    r"""Return a store's prefix without slashes at its ends; it may be empty.

    The folders of a prefix are not encoded, because they are a location that somebody chose.

    Raises:
        ArtifactNameError: A folder is empty, begins with ``.`` or ``_`` or white space, ends with
            ``.`` or white space, is a Windows device, ends like a file, or holds a control
            character or one of ``\ < > : " | ? *``; or the text isn't in Unicode's NFC form.
    """
    stripped = prefix.strip("/")
    return check_location(stripped, "prefix") if stripped else ""


def check_location(path: str, what: str) -> str:
    """Return folders, or folders and a file, that the store doesn't encode, if they are valid.

    Args:
        path: The folders and the file.
        what: What the path is. Used in the error message.

    Raises:
        ArtifactNameError: See :func:`check_prefix`.
    """
    problem = _text_problem(path) or _folders_problem(path)
    if problem:
        raise ArtifactNameError(
            f"{named(path)} can't be a {what}: it {problem}.", artifact=str(path)
        )
    return path


def holds_control(text: str) -> bool:
    """Return whether text holds a control character, or half of a surrogate pair."""
    return bool(_CONTROL.search(text))


def encode_name(name: str) -> str:
    """Return the path of an artifact's name; different names have different paths on any disk.

    ASCII letters, digits, ``_``, ``-``, ``=`` and inner dots stay; every other character becomes
    ``~xx`` for each of its UTF-8 bytes. Letters keep their case, so that a folder is spelled like
    its part of the name. For case-insensitive disks, each part has a *usual* spelling: upper case
    if it looks like a study key (it has a hyphen and a digit, and no ``_``), otherwise lower case.
    The path of a name with any other spelling ends with ``~~`` and a hexadecimal number. That
    number has one bit for each letter: 1 if the letter's case is not the usual one.

    Raises:
        ArtifactNameError: see :func:`check_name`.

    Example:
        >>> encode_name("features/windows_2024_01"), encode_name("subjects/ONC-301")
        ('features/windows_2024_01', 'subjects/ONC-301')
        >>> encode_name("subjects/onc-301"), encode_name("AE2/R&D-118")
        ('subjects/onc-301~~7', 'AE2/R~26D-118~~c')
    """
    problem = _text_problem(name) or _parts_problem(name)
    if problem:
        raise ArtifactNameError(f"Artifact name {named(name)} {problem}.", artifact=str(name))
    parts = name.split("/")
    mask = int("".join(map(_unusual, parts)) or "0", 2)
    encoded = [*map(escaped, parts)]
    encoded[-1] += f"{_MARK}{mask:x}" if mask else ""
    longest = max(encoded, key=len)
    if len(longest) > MAX_PART_BYTES:
        raise ArtifactNameError(
            f"Artifact name {named(name)} has a part that takes {len(longest)} bytes in a file "
            f"name; the limit is {MAX_PART_BYTES}. Characters other than letters from A to Z, "
            "digits, '_', '-', '=' and '.' take three bytes for each byte of UTF-8. Shorten the "
            "part.",
            artifact=name,
        )
    return "/".join(encoded)


def encode_folders(prefix: str) -> str:
    """Return the folders of the artifacts whose names begin with these parts.

    Raises:
        ArtifactNameError: No name can begin with these parts.
    """
    stripped = prefix.strip("/")
    if not stripped:
        return ""
    check_name(stripped)
    return "/".join(map(escaped, stripped.split("/")))


def decode_path(path: str) -> str:
    """Return the name of a path; the inverse of :func:`encode_name`.

    The folders may be in another case than ``encode_name`` returns: on a case-insensitive disk, a
    folder has the spelling of the first artifact that was stored in it.

    Raises:
        ArtifactNameError: No name has this path.
    """
    if "~" not in path and _is_encoded(path):
        return path  # the usual case
    body, _, mark = path.rpartition("/")[2].partition(_MARK)
    folders = path.rpartition("/")[0]
    try:
        parts = [_unescaped(part) for part in (*folders.split("/"), body) if part]
        name = "/".join(_with_case(parts, int(mark or "0", 16)))
        encoded = encode_name(name)
    except ValueError:
        name, encoded = "", "?"  # "?" is not part of any path
    if encoded.lower() == path.lower() and encoded.rpartition("/")[2] == path.rpartition("/")[2]:
        return name
    raise ArtifactNameError(f"No artifact name has the path {named(path)}.", artifact=path)


def leads_from_below(path: str) -> bool:
    """Return whether a name leads to this path in a store whose prefix is some of its folders."""
    prefix, slash, inner = path.partition("/")
    while slash and "~" not in prefix:  # "~" occurs only in encoded parts of names
        with contextlib.suppress(ArtifactNameError):
            if encode_name(decode_path(inner)) == inner:
                return True
        folder, slash, inner = inner.partition("/")
        prefix += folder
    return False


def guess_name(path: str) -> str:
    """Return the name of a path under the assumption that each part was encoded separately."""
    parts = (part.partition(_MARK)[0] for part in path.split("/"))
    return "/".join(map(_unescaped_or_same, parts))


def _unusual(part: str) -> str:
    """Return one bit for each ASCII letter: 1 if its case is not the usual one."""
    capitals, letters = _usually_capitals(part), _NO_LETTER.sub("", part)
    if letters == (letters.upper() if capitals else letters.lower()):
        return "0" * len(letters)
    return "".join("01"[letter.isupper() != capitals] for letter in letters)


def _usually_capitals(part: str) -> bool:
    if "-" not in part:
        return False
    return bool(_STUDY_KEY.fullmatch(part)) and not _UUID.fullmatch(part)


def _with_case(parts: list[str], mask: int) -> list[str]:
    """Return the parts with the case of their ASCII letters set by a mask, last letter first."""
    spelled = []
    for part in reversed(parts):
        capitals, letters = _usually_capitals(part), []
        for letter in reversed(part):
            if not (letter.isascii() and letter.isalpha()):
                letters.append(letter)
                continue
            letters.append(letter.upper() if capitals != bool(mask & 1) else letter.lower())
            mask >>= 1
        spelled.append("".join(reversed(letters)))
    if mask:
        raise ValueError("the mask has more bits than there are letters")
    return spelled[::-1]


def _is_encoded(path: str) -> bool:
    try:
        return encode_name(path) == path
    except ArtifactNameError:
        return False


@lru_cache(maxsize=1024)  # a listing has few folders
def escaped(part: str) -> str:
    """Return a part of a path, whose letters keep their case."""
    if part.partition(".")[0].lower() in DEVICES:
        return _escape(part[0]) + _UNSAFE.sub(lambda match: _escape(match[0]), part[1:])
    return _UNSAFE.sub(lambda match: _escape(match[0]), part)


def _escape(character: str) -> str:
    return "".join(f"~{byte:02x}" for byte in character.encode())


def _unescaped(part: str) -> str:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), part.encode()).decode()


def _unescaped_or_same(part: str) -> str:
    try:
        return _unescaped(part)
    except UnicodeError:
        return part


def _text_problem(name: object) -> str | None:
    if not isinstance(name, str):
        return f"is {named_type(type(name))}, not text"
    if holds_control(name):
        return "holds a control character"
    return None


def _parts_problem(name: str) -> str | None:
    if any(part in {"", ".", ".."} for part in name.split("/")):
        return "has an empty part, '.' or '..'"
    return None


def _folders_problem(prefix: str) -> str | None:
    if unicodedata.normalize("NFC", prefix) != prefix:
        return "isn't in Unicode's NFC form"
    return next(filter(None, map(_folder_problem, prefix.split("/"))), None)


def _folder_problem(folder: str) -> str | None:
    if not folder or folder[0] in "._" or folder != folder.strip() or folder.endswith("."):
        return (
            "has a part that is empty, begins with '.', '_' or white space, or ends with '.' or "
            "white space"
        )
    if any(character in _FORBIDDEN for character in folder):
        return f"holds one of {' '.join(_FORBIDDEN)}"
    if folder.casefold().endswith(EXTENSIONS):
        return f"has a folder that ends like a file ({', '.join(EXTENSIONS)})"
    if folder.partition(".")[0].rstrip().casefold() in DEVICES:
        return "has a part that Windows reserves for a device"
    if len(folder.encode()) > MAX_PART_BYTES:
        return f"has a part over {MAX_PART_BYTES} bytes"
    return None
