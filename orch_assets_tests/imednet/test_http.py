"""Attempts, waits and refusals of the HTTP layer, against servers with canned answers."""

import email.utils
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.demo import DemoServer, Fault
from orch_assets.errors import (
    ImednetError,
    RegistryDataError,
    RegistryError,
    RegistryFailedError,
    RegistryNotFoundError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from orch_assets.imednet import ImednetSDK, RequestLimiter
from orch_assets.imednet.api_request import ApiRequest
from orch_assets.imednet.connections.receiving import ReceivedAnswer
from orch_assets.imednet.connections.retries import FailedAttempt, retry_after
from orch_assets.imednet.http import Answer, RegistryHttp
from orch_assets.imednet.page_source import TablePages
from orch_assets.imednet.request_limits.limiter import AbandonedError
from orch_assets.imednet.settings import RegistrySettings
from orch_assets_tests.imednet.conftest import MakeSDK

STUDY = "ONC-301"
KEY, SECRET = "planted-key-1", "planted-key-2"

EMPTY_PAGE = (
    b'{"metadata":{"status":"OK"},"pagination":{"currentPage":0,"totalElements":0},"data":[]}'
)


def answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
    return head.encode() + body


class CannedServer:
    """Answers each connection with the next canned answer; the last one is repeated."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65536))
                connection.sendall(
                    self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                )

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@pytest.fixture
def canned() -> Iterator[Callable[..., CannedServer]]:
    opened: list[CannedServer] = []

    def start(*answers: bytes) -> CannedServer:
        opened.append(CannedServer(*answers))
        return opened[-1]

    yield start
    for server in opened:
        server.close()


def open_sdk(server: CannedServer, **options: Any) -> ImednetSDK:
    options = {"sleep": lambda _: None, "limiter": RequestLimiter(4), **options}
    return ImednetSDK(KEY, SECRET, server.base_url, **options)


def test_requests_carry_what_the_public_package_sends(canned: Callable[..., CannedServer]) -> None:
    server = canned(answer(EMPTY_PAGE))
    with open_sdk(server) as sdk:
        assert list(sdk.subjects.list(STUDY, subject_key="A B")) == []
    request = server.requests[0].decode().lower()
    assert request.startswith(f"get /api/v1/edc/studies/{STUDY}/subjects?".lower())
    assert "size=500&sort=subjectid%2casc&filter=subjectkey%3d%3d%22a" in request
    for line in (
        f"x-api-key: {KEY}",
        f"x-imn-security-key: {SECRET}",
        "accept: application/json",
        "content-type: application/json",
    ):
        assert f"\r\n{line}\r\n" in request


@pytest.mark.parametrize(
    ("wire", "error", "tries"),
    [
        (b"planted-value\r\n\r\n", RegistryUnreachableError, 3),
        (b"HTTP/1.1 200 OK\r\nplanted-value\r\n\r\n", RegistryDataError, 3),
        (b"", RegistryUnreachableError, 3),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nplanted-value",
            RegistryUnreachableError,
            3,
        ),
        (
            answer(b"planted-value", headers="Content-Encoding: gzip\r\n"),
            RegistryUnreachableError,
            3,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + EMPTY_PAGE[:-9], RegistryDataError, 3),
        (answer(b"<p>planted-value</p>"), RegistryDataError, 3),
        (answer(b'{"data":[{"a":"planted-value"}]}'), RegistryDataError, 3),
        (
            answer(b"", "302 Found", "Location: https://planted-value.example.com/\r\n"),
            RegistryDataError,
            3,
        ),
        (answer(b"", "204 No Content"), RegistryDataError, 3),
        (
            answer(
                b'{"metadata":{"status":"ERROR","error":{"code":"1000","description":'
                b'"planted-value","field":{"attribute":"siteId","value":"planted-value"}}}}'
            ),
            RegistryRefusedError,
            1,
        ),
        (
            answer(b'{"metadata":{"status":"ERROR","error":{"code":"planted value!"}}}'),
            RegistryRefusedError,
            1,
        ),
        (answer(b'{"metadata":{"status":"ERROR","error":{"code":9000}}}'), RegistryRefusedError, 3),
        (answer(b"planted-value", "404 Not Found"), RegistryNotFoundError, 1),
        (answer(b"planted-value", "500 planted-value"), RegistryFailedError, 3),
    ],
)
def test_a_bad_answer_is_the_right_error_and_shows_nothing_of_itself(
    wire: bytes,
    error: type[RegistryError],
    tries: int,
    canned: Callable[..., CannedServer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = canned(wire)
    caplog.set_level(0)
    for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
        caplog.set_level(1, logger=name)
    with open_sdk(server, attempts=3) as sdk, pytest.raises(error) as caught:
        list(sdk.subjects.list(STUDY, subject_key="planted-filter"))
    assert type(caught.value) is error
    assert len(server.requests) == tries
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    shown = [
        "".join(traceback.format_exception(caught.value)),
        repr(caught.value),
        repr(vars(caught.value)),
        *(f"{record.getMessage()} {vars(record)}" for record in caplog.records),
    ]
    # The source lines of this test are in the traceback, and say what is planted.
    assert not [text for text in shown for word in ("planted-key", "planted-v") if word in text]
    assert not [text for text in shown[1:] if "planted" in text]


def test_a_refusal_names_code_and_attribute(canned: Callable[..., CannedServer]) -> None:
    server = canned(
        answer(
            b'{"metadata":{"status":"BAD_REQUEST","error":'
            b'{"code":"1000","field":{"attribute":"siteId","value":"x"}}}}'
        )
    )
    with (
        open_sdk(server) as sdk,
        pytest.raises(RegistryRefusedError, match="code 1000, attribute siteId") as caught,
    ):
        list(sdk.subjects.list(STUDY))
    assert (caught.value.code, caught.value.status) == ("1000", 200)


def test_nobody_listens(canned: Callable[..., CannedServer]) -> None:
    server = canned(b"")
    server.close()
    server.listener = socket.create_server(("127.0.0.1", 0))  # for the fixture to close
    with (
        open_sdk(server) as sdk,
        pytest.raises(RegistryUnreachableError, match=r"127\.0\.0\.1.*ConnectError") as caught,
    ):
        list(sdk.studies.list())
    assert (caught.value.endpoint, caught.value.status) == ("/studies", None)


def test_waits_grow_with_jitter_and_stay_bounded(canned: Callable[..., CannedServer]) -> None:
    waits: list[float] = []
    with (
        open_sdk(canned(answer(b"", "500 No")), sleep=waits.append, attempts=12) as sdk,
        pytest.raises(RegistryFailedError),
    ):
        list(sdk.studies.list())
    assert len(waits) == 11
    assert all(0 <= wait <= min(0.5 * 2**number, 30) for number, wait in enumerate(waits))
    assert len(set(waits)) > 5
    assert max(waits) > 1


def test_retry_after_lengthens_the_wait_up_to_a_minute(server: DemoServer) -> None:
    for header, longest in (("7", 7.0), ("3600", 60.0)):
        waits: list[float] = []
        now = [0.0]

        def sleep(seconds: float, waits: list[float] = waits, now: list[float] = now) -> None:
            waits.append(seconds)
            now[0] += seconds

        server.faults.add(Fault("status", status=429, retry_after=header, times=1))
        limiter = RequestLimiter(4, clock=lambda now=now: now[0])
        with ImednetSDK(
            server.api_key, server.security_key, server.base_url, sleep=sleep, limiter=limiter
        ) as sdk:
            assert len(list(sdk.studies.list())) == 3
        assert waits == [longest]
        assert limiter.limit == 3


@pytest.mark.parametrize(
    "status", ["204 No Content", "202 Accepted", "206 Partial Content", "302 Found", "304 Same"]
)
def test_a_status_that_the_api_does_not_have_is_tried_again(
    status: str, canned: Callable[..., CannedServer]
) -> None:
    """Like everything that isn't the API's JSON: a gateway may answer so once."""
    server = canned(answer(b"", status), answer(EMPTY_PAGE))
    with open_sdk(server) as sdk:
        assert sdk.subjects.table(STUDY).num_rows == 0
    assert len(server.requests) == 2


def test_retry_after_on_success_slows_nothing(canned: Callable[..., CannedServer]) -> None:
    server = canned(answer(EMPTY_PAGE, headers="Retry-After: 5\r\n"))
    limiter = RequestLimiter(4)
    with open_sdk(server, limiter=limiter) as sdk:
        began = time.monotonic()
        for _ in range(3):
            assert sdk.subjects.table(STUDY).num_rows == 0
        assert time.monotonic() - began < 5
    assert limiter.limit == 4


def test_retry_after_of_a_redirect_is_kept_to(canned: Callable[..., CannedServer]) -> None:
    waits: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    server = canned(answer(b"", "302 Found", "Retry-After: 40\r\n"), answer(EMPTY_PAGE))
    limiter = RequestLimiter(4, clock=lambda: now[0])
    with open_sdk(server, limiter=limiter, sleep=sleep) as sdk:
        assert sdk.subjects.table(STUDY).num_rows == 0
    assert waits == [40]


@given(
    st.text()
    | st.floats().map(str)
    | st.integers().map(str)
    | st.datetimes(timezones=st.timezones() | st.none()).map(email.utils.format_datetime)
)
def test_whatever_retry_after_says_the_wait_is_a_minute_at_most(text: str) -> None:
    headers = httpx.Headers([(b"Retry-After", text.encode())])
    seconds = retry_after(ReceivedAnswer(429, headers, b""))
    assert seconds is None or 0 <= seconds <= 60


def header(value: str) -> httpx.Response:
    return httpx.Response(429, headers={"Retry-After": value})


def test_retry_after_may_be_seconds_or_a_date() -> None:
    assert retry_after(header("5")) == 5
    assert retry_after(header(" 0 ")) == 0
    assert retry_after(header("-5")) == 0
    assert retry_after(header("1e9")) == 60
    no_zone = f"Mon, 01 Jan 2024 00:00:00 +{'9' * 40}"
    for unreadable in ("soon", "", "nan", "inf", "Wed, 99 Foo", no_zone):
        assert retry_after(header(unreadable)) is None
    assert retry_after(httpx.Response(429)) is None
    soon = email.utils.formatdate(time.time() + 20, usegmt=True)
    assert 17 < (retry_after(header(soon)) or 0) <= 20
    assert retry_after(header(email.utils.formatdate(0, usegmt=True))) == 0
    assert retry_after(header("Fri, 31 Dec 9999 23:59:59 -0000")) == 60


def test_an_abandoned_wait_ends_at_once(canned: Callable[..., CannedServer]) -> None:
    """A request that waits for its next attempt, or for a slot, doesn't outlive its reader."""
    server = canned(answer(b"", "503 Busy", "Retry-After: 50\r\n"))
    settings = RegistrySettings.read(KEY, SECRET, server.base_url)
    abandoned = threading.Event()
    ended: list[type[Exception]] = []

    def work(client: httpx.Client, limiter: RequestLimiter) -> None:
        try:
            RegistryHttp(settings, client, limiter).fetch(ApiRequest("/studies"), abandoned)
        except AbandonedError:
            ended.append(AbandonedError)

    with httpx.Client() as client:
        limiter = RequestLimiter(1)
        threads = [threading.Thread(target=work, args=(client, limiter)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while not server.requests:
            time.sleep(0.01)
        time.sleep(0.1)
        abandoned.set()
        for thread in threads:
            thread.join(5)
    assert ended == [AbandonedError] * 3
    assert len(server.requests) == 1
    assert limiter.in_flight == 0


def test_a_slow_registry_is_no_reason_to_slow_down(server: DemoServer, make_sdk: MakeSDK) -> None:
    limiter = RequestLimiter(8)
    server.faults.add(Fault("delay", seconds=0.05, times=30))
    make_sdk(server, page_size=10, limiter=limiter).records.table(STUDY)
    assert limiter.limit == 8


def test_a_registry_that_refuses_above_a_limit_is_read_whole_with_few_refusals(
    server: DemoServer, make_sdk: MakeSDK
) -> None:
    server.traffic.limit = 3
    server.faults.add(Fault("delay", seconds=0.01))
    limiter = RequestLimiter(8)
    sdk = make_sdk(server, page_size=2, limiter=limiter, sleep=lambda s: time.sleep(s / 10))
    tables: dict[str, int] = {}

    def work(study: str) -> None:
        tables[study] = sdk.records.table(study).num_rows

    studies = server.registry.study_keys()
    threads = [threading.Thread(target=work, args=(study,)) for study in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert tables == {study: len(server.registry.rows("records", study)) for study in studies}
    statuses = [entry.status for entry in server.traffic.log]
    assert statuses.count(429) / len(statuses) < 0.1
    assert limiter.limit <= 4


def test_our_own_log_says_what_was_asked_and_other_users_of_httpx_keep_theirs(
    server: DemoServer, make_sdk: MakeSDK, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.faults.add(Fault("status", status=503, times=1))
    list(make_sdk(server).sites.list(STUDY, site_name="planted-value"))
    ours = [record.getMessage() for record in caplog.records if record.name != "asyncio"]
    assert len(ours) == 3
    assert ours[0].startswith(f"GET /studies/{STUDY}/sites, page 0: HTTP 503, ")
    assert ours[1].startswith(
        f"GET /studies/{STUDY}/sites, page 0: attempt 1 failed (RegistryFailedError, HTTP 503); "
    )
    assert ours[2].startswith(f"GET /studies/{STUDY}/sites, page 0: HTTP 200, ")
    httpx.get(f"{server.base_url}/api/v1/edc/studies", headers=server.headers)
    assert "httpx" in {record.name for record in caplog.records}


def test_an_sdk_that_is_closed_between_two_tries_sends_no_more(
    server: DemoServer, make_sdk: MakeSDK
) -> None:
    sdk = make_sdk(server, sleep=lambda _: sdk.close())
    server.faults.add(Fault("status", status=503, times=1))
    with pytest.raises(ImednetError, match="is closed"):
        list(sdk.sites.list(STUDY))
    assert len(server.traffic.log) == 1


def test_an_answer_that_came_and_cannot_be_decoded_is_asked_for_as_the_next_try(
    server: DemoServer, make_sdk: MakeSDK, caplog: pytest.LogCaptureFixture
) -> None:
    http = make_sdk(server).studies._access.http
    request = ApiRequest("/studies")
    damaged = FailedAttempt(request.error(RegistryDataError, "it is damaged."), retryable=True)
    caplog.set_level(logging.INFO)
    answer = http.fetch_again(request, Answer(b"damaged", retries=2), damaged)
    assert len(answer.content) > len(b"damaged")
    assert answer.retries == 3
    assert "page None: attempt 3 failed (RegistryDataError" in caplog.text
    with pytest.raises(RegistryDataError):
        http.fetch_again(request, Answer(b"damaged", retries=4), damaged)
    assert len(server.traffic.log) == 1


# Too long to be checked where pages are fetched: what is wrong shows when it is decoded.
LONG_AND_CUT = EMPTY_PAGE[:-1] + b" " * 5000


def test_a_page_that_cannot_be_decoded_is_asked_for_as_often_as_any_with_growing_waits(
    canned: Callable[..., CannedServer],
) -> None:
    waits: list[float] = []
    server = canned(answer(LONG_AND_CUT))
    with (
        open_sdk(server, sleep=waits.append, attempts=7) as sdk,
        pytest.raises(RegistryDataError, match="no whole JSON document") as caught,
    ):
        sdk.subjects.table(STUDY)
    assert len(server.requests) == 7
    assert len(waits) == 6
    assert all(0 <= wait <= 0.5 * 2**number for number, wait in enumerate(waits))
    assert max(waits) > 0
    assert caught.value.__context__ is None


def test_failed_answers_and_undecodable_pages_use_up_the_same_attempts(
    canned: Callable[..., CannedServer],
) -> None:
    wrongs = answer(b"", "503 Busy"), answer(LONG_AND_CUT), answer(b"", "500 No")
    server = canned(*wrongs, answer(EMPTY_PAGE))
    with open_sdk(server, attempts=4) as sdk, sdk.subjects.batches(STUDY) as rows:
        assert sum(batch.num_rows for batch in rows) == 0
        assert (rows.counts.arrived, rows.counts.pages, rows.counts.retries) == (0, 1, 3)
    assert len(server.requests) == 4
    server = canned(*wrongs, answer(EMPTY_PAGE))
    with open_sdk(server, attempts=3) as sdk, pytest.raises(RegistryFailedError):
        sdk.subjects.table(STUDY)
    assert len(server.requests) == 3


def test_a_page_is_decoded_on_the_thread_that_reads_it(
    server: DemoServer, make_sdk: MakeSDK, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, set[str]] = {"fetch": set(), "decode": set()}
    for name, seen in threads.items():
        method = getattr(TablePages, name)

        def noted(self: Any, *args: Any, method: Any = method, seen: set[str] = seen) -> Any:
            seen.add(threading.current_thread().name)
            return method(self, *args)

        monkeypatch.setattr(TablePages, name, noted)
    make_sdk(server, page_size=5, window=4).records.table(STUDY)
    assert threads["decode"] == {threading.current_thread().name}
    assert "registry-pages" in threads["fetch"]
