"""Checks of single values: names, expressions and numbers."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from orch_assets.step_functions.execution_errors import DefinitionError
from orch_assets.step_functions.merging import is_expression

MAX_NAME_LENGTH = 80


def check_name(name: str) -> None:
    """Check a state's name.

    Raises:
        DefinitionError: it is empty or too long, or holds outer white space or control characters.
    """
    if not isinstance(name, str) or not name.strip():
        raise DefinitionError(repr(name), "name", "is empty. Give the step a name.")
    if len(name) > MAX_NAME_LENGTH:
        raise DefinitionError(name[:20] + "…", "name", "is over 80 characters. Shorten it.")
    if name != name.strip():
        raise DefinitionError(name, "name", "begins or ends with white space. Remove it.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise DefinitionError(name, "name", "holds a control character. Remove it.")


def check_expression(state: str, field: str, value: Any) -> None:
    """Check that a value is a JSONata expression.

    Raises:
        DefinitionError: it isn't.
    """
    if not isinstance(value, str) or not is_expression(value):
        raise DefinitionError(state, field, "must be a JSONata expression: '{% … %}'.")
    if not value[2:-2].strip():
        raise DefinitionError(state, field, "is an empty JSONata expression.")


def check_template(state: str, field: str, value: Any) -> None:
    """Check the delimiters ``{%`` and ``%}`` of all expressions in a JSONata payload.

    Raises:
        DefinitionError: an expression isn't closed, or a key ends in ``.$``, as in JSONPath.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key.endswith(".$"):
                raise DefinitionError(
                    state,
                    f"{field}.{key}",
                    "is JSONPath in a JSONata state. Write '{% … %}', and the key without '.$'.",
                )
            check_template(state, f"{field}.{key}", item)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            check_template(state, f"{field}[{i}]", item)
    elif isinstance(value, str) and value.startswith("{%"):
        check_expression(state, field, value)


def whole_number(state: str | None, field: str, value: Any, least: int, most: int) -> None:
    """Check that a value is a whole number from ``least`` to ``most``.

    Raises:
        DefinitionError: it isn't.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DefinitionError(state, field, f"must be a whole number from {least} to {most}.")


def number(state: str | None, field: str, value: Any, least: float, most: float) -> None:
    """Check that a value is a number from ``least`` to ``most``.

    Raises:
        DefinitionError: it isn't.
    """
    wrong = not isinstance(value, (int, float)) or isinstance(value, bool)
    if wrong or not least <= value <= most:
        raise DefinitionError(state, field, f"must be a number from {least} to {most}.")
