"""Draw a state machine from its definition."""

from collections.abc import Iterator, Mapping
from typing import Any

from orch_assets.step_functions.checks.definition import scopes_within, states_of

_LONGEST_LABEL = 60


def mermaid(definition: Mapping[str, Any]) -> str:
    """Return a checked definition as a Mermaid state diagram.

    Example:
        >>> print(mermaid({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}))
        stateDiagram-v2
            state "A" as s0
            [*] --> s0
            s0 --> [*]
    """
    ids = {name: f"s{i}" for i, (name, _) in enumerate(states_of(definition))}
    return "\n".join(["stateDiagram-v2", *_indented(_scope(definition, ids))])


def _scope(scope: Mapping[str, Any], ids: Mapping[str, str]) -> Iterator[str]:
    states: Mapping[str, Mapping[str, Any]] = scope["States"]
    for name, state in states.items():
        yield from _state(name, state, ids)
    yield f"[*] --> {ids[scope['StartAt']]}"
    for name, state in states.items():
        for target, label in _transitions(state):
            arrow = f"{ids[name]} --> {ids[target] if target else '[*]'}"
            yield f"{arrow}: {_text(label)}" if label else arrow


def _state(name: str, state: Mapping[str, Any], ids: Mapping[str, str]) -> Iterator[str]:
    line = f'state "{_text(name)}" as {ids[name]}'
    inner = [inner for _, inner in scopes_within(state)]
    if not inner:
        yield line
        return
    yield line + " {"
    for i, scope in enumerate(inner):
        if i:
            yield "    --"
        yield from _indented(_scope(scope, ids))
    yield "}"


def _transitions(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each state that can come next, with the condition as a label; "" is the end."""
    for i, rule in enumerate(state.get("Choices", ()), 1):
        yield rule["Next"], str(rule.get("Condition", f"rule {i}"))
    if "Default" in state:
        yield state["Default"], "otherwise"
    if "Next" in state:
        yield state["Next"], ""
    if state.get("End") or state["Type"] in {"Succeed", "Fail"}:
        yield "", "fails" if state["Type"] == "Fail" else ""
    for rule in state.get("Catch", ()):
        yield rule["Next"], "on " + ", ".join(rule["ErrorEquals"])


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _text(text: str) -> str:
    """Return text as one line of Mermaid, its special characters as entities."""
    line = " ".join(text.split())
    short = line if len(line) <= _LONGEST_LABEL else line[: _LONGEST_LABEL - 1] + "…"
    return "".join(f"#{ord(c)};" if c in '#;"{}%<>:\\' else c for c in short)
