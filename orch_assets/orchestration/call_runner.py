"""Runs one function for each study, for ``MultiStudyOrchestrator``."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orch_assets.errors import OrchestratorArgumentError
from orch_assets.orchestration.options import RunOptions
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.orchestration.reporting.results import Failure
from orch_assets.orchestration.returned_values import Result
from orch_assets.orchestration.steps import LaneStep, OnWorker, StepCall, StepOutput
from orch_assets.study import make_study_logger


@dataclass(frozen=True)
class CallRunner:
    """Calls one function for each study; implements ``StepRunner``."""

    sdk: Any
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def _call(self, call: StepCall) -> Any:
        logger = make_study_logger(call.study_key)
        return self.function(call.study_key, self.sdk, logger, *self.args, **self.kwargs)

    def run(self, call: StepCall) -> StepOutput:
        """Call a plain function."""
        value = self._call(call)
        if inspect.iscoroutine(value):  # an async function inside a plain wrapper
            value = asyncio.run(value)
        return StepOutput(result=_alone(value))

    async def run_async(self, call: StepCall, on_worker: OnWorker) -> StepOutput:  # noqa: ARG002 - nothing here blocks
        """Await an ``async`` function."""
        return StepOutput(result=_alone(await self._call(call)))

    def report(self, call: StepCall, failure: Failure) -> None:  # noqa: ARG002 - the caller gets the failure itself
        """Store nothing."""
        return

    def provenance(self, call: StepCall) -> Mapping[str, str]:
        """Return the function's name."""
        return {"pipeline": call.step.name}


def _alone(value: Any) -> Any:
    """Return a result without its metadata, which is for Dagster."""
    return value.value if isinstance(value, Result) else value


def step_of(function: Callable[..., Any], options: RunOptions) -> LaneStep:
    """Return the lane step for a function.

    Settings of ``@study_pipeline`` take precedence over the orchestrator's options.
    """
    pipeline = pipeline_of(function)
    own_retries = pipeline is not None and pipeline.retries > 0
    return LaneStep(
        pipeline.name if pipeline else _name(function),
        timeout=(pipeline and pipeline.timeout) or options.study_timeout,
        retries=pipeline.retries if pipeline and own_retries else options.retries,
        retry_on=pipeline.retry_on if pipeline and own_retries else options.retried_errors,
        is_async=_is_async(function),
        studies=tuple(pipeline.studies) if pipeline else (),
    )


def check_call(function: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Check that a function can be called for a study with these further arguments.

    Raises:
        OrchestratorArgumentError: It can't; the message says why.
    """
    if not callable(function):
        raise OrchestratorArgumentError(
            f"The pipeline is {type(function).__name__}, not a function."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise OrchestratorArgumentError(
            f"Pipeline {_name(function)} is a generator: calling it runs no code. Return a list."
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # a C function has no signature; the call itself will fail
    try:
        signature.bind("study_key", object(), object(), *args, **kwargs)
    except TypeError as error:
        name = _name(function)
        raise OrchestratorArgumentError(
            f"Pipeline {name}{signature} can't be called as {name}(study_key, sdk, study_logger, "
            f"…) with {len(args)} further positional arguments and the keywords "
            f"{sorted(kwargs)}: {error}."
        ) from error


def _name(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _is_async(function: Callable[..., Any]) -> bool:
    own_call = getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(own_call)
