"""The executions of a run: started for its studies, awaited, and stopped with the run."""

import asyncio
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.defs.state_machines.aws_console import execution_url
from orch_assets.defs.state_machines.deployments import (
    check_deployed,
    machine_of,
    takes_all,
)
from orch_assets.defs.state_machines.resource import StepFunctionsResource
from orch_assets.defs.state_machines.shared_execution import SharedExecution
from orch_assets.errors import PipelineDefinitionError, StateMachineError
from orch_assets.marked_names import named_type
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.orchestration.steps import OnWorker
from orch_assets.study import current_context

if TYPE_CHECKING:
    from orch_assets.step_functions import StepFunctionsPipeline

EXECUTION_ARN: Final = "execution_arn"

# Takes the place of a study's key: one execution for all studies.
_ALL: Final = ""
_REASON: Final = "The Dagster run was cancelled, or the study timed out."
_LOOP_SECONDS: Final = 5.0
_LAST_SECONDS: Final = 9.0
_MOST_LISTED: Final = 20

_log = logging.getLogger(__name__)

# Name of the pipeline and key of the study.
StudyOfPipeline = tuple[str, str]


class FailingStateError(Exception):
    """The cause that a failed state reported. It may hold data, so only failure reports show it."""


@dataclass
class StudyExecutions:
    """The executions of one run.

    Attributes:
        step_functions: the resource that builds the machines and follows their executions.
        run_id: ID of the Dagster run; part of the executions' names.
        resumed_run: ID of the run that this one resumes; None if it resumes none.
        former: ARNs of the executions that failed in the resumed run.
        studies: keys of the run's studies by name of the pipeline, for machines with one execution
            for all studies.
    """

    step_functions: StepFunctionsResource
    run_id: str
    resumed_run: str | None = None
    former: Mapping[StudyOfPipeline, str] = field(default_factory=dict)
    studies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    _arns: dict[StudyOfPipeline, str] = field(default_factory=dict)
    _tries: Counter[StudyOfPipeline] = field(default_factory=Counter)
    _machines: "dict[str, StepFunctionsPipeline]" = field(default_factory=dict)
    _state_names: dict[str, set[str]] = field(default_factory=dict)
    # Executions that may be running. A key is added, with None, before the execution starts.
    _open: "dict[StudyOfPipeline, StepFunctionsPipeline | None]" = field(default_factory=dict)
    _shared: dict[str, SharedExecution] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _building: threading.Lock = field(default_factory=threading.Lock)

    async def output(
        self,
        pipeline: StudyPipeline,
        study_key: str,
        make_input: Callable[[str], Any],
        on_worker: OnWorker,
    ) -> Any:
        """Execute a pipeline's machine, wait without blocking a thread, and return the output.

        Cancelling this stops the execution, unless other studies wait for it.

        Args:
            pipeline: declares a machine.
            study_key: the study.
            make_input: returns the input for a study.
            on_worker: runs blocking calls.

        Raises:
            ExecutionFailed: with the state; a ``FailingStateError`` as its ``__cause__`` holds the
                state's cause.
        """
        checked = partial(_checked_input, pipeline, make_input)
        if not takes_all(pipeline):
            key = (pipeline.name, study_key)
            return await self._execute(pipeline, key, partial(checked, study_key), on_worker)
        if pipeline.name not in self._shared:
            execute = partial(self._execute, pipeline, (pipeline.name, _ALL))
            self._shared[pipeline.name] = SharedExecution(
                self.studies[pipeline.name], lambda make: execute(make, asyncio.to_thread)
            )
        outcome = await self._shared[pipeline.name].outcome(study_key, checked)
        if "output" in outcome:
            return outcome["output"]
        raise self._failure(pipeline, study_key, outcome["failed"])

    async def _execute(
        self,
        pipeline: StudyPipeline,
        key: StudyOfPipeline,
        make_input: Callable[[], Any],
        on_worker: OnWorker,
    ) -> Any:
        from orch_assets.step_functions import ExecutionFailed

        try:
            arn = await on_worker(self._begin, pipeline, key, make_input)
            output = await asyncio.wrap_future(self.step_functions.aws.follower.follow(arn))
        except asyncio.CancelledError:  # the worker may have started the execution by now
            await asyncio.to_thread(self._stop, key)  # completes even if this is cancelled again
            raise
        except ExecutionFailed as failed:
            self._close(key)
            raise failed from FailingStateError(failed.cause)
        self._close(key)
        return output

    def metadata(self, pipeline_name: str, study_key: str) -> dict[str, dg.MetadataValue[Any]]:
        """Return ARN and URL of a study's execution; nothing before it has started."""
        arn = self._arns.get((pipeline_name, study_key)) or self._arns.get((pipeline_name, _ALL))
        if arn is None:
            return {}
        return {
            "execution": dg.MetadataValue.url(execution_url(arn)),
            EXECUTION_ARN: dg.MetadataValue.text(arn),
        }

    def close(self) -> None:
        """Stop all executions before the process ends.

        Those that wait for an execution stop it. This stops the ones that remain after some
        seconds.
        """
        end = time.monotonic() + _LAST_SECONDS
        with self._changed:
            self._changed.wait_for(lambda: not self._open, _LOOP_SECONDS)
            remaining = list(self._open)
        for key in remaining:
            if time.monotonic() < end:
                with suppress(StateMachineError):
                    self._stop(key)
        if self._open:
            self._warn_of_running(list(self._open))

    def _warn_of_running(self, keys: Sequence[StudyOfPipeline]) -> None:
        """Log the executions that may continue after this run, so that somebody can stop them."""
        arns = [
            self._arns.get((pipeline, study), f"that of {pipeline} for {study or 'all studies'}")
            for pipeline, study in keys
        ]
        more = f" and {len(arns) - _MOST_LISTED} more" if len(arns) > _MOST_LISTED else ""
        _log.warning(
            "Executions that couldn't be stopped and may continue: %s%s. See the AWS console.",
            ", ".join(arns[:_MOST_LISTED]),
            more,
        )

    def _failure(
        self, pipeline: StudyPipeline, study_key: str, failed: Mapping[str, Any]
    ) -> StateMachineError:
        """Return the error of a study that failed in an execution for all studies."""
        from orch_assets.step_functions import ExecutionFailed

        cause = failed.get("Cause")
        known = cause in self._state_names[pipeline.name]
        return ExecutionFailed(
            f"{self._arns[pipeline.name, _ALL]} of study {study_key}",
            "FAILED",
            state=cause if known else None,
            error=failed.get("Error"),
        )

    # --- workers ---

    def _begin(
        self, pipeline: StudyPipeline, key: StudyOfPipeline, make_input: Callable[[], Any]
    ) -> str:
        self._open[key] = None
        try:
            machine = self._machine(pipeline)
            arn = self._start(machine, key, make_input())
        except BaseException:
            self._close(key)
            raise
        self._arns[key], self._open[key] = arn, machine
        context = current_context()
        if context is not None and context.lease.revoked:  # nobody will await it
            self._stop(key)
        return arn

    def _start(
        self, machine: "StepFunctionsPipeline", key: StudyOfPipeline, data: dict[str, Any]
    ) -> str:
        from orch_assets.step_functions import execution_name

        name = execution_name(key[1], self.run_id, self._tries[key])
        self._tries[key] += 1
        former = self._former(machine, key)
        if former is not None and self._had_input(former, data):
            return machine.redrive(former, name)
        return machine.execute(data, name)

    def _former(self, machine: "StepFunctionsPipeline", key: StudyOfPipeline) -> str | None:
        """Return the execution that failed earlier in this run, or in the run that it resumes."""
        from orch_assets.step_functions import execution_name
        from orch_assets.step_functions.executions.executions import execution_arn

        if key in self._arns or key in self.former:
            return self._arns.get(key) or self.former[key]
        if self.resumed_run is None:
            return None
        # A run that was cancelled or killed has logged no ARN, but its names are reproducible.
        return execution_arn(machine.arn(), execution_name(key[1], self.resumed_run))

    def _had_input(self, arn: str, data: Mapping[str, Any]) -> bool:
        """Return whether an execution exists and has this input; only then is it continued."""
        from orch_assets.step_functions import StateMachineNotFoundError
        from orch_assets.step_functions.aws_errors import reporting
        from orch_assets.step_functions.executions.executions import input_text

        try:
            with reporting(arn):
                former = self.step_functions.aws.states.describe_execution(executionArn=arn)
        except StateMachineNotFoundError:
            return False
        return "input" in former and bool(
            json.loads(former["input"]) == json.loads(input_text(data))
        )

    def _machine(self, pipeline: StudyPipeline) -> "StepFunctionsPipeline":
        from orch_assets.step_functions.checks.definition import states_of

        with self._building:  # of the studies that start together, one builds
            if pipeline.name not in self._machines:
                machine = machine_of(pipeline, self.step_functions.pipeline)
                definition = check_deployed(machine, self.step_functions.aws.states, pipeline)
                self._state_names[pipeline.name] = {name for name, _ in states_of(definition)}
                self._machines[pipeline.name] = machine
            return self._machines[pipeline.name]

    # --- any thread ---

    def _stop(self, key: StudyOfPipeline) -> None:
        machine = self._open.get(key)
        if machine is not None:
            machine.stop(self._arns[key], _REASON)
            self._close(key)

    def _close(self, key: StudyOfPipeline) -> None:
        with self._changed:
            self._open.pop(key, None)
            self._changed.notify_all()


def _checked_input(
    pipeline: StudyPipeline, make_input: Callable[[str], Any], study_key: str
) -> dict[str, Any]:
    data = make_input(study_key)
    if not isinstance(data, Mapping):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} returned a {named_type(type(data))}. Return a mapping, the "
            "input of its execution; or nothing, to send the study's key and the upstreams' URIs."
        )
    return dict(data)
