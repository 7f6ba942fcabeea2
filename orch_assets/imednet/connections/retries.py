"""What of the registry's answers is worth another try, and when."""

import email.utils
import math
import time
from dataclasses import dataclass
from datetime import UTC

import httpx

from orch_assets.errors import (
    RegistryDataError,
    RegistryError,
    RegistryFailedError,
    RegistryNotFoundError,
    RegistryRefusedError,
)
from orch_assets.imednet.api_request import ApiRequest
from orch_assets.imednet.connections.receiving import ReceivedAnswer
from orch_assets.imednet.pages import UNKNOWN_ERROR, refusal_code

LONGEST_RETRY_AFTER = 60.0

_RETRIED = frozenset({408, 425, 429})
_BUSY = frozenset({429, 503})
_SERVER_ERRORS = 500
_REFUSALS = range(400, 500)

_WHAT_TO_DO = {
    400: "it doesn't understand the request; check the filters.",
    401: "it doesn't accept the keys; check IMEDNET_API_KEY and IMEDNET_SECURITY_KEY.",
    403: "the keys may not read this; ask the study's administrator for access.",
    404: "there is nothing here; check the study's key, and that the keys can see the study.",
}


@dataclass(frozen=True)
class FailedAttempt:
    """A try that gave no result.

    Attributes:
        error: what is raised if it was the last.
        passing: whether another try may help.
        retry_after: seconds that the registry asks to be left alone; at most a minute.
    """

    error: RegistryError
    passing: bool
    retry_after: float | None = None


def trouble_with(call: ApiRequest, response: ReceivedAnswer) -> FailedAttempt | None:
    """Return what is wrong with an answer by its status alone; None when nothing is."""
    status = response.status_code
    if status == httpx.codes.OK:
        return None
    code = refusal_code(response.content)
    told = f"HTTP {status}" + (f", code {code}" if code else "")
    if status in _RETRIED or status >= _SERVER_ERRORS:
        problem = f"{told} at every try; try again later."
        error = call.error(RegistryFailedError, problem, status=status, code=code)
        return FailedAttempt(error, passing=True, retry_after=retry_after(response))
    if status in _REFUSALS:
        advice = _WHAT_TO_DO.get(status, "the registry refuses the request.")
        kind = RegistryNotFoundError if status == httpx.codes.NOT_FOUND else RegistryRefusedError
        refused = call.error(kind, f"{told}: {advice}", status=status, code=code)
        return FailedAttempt(refused, passing=False)
    odd = call.error(
        RegistryDataError, f"{told} is no answer of the API; check the base URL.", status=status
    )
    return FailedAttempt(odd, passing=True, retry_after=retry_after(response))


def trouble_from(error: RegistryError) -> FailedAttempt:
    """Return the trouble of an answer at 200 that couldn't be taken for one."""
    passing = isinstance(error, RegistryDataError) or error.code == UNKNOWN_ERROR
    return FailedAttempt(error, passing=passing)


def is_busy(response: ReceivedAnswer) -> bool:
    """Return whether the registry says that it is asked too much; never with what was asked for."""
    status = response.status_code
    return status in _BUSY or (status != httpx.codes.OK and "retry-after" in response.headers)


def retry_after(response: ReceivedAnswer) -> float | None:
    """Return ``Retry-After`` in seconds, be it seconds or a date; None without a readable one."""
    text = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text)
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _until(text: str) -> float:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):  # the last of a zone that no int holds
        return math.nan
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() - time.time()
