"""The types of a pipeline's settings, and how a value is read as one of them."""

import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, Literal

from orch_assets.orchestration.defining.similar_names import closest_key, did_you_mean

SETTING_TYPES: Final = (
    "int, float, str, bool, datetime.date, a Literal of texts, an Enum or list[str], each also "
    "with `| None`"
)

CHOICE: Final = "choice"
_WORDS: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    date: "a date such as 2026-01-31",
    list: "a list of texts",
}
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_BOOLEANS: Final = {"true": True, "false": False}


@dataclass(frozen=True)
class SettingType:
    """The type of a setting.

    Attributes:
        kind: ``bool``, ``int``, ``float``, ``str``, ``date``, ``list`` (of texts) or ``CHOICE``.
        choices: The values of a choice by the text that stands for each.
        optional: Whether None is a value.
    """

    kind: Any
    choices: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False

    @property
    def words(self) -> str:
        """What a value must be, for messages."""
        words = _WORDS.get(self.kind) or f"one of {', '.join(self.choices)}"
        return f"{words}, or null" if self.optional else words

    def read(self, value: Any) -> Any:
        """Return a Python or YAML value as this type.

        Raises:
            ValueError: It is no value of this type. The message doesn't show it.
        """
        if value is None and self.optional:
            return None
        found = self._choice(value) if self.kind is CHOICE else _read(self.kind, value)
        if found is None:
            raise ValueError(f"must be {self.words}.{self._hint(value)}")
        return found

    def _hint(self, value: Any) -> str:
        if isinstance(value, str):
            return did_you_mean(closest_key(value, self.choices))
        is_one_text = self.kind in {str, CHOICE} and not isinstance(value, (list, Mapping))
        # YAML reads on, no, 007 and 2026-01-31 as other types.
        return " Put text into quotes." if is_one_text and value is not None else ""

    def read_text(self, text: str) -> Any:
        """Return a text from the command line as this type.

        Raises:
            ValueError: It is no value of this type. The message doesn't show it.
        """
        if self.optional and text in {"null", ""}:
            return None
        value: Any = text
        if self.kind is bool:
            value = _BOOLEANS.get(text.lower())
        elif self.kind is list:
            value = [part.strip() for part in text.split(",")] if text else []
        elif self.kind in {int, float}:
            try:
                value = self.kind(text)
            except ValueError:
                value = None
        if value is None:
            raise ValueError(f"must be {self.words}.")
        return self.read(value)

    def plain(self, value: Any) -> Any:
        """Return a value as JSON and run configurations have it."""
        if isinstance(value, Enum):
            return value.name
        if isinstance(value, date):
            return value.isoformat()
        return list(value) if isinstance(value, (list, tuple)) else value

    def _choice(self, value: Any) -> Any:
        if isinstance(value, Enum):
            return value if value in self.choices.values() else None
        return self.choices.get(value) if isinstance(value, str) else None


def _read(kind: Any, value: Any) -> Any:
    """Return a value as a type that isn't a choice; None if it is no value of the type."""
    if kind is list:
        is_list = isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
        return list(value) if is_list else None
    if kind is date:
        return _date(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = _float(value)
    if isinstance(value, bool) and kind is not bool:
        return None
    if not isinstance(value, kind) or (kind is float and not math.isfinite(value)):
        return None
    return value


def _float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _date(value: Any) -> date | None:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, date) and not isinstance(value, datetime) else None


def annotated_type(annotation: Any) -> SettingType | None:
    """Return the setting type that an annotation stands for; None for any other annotation."""
    members = typing.get_args(annotation)
    if typing.get_origin(annotation) in {typing.Union, UnionType} and NoneType in members:
        others = [each for each in members if each is not NoneType]
        inner = annotated_type(others[0]) if len(others) == 1 else None
        return inner and SettingType(inner.kind, inner.choices, optional=True)
    if typing.get_origin(annotation) is Literal:
        is_text = all(isinstance(each, str) for each in members)
        return SettingType(CHOICE, {each: each for each in members}) if is_text else None
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return SettingType(CHOICE, dict(annotation.__members__))
    if annotation == list[str]:
        return SettingType(list)
    return SettingType(annotation) if annotation in _WORDS and annotation is not list else None


def type_of_default(default: Any) -> SettingType | None:
    """Return the setting type of a default without an annotation; None if it has none."""
    if isinstance(default, Enum):
        return annotated_type(type(default))
    if isinstance(default, (list, tuple)):
        return SettingType(list) if all(isinstance(each, str) for each in default) else None
    kind = type(default)
    return SettingType(kind) if kind in _WORDS else None
