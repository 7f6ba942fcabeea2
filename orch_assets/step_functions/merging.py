"""Static parameters, merged over what the previous step put out.

JSONPath can't do this within one state: its ``Parameters`` replace the input. So the state speaks
JSONata, which Step Functions takes state by state.
"""

import json
from collections.abc import Mapping
from typing import Any

# Where a previous output that is no object arrives, beside the parameters.
INPUT_KEY = "input"


def merged(parameters: Mapping[str, Any]) -> str:
    """Return the JSONata expression of an input with parameters over it.

    Args:
        parameters: plain JSON. They win over the input's keys. Text of the form ``{% … %}`` is a
            JSONata expression of its own.
    """
    over_input = (
        "$type($states.input) = 'object' ? $states.input : {'" + INPUT_KEY + "': $states.input}"
    )
    return "{% $merge([" + over_input + ", " + literal(parameters) + "]) %}"


def literal(value: Any) -> str:
    """Return plain JSON as a JSONata literal."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_item, value)) + "]"
    if isinstance(value, str):
        return f"({expression(value)})" if is_expression(value) else _text(value)
    return json.dumps(value)


def _item(value: Any) -> str:
    """Return an item of a list: JSONata would put a list's items in place of the list."""
    if not isinstance(value, str) or not is_expression(value):
        return literal(value)
    return f"($item := ({expression(value)}); $type($item) = 'array' ? [[$item]] : $item)"


def is_expression(text: str) -> bool:
    """Tell whether text is a JSONata expression, by Step Functions' own mark."""
    return text.startswith("{%") and text.endswith("%}") and len(text) >= len("{%%}")


def expression(text: str) -> str:
    """Return what is between the marks."""
    return text[2:-2].strip()


def _text(text: str) -> str:
    # No "%}" within: it would end the expression.
    return json.dumps(text).replace("%", "\\u0025")
