"""``MultiStudyOrchestrator``: runs one function for every study of an account."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from orch_assets.errors import OrchestratorArgumentError, OrchestratorError
from orch_assets.orchestration.call_runner import CallRunner, check_call, step_of
from orch_assets.orchestration.cancel import CancelHandle
from orch_assets.orchestration.lanes import Lanes
from orch_assets.orchestration.options import RETRYABLE_ERRORS, ErrorTypes, OnResult, RunOptions
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
from orch_assets.orchestration.returned_values import SKIPPED
from orch_assets.orchestration.selection import StudyFilter, select_studies, warn_about
from orch_assets.orchestration.steps import LaneStep, StepResult


class MultiStudyOrchestrator:
    """Runs a pipeline function for many studies at once, each isolated from the others.

    Args:
        sdk: An ``ImednetSDK``, or any object with ``sdk.studies.list()`` that yields objects with a
            ``study_key``. All studies share it; it is never modified.
        max_workers: Maximum number of studies that run at once; 1 runs them one after the other.
        study_timeout: Working seconds allowed for each study. A study that takes longer is FAILED
            with ``Timeout: …`` and can no longer publish. None is no limit. A timeout or retries
            set by ``@study_pipeline`` take precedence.
        retries: Further attempts of a study after an error of ``retry_on``, about 1, 2, 4, … 60
            seconds apart. Errors of the iMednet client are never retried here: the client has
            already retried them.
        retry_on: Errors worth another attempt.
        on_result: Called as ``on_result(study_key, result)`` in the caller's thread as each study
            ends, in order of completion. An exception that it raises ends the run, like the
            caller's ``KeyboardInterrupt``: see ``execute_pipeline``.
        progress: Show a progress bar on standard error if that is a terminal.
        run_deadline: Seconds allowed for a whole call. Studies that have not ended by then are
            FAILED with ``Timeout: …``. The request for the list of studies counts, but is not
            interrupted.
        cancel: A handle that cancels the run from another thread. Studies that have not ended by
            then are FAILED with ``Cancelled: …``.
        expected_durations: Seconds by study, where known. The longest studies start first, so that
            none runs alone at the end; a study without an entry counts as the median. Results stay
            in registry order.

    Raises:
        OrchestratorArgumentError: A parameter is invalid; the message names it.

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
        retry_on: ErrorTypes = RETRYABLE_ERRORS,
        on_result: OnResult | None = None,
        progress: bool = False,
        run_deadline: float | None = None,
        cancel: CancelHandle | None = None,
        expected_durations: Mapping[str, float] | None = None,
    ) -> None:
        if not isinstance(max_workers, int) or isinstance(max_workers, bool) or max_workers < 1:
            raise OrchestratorArgumentError("max_workers must be an integer of 1 or more.")
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
        """Maximum number of studies that run at once."""
        return self._max_workers

    def resolve_active_studies(
        self, whitelist: set[str] | None = None, blacklist: set[str] | None = None
    ) -> list[str]:
        """Return the keys of the account's studies that pass the filter, in registry order.

        Args:
            whitelist: Select only these studies; None is no filter, an empty set selects nothing.
            blacklist: Select all studies except these.

        Raises:
            FilterConflictError: Both filters are non-empty. No request was sent.
            OrchestratorError: A filter is a string instead of a set, or the list of studies could
                not be read (``__cause__`` holds the error).
        """
        study_filter = StudyFilter(whitelist, blacklist)
        try:
            keys = [study.study_key for study in self._sdk.studies.list()]
        except Exception as error:
            raise OrchestratorError(
                "The account's list of studies could not be read; no study was started."
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

        An ``async`` function waits on an event loop and occupies no worker: hundreds of studies can
        wait at once; ``max_workers`` limits only plain functions.

        Returns:
            One result for every selected study, in registry order. A failed study is a result,
            never an exception.

        Raises:
            FilterConflictError: Both filters are non-empty.
            OrchestratorError: The function can't take these arguments, or the list of studies could
                not be read. No study was started.
            KeyboardInterrupt: Raised in the caller's thread. It, or an exception of ``on_result``,
                cancels the studies that have not ended. The exception's attribute ``results`` holds
                the results of the studies that had ended; the others are ``Cancelled: …``.
        """
        began = time.monotonic()
        StudyFilter(whitelist, blacklist)  # raises before the function is checked
        check_call(pipeline_func, args, kwargs)
        studies = self.resolve_active_studies(whitelist, blacklist)
        lanes = Lanes(CallRunner(self._sdk, pipeline_func, args, kwargs), self._max_workers)
        deadline = self._options.run_deadline
        if deadline is not None:
            cause = early_end(TIMEOUT, f"the run was stopped after {deadline:g} s")
            lanes.cancel_at(began + deadline, cause)
        with self._options.cancel.on_cancel(lanes.cancel):
            ended = self._collect(lanes, studies, step_of(pipeline_func, self._options))
        return {study_key: ended[study_key] for study_key in studies}

    def _collect(
        self, lanes: Lanes, studies: Sequence[str], step: LaneStep
    ) -> dict[str, OrchestratorResult]:
        ordered = longest_first(studies, self._options.expected_durations)
        ended: dict[str, OrchestratorResult] = {}
        try:
            with progress_bar(len(studies), enabled=self._options.progress) as advance:
                for result in lanes.run({study_key: [step] for study_key in ordered}):
                    ended[result.study_key] = _as_result(result)
                    advance(ended[result.study_key])
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
        "data": result.output if result.skipped is None else {SKIPPED: result.skipped},
        "error": failure.error if failure else None,
        "duration_seconds": result.duration_seconds,
    }
