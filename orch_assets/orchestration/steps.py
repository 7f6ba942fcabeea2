"""The steps of a lane: what they are, who does their work, how they end."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orch_assets.orchestration.reporting.results import Failure, describe_failure


@dataclass(frozen=True)
class LaneStep:
    """One step of a lane.

    Attributes:
        name: unique within a lane.
        upstreams: names of the steps whose values it takes.
        timeout: seconds that it may work, all tries together and waits left out; None is no limit.
        retries: further tries after an error of ``retry_on``.
        retry_on: errors worth another try; the registry's own never are.
        is_async: whether it waits on the event loop.
        takes_values: whether it takes its upstreams' values; else they only have to succeed, and
            nothing of them is in memory while it waits.
        describe: says what is known of an exception, and what of it may be logged.
    """

    name: str
    upstreams: tuple[str, ...] = ()
    timeout: float | None = None
    retries: int = 0
    retry_on: tuple[type[BaseException], ...] = ()
    is_async: bool = False
    takes_values: bool = True
    describe: Callable[[BaseException], Failure] = describe_failure


@dataclass(frozen=True)
class StepCall:
    """One step of one study, as its runner sees it.

    Attributes:
        study_key: the study.
        step: the step.
        upstream_values: values of upstream steps that ran in this lane, by name.
    """

    study_key: str
    step: LaneStep
    upstream_values: Mapping[str, Any]


@dataclass(frozen=True)
class StepOutput:
    """What a step came to.

    Attributes:
        result: for whoever receives the results.
        handover: for the steps behind it in the same lane.
    """

    result: Any
    handover: Any = None


@dataclass(frozen=True)
class StepResult:
    """How one step of one study ended.

    Attributes:
        study_key: the study.
        step: the step's name.
        output: what the runner kept; None for a failure.
        failure: why it failed; None for a success.
        report: what the runner made of an exception; None for anything else.
        duration_seconds: working time, without the waits for a worker or for the next try.
    """

    study_key: str
    step: str
    output: Any = None
    failure: Failure | None = None
    report: Any = None
    duration_seconds: float = 0.0


OnWorker = Callable[..., Awaitable[Any]]


class StepRunner(Protocol):
    """Does the work of the steps; called from many threads."""

    def run(self, turn: StepCall) -> StepOutput:
        """Run a plain step on a worker."""
        ...

    async def run_async(self, turn: StepCall, on_worker: OnWorker) -> StepOutput:
        """Run an ``async`` step on the event loop; ``await on_worker(f, …)`` for what blocks."""
        ...

    def report(self, turn: StepCall, failure: Failure) -> Any:
        """Keep the evidence of an exception; what it returns goes into the result."""
        ...

    def provenance(self, turn: StepCall) -> Mapping[str, str]:
        """Return the facts for the manifests of what the step publishes."""
        ...
