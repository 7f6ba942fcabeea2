"""Checking what EXPRESS machines, and EXPRESS children of a distributed map, can't do.

https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
"""

from collections.abc import Mapping
from typing import Any

from orch_assets.step_functions.arns import resource_of
from orch_assets.step_functions.errors import DefinitionError

LONGEST_EXECUTION = 300
_INSTEAD = "Make the machine STANDARD, or leave it out."


def check_express_state(name: str, state: Mapping[str, Any]) -> None:
    """Check one state, which has been checked as a state of any machine.

    Raises:
        DefinitionError: names the state and the field.
    """
    resource = resource_of(state.get("Resource", ""))
    if resource and resource.kind == "activity":
        raise DefinitionError(name, "Resource", f"is an activity: EXPRESS has none. {_INSTEAD}")
    if resource and "." in resource.action:
        pattern = resource.action.partition(".")[2]
        raise DefinitionError(name, "Resource", f"waits ('.{pattern}'): EXPRESS can't. {_INSTEAD}")
    if mode_of(state) == "DISTRIBUTED":
        place = "ItemProcessor.ProcessorConfig.Mode"
        raise DefinitionError(name, place, f"is DISTRIBUTED: EXPRESS can't be. {_INSTEAD}")
    seconds = state.get("Seconds", 0)
    if isinstance(seconds, int) and seconds >= LONGEST_EXECUTION:
        raise DefinitionError(name, "Seconds", f"EXPRESS ends after 300 s at most. {_INSTEAD}")


def mode_of(state: Mapping[str, Any], field: str = "Mode") -> Any:
    """Return how a map processes its items, or another field of that; None where it isn't said."""
    return state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get(field)
