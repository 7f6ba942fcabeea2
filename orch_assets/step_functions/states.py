"""What a sequence may hold beside tasks: choices, branches, maps, waits and failures.

Expressions are JSONata between ``{%`` and ``%}``; ``$states.input`` is what the previous step put
out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orch_assets.step_functions.execution_errors import DefinitionError
from orch_assets.step_functions.plain_json import plain
from orch_assets.step_functions.task import (
    Catch,
    State,
    Step,
    branches_of,
    caught,
    chain,
    first_of,
    onward,
)

_JSONATA = {"QueryLanguage": "JSONata"}


@dataclass(frozen=True)
class ChoiceRule:
    """One way of a choice.

    Args:
        condition: an expression, such as ``{% $states.input.rows > 0 %}``.
        steps: to take; none goes on at once.
    """

    condition: str
    steps: Sequence[Step] = ()


@dataclass(frozen=True)
class Choice:
    """Takes the first way whose condition is true; all ways come together after it.

    Args:
        name: unique in its pipeline.
        ways: in order.
        otherwise: steps where no condition is true; none goes on at once.

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
        """Return the choice, the states of its ways, and an end where a way needs one."""
        onto = f"{self.name} done" if following is None else following
        rules = [{"Condition": way.condition, "Next": _start(way.steps, onto)} for way in self.ways]
        state = {
            "Type": "Choice",
            **_JSONATA,
            "Choices": rules,
            "Default": _start(self.otherwise, onto),
        }
        states: dict[str, State] = {self.name: state}
        if following is None and onto in {state["Default"], *(rule["Next"] for rule in rules)}:
            states[onto] = {"Type": "Succeed"}
        ways = [*(way.steps for way in self.ways), self.otherwise]
        return branches_of(states, [(steps, following) for steps in ways])


@dataclass(frozen=True)
class Parallel:
    """Takes all branches at once, each with the same input; puts out the list of their outputs.

    Args:
        name: unique in its pipeline.
        branches: steps of each.
        catch: where to go when a branch failed.
    """

    name: str
    branches: Sequence[Sequence[Step]]
    catch: Sequence[Catch] = field(default=(), kw_only=True)

    def states(self, following: str | None) -> dict[str, State]:
        """Return the state that holds the branches, and the states of its catches."""
        branches = [scope_of(self.name, f"branches[{i}]", b) for i, b in enumerate(self.branches)]
        return caught(self.name, {"Type": "Parallel", "Branches": branches}, self.catch, following)


@dataclass(frozen=True)
class Map:
    """Takes the steps for each item of a list; puts out the list of their outputs.

    Args:
        name: unique in its pipeline.
        items: an expression of the list, such as ``{% $states.input.studies %}``.
        steps: for each item.
        max_concurrency: items at once, at most 40; 0 leaves it to AWS.
        item: what the first step gets, with expressions of ``$states.context.Map.Item.Value``; by
            default the item.
        catch: where to go when an item failed.
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
        return caught(self.name, state, self.catch, following)


@dataclass(frozen=True)
class DistributedMap:
    """A map whose items are executions of their own: thousands of studies, a history each.

    Args:
        name: unique in its pipeline.
        items: an expression of the list.
        steps: for each item.
        max_concurrency: items at once, from 1 to 10,000.
        item: what the first step gets; by default the item.
        execution_type: ``STANDARD`` or ``EXPRESS``.
        tolerated_failure_percentage: of items that may fail before the map fails.
        catch: where to go when the map failed.
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
        return caught(self.name, state, self.catch, following)


@dataclass(frozen=True)
class Wait:
    """Waits, and puts out what it took in.

    Args:
        name: unique in its pipeline.
        seconds: or an expression of them.
    """

    name: str
    seconds: int | str

    def states(self, following: str | None) -> dict[str, State]:
        """Return the wait."""
        state = {"Type": "Wait", **_JSONATA, "Seconds": self.seconds}
        return {self.name: state | onward(following)}


@dataclass(frozen=True)
class Fail:
    """Ends the execution as failed; what follows it is reached by other ways only.

    Args:
        name: unique in its pipeline; steps that share a failure share this object.
        error: its name, such as ``Clinops.NoRows``.
        cause: what to tell; no data, as it is shown wherever executions are.
    """

    name: str
    error: str = ""
    cause: str = ""

    def states(self, following: str | None) -> dict[str, State]:  # noqa: ARG002 - an end
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
        state["ItemSelector"] = plain(
            step.item,
            "item",
            lambda place, problem: DefinitionError(step.name, place, problem),
        )
    state["MaxConcurrency"] = step.max_concurrency
    inner = scope_of(step.name, "steps", step.steps)
    state["ItemProcessor"] = {"ProcessorConfig": dict(mode), **inner}
    return state
