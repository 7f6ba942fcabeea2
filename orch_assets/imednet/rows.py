"""Rows as they come over the wire: decoded by type, objects and lists left as their JSON text.

A page that holds what the API description promises, and nothing else, is decoded in one go. Only
where a row has fields beyond it are the rows decoded a second time, for those fields alone.
"""

import functools
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from orch_assets.imednet.fields import (
    BOOL,
    DAY,
    MOMENT,
    NUMBER,
    OBJECT,
    TEXT,
    Field,
    fields_of,
    keys_of,
)
from orch_assets.imednet.json_text import elements_of, members_of, object_of
from orch_assets.imednet.models import RegistryRow

_TYPES: dict[object, Any] = {
    TEXT: str | None,
    NUMBER: int | None,
    BOOL: bool | None,
    MOMENT: str | list[int] | None,
    DAY: str | None,
}
_PLACE = re.compile(r"- (?:at|in) `(?:key in )?\$([^`]*)`")

_encode = msgspec.json.encode


@dataclass(frozen=True)
class WireRows:
    """Rows of one model, as they were decoded.

    Attributes:
        rows: an object for each, with the model's fields as attributes; what is an object or a
            list in JSON is a ``msgspec.Raw``, empty where it is missing.
        extra: for each row, what it holds beyond the model's fields, as JSON text or None for
            nothing; None where no row has any.
    """

    rows: Sequence[msgspec.Struct]
    extra: Sequence[str | None] | None

    def column(self, name: str) -> list[Any]:
        """Return the values of a field."""
        return list(map(operator.attrgetter(name), self.rows))

    def values(self, count: int) -> Iterator[tuple[Any, ...]]:
        """Yield each row's values of the first plain fields, so many of them."""
        return map(operator.itemgetter(slice(count)), map(msgspec.structs.astuple, self.rows))


@functools.cache
def row_type(model: type[RegistryRow], *, closed: bool) -> type[msgspec.Struct]:
    """Return the type that a row of the model is decoded to.

    Made from the model, so that there is no second list of fields to differ from the first.

    Args:
        model: the rows' model.
        closed: whether a field beyond the model's is refused; else it is passed over.
    """
    # The plain ones first, so that they can be had of a row at once.
    fields = [_wire_field(field) for field in sorted(fields_of(model), key=is_plain, reverse=True)]
    return msgspec.defstruct(
        f"Wire{model.__name__}", fields, forbid_unknown_fields=closed, gc=False
    )


def is_plain(field: Field) -> bool:
    """Whether a field is one value, neither an object nor a list of objects."""
    return field.kind in _TYPES


def _wire_field(field: Field) -> tuple[str, Any, Any]:
    known = _TYPES.get(field.kind)
    if known is None:
        return (field.name, msgspec.Raw, msgspec.field(name=field.key, default=msgspec.Raw()))
    return (field.name, known, msgspec.field(name=field.key, default=None))


def decode_rows(
    model: type[RegistryRow], around: Callable[[Any], Any], body: bytes
) -> tuple[Any, Any]:
    """Decode a document that holds rows; return it, and what to make of its rows' extra fields.

    Args:
        model: the rows' model.
        around: makes the document's type of the rows' type: ``lambda row: list[row]``.
        body: JSON.

    Returns:
        The document, and the same document with its rows as ``dict[str, msgspec.Raw]``; None for
        the second where no row has a field beyond the model's.

    Raises:
        FieldError: a value isn't what its field must be.
        msgspec.ValidationError: something around the rows isn't what it must be.
        msgspec.DecodeError: it is no JSON.
    """
    try:
        return _decoder(model, around, closed=True)(body), None
    except msgspec.ValidationError:
        pass
    try:
        document = _decoder(model, around, closed=False)(body)
    except msgspec.ValidationError as error:
        field = _field_of(model, str(error))
        if field is None:
            raise
    else:
        return document, msgspec.json.decode(body, type=around(dict[str, msgspec.Raw]))
    raise field.error()  # outside of the handler: its own words may quote a key of the data


@functools.cache
def _decoder(
    model: type[RegistryRow], around: Callable[[Any], Any], *, closed: bool
) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(around(row_type(model, closed=closed))).decode


def _field_of(model: type[RegistryRow], text: str) -> Field | None:
    """Return the field that the decoder complains of; None when it is none of the model's."""
    place = _PLACE.search(text)
    names = re.findall(r"\.(\w+)", place[1]) if place else []
    return next((field for field in fields_of(model) if field.key in names[-2:]), None)


def wire_rows(
    model: type[RegistryRow],
    rows: Sequence[msgspec.Struct],
    raw_rows: Sequence[dict[str, msgspec.Raw]] | None,
) -> WireRows:
    """Return decoded rows with what is extra in them; see :func:`decode_rows`.

    Raises:
        UnicodeDecodeError: an extra text isn't UTF-8.
    """
    if raw_rows is None:
        return WireRows(rows, None)
    known = keys_of(model)
    return WireRows(rows, [_extra(known, row) for row in raw_rows])


def as_sent(
    model: type[RegistryRow], rows: WireRows, document: bytes
) -> tuple[WireRows, Sequence[str]]:
    """Return rows with their objects and what is extra as they were sent, and those texts.

    Args:
        model: of the rows.
        rows: decoded from the document's :func:`~orch_assets.imednet.json_text.readable` form.
        document: the page, as it was sent.
    """
    sent = list(map(members_of, elements_of(members_of(document.decode())["data"])))
    objects = [field for field in fields_of(model) if field.kind is OBJECT]
    for field in objects:
        for row, members in zip(rows.rows, sent, strict=True):
            setattr(row, field.name, msgspec.Raw(members.get(field.key, "").encode()))
    known = keys_of(model)
    extras = [{key: row[key] for key in row if key not in known} for row in sent]
    extra = [object_of(one) if one else None for one in extras]
    texts = [row.get(field.key, "") for row in sent for field in objects]
    return WireRows(rows.rows, extra if any(extra) else None), [*texts, *filter(None, extra)]


def _extra(known: frozenset[str], row: dict[str, msgspec.Raw]) -> str | None:
    extra = {key: value for key, value in row.items() if key not in known}
    return _encode(extra).decode() if extra else None


def rows_of_lists(
    model: type[RegistryRow], lists: Sequence[bytes]
) -> tuple[WireRows, Sequence[int | None]]:
    """Return the elements of a column of lists, one after the other, and each list's length.

    Args:
        model: of the elements.
        lists: each list's JSON; empty where it is missing.

    Raises:
        FieldError: an element isn't what it must be; names the field in the element.
        msgspec.ValidationError: it is no list of objects.
    """
    body = b"[" + b",".join(one or b"null" for one in lists) + b"]"
    decoded, raw = decode_rows(model, _as_lists, body)
    rows = [element for one in decoded for element in one or ()]
    raw_rows = None if raw is None else [element for one in raw for element in one or ()]
    return wire_rows(model, rows, raw_rows), [None if one is None else len(one) for one in decoded]


def _as_lists(row: Any) -> Any:
    return list[list[row] | None]
