"""Executions of state machines, one for a study: started, waited for, and stopped with it."""

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
from orch_assets.defs.state_machines.shared_execution import Together
from orch_assets.errors import PipelineDefinitionError, StateMachineError
from orch_assets.marked_names import named_type
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.orchestration.steps import OnWorker
from orch_assets.study import current_context

if TYPE_CHECKING:
    from orch_assets.step_functions import StepFunctionsPipeline

EXECUTION_ARN: Final = "execution_arn"

# Instead of a study's key: all of them.
_ALL: Final = ""
_REASON: Final = "The Dagster run was cancelled, or gave the study up."
_LOOP_SECONDS: Final = 5.0
_LAST_SECONDS: Final = 9.0
_NAMED: Final = 20

_log = logging.getLogger(__name__)

# A pipeline's name and a study's key.
Place = tuple[str, str]


class FailingStateError(Exception):
    """What the failing state said; may hold data, so it is only ever a cause of another error."""


@dataclass
class StudyExecutions:
    """The executions of one run.

    Attributes:
        step_functions: builds the machines, and knows who follows their executions.
        run_id: the Dagster run, for the executions' names.
        resumed_run: the run that this one resumes; None for any other run.
        former: ARNs of executions that failed in it.
        studies: of this run, for those machines that take all in one execution.
    """

    step_functions: StepFunctionsResource
    run_id: str
    resumed_run: str | None = None
    former: Mapping[Place, str] = field(default_factory=dict)
    studies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    _arns: dict[Place, str] = field(default_factory=dict)
    _tries: Counter[Place] = field(default_factory=Counter)
    _machines: "dict[str, StepFunctionsPipeline]" = field(default_factory=dict)
    _state_names: dict[str, set[str]] = field(default_factory=dict)
    # What isn't known to have ended; its key is there before it is started.
    _open: "dict[Place, StepFunctionsPipeline | None]" = field(default_factory=dict)
    _together: dict[str, Together] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _building: threading.Lock = field(default_factory=threading.Lock)

    async def output(
        self,
        pipeline: StudyPipeline,
        study_key: str,
        make_input: Callable[[str], Any],
        on_worker: OnWorker,
    ) -> Any:
        """Execute a pipeline's machine and wait, holding no thread; return a study's output.

        Cancelling this stops the execution, unless other studies wait for it too.

        Args:
            pipeline: has a machine.
            study_key: the study.
            make_input: returns the input for a study.
            on_worker: for what blocks.

        Raises:
            ExecutionFailed: with the state; its cause is that of the error.
        """
        checked = partial(_checked_input, pipeline, make_input)
        if not takes_all(pipeline):
            place = (pipeline.name, study_key)
            return await self._execute(pipeline, place, partial(checked, study_key), on_worker)
        if pipeline.name not in self._together:
            execute = partial(self._execute, pipeline, (pipeline.name, _ALL))
            self._together[pipeline.name] = Together(
                self.studies[pipeline.name], lambda make: execute(make, asyncio.to_thread)
            )
        outcome = await self._together[pipeline.name].outcome(study_key, checked)
        if "output" in outcome:
            return outcome["output"]
        raise self._failure(pipeline, study_key, outcome["failed"])

    async def _execute(
        self,
        pipeline: StudyPipeline,
        place: Place,
        make_input: Callable[[], Any],
        on_worker: OnWorker,
    ) -> Any:
        from orch_assets.step_functions import ExecutionFailed

        try:
            arn = await on_worker(self._begin, pipeline, place, make_input)
            output = await asyncio.wrap_future(self.step_functions.aws.follower.follow(arn))
        except asyncio.CancelledError:  # whoever was starting it may have done so by now
            await asyncio.to_thread(self._stop, place)  # which goes on, whatever ends this
            raise
        except ExecutionFailed as failed:
            self._close(place)
            raise failed from FailingStateError(failed.cause)
        self._close(place)
        return output

    def metadata(self, pipeline_name: str, study_key: str) -> dict[str, dg.MetadataValue[Any]]:
        """Return where to look at a study's execution; nothing before it was started."""
        arn = self._arns.get((pipeline_name, study_key)) or self._arns.get((pipeline_name, _ALL))
        if arn is None:
            return {}
        return {
            "execution": dg.MetadataValue.url(execution_url(arn)),
            EXECUTION_ARN: dg.MetadataValue.text(arn),
        }

    def close(self) -> None:
        """Make sure that nothing goes on: the process may end after this.

        Whoever waited for an execution stops it; what is left after some seconds is stopped here.
        """
        end = time.monotonic() + _LAST_SECONDS
        with self._changed:
            self._changed.wait_for(lambda: not self._open, _LOOP_SECONDS)
            left = list(self._open)
        for place in left:
            if time.monotonic() < end:
                with suppress(StateMachineError):
                    self._stop(place)
        if self._open:
            self._warn_of(list(self._open))

    def _warn_of(self, places: Sequence[Place]) -> None:
        """Say what may go on without this run, so that somebody can stop it."""
        arns = [self._arns.get(p, f"that of {p[0]} for {p[1] or 'all'}") for p in places]
        more = f" and {len(arns) - _NAMED} more" if len(arns) > _NAMED else ""
        _log.warning(
            "Executions that couldn't be stopped, and may go on: %s%s. Look at the AWS console.",
            ", ".join(arns[:_NAMED]),
            more,
        )

    def _failure(
        self, pipeline: StudyPipeline, study_key: str, failed: Mapping[str, Any]
    ) -> StateMachineError:
        """Return the error of a study that failed in an execution for all."""
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

    def _begin(self, pipeline: StudyPipeline, place: Place, make_input: Callable[[], Any]) -> str:
        self._open[place] = None
        try:
            machine = self._machine(pipeline)
            arn = self._start(machine, place, make_input())
        except BaseException:
            self._close(place)
            raise
        self._arns[place], self._open[place] = arn, machine
        context = current_context()
        if context is not None and context.lease.revoked:  # nobody will wait for it
            self._stop(place)
        return arn

    def _start(self, machine: "StepFunctionsPipeline", place: Place, data: dict[str, Any]) -> str:
        from orch_assets.step_functions import execution_name

        name = execution_name(place[1], self.run_id, self._tries[place])
        self._tries[place] += 1
        former = self._former(machine, place)
        if former is not None and self._had_input(former, data):
            return machine.redrive(former, name)
        return machine.execute(data, name)

    def _former(self, machine: "StepFunctionsPipeline", place: Place) -> str | None:
        """Return the execution that failed before: in this run, or in the one that it resumes."""
        from orch_assets.step_functions import execution_name
        from orch_assets.step_functions.executions.executions import execution_arn

        if place in self._arns or place in self.former:
            return self._arns.get(place) or self.former[place]
        if self.resumed_run is None:
            return None
        # A run that was cancelled, or died, said nothing of its executions.
        return execution_arn(machine.arn(), execution_name(place[1], self.resumed_run))

    def _had_input(self, arn: str, data: Mapping[str, Any]) -> bool:
        """Tell whether an execution is there and had this input: only then it may go on."""
        from orch_assets.step_functions import StateMachineNotFoundError
        from orch_assets.step_functions.aws_errors import reporting
        from orch_assets.step_functions.executions.executions import input_text

        try:
            with reporting(arn):
                found = self.step_functions.aws.states.describe_execution(executionArn=arn)
        except StateMachineNotFoundError:
            return False
        return "input" in found and bool(json.loads(found["input"]) == json.loads(input_text(data)))

    def _machine(self, pipeline: StudyPipeline) -> "StepFunctionsPipeline":
        from orch_assets.step_functions.checks.definition import states_of

        with self._building:  # many studies begin at once; one asks
            if pipeline.name not in self._machines:
                machine = machine_of(pipeline, self.step_functions.pipeline)
                definition = check_deployed(machine, self.step_functions.aws.states, pipeline)
                self._state_names[pipeline.name] = {name for name, _ in states_of(definition)}
                self._machines[pipeline.name] = machine
            return self._machines[pipeline.name]

    # --- any thread ---

    def _stop(self, place: Place) -> None:
        machine = self._open.get(place)
        if machine is not None:
            machine.stop(self._arns[place], _REASON)
            self._close(place)

    def _close(self, place: Place) -> None:
        with self._changed:
            self._open.pop(place, None)
            self._changed.notify_all()


def _checked_input(
    pipeline: StudyPipeline, make_input: Callable[[str], Any], study_key: str
) -> dict[str, Any]:
    data = make_input(study_key)
    if not isinstance(data, Mapping):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} returned a {named_type(type(data))}; return the input of "
            "its execution, a mapping, or nothing for the study's key and what it takes."
        )
    return dict(data)
