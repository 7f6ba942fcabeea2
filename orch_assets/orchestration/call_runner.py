"""One function, called for each study: the steps of ``MultiStudyOrchestrator``."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orch_assets.errors import OrchestratorArgumentError
from orch_assets.orchestration.options import RunOptions
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.orchestration.reporting.results import Failure
from orch_assets.orchestration.steps import LaneStep, OnWorker, StepCall, StepOutput
from orch_assets.study import make_study_logger


@dataclass(frozen=True)
class CallRunner:
    """Calls one function for each study; implements ``StepRunner``."""

    sdk: Any
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def _call(self, turn: StepCall) -> Any:
        logger = make_study_logger(turn.study_key)
        return self.function(turn.study_key, self.sdk, logger, *self.args, **self.kwargs)

    def run(self, turn: StepCall) -> StepOutput:
        """Call a plain function."""
        value = self._call(turn)
        if inspect.iscoroutine(value):  # an async function in a plain wrapper, which hides it
            value = asyncio.run(value)
        return StepOutput(result=value)

    async def run_async(self, turn: StepCall, on_worker: OnWorker) -> StepOutput:  # noqa: ARG002 - nothing here blocks
        """Await an ``async`` function."""
        return StepOutput(result=await self._call(turn))

    def report(self, turn: StepCall, failure: Failure) -> None:  # noqa: ARG002 - the caller gets the failure itself
        """Keep nothing."""
        return

    def provenance(self, turn: StepCall) -> Mapping[str, str]:
        """Return the function's name."""
        return {"pipeline": turn.step.name}


def step_of(function: Callable[..., Any], options: RunOptions) -> LaneStep:
    """Return the step that a call of the function is.

    What ``@study_pipeline`` says of the function counts before the orchestrator's options.
    """
    pipeline = pipeline_of(function)
    own_retries = pipeline is not None and pipeline.retries > 0
    return LaneStep(
        pipeline.name if pipeline else _name(function),
        timeout=(pipeline and pipeline.timeout) or options.study_timeout,
        retries=pipeline.retries if pipeline and own_retries else options.retries,
        retry_on=pipeline.retry_on if pipeline and own_retries else options.retried_errors,
        is_async=_is_async(function),
    )


def check_call(function: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse what can't be called for a study with these further arguments.

    Raises:
        OrchestratorArgumentError: it can't; says why.
    """
    if not callable(function):
        raise OrchestratorArgumentError(
            f"The pipeline is {type(function).__name__}, not a function."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise OrchestratorArgumentError(
            f"Pipeline {_name(function)} is a generator: calling it runs none of it. Return a list."
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # a C function hides its signature; the call itself will tell
    try:
        signature.bind("study_key", object(), object(), *args, **kwargs)
    except TypeError as error:
        name = _name(function)
        raise OrchestratorArgumentError(
            f"Pipeline {name}{signature} can't be called as {name}(study_key, sdk, study_logger, "
            f"…) with {len(args)} further arguments and the keywords "
            f"{sorted(kwargs)}: {error}."
        ) from error


def _name(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _is_async(function: Callable[..., Any]) -> bool:
    own_call = getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(own_call)
