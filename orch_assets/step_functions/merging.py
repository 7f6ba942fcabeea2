"""Merge a step's static parameters over the output of the previous step.

JSONPath can't do this within one state: its ``Parameters`` replace the input. The state therefore
uses JSONata, which Step Functions allows for single states.
"""

import json
from collections.abc import Mapping
from typing import Any

# Key of the previous output if that isn't an object.
INPUT_KEY = "input"


def merged(parameters: Mapping[str, Any]) -> str:
    """Return a JSONata expression that merges parameters over a state's input.

    Args:
        parameters: plain JSON; replace equal keys of the input. Text of the form ``{% … %}`` is
            evaluated as a JSONata expression.
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
    """Return an item of a list literal; JSONata would flatten an item that is a list."""
    if not isinstance(value, str) or not is_expression(value):
        return literal(value)
    return f"($item := ({expression(value)}); $type($item) = 'array' ? [[$item]] : $item)"


def is_expression(text: str) -> bool:
    """Return whether text is a JSONata expression by the delimiters of Step Functions."""
    return text.startswith("{%") and text.endswith("%}") and len(text) >= len("{%%}")


def expression(text: str) -> str:
    """Return an expression without its delimiters."""
    return text[2:-2].strip()


def _text(text: str) -> str:
    # An unescaped "%}" would end the expression.
    return json.dumps(text).replace("%", "\\u0025")
