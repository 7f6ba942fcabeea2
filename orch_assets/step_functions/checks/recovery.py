"""Checks of a state's error handling: its ``Retry`` and ``Catch``."""

from collections.abc import Mapping
from typing import Any

from orch_assets.step_functions.checks.field_values import number, whole_number
from orch_assets.step_functions.checks.state_fields import (
    CATCHER_FIELDS,
    RESERVED_ERRORS,
    RETRIER_FIELDS,
)
from orch_assets.step_functions.execution_errors import DefinitionError

_MOST_ATTEMPTS = 99_999_999
_LONGEST_DELAY = 31_622_399


def check_recovery(name: str, state: Mapping[str, Any]) -> None:
    """Check the retriers and catchers of a state.

    Raises:
        DefinitionError: names the state, the retrier or catcher, and the field.
    """
    for field, known in (("Retry", RETRIER_FIELDS), ("Catch", CATCHER_FIELDS)):
        if field not in state:
            continue
        rules = state[field]
        if not isinstance(rules, list) or not all(isinstance(rule, Mapping) for rule in rules):
            raise DefinitionError(name, field, "must be a list of objects.")
        for i, rule in enumerate(rules):
            place = f"{field}[{i}]"
            _check_rule(name, place, rule, known)
            _check_errors(name, f"{place}.ErrorEquals", rule, last=i == len(rules) - 1)
            if field == "Retry":
                _check_retrier(name, place, rule)
            elif not isinstance(rule.get("Next"), str):
                raise DefinitionError(name, f"{place}.Next", "must name the next state.")


def _check_rule(name: str, place: str, rule: Mapping[str, Any], known: set[str]) -> None:
    for field in rule:
        if field not in known:
            raise DefinitionError(name, f"{place}.{field}", "is an unknown field. Remove it.")


def _check_errors(name: str, place: str, rule: Mapping[str, Any], *, last: bool) -> None:
    errors = rule.get("ErrorEquals")
    if not isinstance(errors, list) or not errors:
        raise DefinitionError(name, place, "must be a list of at least one error name.")
    for error in errors:
        if not isinstance(error, str) or not error:
            raise DefinitionError(name, place, "error names must be non-empty text.")
        if error.startswith("States.") and error not in RESERVED_ERRORS:
            raise DefinitionError(
                name, place, f"{error!r} is not an error that Step Functions defines."
            )
    if "States.ALL" in errors and (len(errors) > 1 or not last):
        raise DefinitionError(name, place, "States.ALL must stand alone, and last.")


def _check_retrier(name: str, place: str, rule: Mapping[str, Any]) -> None:
    interval = rule.get("IntervalSeconds", 1)
    whole_number(name, f"{place}.IntervalSeconds", interval, 1, _MOST_ATTEMPTS)
    whole_number(name, f"{place}.MaxAttempts", rule.get("MaxAttempts", 3), 0, _MOST_ATTEMPTS)
    number(name, f"{place}.BackoffRate", rule.get("BackoffRate", 2.0), 1.0, float("inf"))
    if "MaxDelaySeconds" in rule:
        delay = rule["MaxDelaySeconds"]
        whole_number(name, f"{place}.MaxDelaySeconds", delay, interval + 1, _LONGEST_DELAY)
    if rule.get("JitterStrategy", "NONE") not in ("FULL", "NONE"):
        raise DefinitionError(name, f"{place}.JitterStrategy", "must be FULL or NONE.")
