"""Checks of numbers in states."""

from typing import Any

from orch_assets.step_functions.execution_errors import DefinitionError


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
