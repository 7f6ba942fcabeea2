"""Checks of a whole definition: what AWS would refuse, and what would fail in an execution."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from orch_assets.step_functions.arns import has_wrong_account, resource_of
from orch_assets.step_functions.checks.field_values import check_name, whole_number
from orch_assets.step_functions.checks.reachability import check_flow
from orch_assets.step_functions.checks.state_checks import check_state
from orch_assets.step_functions.checks.state_fields import MACHINE_FIELDS, SCOPE_FIELDS
from orch_assets.step_functions.execution_errors import DefinitionError
from orch_assets.step_functions.plain_json import compact, plain, size

MAX_DEFINITION_BYTES = 1024 * 1024


class Scope(NamedTuple):
    """States that can lead to each other: those of the machine, of a branch or of a map.

    Attributes:
        owner: name of the state that holds the scope; None for the machine.
        place: field of the owner that holds it, such as ``Branches[0]``; "" for the machine.
        fields: the scope's own fields.
        language: query language of the states that don't set one.
    """

    owner: str | None
    place: str
    fields: Mapping[str, Any]
    language: str

    def field(self, name: str) -> str:
        """Return the path of one of the scope's fields, for error messages."""
        return f"{self.place}.{name}" if self.place else name


def check_definition(definition: Mapping[str, Any], machine_type: str = "STANDARD") -> None:
    """Check a definition in Amazon States Language.

    Args:
        definition: as JSON-compatible Python values.
        machine_type: ``STANDARD``, or ``EXPRESS``, which allows less.

    Raises:
        DefinitionError: names the first invalid state and field.
    """
    plain(definition, "definition", partial(DefinitionError, None))
    if size(compact(definition)) > MAX_DEFINITION_BYTES:
        raise DefinitionError(
            None, "definition", "is over 1 MB. Keep data out of it: put it into the input or S3."
        )
    express = machine_type == "EXPRESS"
    if "TimeoutSeconds" in definition:
        longest = LONGEST_EXECUTION if express else 99_999_999
        whole_number(None, "TimeoutSeconds", definition["TimeoutSeconds"], 1, longest)
    seen: set[str] = set()
    for scope in _scopes(Scope(None, "", definition, "JSONPath")):
        _check_scope(scope, seen)
    _check_express(definition, within=express)


def check_accounts(definition: Mapping[str, Any]) -> None:
    """Check that account numbers have 12 digits, as AWS does at deployment only.

    Raises:
        DefinitionError: names the first invalid state and field.
    """
    for name, state in states_of(definition):
        arguments = state.get("Parameters", state.get("Arguments"))
        items = arguments.items() if isinstance(arguments, Mapping) else ()
        for field, value in (("Resource", state.get("Resource")), *items):
            if isinstance(value, str) and has_wrong_account(value):
                raise DefinitionError(name, field, "its account number must have 12 digits.")


def states_of(definition: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name and fields of every state, including those in branches and maps."""
    for scope in _scopes(Scope(None, "", definition, "JSONPath")):
        yield from scope.fields["States"].items()


def scopes_within(state: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each field of a state that holds further states, with its value."""
    branches = state.get("Branches")
    if isinstance(branches, list):
        yield from ((f"Branches[{i}]", branch) for i, branch in enumerate(branches))
    for field in ("ItemProcessor", "Iterator"):
        if field in state:
            yield field, state[field]


def _scopes(scope: Scope) -> Iterator[Scope]:
    """Yield a scope, then those inside it.

    A scope is read after its consumer has checked it, so its states are known to be valid here.
    """
    yield scope
    language = scope.fields.get("QueryLanguage", scope.language)
    for name, state in scope.fields["States"].items():
        for place, fields in scopes_within(state):
            yield from _scopes(Scope(name, place, fields, state.get("QueryLanguage", language)))


def _check_express(scope: Mapping[str, Any], *, within: bool) -> None:
    """Check the states that run as EXPRESS: the machine's, or those of a distributed map."""
    for name, state in scope["States"].items():
        if within:
            check_express_state(name, state)
        children = mode_of(state, "ExecutionType") == "EXPRESS"
        for _, inner in scopes_within(state):
            _check_express(inner, within=within or children)


def _check_scope(scope: Scope, seen: set[str]) -> None:
    owner = scope.owner
    if not isinstance(scope.fields, Mapping):
        raise DefinitionError(owner, scope.place, "must be an object of StartAt and States.")
    known = SCOPE_FIELDS if owner else MACHINE_FIELDS
    for field in scope.fields:
        if field not in known:
            raise DefinitionError(owner, scope.field(field), "is an unknown field. Remove it.")
    language = scope.fields.get("QueryLanguage", scope.language)
    if language not in ("JSONPath", "JSONata"):
        raise DefinitionError(owner, scope.field("QueryLanguage"), "must be JSONPath or JSONata.")
    states = scope.fields.get("States")
    if not isinstance(states, Mapping) or not states:
        raise DefinitionError(owner, scope.field("States"), "has no states. Add a step.")
    for name, state in states.items():
        check_name(name)
        if name in seen:
            raise DefinitionError(
                name, "name", "another state has this name, maybe in a branch or a map. Rename one."
            )
        seen.add(name)
        check_state(name, state, language)
    check_flow(owner, scope.place, scope.fields)


LONGEST_EXECUTION = 300
_INSTEAD = "Make the machine STANDARD, or remove this."


def check_express_state(name: str, state: Mapping[str, Any]) -> None:
    """Check what EXPRESS machines don't allow in a state that is valid otherwise.

    Raises:
        DefinitionError: names the state and the field.
    """
    resource = resource_of(state.get("Resource", ""))
    if resource and resource.kind == "activity":
        raise DefinitionError(
            name, "Resource", f"is an activity, which EXPRESS doesn't support. {_INSTEAD}"
        )
    if resource and "." in resource.action:
        pattern = resource.action.partition(".")[2]
        raise DefinitionError(
            name, "Resource", f"waits ('.{pattern}'), which EXPRESS doesn't support. {_INSTEAD}"
        )
    if mode_of(state) == "DISTRIBUTED":
        place = "ItemProcessor.ProcessorConfig.Mode"
        raise DefinitionError(
            name, place, f"is DISTRIBUTED, which EXPRESS doesn't support. {_INSTEAD}"
        )
    seconds = state.get("Seconds", 0)
    if isinstance(seconds, int) and seconds >= LONGEST_EXECUTION:
        raise DefinitionError(
            name, "Seconds", f"EXPRESS ends after 300 s, so this is too long. {_INSTEAD}"
        )


def mode_of(state: Mapping[str, Any], field: str = "Mode") -> Any:
    """Return a field of a map's ``ProcessorConfig``; None if it isn't set."""
    return state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get(field)
