r"""Handles JSON documents that are valid, but that the decoder refuses.

Half of a surrogate pair, as in ``"\ud83d"``, is valid JSON (RFC 8259, 8.2), but neither UTF-8 nor
Arrow can hold it as text. JSON text keeps the escape; other text has U+FFFD in its place. A byte
order mark before the document is ignored, as 8.1 allows.

Such documents are rare, so this code isn't optimized for speed.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_REPLACEMENT = rb"\ufffd"  # of the same length as an escape, so that errors name the right byte
_SURROGATE = re.compile(rb"\\u[dD]")
# Matches every escape from left to right: two backslashes and `ud83d` are not a surrogate.
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
_STEPS = re.compile(rb'(?P<text>"(?:[^"\\]|\\.)*+")(?P<colon>\s*+:)?+|[{}\[\]]', re.DOTALL)
_ROW_LEVEL = 3  # the answer, its list `data`, the row

_next_value = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_decode_key = msgspec.json.Decoder(str).decode
_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder().decode


def has_surrogates(document: bytes) -> bool:
    """Return whether a document may contain escaped surrogates, paired or lone."""
    # One byte is found at the speed of memory, and most pages have no backslash at all. Searching
    # for three bytes, twice, took a tenth of the CPU of reading a page.
    return b"\\" in document and _SURROGATE.search(document) is not None


def lone_surrogates(document: bytes) -> int:
    """Return the number of lone surrogates."""
    if not has_surrogates(document):
        return 0
    return sum(escape["lone"] is not None for escape in _ESCAPES.finditer(document))


def readable(document: bytes) -> bytes:
    """Return the document in a form that the decoder accepts: U+FFFD for each lone surrogate."""
    document = document.removeprefix(_BYTE_ORDER_MARK)
    if not has_surrogates(document):
        return document
    return _ESCAPES.sub(lambda escape: _REPLACEMENT if escape["lone"] else escape[0], document)


def raw_members(text: str) -> dict[str, msgspec.Raw]:
    """Return the members of a JSON object, each value as sent; of duplicate keys, the last.

    Raises:
        msgspec.DecodeError: The text is not a JSON object.
    """
    try:
        return _decode_raw(text)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # perhaps because of a lone surrogate, which JSON allows
        _decode_raw(readable(text.encode()))
        return {key: msgspec.Raw(value.encode()) for key, value in members_of(text).items()}


def members_of(text: str) -> dict[str, str]:
    """Return the members of a JSON object, each value as sent; of duplicate keys, the last.

    Args:
        text: Valid JSON. A lone surrogate stays in a key, which UTF-8 can't encode then.
    """
    members = {}

    def read(position: int) -> int:
        key, end = _next_value(text, position)
        start = _skip_space(text, _skip_space(text, end) + 1)  # after the colon
        _, end = _next_value(text, start)
        members[key] = text[start:end]
        return end

    _read_each(text, read)
    return members


def elements_of(text: str) -> Sequence[str]:
    """Return the elements of a JSON list, each as sent."""
    elements = []

    def read(position: int) -> int:
        _, end = _next_value(text, position)
        elements.append(text[position:end])
        return end

    _read_each(text, read)
    return elements


def object_of(members: Mapping[str, str | msgspec.Raw]) -> str:
    """Return the JSON object with these members, whose values are JSON."""
    return "{" + ",".join(f"{_key(key)}:{_text(value)}" for key, value in members.items()) + "}"


def deepest_key(document: bytes) -> str | None:
    """Return the key of the most deeply nested value of any row; None if there is none."""
    depth, deepest, key, key_of_deepest = 0, _ROW_LEVEL, None, None
    for step in _STEPS.finditer(document):
        if step["text"]:
            if depth == _ROW_LEVEL and step["colon"]:
                key = step["text"]
        elif step[0] in b"]}":
            depth -= 1
        else:
            depth += 1
            if depth > deepest:
                deepest, key_of_deepest = depth, key
    return None if key_of_deepest is None else _decode_key(readable(key_of_deepest))


def key_of_no_number(document: bytes) -> str | None:
    """Return the key of a row's value with a number that no Python type holds; None if none has."""
    for row in elements_of(members_of(document.decode()).get("data", "[]")):
        for key, value in members_of(row).items():
            try:
                _decode_any(readable(value.encode()))
            except msgspec.ValidationError:
                return key
    return None


def _read_each(text: str, read: Callable[[int], int]) -> None:
    position = _skip_space(text, _skip_space(text, 0) + 1)  # after the bracket
    while text[position] not in "]}":
        position = _skip_space(text, read(position))
        if text[position] == ",":
            position = _skip_space(text, position + 1)


def _skip_space(text: str, position: int) -> int:
    while text[position] in " \t\n\r":
        position += 1
    return position


def _key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _text(value: str | msgspec.Raw) -> str:
    return value if isinstance(value, str) else bytes(value).decode()
