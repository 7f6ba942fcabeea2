"""One execution for all studies of a run: a Map that takes each study through the steps."""

from collections.abc import Sequence
from dataclasses import dataclass

from orch_assets.step_functions.states import scope_of
from orch_assets.step_functions.task import (
    Catch,
    State,
    Step,
    chain,
    duplicate_name,
    transition_to,
    with_catches,
)

_ANY_ERROR = "States.ALL"
_CATCHING = frozenset({"Task", "Parallel", "Map"})


@dataclass(frozen=True)
class EachStudy:
    """A step that takes each item of the input's ``studies`` through the steps.

    Its output is a list with one outcome per study, in the order of the input: ``{"output": …}``,
    or ``{"failed": {"Error": …, "Cause": <name of the state that failed>}}``. A study that fails
    doesn't fail the others, except by ``States.Runtime``, which AWS lets nothing catch.

    The states around the steps use JSONPath: a state without a ``QueryLanguage`` takes that of the
    state it is in, so JSONata here would change what the steps mean.

    Args:
        steps: of one study.
        at_once: number of studies that run at the same time, from 1 to 40.
        name: of the state.
    """

    steps: Sequence[Step]
    at_once: int
    name: str = "Each study"

    def states(self, following: str | None) -> dict[str, State]:
        """Return the Map."""
        study = {
            "Type": "Parallel",
            "Branches": [scope_of(self.name, "steps", [_NamedFailures(self.steps)])],
            "ResultSelector": {"output.$": "$[0]"},
        }
        processor = {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "One study",
            "States": with_catches("One study", study, [Catch([_FailedStudy()])], None),
        }
        state: State = {
            "Type": "Map",
            "ItemsPath": "$.studies",
            "MaxConcurrency": self.at_once,
            "ItemProcessor": processor,
        }
        return {self.name: state | transition_to(following)}


@dataclass(frozen=True)
class _FailedStudy:
    """Makes a study's outcome of the error that it takes in."""

    name: str = "Failed study"

    def states(self, following: str | None) -> dict[str, State]:
        state: State = {"Type": "Pass", "Parameters": {"failed.$": "$"}}
        return {self.name: state | transition_to(following)}


@dataclass(frozen=True)
class _NamedFailures:
    """Steps whose failures give the state's name as their cause: the original may hold data."""

    steps: Sequence[Step]

    @property
    def name(self) -> str:
        return self.steps[0].name

    def states(self, following: str | None) -> dict[str, State]:
        states = chain(self.steps, following)
        ends: dict[str, State] = {}
        for name, state in states.items():
            errors = {error for rule in state.get("Catch", ()) for error in rule["ErrorEquals"]}
            if state["Type"] == "Fail":
                states[name] = {k: v for k, v in state.items() if k != "CausePath"}
                states[name]["Cause"] = name
            elif state["Type"] in _CATCHING and _ANY_ERROR not in errors:
                end = f"{name} failed"
                rule = {"ErrorEquals": [_ANY_ERROR], "Next": end}
                states[name] = {**state, "Catch": [*state.get("Catch", ()), rule]}
                ends[end] = {"Type": "Fail", "ErrorPath": "$.Error", "Cause": name}
        if clash := ends.keys() & states:
            raise duplicate_name(min(clash))
        return states | ends
