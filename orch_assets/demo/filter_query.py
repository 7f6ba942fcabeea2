r"""The filter language of the API: ``filter`` and ``recordDataFilter``.

A filter is conditions, ``attribute operator value``, joined by ``;`` or `` and `` (AND) and by
``,`` or `` or `` (OR). Where the documents are silent, this is the choice, made here alone:

- AND binds tighter than OR; there is no grouping.
- Conditions that are joined by AND have attributes of their own (``a>1;a<5`` is refused); those
  joined by OR may repeat one (``a==1,a==2``), as public clients do for a list of values.
- A value without quotes holds no blank, no quote, no bracket and none of ``\ ; , = ! ~ < >``.
  Inside double quotes everything goes; ``\"`` and ``\\`` stand for the character itself.
- Blanks stand around the words ``and`` and ``or``, nowhere else.
- An attribute that a row doesn't have, or whose value is null, satisfies ``!=`` alone.
- ``=~`` and ``~=`` (contains) are for ``recordDataFilter``, whose values compare as numbers where
  both sides are numbers. It accepts any name: one that no record has matches nothing.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orch_assets.demo.api_fields import ApiField, Kind
from orch_assets.demo.envelope import ValidationError

Row = Mapping[str, Any]
Predicate = Callable[[Row], bool]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_CONTAINS = ("=~", "~=")

# No \s: what counts as white space differs between the engines that read the API's description.
BARE = r"""[^\x00-\x20"'()\\;,=!~<>]+"""
QUOTED = r'"(?:[^"\\]|\\[\s\S])*"'

_CONDITION = re.compile(
    rf"""(?P<attribute>[A-Za-z_][A-Za-z0-9_]*)
    (?P<operator>==|!=|<=|>=|=~|~=|<|>)
    (?P<value>{BARE}|{QUOTED})
    (?P<joint>;|,|[ ]and[ ]|[ ]or[ ]|\Z)""",
    re.VERBOSE,
)

_DAY = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"

VALUES: dict[Kind, str] = {
    "integer": r"-?[0-9]{1,18}",
    "boolean": r"(?:true|false)",
    "date": _DAY,
    "date_time": rf"{_DAY}(?:T{_TIME}Z?)?",
}
"""What a value of each kind looks like; text can be anything."""


@dataclass(frozen=True)
class Condition:
    """One condition: ``attribute operator value``, the value without its quotes."""

    attribute: str
    operator: str
    value: str


def parse(text: str, parameter: str) -> list[list[Condition]]:
    """Return the alternatives, each a list of conditions that hold together.

    Args:
        text: the filter.
        parameter: its name, for the error.

    Raises:
        ValidationError: the text is no filter, or repeats an attribute between ANDs.
    """
    alternatives: list[list[Condition]] = [[]]
    position, joint = 0, ";"
    while joint:
        match = _CONDITION.match(text, position)
        if match is None:
            raise ValidationError(
                f"Not a condition at character {position}: attribute, operator, value expected.",
                attribute=parameter,
                value=text,
            )
        condition = Condition(match["attribute"], match["operator"], _unquote(match["value"]))
        if condition.attribute in {other.attribute for other in alternatives[-1]}:
            raise ValidationError(
                "An attribute may occur once between ANDs.", attribute=parameter, value=text
            )
        alternatives[-1].append(condition)
        position, joint = match.end(), match["joint"]
        if joint.strip() in {",", "or"}:
            alternatives.append([])
    return alternatives


def _unquote(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\([\s\S])", r"\1", value[1:-1])


def quote(value: str) -> str:
    """Return a value as a filter writes it: as it is where it can be, else quoted."""
    if re.fullmatch(BARE, value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def row_filter(text: str, fields: Mapping[str, ApiField]) -> Predicate:
    """Compile ``filter`` for an endpoint's rows.

    Args:
        text: the filter.
        fields: what may be filtered by, by name.

    Raises:
        ValidationError: no filter, an unknown attribute, or a value of another type.
    """
    return _any_of(parse(text, "filter"), lambda condition: _field_test(condition, fields))


def record_data_filter(text: str) -> Predicate:
    """Compile ``recordDataFilter``; its predicate takes a record, not its ``recordData``.

    Raises:
        ValidationError: no filter.
    """
    holds = _any_of(parse(text, "recordDataFilter"), _data_test)
    return lambda record: holds(record["recordData"])


def _any_of(
    alternatives: list[list[Condition]], compile_one: Callable[[Condition], Predicate]
) -> Predicate:
    tests = [[compile_one(condition) for condition in group] for group in alternatives]
    return lambda row: any(all(test(row) for test in group) for group in tests)


def _field_test(condition: Condition, fields: Mapping[str, ApiField]) -> Predicate:
    name, value = condition.attribute, condition.value
    field = fields.get(name)
    if field is None:
        raise ValidationError("Nothing to filter by.", attribute=name, value=value)
    if condition.operator in _CONTAINS or (
        field.kind == "boolean" and condition.operator not in {"==", "!="}
    ):
        raise ValidationError(
            f"Operator {condition.operator} is not for this attribute.", attribute=name, value=value
        )
    if field.kind != "text" and not re.fullmatch(VALUES[field.kind], value):
        raise ValidationError(f"Not of type {field.kind}.", attribute=name, value=value)
    return _comparison(name, _COMPARISONS[condition.operator], _typed(field.kind, value))


def _typed(kind: Kind, value: str) -> Any:
    if kind == "integer":
        return int(value)
    if kind == "boolean":
        return value == "true"
    if kind == "date_time":  # rows hold the same moment as "2025-06-05 21:12:08"
        day, _, time = value.partition("T")
        return f"{day} {time.rstrip('Z') or '00:00:00'}"
    return value


def _comparison(name: str, compare: Callable[[Any, Any], bool], wanted: Any) -> Predicate:
    def test(row: Row) -> bool:
        value = row.get(name)
        return compare is operator.ne if value is None else compare(value, wanted)

    return test


def _data_test(condition: Condition) -> Predicate:
    name, wanted = condition.attribute, condition.value
    if condition.operator in _CONTAINS:
        return lambda data: data.get(name) is not None and wanted in str(data[name])
    compare = _COMPARISONS[condition.operator]

    def test(data: Row) -> bool:
        value = data.get(name)
        if value is None:
            return compare is operator.ne
        number, wanted_number = _number(value), _number(wanted)
        if number is not None and wanted_number is not None:
            return compare(number, wanted_number)
        return compare(str(value), wanted)

    return test


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
