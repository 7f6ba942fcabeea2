"""The state of a publication, for whoever makes the next version, as JSON values."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from orch_assets.errors import UnstorableValueError
from orch_assets.json_values import NotJsonError, json_value
from orch_assets.marked_names import named

# The state of a publication, or a function that returns it once all rows are written.
State: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any]]


def plain_state(state: State | None, name: str) -> Mapping[str, Any]:
    """Return the state of a publication as JSON values.

    Raises:
        UnstorableValueError: It is not JSON-serializable, or no mapping.
    """
    value = state() if callable(state) else state
    try:
        plain = json_value(value or {})
    except NotJsonError as error:
        raise UnstorableValueError(
            f"The state of {named(name)} is not JSON-serializable. {error.marked}", artifact=name
        ) from None
    if not isinstance(plain, dict):
        raise UnstorableValueError(
            f"The state of {named(name)} is not a mapping, such as a dict.", artifact=name
        )
    return plain
