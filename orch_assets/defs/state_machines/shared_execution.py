"""One execution for all studies of a run: each goes through the steps in one Map.

A study that fails is an outcome in the Map's list, so that no study ends another's way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from orch_assets.study import study_context

MakeInput = Callable[[str], Mapping[str, Any]]

_CATCHING: Final = frozenset({"Task", "Parallel", "Map"})
_ANY_ERROR: Final = "States.ALL"


@dataclass(frozen=True)
class EachStudy:
    """Takes each of ``$.studies`` through the steps; puts out an outcome for each, in order.

    An outcome is ``{"output": …}`` or ``{"failed": {"Error": …, "Cause": <the state's name>}}``.

    Attributes:
        steps: of a study.
        at_once: studies at a time.
        name: of the first state.
    """

    steps: Sequence[Any]
    at_once: int
    name: str = "Each study"

    def states(self, following: str | None) -> dict[str, dict[str, Any]]:  # noqa: ARG002 - the only step
        """Return the Map."""
        way = {"StartAt": self.steps[0].name, "States": self._telling()}
        one_study = {
            "Type": "Parallel",
            "Branches": [way],
            "ResultSelector": {"output.$": "$[0]"},
            "Catch": [{"ErrorEquals": [_ANY_ERROR], "Next": "Failed study"}],
            "End": True,
        }
        failed = {"Type": "Pass", "Parameters": {"failed.$": "$"}, "End": True}
        each = {
            "Type": "Map",
            "ItemsPath": "$.studies",
            "MaxConcurrency": self.at_once,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "One study",
                "States": {"One study": one_study, "Failed study": failed},
            },
            "End": True,
        }
        return {self.name: each}

    def state_names(self) -> set[str]:
        """Return the names of a study's states."""
        from orch_assets.step_functions.task import chain

        return set(chain(self.steps))

    def _telling(self) -> dict[str, dict[str, Any]]:
        """Return the steps' states; one that fails says its name instead of what may be data."""
        from orch_assets.step_functions.task import chain

        states: dict[str, dict[str, Any]] = {}
        for name, state in chain(self.steps).items():
            caught = [error for rule in state.get("Catch", ()) for error in rule["ErrorEquals"]]
            if state["Type"] == "Fail":
                states[name] = {k: v for k, v in state.items() if k != "CausePath"}
                states[name]["Cause"] = name
            elif state["Type"] in _CATCHING and _ANY_ERROR not in caught:
                end = f"{name} failed"
                rule = {"ErrorEquals": [_ANY_ERROR], "Next": end}
                states[name] = {**state, "Catch": [*state.get("Catch", ()), rule]}
                states[end] = {"Type": "Fail", "ErrorPath": "$.Error", "Cause": name}
            else:
                states[name] = state
        return states


@dataclass
class Together:
    """The studies of a run that wait for one execution.

    Attributes:
        studies: that it is for.
        execute: starts the execution with what a function makes, and waits for its output.
    """

    studies: Sequence[str]
    execute: Callable[[Callable[[], Any]], Awaitable[Any]]
    _task: "asyncio.Future[dict[str, Mapping[str, Any]]] | None" = None
    _waiting: set[str] = field(default_factory=set)
    _refused: dict[str, BaseException] = field(default_factory=dict)

    async def outcome(self, study_key: str, make_input: MakeInput) -> Mapping[str, Any]:
        """Return what came of a study; the first one that asks starts the execution.

        When the last one that waits is cancelled, the execution is stopped.
        """
        if self._task is None:
            self._task = asyncio.ensure_future(self._outcomes(make_input))
        self._waiting.add(study_key)
        try:
            outcomes = await asyncio.shield(self._task)
        finally:
            self._waiting.discard(study_key)
            if not self._waiting and not self._task.done():
                self._task.cancel()
                await asyncio.wait([self._task])
        if study_key in self._refused:
            raise self._refused[study_key]
        return outcomes[study_key]

    async def _outcomes(self, make_input: MakeInput) -> dict[str, Mapping[str, Any]]:
        inputs = await asyncio.to_thread(self._inputs, make_input)
        if not inputs:
            return {}
        outcomes = await self.execute(partial(dict, studies=list(inputs.values())))
        return dict(zip(inputs, outcomes, strict=True))

    def _inputs(self, make_input: MakeInput) -> dict[str, Mapping[str, Any]]:
        inputs: dict[str, Mapping[str, Any]] = {}
        for study_key in self.studies:
            try:
                with study_context(study_key):
                    inputs[study_key] = make_input(study_key)
            except Exception as error:  # noqa: BLE001 - that study's own
                self._refused[study_key] = error
        return inputs
