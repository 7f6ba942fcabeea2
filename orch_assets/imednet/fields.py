"""How each field of a row is read: strictly, and alike for objects and for columns.

The models are the only list of fields; what a field must be is its annotation there. Nothing is
cast: a number in a text field, or a bool in a number, is an error that names the field.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from orch_assets.imednet.models import RegistryRow

Row = TypeVar("Row", bound=RegistryRow)

_EXTRA = "extra"
_DATE_LENGTH = len("2025-06-05")
_DATE_PARTS = 3
_TIME_PARTS = 6


class FieldError(Exception):
    """A value that isn't what its field must be.

    Attributes:
        field: the API's name of the field, with those above it: ``keywords.dateAdded``.
    """

    def __init__(self, field: str, wanted: str) -> None:
        self.field = field
        super().__init__(f"field {field} isn't {wanted}")

    def below(self, parent: str) -> "FieldError":
        """Return the same error, seen from the row that holds this one."""
        wanted = str(self).removeprefix(f"field {self.field} isn't ")
        return FieldError(f"{parent}.{self.field}", wanted)


class UnreadableFieldError(FieldError):
    """A value that is valid JSON, and more than can be read."""

    def __init__(self, field: str, holds: str) -> None:
        self.field = field
        Exception.__init__(self, f"field {field} holds {holds}")


@dataclass(frozen=True)
class FieldType:
    """What a field may hold.

    Attributes:
        annotation: as the models write it, without None.
        says: for messages: ``a whole number``.
        accepts: the types that the JSON value may have; exactly these, no subtypes.
        read: makes the model's value of the JSON value; None when it stays as it is. Raises
            ValueError for what it can't read.
        row: the model of each element, for a list of rows.
    """

    annotation: object
    says: str
    accepts: frozenset[type]
    read: Callable[[Any], Any] | None = None
    row: type[RegistryRow] | None = None


@dataclass(frozen=True)
class Field:
    """One field: its name here, its key in the API's JSON, and its kind."""

    name: str
    key: str
    kind: FieldType

    def error(self) -> FieldError:
        """Return the error for a value that isn't of this field's kind."""
        return FieldError(self.key, self.kind.says)


def naive_utc(value: str | list[int]) -> datetime | None:
    """Read a moment as the registry writes it, in UTC; the result carries no zone.

    ``2025-06-05 21:12:08``, with or without fraction and zone, or the date alone; or numbers from
    the year down to the nanosecond (users' roles), of which the last ones may be missing. Blank
    text is no moment. Finer than a microsecond is cut off or rounded.

    Raises:
        ValueError: it is nothing of that.
    """
    if isinstance(value, list):
        return _from_parts(value)
    text = value.strip()
    if not text:
        return None
    if len(text) == _DATE_LENGTH:
        text += " 00:00:00"
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise ValueError from None
    if moment.tzinfo is not None:
        return moment.astimezone(UTC).replace(tzinfo=None)
    return moment


def _from_parts(parts: list[int]) -> datetime:
    if any(type(part) is not int for part in parts) or not (
        _DATE_PARTS <= len(parts) <= _TIME_PARTS + 1
    ):
        raise ValueError
    nanoseconds = parts[_TIME_PARTS] if len(parts) > _TIME_PARTS else 0
    year, month, day, *time = parts[:_TIME_PARTS]
    hour, minute, second, *_ = (*time, 0, 0, 0)
    try:
        return datetime(year, month, day, hour, minute, second, nanoseconds // 1000)  # noqa: DTZ001
    except OverflowError:
        raise ValueError from None


def _moment(value: str | list[int]) -> datetime | None:
    moment = naive_utc(value)
    return None if moment is None else moment.replace(tzinfo=UTC)


def _day(value: str) -> date | None:
    text = value.strip()
    if not text:
        return None
    try:
        return msgspec.convert(text, date)
    except msgspec.ValidationError:
        raise ValueError from None


TEXT = FieldType(str, "text", frozenset({str}))
NUMBER = FieldType(int, "a whole number", frozenset({int}))
BOOL = FieldType(bool, "true or false", frozenset({bool}))
MOMENT = FieldType(datetime, "a date and time", frozenset({str, list}), _moment)
DAY = FieldType(date, "a date YYYY-MM-DD", frozenset({str}), _day)
OBJECT = FieldType(dict, "an object", frozenset({dict}))
_KINDS = {kind.annotation: kind for kind in (TEXT, NUMBER, BOOL, MOMENT, DAY, OBJECT)}


@functools.cache
def fields_of(model: type[RegistryRow]) -> tuple[Field, ...]:
    """Return the model's fields, in its order, without ``extra``."""
    return tuple(
        Field(field.name, field.encode_name, _kind(field.type))
        for field in msgspec.structs.fields(model)
        if field.name != _EXTRA
    )


@functools.cache
def keys_of(model: type[RegistryRow]) -> frozenset[str]:
    """Return the API's names of the model's fields."""
    return frozenset(field.key for field in fields_of(model))


def _kind(annotation: Any) -> FieldType:
    if isinstance(annotation, UnionType):
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    if get_origin(annotation) is list:
        (model,) = get_args(annotation)
        return FieldType(annotation, "a list of objects", frozenset({list}), row=model)
    return _KINDS[get_origin(annotation) or annotation]


def extra_of(model: type[RegistryRow], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the row holds beyond the model's fields."""
    known = keys_of(model)
    if row.keys() <= known:
        return {}
    return {key: value for key, value in row.items() if key not in known}


def read_row(model: type[Row], row: Mapping[str, Any]) -> Row:
    """Make the object of a row.

    Raises:
        FieldError: a value isn't what its field must be.
    """
    values: dict[str, Any] = {}
    for field in fields_of(model):
        value = row.get(field.key)
        if value is not None:
            values[field.name] = _read(field, value)
    extra = extra_of(model, row)
    if extra:
        values[_EXTRA] = extra
    return model(**values)


def _read(field: Field, value: Any) -> Any:
    kind = field.kind
    if type(value) not in kind.accepts:
        raise field.error()
    if kind.row is not None:
        return [_read_element(field, kind.row, element) for element in value]
    if kind.read is None:
        return value
    try:
        return kind.read(value)
    except ValueError:
        raise field.error() from None


def _read_element(field: Field, model: type[RegistryRow], element: Any) -> RegistryRow:
    if type(element) is not dict:
        raise field.error()
    try:
        return read_row(model, element)
    except FieldError as error:
        raise error.below(field.key) from None
