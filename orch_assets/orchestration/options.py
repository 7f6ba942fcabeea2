"""Options of ``MultiStudyOrchestrator`` other than the SDK and the number of workers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orch_assets.errors import OrchestratorArgumentError
from orch_assets.orchestration.cancel import CancelHandle
from orch_assets.orchestration.reporting.results import OrchestratorResult

OnResult: TypeAlias = Callable[[str, OrchestratorResult], object]
ErrorTypes: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]

# Errors that a further attempt may resolve, whatever the pipeline does.
RETRYABLE_ERRORS = (ConnectionError, TimeoutError)


@dataclass(frozen=True)
class RunOptions:
    """Checked options of ``MultiStudyOrchestrator``, which describes them.

    Raises:
        OrchestratorArgumentError: An option is invalid; the message names it.
    """

    study_timeout: float | None = None
    retries: int = 0
    retry_on: ErrorTypes = RETRYABLE_ERRORS
    on_result: OnResult | None = None
    progress: bool = False
    run_deadline: float | None = None
    cancel: CancelHandle = field(default_factory=CancelHandle)
    expected_durations: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("study_timeout", "run_deadline"):
            seconds = getattr(self, name)
            if seconds is not None and not (_is_number(seconds) and seconds > 0):
                raise OrchestratorArgumentError(f"{name} must be seconds above 0, or None.")
        if not isinstance(self.retries, int) or isinstance(self.retries, bool) or self.retries < 0:
            raise OrchestratorArgumentError("retries must be an integer of 0 or more.")
        if not all(_is_error_type(each) for each in self.retried_errors):
            raise OrchestratorArgumentError(
                "retry_on must be an exception type or a tuple of exception types."
            )
        if self.on_result is not None and not callable(self.on_result):
            raise OrchestratorArgumentError(
                "on_result must be a function that takes a study key and its result."
            )
        self._check_durations()

    def _check_durations(self) -> None:
        for study_key, seconds in self.expected_durations.items():
            if not (_is_number(seconds) and seconds >= 0):
                raise OrchestratorArgumentError(
                    f"expected_durations of study {study_key} must be seconds of 0 or more; leave "
                    "out a study whose duration is unknown."
                )

    @property
    def retried_errors(self) -> tuple[type[BaseException], ...]:
        """``retry_on`` as a tuple."""
        return self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def _is_error_type(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)
