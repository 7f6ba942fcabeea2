"""Steps besides tasks: choices, branches, maps, waits and failures.

Expressions are JSONata between ``{%`` and ``%}``; ``$states.input`` is the output of the previous
step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from orch_assets.step_functions.execution_errors import DefinitionError
from orch_assets.step_functions.plain_json import plain
from orch_assets.step_functions.task import (
    Catch,
    State,
    Step,
    chain,
    first_of,
    transition_to,
    with_branches,
    with_catches,
)

_JSONATA = {"QueryLanguage": "JSONata"}


@dataclass(frozen=True)
class ChoiceRule:
    """One alternative of a choice.

    Args:
        condition: an expression, such as ``{% $states.input.rows > 0 %}``.
        steps: taken if the condition is true; may be empty.
    """

    condition: str
    steps: Sequence[Step] = ()


@dataclass(frozen=True)
class Choice:
    """Takes the first alternative whose condition is true; all lead to the next step.

    Args:
        name: unique in its pipeline.
        ways: the alternatives, in order.
        otherwise: steps if no condition is true; may be empty.

    Example:
        >>> empty = ChoiceRule("{% $states.input.rows = 0 %}", [Fail("Empty")])
        >>> choice = Choice("Any rows?", [empty])
        >>> list(choice.states("Load"))
        ['Any rows?', 'Empty']
    """

    name: str
    ways: Sequence[ChoiceRule]
    otherwise: Sequence[Step] = ()

    def states(self, following: str | None) -> dict[str, State]:
        """Return the choice, the states of its alternatives, and an end state if one is needed."""
        after = f"{self.name} done" if following is None else following
        rules = [
            {"Condition": way.condition, "Next": _start(way.steps, after)} for way in self.ways
        ]
        state = {
            "Type": "Choice",
            **_JSONATA,
            "Choices": rules,
            "Default": _start(self.otherwise, after),
        }
        states: dict[str, State] = {self.name: state}
        if following is None and after in {state["Default"], *(rule["Next"] for rule in rules)}:
            states[after] = {"Type": "Succeed"}
        alternatives = [*(way.steps for way in self.ways), self.otherwise]
        return with_branches(states, [(steps, following) for steps in alternatives])


@dataclass(frozen=True)
class Parallel:
    """Runs branches concurrently with the same input; the output is the list of their outputs.

    Args:
        name: unique in its pipeline.
        branches: the steps of each branch.
        catch: what to do if a branch fails.
    """

    name: str
    branches: Sequence[Sequence[Step]]
    catch: Sequence[Catch] = field(default=(), kw_only=True)

    def states(self, following: str | None) -> dict[str, State]:
        """Return the state with the branches, and the states of its catches."""
        branches = [scope_of(self.name, f"branches[{i}]", b) for i, b in enumerate(self.branches)]
        return with_catches(
            self.name, {"Type": "Parallel", "Branches": branches}, self.catch, following
        )


@dataclass(frozen=True)
class Map:
    """Runs the steps for each item of a list; the output is the list of their outputs.

    Args:
        name: unique in its pipeline.
        items: an expression of the list, such as ``{% $states.input.studies %}``.
        steps: for each item.
        max_concurrency: number of concurrent items, at most 40; 0 leaves it to AWS.
        item: input of the first step, with expressions of ``$states.context.Map.Item.Value``; by
            default the item.
        catch: what to do if an item fails.
    """

    name: str
    items: str
    steps: Sequence[Step]
    max_concurrency: int = 0
    item: Mapping[str, Any] | None = field(default=None, kw_only=True)
    catch: Sequence[Catch] = field(default=(), kw_only=True)

    def states(self, following: str | None) -> dict[str, State]:
        """Return the map, and the states of its catches."""
        state = _map_state(self, {"Mode": "INLINE"})
        return with_catches(self.name, state, self.catch, following)


@dataclass(frozen=True)
class DistributedMap:
    """A map with a separate execution, and so a separate history, for each of thousands of items.

    Args:
        name: unique in its pipeline.
        items: an expression of the list.
        steps: for each item.
        max_concurrency: number of concurrent items, from 1 to 10,000.
        item: input of the first step; by default the item.
        execution_type: ``STANDARD`` or ``EXPRESS``.
        tolerated_failure_percentage: the map fails if more of its items fail.
        catch: what to do if the map fails.
    """

    name: str
    items: str
    steps: Sequence[Step]
    max_concurrency: int
    item: Mapping[str, Any] | None = field(default=None, kw_only=True)
    execution_type: str = field(default="STANDARD", kw_only=True)
    tolerated_failure_percentage: float = field(default=0, kw_only=True)
    catch: Sequence[Catch] = field(default=(), kw_only=True)

    def states(self, following: str | None) -> dict[str, State]:
        """Return the map, and the states of its catches."""
        mode = {"Mode": "DISTRIBUTED", "ExecutionType": self.execution_type}
        state = _map_state(self, mode)
        state["ToleratedFailurePercentage"] = self.tolerated_failure_percentage
        return with_catches(self.name, state, self.catch, following)


@dataclass(frozen=True)
class Wait:
    """Waits; its output is its input.

    Args:
        name: unique in its pipeline.
        seconds: to wait, or an expression of them.
    """

    name: str
    seconds: int | str

    def states(self, following: str | None) -> dict[str, State]:
        """Return the wait."""
        state = {"Type": "Wait", **_JSONATA, "Seconds": self.seconds}
        return {self.name: state | transition_to(following)}


@dataclass(frozen=True)
class Fail:
    """Ends the execution as failed; a step after it is reached through other states only.

    Args:
        name: unique in its pipeline. Steps that share a failure use the same object.
        error: name of the error, such as ``Clinops.NoRows``; by default the state's name.
        cause: description of the error. It must hold no data, as AWS shows it with the execution.
    """

    name: str
    error: str = ""
    cause: str = ""

    def states(self, following: str | None) -> dict[str, State]:  # noqa: ARG002 - the execution ends here
        """Return the failure."""
        state = {"Type": "Fail", "Error": self.error or self.name}
        return {self.name: {**state, "Cause": self.cause} if self.cause else state}


def _start(steps: Sequence[Step], otherwise: str) -> str:
    return steps[0].name if steps else otherwise


def scope_of(name: str, place: str, steps: Sequence[Step]) -> State:
    """Return steps as the content of a branch or a map: ``StartAt`` and ``States``.

    Args:
        name: of the state that holds them, for the error.
        place: its field.
        steps: in order.

    Raises:
        DefinitionError: there are no steps.
    """
    return {"StartAt": first_of(steps, name, place), "States": chain(steps)}


def _map_state(step: Map | DistributedMap, mode: Mapping[str, str]) -> State:
    state: State = {"Type": "Map", **_JSONATA, "Items": step.items}
    if step.item is not None:
        state["ItemSelector"] = plain(step.item, "item", partial(DefinitionError, step.name))
    state["MaxConcurrency"] = step.max_concurrency
    inner = scope_of(step.name, "steps", step.steps)
    state["ItemProcessor"] = {"ProcessorConfig": dict(mode), **inner}
    return state
