"""The layer around the application: logs requests, limits them and produces faults."""

import asyncio
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from urllib.parse import unquote

from starlette.datastructures import MutableHeaders, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orch_assets.demo.changes.account_clock import AccountClock
from orch_assets.demo.envelope import UNKNOWN, RefusedError, error_response
from orch_assets.demo.faults import Fault, Faults
from orch_assets.demo.page_request import DEFAULT_SIZE
from orch_assets.demo.read_api import BASE_PATH, ENDPOINTS, JOBS
from orch_assets.demo.traffic import RequestEntry, Traffic

FindTransport = Callable[[object], asyncio.Transport]
"""Returns the connection of a request from its client address."""

# How often a delayed answer checks whether the server is stopping.
_STOP_CHECK_SECONDS = 0.05


class SimulatorMiddleware:
    """An ASGI application around that of the API.

    It handles the faults of a connection and a status. It passes those that change the content of
    a page to the application, as ``scope["state"]["fault"]``, and the account's clock as
    ``scope["state"]["clock"]``.
    """

    def __init__(
        self,
        api: ASGIApp,
        clock: AccountClock,
        traffic: Traffic,
        faults: Faults,
        find_transport: FindTransport,
    ) -> None:
        self._api = api
        self._clock = clock
        self._traffic = traffic
        self._faults = faults
        self._find_transport = find_transport
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End the delays in progress."""
        self._stopping.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        scope.setdefault("state", {})["clock"] = self._clock
        entry = _entry(scope)

        async def log(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            elif not message.get("more_body", False):
                # Before sending: a client that has its answer may send its next request at once,
                # and the finished one must not count towards the limit.
                self._traffic.end(entry)
            await send(message)

        with self._traffic.request(entry):
            if self._traffic.over_limit():
                limited = Fault("status", status=429, retry_after=self._traffic.retry_after)
                await _refuse(limited, scope, receive, log)
                return
            for fault in self._faults.take(
                entry.endpoint, entry.study_key, entry.page, filtered=entry.filtered
            ):
                if fault.kind == "delay":
                    await self._delay(fault.seconds)
                else:
                    scope["state"]["fault"] = fault
            await self._answer(scope, receive, log)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault: Fault | None = scope["state"].get("fault")
        kind = fault.kind if fault else None
        if fault and kind == "status":
            await _refuse(fault, scope, receive, send)
        elif kind == "html":
            page = HTMLResponse("<!doctype html><title>Maintenance</title><h1>Back soon</h1>")
            await page(scope, receive, send)
        elif kind == "error_envelope":
            await _refuse(Fault("status", status=200), scope, receive, send)
        elif kind == "reset":
            await self._reset(scope, receive)
        elif kind == "content_type":
            await self._api(scope, receive, _as_text(send))
        elif kind == "cut":
            await self._cut(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    async def _delay(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        # Another thread calls stop(), so this event loop has no event of its own to wait for.
        while not self._stopping.is_set() and (wait := deadline - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(wait, _STOP_CHECK_SECONDS))

    async def _reset(self, scope: Scope, receive: Receive) -> None:
        transport = self._find_transport(scope["client"])
        no_linger = struct.pack("ii", 1, 0)  # closing sends RST instead of FIN
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, no_linger
        )
        transport.abort()
        await _disconnected(receive)

    async def _cut(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def half(message: Message) -> None:
            if message["type"] == "http.response.body":
                body = message["body"]
                message = {**message, "body": body[: len(body) // 2], "more_body": True}
            await send(message)

        await self._api(scope, receive, half)
        self._find_transport(scope["client"]).close()
        await _disconnected(receive)


def _entry(scope: Scope) -> RequestEntry:
    path = scope["raw_path"].decode("ascii")
    params = QueryParams(scope["query_string"])
    segments = path.removeprefix(f"{BASE_PATH}/").split("/")
    study_key = unquote(segments[1]) if len(segments) > 1 else None
    name = segments[0] if study_key is None else "".join(segments[2:3])
    paged = name in ENDPOINTS and name != JOBS.name
    return RequestEntry(
        path,
        endpoint=name if name in ENDPOINTS else None,
        study_key=study_key,
        page=_number(params.get("page", "0")) if paged else None,
        size=_number(params.get("size", str(DEFAULT_SIZE))) if paged else None,
        filtered="filter" in params or "recordDataFilter" in params,
    )


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


async def _refuse(fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
    refused = RefusedError("Simulated fault.", status=fault.status, code=UNKNOWN)
    await error_response(Request(scope), refused, headers)(scope, receive, send)


def _as_text(send: Send) -> Send:
    async def send_text(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["content-type"] = "text/plain; charset=utf-8"
        await send(message)

    return send_text


async def _disconnected(receive: Receive) -> None:
    """Wait until the server notices the closed connection; it would answer 500 otherwise."""
    while (await receive())["type"] != "http.disconnect":
        pass
