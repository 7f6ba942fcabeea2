r"""The filter language of the API: ``filter`` and ``recordDataFilter``.

A filter consists of conditions, ``attribute operator value``, joined by ``;`` or `` and `` (AND)
and by ``,`` or `` or `` (OR). Where the API's documents are silent, the simulator follows these
rules, which are implemented in this module only:

- AND binds tighter than OR. There is no grouping.
- Conditions joined by AND must have different attributes (``a>1;a<5`` is refused). Conditions
  joined by OR may repeat one (``a==1,a==2``), as public clients do for a list of values.
- A value without quotes contains no blank, quote or bracket and none of ``\ ; , = ! ~ < >``. A
  value in double quotes may contain anything; ``\"`` and ``\\`` stand for the character itself.
- Blanks are allowed around the words ``and`` and ``or`` only.
- An attribute that a row does not have, or whose value is null, satisfies only ``!=``.
- ``=~`` and ``~=`` (contains) are for ``recordDataFilter`` only. Its values are compared as numbers
  if both sides are numbers. It accepts any name; one that no record has matches nothing.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orch_assets.demo.api_fields import ApiField, Kind
from orch_assets.demo.envelope import ValidationError
from orch_assets.demo.studies.plans import parsed_stamp, stamp

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

# Without \s, because regular-expression engines that read the API description differ in what they
# count as white space.
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
"""The pattern of a value of each kind. Text may be anything."""


@dataclass(frozen=True)
class Condition:
    """One condition: ``attribute operator value``. The value has no quotes."""

    attribute: str
    operator: str
    value: str


def parse(text: str, parameter: str) -> list[list[Condition]]:
    """Return the alternatives (OR), each a list of conditions that must all be true (AND).

    Args:
        text: The filter.
        parameter: The parameter's name, used in error messages.

    Raises:
        ValidationError: The text is not a filter, or repeats an attribute within an alternative.
    """
    alternatives: list[list[Condition]] = [[]]
    position, joint = 0, ";"
    while joint:
        match = _CONDITION.match(text, position)
        if match is None:
            raise ValidationError(
                f"Expected attribute, operator and value at character {position}.",
                attribute=parameter,
                value=text,
            )
        condition = Condition(match["attribute"], match["operator"], _unquote(match["value"]))
        if condition.attribute in {other.attribute for other in alternatives[-1]}:
            raise ValidationError(
                "Conditions joined by AND must have different attributes.",
                attribute=parameter,
                value=text,
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
    """Return a value for use in a filter, quoted only if it must be."""
    if re.fullmatch(BARE, value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def row_filter(text: str, fields: Mapping[str, ApiField], ahead: float = 0.0) -> Predicate:
    """Compile ``filter`` for an endpoint's rows.

    Args:
        text: The filter.
        fields: The fields that rows can be filtered by, by name.
        ahead: The hours by which the zone of the filter's dates is ahead of UTC. The API's is UTC.

    Raises:
        ValidationError: The text is not a filter, an attribute is unknown, or a value has the
            wrong type.
    """
    return _any_of(parse(text, "filter"), lambda condition: _field_test(condition, fields, ahead))


def record_data_filter(text: str) -> Predicate:
    """Compile ``recordDataFilter``. The predicate takes a record, not its ``recordData``.

    Raises:
        ValidationError: The text is not a filter.
    """
    matches = _any_of(parse(text, "recordDataFilter"), _data_test)
    return lambda record: matches(record["recordData"])


def _any_of(
    alternatives: list[list[Condition]], compile_one: Callable[[Condition], Predicate]
) -> Predicate:
    tests = [[compile_one(condition) for condition in group] for group in alternatives]
    if len(tests) == 1 and len(tests[0]) == 1:  # several times faster, and the most frequent
        return tests[0][0]
    return lambda row: any(all(test(row) for test in group) for group in tests)


def _field_test(condition: Condition, fields: Mapping[str, ApiField], ahead: float) -> Predicate:
    name, value = condition.attribute, condition.value
    field = fields.get(name)
    if field is None:
        raise ValidationError(
            "Rows cannot be filtered by this attribute.", attribute=name, value=value
        )
    if condition.operator in _CONTAINS or (
        field.kind == "boolean" and condition.operator not in {"==", "!="}
    ):
        raise ValidationError(
            f"Operator {condition.operator} cannot be used with this attribute.",
            attribute=name,
            value=value,
        )
    if field.kind != "text" and not re.fullmatch(VALUES[field.kind], value):
        raise ValidationError(
            f"The value must have the type {field.kind}.", attribute=name, value=value
        )
    return _comparison(name, _COMPARISONS[condition.operator], _typed(field.kind, value, ahead))


def _typed(kind: Kind, value: str, ahead: float) -> Any:
    if kind == "integer":
        return int(value)
    if kind == "boolean":
        return value == "true"
    if kind == "date_time":  # rows write the same time as "2025-06-05 21:12:08"
        day, _, time = value.partition("T")
        text = f"{day} {time.rstrip('Z') or '00:00:00'}"
        return _moved(text, -ahead) if ahead else text
    return value


def _moved(text: str, hours: float) -> str:
    try:
        return stamp(parsed_stamp(text) + timedelta(hours=hours))
    except (ValueError, OverflowError):
        raise ValidationError("There is no such date.", attribute="filter", value=text) from None


def _comparison(name: str, compare: Callable[[Any, Any], bool], expected: Any) -> Predicate:
    def test(row: Row) -> bool:
        value = row.get(name)
        return compare is operator.ne if value is None else compare(value, expected)

    return test


def _data_test(condition: Condition) -> Predicate:
    name, expected = condition.attribute, condition.value
    if condition.operator in _CONTAINS:
        return lambda data: data.get(name) is not None and expected in str(data[name])
    compare = _COMPARISONS[condition.operator]

    def test(data: Row) -> bool:
        value = data.get(name)
        if value is None:
            return compare is operator.ne
        number, expected_number = _number(value), _number(expected)
        if number is not None and expected_number is not None:
            return compare(number, expected_number)
        return compare(str(value), expected)

    return test


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
