"""The step that is a task, and what steps of all kinds share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

from orch_assets.step_functions.arns import takes_any_input
from orch_assets.step_functions.checks.field_values import check_template
from orch_assets.step_functions.execution_errors import DefinitionError
from orch_assets.step_functions.merging import merged
from orch_assets.step_functions.plain_json import plain
from orch_assets.step_functions.task_retries import retry_of

State = dict[str, Any]


@runtime_checkable
class Step(Protocol):
    """A part of a pipeline: one or more states."""

    @property
    def name(self) -> str:
        """Name of the step's first state."""

    def states(self, following: str | None) -> dict[str, State]:
        """Return the step's states by name, in order.

        Args:
            following: name of the next state; None if this step is the last one.
        """


def transition_to(following: str | None) -> State:
    """Return the field by which a state leads to the next one, or ends."""
    return {"End": True} if following is None else {"Next": following}


def chain(steps: Sequence[Step], following: str | None = None) -> dict[str, State]:
    """Return the states of a sequence of steps.

    Raises:
        DefinitionError: two steps, or two different states, have the same name.
    """
    next_names = [*(step.name for step in steps[1:]), following]
    states: dict[str, State] = {}
    for step, next_name in zip(steps, next_names, strict=False):  # there may be no steps
        if step.name in states:
            raise duplicate_name(step.name)
        _add(states, step.states(next_name))
    return states


def _add(states: dict[str, State], more: Mapping[str, State]) -> None:
    """Add states. Steps may share a state, such as a failure, if it is the same in each."""
    for name, state in more.items():
        if states.setdefault(name, state) != state:
            raise duplicate_name(name)


def duplicate_name(name: str) -> DefinitionError:
    """Return the error of a name that two steps have."""
    return DefinitionError(name, "name", "two steps have this name. Rename one of them.")


@dataclass(frozen=True)
class Catch:
    """What follows if a step fails and its retries are used up.

    Args:
        steps: handle the failure. They lead to the step after the failed one, unless they end in a
            ``Fail``.
        errors: names of the errors to catch.
    """

    steps: Sequence[Step]
    errors: Sequence[str] = ("States.ALL",)


@dataclass(frozen=True)
class PipelineStep:
    """A task: a Lambda function, an activity, or a service that Step Functions calls itself.

    Args:
        name: unique in its pipeline, at most 80 characters.
        resource: ARN of the Lambda function or activity, or ``arn:aws:states:::…`` of a service.
        parameters: for a function or an activity, **merged over** the previous step's output, whose
            equal keys they replace; an output that isn't an object becomes the key ``input``. For
            a service, its arguments. Text of the form ``{% … %}`` is a JSONata expression, such as
            ``{% $states.input.study_key %}``. Dates become ISO 8601.
        retry_attempts: attempts after the first one, for errors and throttling of the service.
        timeout_seconds: of one attempt.
        comment: for readers of the definition.
        retry_on: names of further errors, of the user's own code, that are retried.
        heartbeat_seconds: an activity fails if it sends no heartbeat for longer.
        catch: what follows a failure; the first that matches the error.
        output: for a service, a JSONata expression of the output; by default the service's answer.

    Example:
        >>> step = PipelineStep("Ingest", "arn:aws:lambda:us-east-1:123456789012:function:ingest")
        >>> step.states(None)["Ingest"]["End"]
        True
    """

    name: str
    resource: str
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    retry_attempts: int = 3
    timeout_seconds: int = 3600
    comment: str = ""
    retry_on: Sequence[str] = field(default=(), kw_only=True)
    heartbeat_seconds: int | None = field(default=None, kw_only=True)
    catch: Sequence[Catch] = field(default=(), kw_only=True)
    output: str | None = field(default=None, kw_only=True)

    def states(self, following: str | None) -> dict[str, State]:
        """Return the task, and the states of its catches."""
        state: State = {"Type": "Task", "Resource": self.resource}
        if self.comment:
            state["Comment"] = self.comment
        state |= self._arguments()
        state["TimeoutSeconds"] = self.timeout_seconds
        if self.heartbeat_seconds is not None:
            state["HeartbeatSeconds"] = self.heartbeat_seconds
        retry_on = names_of(self.retry_on, self.name, "retry_on")
        if retry := retry_of(self.resource, self.retry_attempts, retry_on):
            state["Retry"] = retry
        return with_catches(self.name, state, self.catch, following)

    def _arguments(self) -> State:
        """Return the fields that make input and output; none for a step that passes them on."""
        if not self.parameters and self.output is None:
            return {}
        state: State = {"QueryLanguage": "JSONata"}
        if self.parameters:
            if not isinstance(self.parameters, Mapping):
                raise DefinitionError(
                    self.name, "parameters", "must be a mapping from names to values."
                )
            refuse = partial(DefinitionError, self.name)
            parameters = plain(self.parameters, "parameters", refuse)
            check_template(self.name, "parameters", parameters)
            merges = takes_any_input(self.resource)
            state["Arguments"] = merged(parameters) if merges else parameters
        if self.output is not None:
            state["Output"] = self.output
        return state


def with_catches(
    name: str, state: State, catches: Sequence[Catch], following: str | None
) -> dict[str, State]:
    """Return a state that leads to the next one, with its catches and their states."""
    if isinstance(catches, Catch):
        raise DefinitionError(name, "catch", "must be a list of catches, also for a single one.")
    if catches:
        rules = [
            {
                "ErrorEquals": names_of(catch.errors, name, "catch"),
                "Next": first_of(catch.steps, name, "catch"),
            }
            for catch in catches
        ]
        state = {**state, "Catch": rules}
    branches = [(catch.steps, following) for catch in catches]
    return with_branches({name: state | transition_to(following)}, branches)


def names_of(errors: Sequence[str], name: str, place: str) -> list[str]:
    """Return names of errors as a list.

    Raises:
        DefinitionError: they are a single text, whose letters would become the names.
    """
    if isinstance(errors, str):
        raise DefinitionError(name, place, "must be a list of error names, also for a single one.")
    return [*errors]


def first_of(steps: Sequence[Step], name: str, place: str) -> str:
    """Return the name of a branch's first state.

    Raises:
        DefinitionError: the branch is empty.
    """
    if not steps:
        raise DefinitionError(name, place, "has no steps. Give it at least one.")
    return steps[0].name


def with_branches(
    states: dict[str, State], branches: Sequence[tuple[Sequence[Step], str | None]]
) -> dict[str, State]:
    """Return states and those of the branches that leave them.

    Args:
        states: by name.
        branches: the steps of each branch, and the state that follows it; None if it is an end.
    """
    combined = dict(states)
    for steps, following in branches:
        _add(combined, chain(steps, following))
    return combined
