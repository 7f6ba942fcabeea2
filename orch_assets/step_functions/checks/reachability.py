"""Checks of transitions: each target exists, each state is reachable, and each can end."""

from collections.abc import Iterator, Mapping
from typing import Any

from orch_assets.step_functions.execution_errors import DefinitionError


def targets(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each field of a state that names a next state, with that name."""
    if "Next" in state:
        yield "Next", state["Next"]
    if "Default" in state:
        yield "Default", state["Default"]
    for field in ("Choices", "Catch"):
        for i, rule in enumerate(state.get(field, ())):
            yield f"{field}[{i}].Next", rule["Next"]


def check_flow(owner: str | None, place: str, scope: Mapping[str, Any]) -> None:
    """Check the transitions between the states of one scope, each of which is valid alone.

    Raises:
        DefinitionError: a next state doesn't exist, or a state is unreachable or can't end.
    """
    states = scope["States"]
    start = scope.get("StartAt")
    if not isinstance(start, str) or start not in states:
        field = f"{place}.StartAt" if place else "StartAt"
        raise DefinitionError(owner, field, f"{start!r} is not a state of this scope.")
    for name, state in states.items():
        for field, target in targets(state):
            if target not in states:
                raise DefinitionError(
                    name, field, f"{target!r} is not a state of the same machine, branch or map."
                )
    ahead = {name: {target for _, target in targets(state)} for name, state in states.items()}
    _check_reached(start, ahead)
    _check_ends(states, ahead)


def _check_reached(start: str, ahead: Mapping[str, set[str]]) -> None:
    reached = _closure({start}, ahead)
    for name in ahead:
        if name not in reached:
            raise DefinitionError(
                name, "Next", f"is unreachable from {start!r}. Let a step lead to it."
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
                name, "Next", "leads to no end: the execution would loop for ever."
            )


def _closure(start: set[str], edges: Mapping[str, set[str]]) -> set[str]:
    found, todo = set(start), list(start)
    while todo:
        more = edges[todo.pop()] - found
        found |= more
        todo += more
    return found
