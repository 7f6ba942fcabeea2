r"""JSON as it is sent, where its grammar allows what the decoder refuses.

Half of a surrogate pair, as in ``"\ud83d"``, is valid JSON (RFC 8259, 8.2), and no text that UTF-8
or Arrow could hold. JSON text keeps the escape; text has U+FFFD in its place. A byte order mark in
front of the document is passed over (8.1 allows it).

What only goes through here is rare, so nothing here is quick.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_REPLACEMENT = rb"\ufffd"  # as long as what it replaces, so that errors name the right byte
# Every escape from the left to the right: two backslashes and `ud83d` are no surrogate.
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
    """Whether there may be escaped surrogates, in pairs or alone."""
    return rb"\ud" in document or rb"\uD" in document


def lone_surrogates(document: bytes) -> int:
    """Return how many surrogates are there without their other half."""
    if not has_surrogates(document):
        return 0
    return sum(found["lone"] is not None for found in _ESCAPES.finditer(document))


def readable(document: bytes) -> bytes:
    """Return the document as the decoder takes it: U+FFFD for each surrogate that is alone."""
    document = document.removeprefix(_BYTE_ORDER_MARK)
    if not has_surrogates(document):
        return document
    return _ESCAPES.sub(lambda found: _REPLACEMENT if found["lone"] else found[0], document)


def raw_members(text: str) -> dict[str, msgspec.Raw]:
    """Return the members of a JSON object, each value as it was sent; of two alike, the last.

    Raises:
        msgspec.DecodeError: it is no JSON object.
    """
    try:
        return _decode_raw(text)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # perhaps for a surrogate that is alone, which JSON allows
        _decode_raw(readable(text.encode()))
        return {key: msgspec.Raw(value.encode()) for key, value in members_of(text).items()}


def members_of(text: str) -> dict[str, str]:
    """Return the members of a JSON object, each value as it was sent; of two alike, the last.

    Args:
        text: valid JSON. A surrogate that is alone stays in a key, which UTF-8 can't encode then.
    """
    members = {}

    def read(at: int) -> int:
        key, end = _next_value(text, at)
        start = _behind_space(text, _behind_space(text, end) + 1)  # behind the colon
        _, end = _next_value(text, start)
        members[key] = text[start:end]
        return end

    _each(text, read)
    return members


def elements_of(text: str) -> Sequence[str]:
    """Return the elements of a JSON list, each as it was sent."""
    elements = []

    def read(at: int) -> int:
        _, end = _next_value(text, at)
        elements.append(text[at:end])
        return end

    _each(text, read)
    return elements


def object_of(members: Mapping[str, str | msgspec.Raw]) -> str:
    """Return the JSON object of members whose values are JSON."""
    return "{" + ",".join(f"{_key(key)}:{_text(value)}" for key, value in members.items()) + "}"


def deepest_key(document: bytes) -> str | None:
    """Return the key of a row's value that is nested more deeply than any other's."""
    depth, deepest, key, found = 0, _ROW_LEVEL, None, None
    for step in _STEPS.finditer(document):
        if step["text"]:
            if depth == _ROW_LEVEL and step["colon"]:
                key = step["text"]
        elif step[0] in b"]}":
            depth -= 1
        else:
            depth += 1
            if depth > deepest:
                deepest, found = depth, key
    return None if found is None else _decode_key(readable(found))


def key_of_no_number(document: bytes) -> str | None:
    """Return the key of a row's value that holds a number which Python has no type for."""
    for row in elements_of(members_of(document.decode()).get("data", "[]")):
        for key, value in members_of(row).items():
            try:
                _decode_any(readable(value.encode()))
            except msgspec.ValidationError:
                return key
    return None


def _each(text: str, read: Callable[[int], int]) -> None:
    at = _behind_space(text, _behind_space(text, 0) + 1)  # behind the bracket
    while text[at] not in "]}":
        at = _behind_space(text, read(at))
        if text[at] == ",":
            at = _behind_space(text, at + 1)


def _behind_space(text: str, at: int) -> int:
    while text[at] in " \t\n\r":
        at += 1
    return at


def _key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _text(value: str | msgspec.Raw) -> str:
    return value if isinstance(value, str) else bytes(value).decode()
