"""One step of a sequence: a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from orch_assets.step_functions.arns import takes_any_input
from orch_assets.step_functions.checks.state_texts import check_template
from orch_assets.step_functions.execution_errors import DefinitionError
from orch_assets.step_functions.merging import merged
from orch_assets.step_functions.plain_json import plain
from orch_assets.step_functions.task_retries import retry_of

State = dict[str, Any]


@runtime_checkable
class Step(Protocol):
    """What a sequence is made of."""

    @property
    def name(self) -> str:
        """The name of the step's first state."""

    def states(self, following: str | None) -> dict[str, State]:
        """Return the step's states by name, the first one first.

        Args:
            following: the state to go on to; None at the end of a sequence.
        """


def onward(following: str | None) -> State:
    """Return how a state goes on."""
    return {"End": True} if following is None else {"Next": following}


def chain(steps: Sequence[Step], following: str | None = None) -> dict[str, State]:
    """Return the states of steps in sequence.

    Raises:
        DefinitionError: two steps have one name, or two different states have.
    """
    nexts = [*(step.name for step in steps[1:]), following]
    found: dict[str, State] = {}
    for step, then in zip(steps, nexts, strict=False):  # no steps have no next
        if step.name in found:
            raise taken(step.name)
        _add(found, step.states(then))
    return found


def _add(found: dict[str, State], more: Mapping[str, State]) -> None:
    """Add states; one that several steps share, such as a failure, is there once."""
    for name, state in more.items():
        if found.setdefault(name, state) != state:
            raise taken(name)


def taken(name: str) -> DefinitionError:
    """Return the error of a name that is there already."""
    return DefinitionError(name, "name", "two steps have it. Give each step a name of its own.")


@dataclass(frozen=True)
class Catch:
    """Where a step goes when it fails for good.

    Args:
        steps: go on from the failure; then with what follows the step that failed, unless they
            end in a ``Fail``.
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
        parameters: for a function or an activity, **merged over** the previous step's output, the
            parameters winning; an output that is no object arrives under the key ``input``. For a
            service, its arguments. Text of the form ``{% … %}`` is a JSONata expression, such as
            ``{% $states.input.study_key %}``. Dates become ISO 8601.
        retry_attempts: tries after the first one, for errors of the service and throttling.
        timeout_seconds: of one try.
        comment: for the reader of the definition.
        retry_on: errors of the user's own code that are worth another try, by name.
        heartbeat_seconds: an activity that is silent for longer has failed.
        catch: where to go after a failure, the first that fits.
        output: of a service: the JSONata expression of what the next step gets, by default all
            that the service answers.

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
        return caught(self.name, state, self.catch, following)

    def _arguments(self) -> State:
        """Return what makes the input; nothing for a step that takes it as it comes."""
        if not self.parameters and self.output is None:
            return {}
        state: State = {"QueryLanguage": "JSONata"}
        if self.parameters:
            if not isinstance(self.parameters, Mapping):
                raise DefinitionError(
                    self.name, "parameters", "must be a mapping of names to values."
                )
            given = plain(
                self.parameters,
                "parameters",
                lambda place, problem: DefinitionError(self.name, place, problem),
            )
            check_template(self.name, "parameters", given)
            state["Arguments"] = merged(given) if takes_any_input(self.resource) else given
        if self.output is not None:
            state["Output"] = self.output
        return state


def caught(
    name: str, state: State, catches: Sequence[Catch], following: str | None
) -> dict[str, State]:
    """Return a state that goes on, with its catches and their states."""
    if isinstance(catches, Catch):
        raise DefinitionError(name, "catch", "must be a list of catches, even of one.")
    if catches:
        rules = [
            {
                "ErrorEquals": names_of(catch.errors, name, "catch"),
                "Next": first_of(catch.steps, name, "catch"),
            }
            for catch in catches
        ]
        state = {**state, "Catch": rules}
    ways = [(catch.steps, following) for catch in catches]
    return branches_of({name: state | onward(following)}, ways)


def names_of(errors: Sequence[str], name: str, place: str) -> list[str]:
    """Return the names of errors as a list.

    Raises:
        DefinitionError: they are one text, whose letters would be the names.
    """
    if isinstance(errors, str):
        raise DefinitionError(name, place, "must be a list of errors' names, even of one.")
    return [*errors]


def first_of(steps: Sequence[Step], name: str, place: str) -> str:
    """Return the first state of a branch.

    Raises:
        DefinitionError: the branch is empty.
    """
    if not steps:
        raise DefinitionError(name, place, "has no steps. Give it at least one.")
    return steps[0].name


def branches_of(
    states: dict[str, State], branches: Sequence[tuple[Sequence[Step], str | None]]
) -> dict[str, State]:
    """Return states with those of the branches that leave them, each with what follows it."""
    found = dict(states)
    for steps, following in branches:
        _add(found, chain(steps, following))
    return found
