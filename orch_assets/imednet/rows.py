"""Rows as the API sends them: decoded by type, with objects and lists left as JSON text.

A page that holds only what the API description promises is decoded once. If a row has further
fields, the rows are decoded a second time, for those fields only.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from orch_assets.imednet.fields import OBJECT, Field, fields_of, keys_of
from orch_assets.imednet.json_text import elements_of, members_of, object_of
from orch_assets.imednet.models import RegistryRow
from orch_assets.lazy import cached_property

_ERROR_PATH = re.compile(r"- (?:at|in) `(?:key in )?\$([^`]*)`")

_encode = msgspec.json.encode


@dataclass(frozen=True)
class WireRows:
    """Decoded rows of one model.

    Attributes:
        rows: One object per row, with the model's fields as attributes. A JSON object or list is
            a ``msgspec.Raw``, which is empty where the field is missing.
        extra: For each row, the JSON text of the fields that the model does not have, or None if
            it has no such fields. The whole sequence is None if no row has any.
    """

    rows: Sequence[msgspec.Struct]
    extra: Sequence[str | None] | None

    def column(self, name: str) -> tuple[Any, ...]:
        """Return the values of a field."""
        return self._columns.get(name, ())

    @cached_property
    def _columns(self) -> Mapping[str, tuple[Any, ...]]:
        """The values of each field; empty without rows."""
        # All at once take as long as five of them one by one.
        columns = zip(*map(msgspec.structs.astuple, self.rows), strict=True)
        return dict(zip(self.rows[0].__struct_fields__, columns, strict=True)) if self.rows else {}


@functools.cache
def row_type(model: type[RegistryRow], *, closed: bool) -> type[msgspec.Struct]:
    """Return the type that a row of the model is decoded to.

    The type is made from the model, so that no second list of fields can differ from it.

    Args:
        model: The rows' model.
        closed: Whether a field that the model does not have is refused. Otherwise it is ignored.
    """
    fields = [_wire_field(field) for field in fields_of(model)]
    return msgspec.defstruct(
        f"Wire{model.__name__}", fields, forbid_unknown_fields=closed, gc=False
    )


def _wire_field(field: Field) -> tuple[str, Any, Any]:
    if field.kind.is_scalar:
        return (field.name, field.kind.wire | None, msgspec.field(name=field.key, default=None))
    return (field.name, msgspec.Raw, msgspec.field(name=field.key, default=msgspec.Raw()))


def decode_rows(
    model: type[RegistryRow], document_type: Callable[[Any], Any], body: bytes
) -> tuple[Any, Any]:
    """Decode a document that holds rows.

    Args:
        model: The rows' model.
        document_type: Makes the document's type from the rows' type: ``lambda row: list[row]``.
        body: JSON.

    Returns:
        The document, and the same document with its rows as ``dict[str, msgspec.Raw]``. The
        second is None if no row has a field that the model does not have.

    Raises:
        FieldError: A value does not have its field's type.
        msgspec.ValidationError: The document around the rows does not have its type.
        msgspec.DecodeError: The body is not JSON.
    """
    try:
        return _decoder(model, document_type, closed=True)(body), None
    except msgspec.ValidationError:
        pass
    try:
        document = _decoder(model, document_type, closed=False)(body)
    except msgspec.ValidationError as error:
        field = _field_of(model, str(error))
        if field is None:
            raise
    else:
        return document, msgspec.json.decode(body, type=document_type(dict[str, msgspec.Raw]))
    # Raised outside the handler: msgspec's message may quote a key of the data.
    raise field.error()


@functools.cache
def _decoder(
    model: type[RegistryRow], document_type: Callable[[Any], Any], *, closed: bool
) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(document_type(row_type(model, closed=closed))).decode


def _field_of(model: type[RegistryRow], text: str) -> Field | None:
    """Return the model's field that a decoder's error names; None if it names no such field."""
    path = _ERROR_PATH.search(text)
    names = re.findall(r"\.(\w+)", path[1]) if path else []
    return next((field for field in fields_of(model) if field.key in names[-2:]), None)


def wire_rows(
    model: type[RegistryRow],
    rows: Sequence[msgspec.Struct],
    raw_rows: Sequence[dict[str, msgspec.Raw]] | None,
) -> WireRows:
    """Return decoded rows together with their extra fields; see :func:`decode_rows`.

    Raises:
        UnicodeDecodeError: An extra field is not UTF-8.
    """
    if raw_rows is None:
        return WireRows(rows, None)
    known = keys_of(model)
    return WireRows(rows, [_extra(known, row) for row in raw_rows])


def as_sent(
    model: type[RegistryRow], rows: WireRows, document: bytes
) -> tuple[WireRows, Sequence[str]]:
    """Return rows whose objects and extra fields are the JSON text that the API sent.

    Args:
        model: The rows' model.
        rows: Rows decoded from the document's :func:`~orch_assets.imednet.json_text.readable`
            form.
        document: The page as the API sent it.

    Returns:
        The rows, and the JSON texts that replaced those in ``rows``.
    """
    sent = list(map(members_of, elements_of(members_of(document.decode())["data"])))
    objects = [field for field in fields_of(model) if field.kind is OBJECT]
    for field in objects:
        for row, members in zip(rows.rows, sent, strict=True):
            setattr(row, field.name, msgspec.Raw(members.get(field.key, "").encode()))
    known = keys_of(model)
    extras = [{key: row[key] for key in row if key not in known} for row in sent]
    extra = [object_of(each) if each else None for each in extras]
    texts = [row.get(field.key, "") for row in sent for field in objects]
    return WireRows(rows.rows, extra if any(extra) else None), [*texts, *filter(None, extra)]


def _extra(known: frozenset[str], row: dict[str, msgspec.Raw]) -> str | None:
    extra = {key: value for key, value in row.items() if key not in known}
    return _encode(extra).decode() if extra else None


def rows_of_lists(
    model: type[RegistryRow], lists: Sequence[bytes]
) -> tuple[WireRows, Sequence[int | None]]:
    """Decode a column of lists.

    Args:
        model: The elements' model.
        lists: The JSON of each list; empty where the field is missing.

    Returns:
        The elements of all lists, one after the other, and each list's length; None for a list
        that is missing or null.

    Raises:
        FieldError: A value in an element does not have its field's type.
        msgspec.ValidationError: A value is not a list of objects.
    """
    body = b"[" + b",".join(text or b"null" for text in lists) + b"]"
    decoded, raw = decode_rows(model, _list_of_lists, body)
    rows = [element for elements in decoded for element in elements or ()]
    raw_rows = None if raw is None else [element for elements in raw for element in elements or ()]
    lengths = [None if elements is None else len(elements) for elements in decoded]
    return wire_rows(model, rows, raw_rows), lengths


def _list_of_lists(row: Any) -> Any:
    return list[list[row] | None]
