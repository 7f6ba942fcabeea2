"""Whatever bytes come for an answer: rows, or an error of ours that quotes none of them."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orch_assets import ImednetSDK
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.errors import RegistryError
from orch_assets.imednet import RequestLimiter
from orch_assets_tests.support.wire import SpoiledAnswers, Wire, http_answer, saying

STUDY = "ONC-301"
PAGE = (
    b'{"metadata":{"status":"OK","error":{}},"pagination":{"currentPage":0,"size":500,'
    b'"totalPages":1,"totalElements":1},"data":[{"siteId":7,"siteName":"planted",'
    b'"siteEnrollmentStatus":"Open"}]}'
)
ANSWER = http_answer(PAGE, "200 OK", "Content-Type: application/json", "Retry-After: 0")
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    + f"{len(PAGE):x}\r\n".encode()
    + PAGE
    + b"\r\n0\r\n\r\n"
)
PIECES = st.sampled_from(
    [
        b"",
        b"\r\n",
        b"\n",
        b"\0",
        b":",
        b"-1",
        b"99999999999999999999",
        b"\xff\xfe",
        b"\xc5\xbb",
        b"{",
    ]
) | st.binary(max_size=6)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """An answer of which some pieces are others."""
    answer = draw(st.sampled_from([ANSWER, CHUNKED]))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(answer) - 1))
        end = start + draw(st.integers(0, 6))
        answer = answer[:start] + draw(PIECES) + answer[end:]
    return answer


@pytest.fixture(scope="module")
def through() -> Iterator[tuple[Wire, ImednetSDK]]:
    minutes = itertools.count()
    with (
        DemoServer(DemoRegistry(studies=1, subjects=1)) as server,
        Wire(server.base_url) as opened,
        ImednetSDK(
            server.api_key,
            server.security_key,
            opened.base_url,
            attempts=1,
            timeout=5,
            limiter=RequestLimiter(4, clock=lambda: next(minutes) * 60.0),  # no hold outlasts it
        ) as sdk,
    ):
        yield opened, sdk


@settings(max_examples=300, deadline=None)
@given(spoiled() | st.binary(max_size=60))
@example(ANSWER.replace(b"Retry-After: 0", "X-Name: Żółć".encode()))
@example(ANSWER.replace(b"Retry-After: 0", b"Retry-After: \xff"))
@example(ANSWER.replace(b"Content-Length: 1", b"Content-Length: 99999999999999991"))
@example(ANSWER.replace(b"Content-Length: 1", b"Content-Length: 99999999999999999999991"))
@example(CHUNKED.replace(b"\r\n\r\n", b"\r\n\r\n-", 1))
def test_any_answer_gives_rows_or_an_error_of_ours(
    through: tuple[Wire, ImednetSDK], answer: bytes
) -> None:
    opened, sdk = through
    opened.spoiled[:] = [SpoiledAnswers("sites", None, saying(answer))]
    try:
        table = sdk.sites.table(STUDY)
    except RegistryError as error:
        assert_named(error)
    else:
        assert table.num_rows <= 1


def assert_named(error: Any) -> None:
    assert (error.endpoint, error.study_key, error.page) == (f"/studies/{STUDY}/sites", STUDY, 0)
    assert error.__context__ is None
    assert "planted" not in str(error)


def test_the_unspoiled_answers_are_rows(through: tuple[Wire, ImednetSDK]) -> None:
    opened, sdk = through
    for answer in (ANSWER, CHUNKED):
        opened.spoiled[:] = [SpoiledAnswers("sites", None, saying(answer))]
        assert sdk.sites.table(STUDY)["site_id"].to_pylist() == [7]
