"""Where states go on to: all of it exists, all of it is reached, and all of it comes to an end."""

from collections.abc import Iterator, Mapping
from typing import Any

from orch_assets.step_functions.execution_errors import DefinitionError


def targets(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the fields by which a state goes on, each with the name of the next state."""
    if "Next" in state:
        yield "Next", state["Next"]
    if "Default" in state:
        yield "Default", state["Default"]
    for field in ("Choices", "Catch"):
        for i, rule in enumerate(state.get(field, ())):
            yield f"{field}[{i}].Next", rule["Next"]


def check_flow(owner: str | None, place: str, scope: Mapping[str, Any]) -> None:
    """Check how the states of one scope go on. Each of them has been checked by itself.

    Raises:
        DefinitionError: a next state is missing, a state is never reached or never ends.
    """
    states = scope["States"]
    start = scope.get("StartAt")
    if not isinstance(start, str) or start not in states:
        field = f"{place}.StartAt" if place else "StartAt"
        raise DefinitionError(owner, field, f"names no state here: {start!r}.")
    for name, state in states.items():
        for field, target in targets(state):
            if target not in states:
                raise DefinitionError(
                    name, field, f"names no state of the same machine, branch or map: {target!r}."
                )
    ahead = {name: {target for _, target in targets(state)} for name, state in states.items()}
    _check_reached(start, ahead)
    _check_ends(states, ahead)


def _check_reached(start: str, ahead: Mapping[str, set[str]]) -> None:
    reached = _closure({start}, ahead)
    for name in ahead:
        if name not in reached:
            raise DefinitionError(
                name, "Next", f"no way leads here from {start!r}. Let a step go on to it."
            )


def _check_ends(states: Mapping[str, Any], ahead: Mapping[str, set[str]]) -> None:
    behind: dict[str, set[str]] = {name: set() for name in states}
    for name, nexts in ahead.items():
        for target in nexts:
            behind[target].add(name)
    ends = {n for n, s in states.items() if s.get("End") or s["Type"] in {"Succeed", "Fail"}}
    ending = _closure(ends, behind)
    for name in states:
        if name not in ending:
            raise DefinitionError(
                name, "Next", "no way leads from here to an end: it would go round for ever."
            )


def _closure(found: set[str], edges: Mapping[str, set[str]]) -> set[str]:
    found, todo = set(found), list(found)
    while todo:
        more = edges[todo.pop()] - found
        found |= more
        todo += more
    return found
