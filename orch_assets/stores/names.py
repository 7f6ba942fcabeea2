"""Names of artifacts: what may be one, and how free text becomes a part of one.

An artifact's name is parts joined by ``/``; the parts become folders and a file, or an object's
key. A name that a person chose is stored as it is, or refused. Text that nobody chose for this
purpose (a study key, a part of an asset key) goes through :func:`encode_part` first.
"""

import re
import unicodedata

from orch_assets.errors import ArtifactNameError

# A file name holds 255 bytes; the part shares them with its extension.
MAX_PART_BYTES = 240
# S3 and GCS hold 1,024 bytes a key; prefix, version and manifest share them with the name.
MAX_NAME_BYTES = 700

# A folder with one of these would be taken for an artifact by a glob, and by a listing.
EXTENSIONS = (".parquet", ".csv", ".json", ".set")

_DEVICES = {"con", "prn", "aux", "nul"} | {f"{p}{n}" for p in ("com", "lpt") for n in range(10)}
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]|^_")
_FORBIDDEN = '\\<>:"|?*'


def check_name(name: str) -> str:
    r"""Return an artifact's name as it is, or raise.

    Raises:
        ArtifactNameError: a part is empty, begins with ``.`` or ``_`` or white space, ends with
            ``.`` or white space, names a Windows device, or holds a control character or one of
            ``\ < > : " | ? *``; a folder ends like a file; the text isn't in Unicode's NFC form,
            or is too long.
    """
    problem = _problem(name)
    if problem:
        raise ArtifactNameError(
            f"Artifact name {name!r} {problem}. "
            "For free text, such as a study key, use encode_part() on each part.",
            artifact=str(name),
        )
    return name


def check_prefix(prefix: str) -> str:
    """Return a prefix without slashes at its ends: empty, or made of parts as a name is."""
    stripped = prefix.strip("/")
    return check_name(stripped) if stripped else ""


def encode_part(text: str) -> str:
    """Return a part of a name for any text, different for different texts on every disk.

    Letters, digits, ``-`` and ``_`` stay; every other character becomes ``~xx`` for each of its
    UTF-8 bytes. Disks that are blind to case would mix up ``ONC-301`` and ``onc-301``, so every
    text has one *usual* spelling that stays as it is: capitals where it has a hyphen or a digit
    and no ``_`` (study keys), else small letters (names of assets). Any other spelling gets a
    suffix ``~~`` and, in hexadecimal, a 1 bit for each letter that isn't as usual.

    Raises:
        ArtifactNameError: the text is empty, too long once encoded, or no valid Unicode.

    Example:
        >>> encode_part("ONC-301"), encode_part("open_queries")
        ('ONC-301', 'open_queries')
        >>> encode_part("onc-301"), encode_part("Étude 7")
        ('onc-301~~7', '~c3~89tude~207~~f')
    """
    if not text or any(unicodedata.category(character) == "Cs" for character in text):
        raise ArtifactNameError(f"{text!r} is empty or no valid text.", artifact=text)
    body = _UNSAFE.sub(_escaped, text)
    if text.lower() in _DEVICES:
        body = _escaped(text[0]) + text[1:]
    marked = body + _case_mark(text)
    if len(marked) > MAX_PART_BYTES:
        raise ArtifactNameError(
            f"{text!r} takes {len(marked)} characters as part of an artifact's name; "
            f"{MAX_PART_BYTES} are possible.",
            artifact=text,
        )
    return marked


def decode_part(part: str) -> str:
    """Return the text that :func:`encode_part` made the part of.

    Raises:
        ArtifactNameError: no text encodes to this part.
    """
    body = part.partition("~~")[0].encode("ascii", "replace")
    raw = re.sub(rb"~([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), body)
    try:
        text = raw.decode()
        if encode_part(text) == part:
            return text
    except (UnicodeDecodeError, ArtifactNameError):
        pass
    raise ArtifactNameError(f"{part!r} is not what encode_part() makes.", artifact=part)


def _escaped(found: "re.Match[str] | str") -> str:
    character = found if isinstance(found, str) else found[0]
    return "".join(f"~{byte:02x}" for byte in character.encode())


def _case_mark(text: str) -> str:
    letters = [letter for letter in text if letter.isascii() and letter.isalpha()]
    usually_capitals = re.search("[-0-9]", text) is not None and "_" not in text
    unusual = "".join("01"[letter.isupper() != usually_capitals] for letter in letters)
    mask = int(unusual or "0", 2)
    return f"~~{mask:x}" if mask else ""


def _problem(name: object) -> str | None:
    if not isinstance(name, str):
        return f"is {type(name).__name__}, not text"
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        return "holds a control character"
    if unicodedata.normalize("NFC", name) != name:
        return "isn't in Unicode's NFC form"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"is over {MAX_NAME_BYTES} bytes"
    *folders, leaf = name.split("/")
    if any(folder.casefold().endswith(EXTENSIONS) for folder in folders):
        return f"has a folder that ends like a file ({', '.join(EXTENSIONS)})"
    return next(filter(None, map(_part_problem, [*folders, leaf])), None)


def _part_problem(part: str) -> str | None:
    if part.strip(" .") == "":
        return "has an empty part, '.' or '..'"
    if part[0] in "._" or part != part.strip() or part.endswith("."):
        return (
            "has a part that begins with '.', '_' or white space, or ends with '.' or white space"
        )
    if any(character in _FORBIDDEN for character in part):
        return f"holds one of {' '.join(_FORBIDDEN)}"
    if part.partition(".")[0].rstrip().casefold() in _DEVICES:
        return "has a part that Windows keeps for a device"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"has a part over {MAX_PART_BYTES} bytes"
    return None
