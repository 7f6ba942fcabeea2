"""The steps of a lane: their settings, the runner's interface and their results."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from orch_assets.orchestration.reporting.results import Failure, describe_failure


@dataclass(frozen=True)
class LaneStep:
    """One step of a lane.

    Attributes:
        name: Unique within a lane.
        upstreams: Names of the steps whose values this step takes.
        timeout: Working seconds allowed for all attempts together, waits excluded; None is no
            limit.
        retries: Further attempts after an error of ``retry_on``.
        retry_on: Errors worth another attempt; errors of the iMednet client never are.
        is_async: Whether the step runs on the event loop.
        optional: Names of the upstreams that the step can do without where they were skipped.
        studies: Keys, or patterns of keys, of the studies that the step is for; empty for all. For
            others, it is skipped.
        takes: Names of the upstreams whose values the step takes; None for all. The others only
            have to succeed, and their values are not kept in memory for this step.
        describe: Returns the :class:`Failure` of an exception.
    """

    name: str
    upstreams: tuple[str, ...] = ()
    timeout: float | None = None
    retries: int = 0
    retry_on: tuple[type[BaseException], ...] = ()
    is_async: bool = False
    optional: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    takes: tuple[str, ...] | None = None
    describe: Callable[[BaseException], Failure] = describe_failure


@dataclass(frozen=True)
class StepCall:
    """One attempt at one step of one study, as the runner receives it.

    Attributes:
        study_key: The study.
        step: The step.
        upstream_values: Values of the upstream steps that ran in this lane, by name.
        skipped: Why optional upstream steps were skipped in this lane, by name.
    """

    study_key: str
    step: LaneStep
    upstream_values: Mapping[str, Any]
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StepOutput:
    """What a runner returns for a successful step.

    Attributes:
        result: The result for the caller of the lanes.
        handover: The value for later steps of the same lane.
    """

    result: Any
    handover: Any = None


@dataclass(frozen=True)
class StepResult:
    """How one step of one study ended.

    Attributes:
        study_key: The study.
        step: Name of the step.
        output: ``StepOutput.result``; None for a failure or a skip.
        failure: Why the step failed; None for a success or a skip.
        skipped: Why the step was skipped; None if it wasn't.
        report: What the runner's ``report`` returned; None if the step raised nothing.
        duration_seconds: Working time, without waits for a worker or for the next attempt.
    """

    study_key: str
    step: str
    output: Any = None
    failure: Failure | None = None
    skipped: str | None = None
    report: Any = None
    duration_seconds: float = 0.0


OnWorker = Callable[..., Awaitable[Any]]


class StepRunner(Protocol):
    """Runs steps; called from many threads."""

    def run(self, call: StepCall, /) -> StepOutput:
        """Run a plain step on a worker."""
        ...

    async def run_async(self, call: StepCall, on_worker: OnWorker, /) -> StepOutput:
        """Run an ``async`` step on the event loop; ``await on_worker(f, …)`` for blocking work."""
        ...

    def report(self, call: StepCall, failure: Failure, /) -> Any:
        """Store the evidence of an exception; the return value goes into the result."""
        ...

    def provenance(self, call: StepCall, /) -> Mapping[str, str]:
        """Return the facts for the manifests of what the step publishes."""
        ...
