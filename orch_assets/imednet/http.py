"""Sends requests to the API within the request limit, and retries where that is safe.

All requests are reads, so every one may be sent again. Retried: no answer, a truncated or damaged
one, 408, 425, 429, 5xx, a body that isn't the API's JSON, and the API's "unknown error" (9000) in
an envelope at 200. Never retried: 400, 401, 403, 404 and every other refusal, and an answer that
is larger than allowed.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from orch_assets.errors import (
    ImednetError,
    RegistryDataError,
    RegistryError,
    RegistryUnreachableError,
    StudyCancelledError,
)
from orch_assets.imednet.api_request import API_PATH, ApiRequest
from orch_assets.imednet.connections.receiving import (
    ENCODING,
    AnswerLimits,
    AnswerTooLargeError,
    ReceivedAnswer,
    receive,
)
from orch_assets.imednet.connections.retries import (
    FailedAttempt,
    failure_of,
    is_busy,
    retry_after,
)
from orch_assets.imednet.request_limits.limiter import AbandonedError, RequestLimiter
from orch_assets.imednet.settings import RegistrySettings
from orch_assets.study import current_context

ATTEMPTS = 5
_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 30.0

_log = logging.getLogger("orch_assets.imednet")


@dataclass(frozen=True)
class Answer:
    """The body of an answer, and how many attempts failed before it arrived."""

    content: bytes
    retries: int


class RegistryHttp:
    """Sends requests; safe to use from many threads.

    Args:
        settings: Keys, base URL, and the limits of an answer.
        client: Sends the requests; not closed here.
        limiter: Bounds the requests in flight.
        attempts: Attempts for each request.
        sleep: Waits between attempts. None waits until the time has passed or the request is
            abandoned.
    """

    def __init__(
        self,
        settings: RegistrySettings,
        client: httpx.Client,
        limiter: RequestLimiter,
        *,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._settings = settings
        self._client = client
        # Built once: merging the headers for every request takes httpx as long as sending it.
        self._headers = client.headers.copy()
        self._headers.update(
            {
                "Accept": "application/json",
                "Accept-Encoding": ENCODING,
                "Content-Type": "application/json",
                "x-api-key": settings.api_key,
                "x-imn-security-key": settings.security_key,
            }
        )
        pause = min(settings.timeout, settings.answer_timeout)
        self._timeout = httpx.Timeout(pause).as_dict()
        self._limits = AnswerLimits(settings.answer_timeout, settings.max_answer_mb * 1_000_000)
        self._limiter = limiter
        self._attempts = attempts
        self._sleep = sleep

    @property
    def max_requests(self) -> int:
        """The most requests that may be in flight."""
        return self._limiter.maximum

    def fetch(self, request: ApiRequest, abandoned: threading.Event | None = None) -> Answer:
        """Return an answer's body; a short one is known to be an answer of the API.

        Args:
            request: What to ask for.
            abandoned: Set when the answer is no longer needed.

        Raises:
            RegistryUnreachableError: No usable answer at any attempt.
            RegistryFailedError: 408, 425, 429 or 5xx at every attempt.
            RegistryRefusedError: The API refused the request.
            RegistryDataError: No answer of the API at any attempt.
        """
        return self._fetch(request, 0, abandoned or threading.Event())

    def fetch_again(self, request: ApiRequest, answer: Answer, failure: FailedAttempt) -> Answer:
        """Return another answer instead of one that couldn't be decoded.

        The decoding counts as one more failed attempt of the same request: it uses up the same
        attempts, and is followed by the same wait.

        Args:
            request: The request that was answered.
            answer: The unusable answer.
            failure: Why it is unusable.

        Raises:
            RegistryError: The failure's error, if it was the last attempt or isn't retryable;
                and as :meth:`fetch` does.
        """
        abandoned = threading.Event()
        failed = answer.retries + 1
        self._prepare_next(request, failed, failure, abandoned)
        return self._fetch(request, failed, abandoned)

    def _fetch(self, request: ApiRequest, failed: int, abandoned: threading.Event) -> Answer:
        while True:
            result = self._attempt(request, abandoned)
            if isinstance(result, ReceivedAnswer):
                return Answer(result.content, failed)
            failed += 1
            self._prepare_next(request, failed, result, abandoned)

    def _prepare_next(
        self, request: ApiRequest, failed: int, last: FailedAttempt, abandoned: threading.Event
    ) -> None:
        """Wait before the next attempt; raise the last one's error if there must be none."""
        if failed >= self._attempts or not last.retryable:
            raise last.error
        seconds = _backoff(failed, last)
        _log_retry(request, failed, last.error, seconds)
        if self._sleep is not None:
            self._sleep(seconds)
        else:
            abandoned.wait(seconds)

    def _attempt(
        self, request: ApiRequest, abandoned: threading.Event
    ) -> ReceivedAnswer | FailedAttempt:
        if abandoned.is_set():
            raise AbandonedError
        study = current_context()
        if study is not None and study.lease.revoked:
            # The cancelled study's thread may still run; its requests belong to other studies.
            raise StudyCancelledError(study.study_key)
        response = self._exchange(request, abandoned)
        if isinstance(response, FailedAttempt):
            return response
        return failure_of(request, response) or response

    def _exchange(
        self, request: ApiRequest, abandoned: threading.Event
    ) -> ReceivedAnswer | FailedAttempt:
        """Send the request and read the whole answer, in a slot of the limiter."""
        # httpx's errors hold the request with its headers, and some quote bytes of the answer:
        # ours is raised after the except block, so that none of them is chained to it.
        http_request = self._http_request(request)
        with self._limiter.slot(abandoned) as slot:
            began = time.monotonic()
            self._check_open()
            try:
                response = receive(self._client, http_request, self._limits)
            except AnswerTooLargeError:
                slot.lost = True
                return self._too_large(request)
            except (httpx.TransportError, httpx.DecodingError) as error:
                slot.lost = True
                return self._no_answer(request, type(error), time.monotonic() - began)
            seconds = time.monotonic() - began
            if is_busy(response):
                slot.refuse(retry_after(response))
        _log.debug(
            "GET %s, page %s: HTTP %d, %d bytes in %.3f s",
            request.logged_endpoint,
            request.page,
            response.status_code,
            len(response.content),
            seconds,
        )
        return response

    def _check_open(self) -> None:
        if self._client.is_closed:
            raise ImednetError("The ImednetSDK is closed; open a new one to read on.")

    def _http_request(self, request: ApiRequest) -> httpx.Request:
        # As one text: given separately, httpx takes twice as long for them.
        url = f"{self._settings.base_url}{API_PATH}{request.endpoint}"
        query = str(self._client.params.merge(dict(request.parameters)))
        return httpx.Request(
            "GET",
            f"{url}?{query}" if query else url,
            headers=self._headers,
            cookies=self._client.cookies,
            extensions={"timeout": self._timeout},
        )

    def _no_answer(
        self, request: ApiRequest, kind: type[Exception], seconds: float
    ) -> FailedAttempt:
        check = "the network, IMEDNET_BASE_URL and IMEDNET_TIMEOUT"
        if seconds >= self._limits.seconds:
            check = "the network and IMEDNET_ANSWER_TIMEOUT"
        elif kind is httpx.ProxyError:
            check = "the proxy that HTTPS_PROXY or ALL_PROXY names"
        problem = (
            f"no complete answer from {httpx.URL(self._settings.base_url).host} at any attempt "
            f"({kind.__name__} after {seconds:.1f} s); check {check}."
        )
        return FailedAttempt(request.error(RegistryUnreachableError, problem), retryable=True)

    def _too_large(self, request: ApiRequest) -> FailedAttempt:
        problem = (
            f"the answer has more than {self._settings.max_answer_mb} MB, which no page of the API "
            "has; check the base URL, or raise IMEDNET_MAX_ANSWER_MB."
        )
        return FailedAttempt(request.error(RegistryDataError, problem), retryable=False)


def _backoff(failed: int, last: FailedAttempt) -> float:
    """Return seconds: exponential with full jitter, or ``Retry-After`` where that is longer.

    Args:
        failed: Attempts that failed; at least one.
        last: The last of them.
    """
    longest = min(_FIRST_BACKOFF * 2 ** (failed - 1), _LONGEST_BACKOFF)
    return max(random.uniform(0, longest), last.retry_after or 0.0)  # noqa: S311 - no secret


def _log_retry(request: ApiRequest, failed: int, error: RegistryError, seconds: float) -> None:
    _log.info(
        "GET %s, page %s: attempt %d failed (%s%s); next attempt in %.1f s",
        request.logged_endpoint,
        request.page,
        failed,
        type(error).__name__,
        f", HTTP {error.status}" if error.status else "",
        seconds,
    )
