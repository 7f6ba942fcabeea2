"""Requests to the registry: sent within the limit, tried again where that is safe.

All requests are reads, so every one may be sent again. Tried again: no answer, a cut or damaged
one, 408, 425, 429, 5xx, what isn't the API's JSON, and the API's "unknown error" (9000) in an
envelope at 200. Never: 400, 401, 403, 404 and every other refusal, and an answer that is larger
than allowed.
"""

import functools
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx

from orch_assets.errors import (
    ImednetError,
    RegistryDataError,
    RegistryError,
    RegistryUnreachableError,
    StudyCancelledError,
)
from orch_assets.imednet.api_request import API_PATH, ApiRequest
from orch_assets.imednet.connections.quiet import quiet_httpx
from orch_assets.imednet.connections.receiving import (
    ENCODING,
    AnswerLimits,
    AnswerTooLargeError,
    ReceivedAnswer,
    receive,
)
from orch_assets.imednet.connections.retries import (
    FailedAttempt,
    is_busy,
    retry_after,
    trouble_from,
    trouble_with,
)
from orch_assets.imednet.limiter import AbandonedError, RequestLimiter
from orch_assets.imednet.settings import RegistrySettings
from orch_assets.study import current_context

T = TypeVar("T")

ATTEMPTS = 5
_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 30.0

# What a page of 500 records takes from its bytes to the file, at the least (`benchmarks`).
_PAGE_SECONDS = 0.002
# Of the time that answers usually take, each new one makes an eighth, as of TCP's (RFC 6298).
_NEWEST_SHARE = 1 / 8

_log = logging.getLogger("orch_assets.imednet")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """An answer, decoded or as its bytes, and how many tries failed before it."""

    content: T
    retries: int


class RegistryHttp:
    """Sends requests; safe from many threads.

    Args:
        settings: keys, base URL, and what an answer may take.
        client: sends them; not closed here.
        limiter: how many at once.
        attempts: tries for each request.
        sleep: waits between tries; None waits until the time has passed or the call is abandoned.
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
        # Made once: what httpx does to merge them at every request takes as long as to send it.
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
        self._usual_seconds: float | None = None

    @property
    def worthwhile(self) -> int:
        """The most requests that are worth having in flight, now; never more than may be.

        Where an answer comes sooner than a few pages are worked off, more of them only have
        threads wait for the interpreter, which costs those that work.
        """
        usual, maximum = self._usual_seconds, self._limiter.maximum
        return maximum if usual is None else min(maximum, int(usual / _PAGE_SECONDS) + 1)

    def get(
        self,
        call: ApiRequest,
        decode: Callable[[bytes], T],
        abandoned: threading.Event | None = None,
        received: Answer[bytes] | None = None,
    ) -> Answer[T]:
        """Return the decoded answer.

        Args:
            call: what to ask.
            decode: makes the content of an answer's bytes; raises RegistryError for what is none.
            abandoned: set when nobody waits any more.
            received: the answer's bytes, where they are there already; asked for again only if
                they can't be decoded.

        Raises:
            RegistryUnreachableError: no usable answer at any try.
            RegistryFailedError: 408, 425, 429 or 5xx at every try.
            RegistryRefusedError: a refusal.
            RegistryDataError: no answer of the API at any try.
        """
        abandoned = abandoned or threading.Event()
        failed = received.retries if received else 0
        one_try = functools.partial(self._try, call, decode, abandoned)
        result = _decoded(decode, received.content) if received else one_try()
        while isinstance(result, FailedAttempt):
            failed += 1
            if failed >= self._attempts or not result.passing:
                raise result.error
            seconds = _pause_after(failed, result)
            _log_retry(call, failed, result.error, seconds)
            self._pause(abandoned, seconds)
            result = one_try()
        return Answer(result, failed)

    def _try(
        self, call: ApiRequest, decode: Callable[[bytes], T], abandoned: threading.Event
    ) -> T | FailedAttempt:
        response = self._answered(call, abandoned)
        return (
            response if isinstance(response, FailedAttempt) else _decoded(decode, response.content)
        )

    def _answered(
        self, call: ApiRequest, abandoned: threading.Event
    ) -> ReceivedAnswer | FailedAttempt:
        if abandoned.is_set():
            raise AbandonedError
        study = current_context()
        if study is not None and study.lease.revoked:
            # Its thread may live on, but the requests are the other studies'.
            raise StudyCancelledError(study.study_key)
        response = self._exchange(call, abandoned)
        if isinstance(response, FailedAttempt):
            return response
        return trouble_with(call, response) or response

    def _exchange(
        self, call: ApiRequest, abandoned: threading.Event
    ) -> ReceivedAnswer | FailedAttempt:
        """Send the request and read the whole answer, in a slot of the limiter."""
        # httpx's own errors hold the request with its headers, and some quote bytes of the answer:
        # ours is raised after the except block, so that it is chained to none of them.
        request = self._request(call)
        with self._limiter.slot(abandoned) as slot:
            began = time.monotonic()
            self._check_open()
            try:
                with quiet_httpx():
                    response = receive(self._client, request, self._limits)
            except AnswerTooLargeError:
                slot.lost = True
                return self._too_large(call)
            except (httpx.TransportError, httpx.DecodingError) as error:
                slot.lost = True
                return self._no_answer(call, type(error), time.monotonic() - began)
            seconds = time.monotonic() - began
            if is_busy(response):
                slot.refuse(retry_after(response))
            else:
                usual = seconds if self._usual_seconds is None else self._usual_seconds
                self._usual_seconds = usual + (seconds - usual) * _NEWEST_SHARE
        _log.debug(
            "GET %s, page %s: HTTP %d, %d bytes in %.3f s",
            call.place,
            call.page,
            response.status_code,
            len(response.content),
            seconds,
        )
        return response

    def _check_open(self) -> None:
        if self._client.is_closed:
            raise ImednetError("The ImednetSDK is closed; open a new one to read on.")

    def _request(self, call: ApiRequest) -> httpx.Request:
        return httpx.Request(
            "GET",
            f"{self._settings.base_url}{API_PATH}{call.endpoint}",
            params=self._client.params.merge(dict(call.parameters)),
            headers=self._headers,
            cookies=self._client.cookies,
            extensions={"timeout": self._timeout},
        )

    def _no_answer(self, call: ApiRequest, kind: type[Exception], seconds: float) -> FailedAttempt:
        check = "the network, IMEDNET_BASE_URL and IMEDNET_TIMEOUT"
        if seconds >= self._limits.seconds:
            check = "the network and IMEDNET_ANSWER_TIMEOUT"
        elif kind is httpx.ProxyError:
            check = "the proxy that HTTPS_PROXY or ALL_PROXY names"
        problem = (
            f"no whole answer from {httpx.URL(self._settings.base_url).host} at any try "
            f"({kind.__name__} after {seconds:.1f} s); check {check}."
        )
        return FailedAttempt(call.error(RegistryUnreachableError, problem), passing=True)

    def _too_large(self, call: ApiRequest) -> FailedAttempt:
        problem = (
            f"the answer has more than {self._settings.max_answer_mb} MB, which no page of the API "
            "has; check the base URL, or raise IMEDNET_MAX_ANSWER_MB."
        )
        return FailedAttempt(call.error(RegistryDataError, problem), passing=False)

    def _pause(self, abandoned: threading.Event, seconds: float) -> None:
        if self._sleep is not None:
            self._sleep(seconds)
        else:
            abandoned.wait(seconds)


def _decoded(decode: Callable[[bytes], T], body: bytes) -> T | FailedAttempt:
    try:
        return decode(body)
    except RegistryError as error:
        return trouble_from(error)


def _pause_after(failed: int, last: FailedAttempt) -> float:
    """Return exponential backoff with full jitter, or ``Retry-After`` where that is longer.

    Args:
        failed: how many tries have failed; at least one.
        last: the last of them.
    """
    longest = min(_FIRST_BACKOFF * 2 ** (failed - 1), _LONGEST_BACKOFF)
    return max(random.uniform(0, longest), last.retry_after or 0.0)  # noqa: S311 - no secret


def _log_retry(call: ApiRequest, failed: int, error: RegistryError, seconds: float) -> None:
    _log.info(
        "GET %s, page %s: try %d failed (%s%s); the next in %.1f s",
        call.place,
        call.page,
        failed,
        type(error).__name__,
        f", HTTP {error.status}" if error.status else "",
        seconds,
    )
