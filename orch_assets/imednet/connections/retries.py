"""Which of the API's answers are worth another attempt, and when."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx

from orch_assets.errors import (
    RegistryDataError,
    RegistryError,
    RegistryFailedError,
    RegistryNotFoundError,
    RegistryRefusedError,
)
from orch_assets.http_rules import seconds_to_wait
from orch_assets.imednet.api_request import ApiRequest
from orch_assets.imednet.connections.receiving import ReceivedAnswer
from orch_assets.imednet.fields import FieldError, UnreadableFieldError
from orch_assets.imednet.pages import UNKNOWN_ERROR, check_short_answer, refusal_code

T = TypeVar("T")

LONGEST_RETRY_AFTER = 60.0

_RETRIED = frozenset({408, 425, 429})
_BUSY = frozenset({429, 503})
_SERVER_ERRORS = 500
_REFUSALS = range(400, 500)

_WHAT_TO_DO = {
    400: "iMednet doesn't understand the request; check the filters.",
    401: "iMednet doesn't accept the keys; check IMEDNET_API_KEY and IMEDNET_SECURITY_KEY.",
    403: "the keys may not read this; ask the study's administrator for access.",
    404: "not found; check the study's key, and that the keys can see the study.",
}


@dataclass(frozen=True)
class FailedAttempt:
    """An attempt that gave no usable answer.

    Attributes:
        error: The error to raise if it was the last attempt.
        retryable: Whether another attempt may succeed.
        retry_after: Seconds that the API asks to wait; at most a minute.
    """

    error: RegistryError
    retryable: bool
    retry_after: float | None = None


def failure_of(request: ApiRequest, response: ReceivedAnswer) -> FailedAttempt | None:
    """Return why an answer is unusable, by its status or by a short body; None if it isn't."""
    status = response.status_code
    if status == httpx.codes.OK:
        return attempted(request, lambda: check_short_answer(request, response.content))
    code = refusal_code(response.content)
    answered = f"HTTP {status}" + (f", code {code}" if code else "")
    if status in _RETRIED or status >= _SERVER_ERRORS:
        problem = f"{answered} at every attempt; try again later."
        error = request.error(RegistryFailedError, problem, status=status, code=code)
        return FailedAttempt(error, retryable=True, retry_after=retry_after(response))
    if status in _REFUSALS:
        advice = _WHAT_TO_DO.get(status, "iMednet refuses the request.")
        kind = RegistryNotFoundError if status == httpx.codes.NOT_FOUND else RegistryRefusedError
        refused = request.error(kind, f"{answered}: {advice}", status=status, code=code)
        return FailedAttempt(refused, retryable=False)
    odd = request.error(
        RegistryDataError,
        f"{answered} is not an answer of the API; check the base URL.",
        status=status,
    )
    return FailedAttempt(odd, retryable=True, retry_after=retry_after(response))


def attempted(request: ApiRequest, decode: Callable[[], T]) -> T | FailedAttempt:
    """Return what an answer is decoded to, or why it can't be.

    The failure is returned, not raised: an error that is raised inside the handler of another is
    chained to it, and the other may hold a data value.
    """
    try:
        return decode()
    except RegistryError as error:
        damaged = isinstance(error, RegistryDataError) or error.code == UNKNOWN_ERROR
        return FailedAttempt(error, retryable=damaged)
    except UnreadableFieldError as error:
        problem = f"{error}; correct it in iMednet, where it was entered."
    except FieldError as error:
        problem = f"{error}, which contradicts the API description."
    return FailedAttempt(request.error(RegistryDataError, problem), retryable=False)


def is_busy(response: ReceivedAnswer) -> bool:
    """Return whether the API reports overload; never for an answer with the data asked for."""
    status = response.status_code
    return status in _BUSY or (status != httpx.codes.OK and "retry-after" in response.headers)


def retry_after(response: ReceivedAnswer) -> float | None:
    """Return ``Retry-After`` in seconds, a minute at most; None if missing or unreadable."""
    seconds = seconds_to_wait(response.headers.get("retry-after", ""))
    return None if seconds is None else min(seconds, LONGEST_RETRY_AFTER)
