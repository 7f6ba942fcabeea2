"""The types that fields may have, and how a row's values are read.

:data:`FIELD_TYPES` is the only table of types: for each one, the annotation in the models, the
JSON that the API sends, and the Arrow column. The models are the only list of fields. Rows read as
objects and rows read as columns follow the same rules. Nothing is cast: a number in a text field,
or a bool in a number field, is an error that names the field.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec

from orch_assets.imednet.models import RegistryRow

Row = TypeVar("Row", bound=RegistryRow)

_DATE_LENGTH = len("2025-06-05")
_DATE_PARTS = 3
_TIME_PARTS = 6


class FieldError(Exception):
    """A value does not have its field's type.

    Attributes:
        field: The API's name of the field, after those of the rows around it:
            ``keywords.dateAdded``.
    """

    def __init__(self, field: str, expected: str) -> None:
        self.field = field
        super().__init__(f"field {field} isn't {expected}")

    def below(self, parent: str) -> "FieldError":
        """Return the same error with the name of the enclosing field in front."""
        expected = str(self).removeprefix(f"field {self.field} isn't ")
        return FieldError(f"{parent}.{self.field}", expected)


class UnreadableFieldError(FieldError):
    """A value is valid JSON that cannot be read, such as a number too large for Python."""

    def __init__(self, field: str, holds: str) -> None:
        self.field = field
        Exception.__init__(self, f"field {field} holds {holds}")


@dataclass(frozen=True)
class FieldType:
    """What a field may hold, in each form that its value takes on the way from the API.

    Attributes:
        annotation: The type in the models, without None.
        expected: Used in error messages: ``a whole number``.
        accepts: The types that the JSON value may have. Subtypes are refused.
        wire: The type that msgspec decodes the value to; ``msgspec.Raw`` leaves it as JSON text.
        arrow: The Arrow type of the column, as Arrow prints it.
        length: The length of the text as the API usually writes it, which Arrow parses itself.
            None for a type that Arrow does not parse.
        read: Makes the model's value from the JSON value. None when the two are the same. Raises
            ValueError for a value that it cannot read.
        row: The model of each element of a list. None for other types.
    """

    annotation: Any
    expected: str
    accepts: frozenset[type]
    wire: Any
    arrow: str
    length: int | None = None
    read: Callable[[Any], Any] | None = None
    row: type[RegistryRow] | None = None

    @property
    def is_scalar(self) -> bool:
        """Whether the value is a single one, and neither an object nor a list of rows."""
        return self.wire is not msgspec.Raw

    @property
    def is_text(self) -> bool:
        """Whether the value is usually sent as text."""
        return str in self.accepts


@dataclass(frozen=True)
class Field:
    """A field of a model, which is a column of its table.

    Attributes:
        name: The name in the models and tables.
        key: The name in the API's JSON.
        kind: Its type.
        description: What it means, as one or more sentences or phrases.
    """

    name: str
    key: str
    kind: FieldType
    description: str

    def error(self) -> FieldError:
        """Return the error for a value that does not have this field's type."""
        return FieldError(self.key, self.kind.expected)


def naive_utc(value: str | list[int]) -> datetime | None:
    """Read a date and time as the API writes it; return it in UTC, without a time zone.

    The API writes ``2025-06-05 21:12:08``, with or without a fraction and a zone; or the date
    alone; or, for users' roles, numbers from the year down to the nanosecond, where those after
    the day may be missing. Blank text means no date. Digits finer than a microsecond are cut off
    or rounded.

    Raises:
        ValueError: The value is none of these.
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


def _date_time(value: str | list[int]) -> datetime | None:
    moment = naive_utc(value)
    return None if moment is None else moment.replace(tzinfo=UTC)


def _date(value: str) -> date | None:
    text = value.strip()
    if not text:
        return None
    try:
        return msgspec.convert(text, date)
    except msgspec.ValidationError:
        raise ValueError from None


TEXT = FieldType(str, "text", frozenset({str}), str, "string")
NUMBER = FieldType(int, "a whole number", frozenset({int}), int, "int64")
BOOL = FieldType(bool, "true or false", frozenset({bool}), bool, "bool")
MOMENT = FieldType(
    datetime,
    "a date and time",
    frozenset({str, list}),
    str | list[int],
    "timestamp[us, tz=UTC]",
    length=len("2025-06-05 21:12:08"),
    read=_date_time,
)
DAY = FieldType(
    date,
    "a date YYYY-MM-DD",
    frozenset({str}),
    str,
    "date32[day]",
    length=len("2025-06-05"),
    read=_date,
)
OBJECT = FieldType(dict, "an object", frozenset({dict}), msgspec.Raw, "string")
FIELD_TYPES = {each.annotation: each for each in (TEXT, NUMBER, BOOL, MOMENT, DAY, OBJECT)}
"""The types of fields by their annotation; :func:`fields_of` makes those of lists of rows."""


@functools.cache
def fields_of(model: type[RegistryRow]) -> tuple[Field, ...]:
    """Return the model's fields, in its order, without ``extra``.

    Raises:
        TypeError: A field has no description or a type that is not in :data:`FIELD_TYPES`.
    """
    return columns_of(model)[:-1]


@functools.cache
def columns_of(model: type[RegistryRow]) -> tuple[Field, ...]:
    """Return the columns of the model's table: its fields, then ``extra``.

    Raises:
        TypeError: As :func:`fields_of` does.
    """
    extra, *fields = (
        _field(f"{model.__name__}.{field.name}", field) for field in msgspec.structs.fields(model)
    )
    return (*fields, extra)  # the base class's field comes first in a struct


def _field(label: str, field: msgspec.structs.FieldInfo) -> Field:
    annotation, *descriptions = (
        get_args(field.type) if get_origin(field.type) is Annotated else (field.type,)
    )
    if len(descriptions) != 1 or not isinstance(descriptions[0], str):
        raise TypeError(f'{label} needs a description: Annotated[type, "description"].')
    return Field(field.name, field.encode_name, _kind(label, annotation), descriptions[0])


def _kind(label: str, annotation: Any) -> FieldType:
    if isinstance(annotation, UnionType):
        annotation = next(each for each in get_args(annotation) if each is not type(None))
    if get_origin(annotation) is list:
        return _list_of(annotation)
    kind = FIELD_TYPES.get(get_origin(annotation) or annotation)
    if kind is None:
        raise TypeError(f"{label}: no FieldType has the annotation {annotation}.")
    return kind


def _list_of(annotation: Any) -> FieldType:
    (model,) = get_args(annotation)
    members = ", ".join(f"{each.name}: {each.kind.arrow}" for each in columns_of(model))
    arrow = f"list<item: struct<{members}>>"
    accepts = frozenset({list})
    return FieldType(annotation, "a list of objects", accepts, msgspec.Raw, arrow, row=model)


@functools.cache
def keys_of(model: type[RegistryRow]) -> frozenset[str]:
    """Return the API's names of the model's fields."""
    return frozenset(field.key for field in fields_of(model))


def read_row(model: type[Row], row: Mapping[str, Any]) -> Row:
    """Make an object of the model from a row of decoded JSON.

    Raises:
        FieldError: A value does not have its field's type.
    """
    values: dict[str, Any] = {}
    for field in fields_of(model):
        value = row.get(field.key)
        if value is not None:
            values[field.name] = _read(field, value)
    known = keys_of(model)
    if not row.keys() <= known:
        values["extra"] = {key: value for key, value in row.items() if key not in known}
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
