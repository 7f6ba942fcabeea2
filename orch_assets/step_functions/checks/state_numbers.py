"""Numbers in states."""

from typing import Any

from orch_assets.step_functions.execution_errors import DefinitionError


def whole_number(state: str | None, field: str, value: Any, least: int, most: int) -> None:
    """Check a whole number.

    Raises:
        DefinitionError: it is none, or out of bounds.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DefinitionError(state, field, f"must be a whole number from {least} to {most}.")


def number(state: str | None, field: str, value: Any, least: float, most: float) -> None:
    """Check a number.

    Raises:
        DefinitionError: it is none, or out of bounds.
    """
    wrong = not isinstance(value, (int, float)) or isinstance(value, bool)
    if wrong or not least <= value <= most:
        raise DefinitionError(state, field, f"must be a number from {least} to {most}.")
