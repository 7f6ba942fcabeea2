"""Checks of a single state: its fields, not its transitions."""

from collections.abc import Callable, Mapping
from typing import Any

from orch_assets.step_functions.arns import machine_name, resource_of
from orch_assets.step_functions.checks.field_values import (
    check_expression,
    check_template,
    number,
    whole_number,
)
from orch_assets.step_functions.checks.recovery import check_recovery
from orch_assets.step_functions.checks.state_fields import (
    DISTRIBUTED_FIELDS,
    NULLABLE_FIELDS,
    ONLY_JSON_PATH,
    ONLY_JSONATA,
    REQUIRED_ARGUMENTS,
    STATE_FIELDS,
    TEXT_FIELDS,
)
from orch_assets.step_functions.execution_errors import DefinitionError

_LONGEST = 99_999_999


def check_state(name: str, state: Any, language: str) -> None:
    """Check the fields of a state.

    Args:
        name: of the state.
        state: its fields.
        language: ``JSONPath`` or ``JSONata``; applies if the state doesn't set its own.

    Raises:
        DefinitionError: names the state and the field.
    """
    if not isinstance(state, Mapping):
        raise DefinitionError(name, "Type", "the state must be an object with a Type.")
    kind = state.get("Type")
    known = STATE_FIELDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise DefinitionError(name, "Type", f"must be one of {', '.join(STATE_FIELDS)}.")
    for field, text in state.items():
        allowed_null = text is None and field in NULLABLE_FIELDS
        if field in TEXT_FIELDS and not isinstance(text, str) and not allowed_null:
            raise DefinitionError(name, field, "must be text.")
    _check_fields(name, state, known, state.get("QueryLanguage", language))
    if "End" in known:
        _check_next(name, state)
    check_recovery(name, state)
    if check := _CHECKS.get(state["Type"]):
        check(name, state)


def _check_fields(name: str, state: Mapping[str, Any], known: set[str], language: str) -> None:
    if language not in {"JSONPath", "JSONata"}:
        raise DefinitionError(name, "QueryLanguage", "must be JSONPath or JSONata.")
    foreign = ONLY_JSON_PATH if language == "JSONata" else ONLY_JSONATA
    for field in state:
        if field not in known:
            raise DefinitionError(name, field, f"is not a field of a {state['Type']}. Remove it.")
        if field in foreign:
            raise DefinitionError(name, field, f"is not a field of a {language} state.")
    if language == "JSONata":
        for field in ("Arguments", "Output", "Assign", "ItemSelector"):
            check_template(name, field, state.get(field))


def _check_next(name: str, state: Mapping[str, Any]) -> None:
    if ("Next" in state) == ("End" in state):
        raise DefinitionError(name, "Next", "give either Next or End, not both.")
    if "End" in state and state["End"] is not True:
        raise DefinitionError(name, "End", "must be true.")


def _check_task(name: str, state: Mapping[str, Any]) -> None:
    resource = resource_of(state.get("Resource"))
    if resource is None:
        raise DefinitionError(
            name,
            "Resource",
            "must be the ARN of a Lambda function, an activity or a service (arn:aws:states:::…).",
        )
    for field in ("TimeoutSeconds", "HeartbeatSeconds"):
        if field in state and not isinstance(state[field], str):
            whole_number(name, field, state[field], 1, _LONGEST)
        elif field in state:
            check_expression(name, field, state[field])
    timeout, heartbeat = state.get("TimeoutSeconds"), state.get("HeartbeatSeconds")
    if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
        raise DefinitionError(name, "HeartbeatSeconds", "must be shorter than TimeoutSeconds.")
    _check_arguments(name, state, resource.action)


def _check_arguments(name: str, state: Mapping[str, Any], action: str) -> None:
    field = "Parameters" if "Parameters" in state else "Arguments"
    arguments = state.get(field, {})
    if isinstance(arguments, str):
        check_expression(name, field, arguments)
        return  # its value is known in an execution only
    if not isinstance(arguments, Mapping):
        raise DefinitionError(name, field, "must be an object, or a JSONata expression.")
    for required in REQUIRED_ARGUMENTS.get(action.partition(".")[0], ()):
        if not {required, f"{required}.$"} & set(arguments):
            raise DefinitionError(name, f"{field}.{required}", f"is missing: {action} requires it.")
    for argument, is_valid in _ARNS.items():
        value = arguments.get(argument, "")
        if isinstance(value, str) and value.startswith("arn:") and not is_valid(value):
            raise DefinitionError(
                name, f"{field}.{argument}", f"is not a valid {argument}. Correct the ARN."
            )


def _check_wait(name: str, state: Mapping[str, Any]) -> None:
    fields = ("Seconds", "SecondsPath", "Timestamp", "TimestampPath")
    if sum(field in state for field in fields) != 1:
        raise DefinitionError(name, "Seconds", f"give exactly one of {', '.join(fields)}.")
    seconds = state.get("Seconds", 0)
    if isinstance(seconds, str):
        check_expression(name, "Seconds", seconds)
    else:
        whole_number(name, "Seconds", seconds, 0, _LONGEST)


def _check_choice(name: str, state: Mapping[str, Any]) -> None:
    rules = state.get("Choices")
    if not isinstance(rules, list) or not rules:
        raise DefinitionError(name, "Choices", "has no rules. Give at least one.")
    for i, rule in enumerate(rules):
        place = f"Choices[{i}]"
        if not isinstance(rule, Mapping) or not isinstance(rule.get("Next"), str):
            raise DefinitionError(name, f"{place}.Next", "a rule must name the next state.")
        if "Condition" in rule:
            check_expression(name, f"{place}.Condition", rule["Condition"])
        elif not {"Variable", "And", "Or", "Not"} & set(rule):
            raise DefinitionError(name, f"{place}.Condition", "a rule must have a condition.")


def _check_parallel(name: str, state: Mapping[str, Any]) -> None:
    branches = state.get("Branches")
    if not isinstance(branches, list) or not branches:
        raise DefinitionError(name, "Branches", "has no branches. Give at least one.")


def _check_map(name: str, state: Mapping[str, Any]) -> None:
    processor = state.get("ItemProcessor", state.get("Iterator"))
    if not isinstance(processor, Mapping):
        raise DefinitionError(name, "ItemProcessor", "is missing. Give the steps for each item.")
    config = processor.get("ProcessorConfig", {})
    if not isinstance(config, Mapping):
        raise DefinitionError(name, "ItemProcessor.ProcessorConfig", "must be an object.")
    mode = config.get("Mode", "INLINE")
    if mode not in ("INLINE", "DISTRIBUTED"):
        raise DefinitionError(
            name, "ItemProcessor.ProcessorConfig.Mode", "must be INLINE or DISTRIBUTED."
        )
    if isinstance(state.get("Items"), str):
        check_expression(name, "Items", state["Items"])
    distributed = mode == "DISTRIBUTED"
    if "MaxConcurrency" in state:
        whole_number(name, "MaxConcurrency", state["MaxConcurrency"], int(distributed), 10_000)
    if distributed:
        _check_distributed(name, state, config)
    elif mixed := DISTRIBUTED_FIELDS & set(state):
        raise DefinitionError(name, min(mixed), "is not a field of an INLINE map.")


def _check_distributed(name: str, state: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    if config.get("ExecutionType") not in ("STANDARD", "EXPRESS"):
        place = "ItemProcessor.ProcessorConfig.ExecutionType"
        raise DefinitionError(name, place, "must be STANDARD or EXPRESS.")
    if "MaxConcurrency" not in state:
        raise DefinitionError(
            name, "MaxConcurrency", "is missing. Without it, AWS runs up to 10,000 items at once."
        )
    if "ToleratedFailurePercentage" in state:
        percentage = state["ToleratedFailurePercentage"]
        number(name, "ToleratedFailurePercentage", percentage, 0, 100)


_ARNS: dict[str, Callable[[str], object]] = {
    "FunctionName": lambda arn: getattr(resource_of(arn), "kind", None) == "lambda",
    "StateMachineArn": machine_name,
}
_CHECKS: dict[str, Callable[[str, Mapping[str, Any]], None]] = {
    "Task": _check_task,
    "Wait": _check_wait,
    "Choice": _check_choice,
    "Parallel": _check_parallel,
    "Map": _check_map,
}
