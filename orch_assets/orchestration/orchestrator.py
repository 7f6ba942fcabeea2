"""``MultiStudyOrchestrator``: one function over every study of a registry."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from orch_assets.errors import OrchestratorArgumentError, OrchestratorError
from orch_assets.orchestration.call_runner import CallRunner, check_call, step_of
from orch_assets.orchestration.cancel import CancelHandle
from orch_assets.orchestration.lanes import Lanes
from orch_assets.orchestration.options import PASSING_ERRORS, ErrorTypes, OnResult, RunOptions
from orch_assets.orchestration.ordering import longest_first
from orch_assets.orchestration.pipeline import StudyWorkerCallable
from orch_assets.orchestration.reporting.results import (
    FAILED,
    SUCCESS,
    TIMEOUT,
    OrchestratorResult,
    early_end,
)
from orch_assets.orchestration.reporting.terminal_progress import progress_bar
from orch_assets.orchestration.selection import StudyFilter, select_studies, warn_about
from orch_assets.orchestration.steps import LaneStep, StepResult


class MultiStudyOrchestrator:
    """Runs a pipeline function for many studies at once, each isolated from the others.

    Args:
        sdk: an ``ImednetSDK``, or anything with ``sdk.studies.list()`` yielding objects with a
            ``study_key``. It is shared by all studies and never changed.
        max_workers: studies at work at once; 1 runs them one after the other.
        study_timeout: seconds of work that each study may take; one that takes longer is FAILED
            with ``Timeout: …`` and may not publish any more. None is no limit. A
            ``@study_pipeline`` with a timeout or retries of its own keeps them.
        retries: further tries of a study after an error of ``retry_on``, about 1, 2, 4, … 60
            seconds apart. The registry's errors never count: they were retried where they
            happened.
        retry_on: errors that are worth another try.
        on_result: called as ``on_result(study_key, result)`` in the caller's thread as each
            study ends, in the order in which they do. What it raises ends the run, as the
            caller's ``KeyboardInterrupt`` does: see ``execute_pipeline``.
        progress: show a progress bar on standard error, if that is a terminal.
        run_deadline: seconds that a whole call may take; what has not ended then is FAILED with
            ``Timeout: …``. The request for the studies counts, but is not cut short.
        cancel: a handle that ends the run from another thread; what has not ended then is FAILED
            with ``Cancelled: …``.
        expected_durations: seconds by study, for those that are known: the longest begin first,
            so that none is left to run alone at the end. One that isn't there counts as the
            median. Results stay in registry order.

    Raises:
        OrchestratorArgumentError: a parameter makes no sense; names it.

    Example:
        >>> def count(study_key, sdk, study_logger):
        ...     return {"subjects": len(list(sdk.subjects.list(study_key=study_key)))}
        >>> MultiStudyOrchestrator(sdk, max_workers=8).execute_pipeline(count)  # doctest: +SKIP
    """

    def __init__(
        self,
        sdk: Any,
        max_workers: int = 4,
        *,
        study_timeout: float | None = None,
        retries: int = 0,
        retry_on: ErrorTypes = PASSING_ERRORS,
        on_result: OnResult | None = None,
        progress: bool = False,
        run_deadline: float | None = None,
        cancel: CancelHandle | None = None,
        expected_durations: Mapping[str, float] | None = None,
    ) -> None:
        if not isinstance(max_workers, int) or isinstance(max_workers, bool) or max_workers < 1:
            raise OrchestratorArgumentError("max_workers must be a whole number from 1.")
        self._sdk = sdk
        self._max_workers = max_workers
        self._options = RunOptions(
            study_timeout=study_timeout,
            retries=retries,
            retry_on=retry_on,
            on_result=on_result,
            progress=progress,
            run_deadline=run_deadline,
            cancel=cancel or CancelHandle(),
            expected_durations=expected_durations or {},
        )

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

        An ``async`` function waits on an event loop and holds no worker: hundreds of studies can
        wait at once, beside ``max_workers`` plain ones.

        Returns:
            One result for every selected study, in registry order. A study that fails is a
            result, never an exception.

        Raises:
            FilterConflictError: both filters are non-empty.
            OrchestratorError: the function can't take these arguments, or the registry could not
                be read. Nothing was started.
            KeyboardInterrupt: the caller's. It, and whatever ``on_result`` raised, cancels what
                has not ended and comes with an attribute ``results``: what had ended as it is,
                the rest as ``Cancelled: …``.
        """
        began = time.monotonic()
        StudyFilter(whitelist, blacklist)
        check_call(pipeline_func, args, kwargs)
        studies = self.resolve_active_studies(whitelist, blacklist)
        lanes = Lanes(CallRunner(self._sdk, pipeline_func, args, kwargs), self._max_workers)
        deadline = self._options.run_deadline
        if deadline is not None:
            cause = early_end(TIMEOUT, f"the run was given up after {deadline:g} s")
            lanes.cancel_at(began + deadline, cause)
        with self._options.cancel.telling(lanes.cancel):
            ended = self._collect(lanes, studies, step_of(pipeline_func, self._options))
        return {study_key: ended[study_key] for study_key in studies}

    def _collect(
        self, lanes: Lanes, studies: Sequence[str], step: LaneStep
    ) -> dict[str, OrchestratorResult]:
        ordered = longest_first(studies, self._options.expected_durations)
        ended: dict[str, OrchestratorResult] = {}
        try:
            with progress_bar(len(studies), enabled=self._options.progress) as show:
                for result in lanes.run({study_key: [step] for study_key in ordered}):
                    ended[result.study_key] = _as_result(result)
                    show(ended[result.study_key])
                    if self._options.on_result is not None:
                        self._options.on_result(result.study_key, ended[result.study_key])
        except BaseException as error:
            for result in lanes.cancel_and_drain():
                ended.setdefault(result.study_key, _as_result(result))
            with suppress(Exception):  # an exception of on_result may refuse attributes
                error.results = {key: ended[key] for key in studies}  # type: ignore[attr-defined]
            raise
        return ended


def _as_result(result: StepResult) -> OrchestratorResult:
    failure = result.failure
    return {
        "status": FAILED if failure else SUCCESS,
        "data": result.output,
        "error": failure.error if failure else None,
        "duration_seconds": result.duration_seconds,
    }
