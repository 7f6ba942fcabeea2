"""``MultiStudyOrchestrator``: one function over every study of a registry."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from orch_assets.errors import OrchestratorError
from orch_assets.orchestration.lanes import Lanes
from orch_assets.orchestration.pipeline import StudyWorkerCallable, pipeline_of
from orch_assets.orchestration.result import FAILED, SUCCESS, Failure, OrchestratorResult
from orch_assets.orchestration.selection import StudyFilter, select_studies, warn_about
from orch_assets.orchestration.steps import (
    OnWorker,
    Step,
    StepOutput,
    StepResult,
    StepTurn,
    cancelled,
)
from orch_assets.study import make_study_logger


class MultiStudyOrchestrator:
    """Runs a pipeline function for many studies at once, each isolated from the others.

    Args:
        sdk: an ``ImednetSDK``, or anything with ``sdk.studies.list()`` yielding objects with a
            ``study_key``. It is shared by all studies and never changed.
        max_workers: studies at work at once; 1 runs them one after the other.

    Raises:
        OrchestratorError: ``max_workers`` is no number above 0.

    Example:
        >>> def count(study_key, sdk, study_logger):
        ...     return {"subjects": len(list(sdk.subjects.list(study_key=study_key)))}
        >>> MultiStudyOrchestrator(sdk, max_workers=8).execute_pipeline(count)  # doctest: +SKIP
    """

    def __init__(self, sdk: Any, max_workers: int = 4) -> None:
        if not isinstance(max_workers, int) or isinstance(max_workers, bool) or max_workers < 1:
            raise OrchestratorError(f"max_workers is {max_workers!r}; give a number from 1.")
        self._sdk = sdk
        self._max_workers = max_workers

    @property
    def sdk(self) -> Any:
        """The shared SDK."""
        return self._sdk

    @property
    def max_workers(self) -> int:
        """How many studies are at work at once."""
        return self._max_workers

    def resolve_active_studies(
        self, whitelist: set[str] | None = None, blacklist: set[str] | None = None
    ) -> list[str]:
        """Return the keys of the registry's studies that the filter keeps, in registry order.

        Args:
            whitelist: only these; None is no filter, an empty set selects nothing.
            blacklist: all but these.

        Raises:
            FilterConflictError: both are non-empty; nothing was requested.
            OrchestratorError: a filter is a bare string, or the registry could not be read
                (``__cause__`` says why).
        """
        study_filter = StudyFilter(whitelist, blacklist)
        try:
            keys = [study.study_key for study in self._sdk.studies.list()]
        except Exception as error:
            raise OrchestratorError(
                "The registry's studies could not be read; no study was started."
            ) from error
        selection = select_studies(keys, study_filter)
        warn_about(selection, study_filter)
        return selection.selected

    def execute_pipeline(
        self,
        pipeline_func: StudyWorkerCallable[Any],
        whitelist: set[str] | None = None,
        blacklist: set[str] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> dict[str, OrchestratorResult]:
        """Run ``pipeline_func(study_key, sdk, study_logger, *args, **kwargs)`` for each study.

        Returns:
            One result for every selected study, in registry order. A study that fails is a
            result, never an exception.

        Raises:
            FilterConflictError: both filters are non-empty.
            OrchestratorError: the function can't take these arguments, or the registry could not
                be read. Nothing was started.
            KeyboardInterrupt: the caller's; its ``results`` attribute holds what had ended, the
                rest as ``Cancelled``.
        """
        StudyFilter(whitelist, blacklist)
        _check_callable(pipeline_func, args, kwargs)
        studies = self.resolve_active_studies(whitelist, blacklist)
        step = _step_of(pipeline_func)
        lanes = Lanes(_CallRunner(self._sdk, pipeline_func, args, kwargs), self._max_workers)
        ended: dict[str, OrchestratorResult] = {}
        try:
            for result in lanes.run({study_key: [step] for study_key in studies}):
                ended[result.study_key] = _as_result(result)
        except KeyboardInterrupt as interrupt:
            for study_key in studies:
                ended.setdefault(study_key, _as_result(cancelled(study_key, step.name)))
            interrupt.results = {key: ended[key] for key in studies}  # type: ignore[attr-defined]
            raise
        return {study_key: ended[study_key] for study_key in studies}


class _CallRunner:
    """Calls one function for each study."""

    def __init__(
        self,
        sdk: Any,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        self._sdk = sdk
        self._function = function
        self._args = args
        self._kwargs = kwargs

    def _call(self, turn: StepTurn) -> Any:
        logger = make_study_logger(turn.study_key)
        return self._function(turn.study_key, self._sdk, logger, *self._args, **self._kwargs)

    def run(self, turn: StepTurn) -> StepOutput:
        return StepOutput(kept=self._call(turn))

    async def run_async(self, turn: StepTurn, on_worker: OnWorker) -> StepOutput:  # noqa: ARG002 - nothing here blocks
        return StepOutput(kept=await self._call(turn))

    def report(self, turn: StepTurn, failure: Failure) -> None:  # noqa: ARG002 - the caller gets the failure itself
        return None

    def provenance(self, turn: StepTurn) -> Mapping[str, str]:
        return {"pipeline": turn.step.name}


def _step_of(function: Callable[..., Any]) -> Step:
    pipeline = pipeline_of(function)
    if pipeline is None:
        name = getattr(function, "__name__", type(function).__name__)
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
        )
        return Step(name, is_async=is_async)
    return Step(
        pipeline.name,
        timeout=pipeline.timeout,
        retries=pipeline.retries,
        retry_on=pipeline.retry_on,
        is_async=pipeline.is_async,
    )


def _check_callable(function: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    if not callable(function):
        raise OrchestratorError(f"The pipeline is {type(function).__name__}, not a function.")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # a C function hides its signature; the call itself will tell
    try:
        signature.bind("study_key", object(), object(), *args, **kwargs)
    except TypeError as error:
        name = getattr(function, "__name__", type(function).__name__)
        raise OrchestratorError(
            f"Pipeline {name}{signature} can't be called as {name}(study_key, sdk, study_logger, "
            f"…) with {len(args)} further arguments and the keywords "
            f"{sorted(kwargs)}: {error}."
        ) from error


def _as_result(result: StepResult) -> OrchestratorResult:
    failure = result.failure
    return {
        "status": FAILED if failure else SUCCESS,
        "data": result.output,
        "error": failure.error if failure else None,
        "duration_seconds": result.duration_seconds,
    }
