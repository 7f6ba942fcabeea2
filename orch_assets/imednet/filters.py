"""Builds the API's filter expressions from keywords.

The filter language has no grouping, so a list (OR) must be the only criterion: next to another one
its meaning would change. Attributes are unique, values case-sensitive. Values are quoted and
escaped as in the public ``imednet`` package; the vendor doesn't document it.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from typing import Any

from orch_assets.imednet.fields import DAY, MOMENT, Field, naive_utc

OPERATORS = frozenset({"<", "<=", ">", ">=", "==", "!="})

_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


def build_filter(filters: Mapping[str, Any], fields: Mapping[str, Field]) -> str | None:
    """Return the ``filter`` parameter; None if there are no criteria.

    Args:
        filters: Criteria by snake_case name: a value (equal), a pair of operator and value, or a
            list of values (any of them).
        fields: The fields that the endpoint can be filtered by, by snake_case name.

    Raises:
        ValueError: The filter language can't express a criterion.
    """
    if len(filters) > 1 and any(isinstance(value, list) for value in filters.values()):
        raise ValueError(
            f"{', '.join(filters)}: a list (OR) can't be combined with another filter, because the "
            "API's filter language has no grouping. Make one call per value, or filter the result."
        )
    criteria = [_criterion(fields[name], value) for name, value in filters.items()]
    return ";".join(criteria) or None


def check_names(names: Collection[str], known: Collection[str], endpoint: str) -> None:
    """Refuse names that the endpoint can't be filtered by.

    Raises:
        TypeError: A name is unknown; Python, too, raises it for an unknown keyword.
    """
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise TypeError(
            f"{endpoint} has no filter {', '.join(unknown)}; "
            f"it has {', '.join(sorted(known)) or 'none'}."
        )


def option_text(name: str, value: Any, type_: type) -> str:
    """Return the value of a parameter that isn't a filter.

    Raises:
        TypeError: The value has another type.
    """
    if type(value) is not type_:
        raise TypeError(f"{name} must be {type_.__name__}, not {type(value).__name__}.")
    return str(value).lower() if type_ is bool else str(value)


def _criterion(field: Field, value: Any) -> str:
    name, attribute = field.name, field.key
    if isinstance(value, list):
        if not value:
            raise ValueError(
                f"{name}: an empty list would select every row; omit the filter instead."
            )
        return ",".join(f"{attribute}=={_operand(field, item)}" for item in value)
    operator = "=="
    if isinstance(value, tuple):
        operator, value = _comparison(name, value)
    return f"{attribute}{operator}{_operand(field, value)}"


def _comparison(name: str, pair: tuple[Any, ...]) -> tuple[str, Any]:
    if len(pair) != 2 or pair[0] not in OPERATORS:  # noqa: PLR2004 - a pair
        raise ValueError(
            f"{name}: a tuple is (operator, value), with {' '.join(sorted(OPERATORS))}."
        )
    return pair


def _operand(field: Field, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat() + ("T00:00:00Z" if field.kind is MOMENT else "")
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return _moment(field, value) if field.kind in {DAY, MOMENT} else _quoted(field.name, value)
    raise ValueError(
        f"{field.name}: a filter accepts text, numbers, bools and dates, "
        f"not {type(value).__name__}."
    )


def _moment(field: Field, text: str) -> str:
    try:
        moment = naive_utc(text)
    except ValueError:
        moment = None
    if moment is None:
        raise ValueError(f"{field.name}: this is not a date in the API's format.")
    return utc_text(moment) if field.kind is MOMENT else moment.date().isoformat()


def _quoted(name: str, text: str) -> str:
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise ValueError(f"{name}: a filter value can't contain control characters.")
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def utc_text(moment: datetime) -> str:
    """Return a moment in the format of the API's filters; without a time zone, it is UTC."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat() + "Z"
