"""Every fault at every place: the whole table, or a failure that says where, and nothing touched.

The lanes of a run, the client, the IO managers and the stores are the real ones; pages are small,
and times are scaled: a timeout of 0.4 s stands for the 30 s of production, so that an answer that
takes 5 s there takes 0.067 s here.
"""

import gzip
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx
import msgspec
import pytest

from orch_assets.demo import Fault
from orch_assets.imednet.connections.pool import StandardTransport
from orch_assets_tests.scenarios.extraction.lanes import STUDY, TABLES, Bench, bench
from orch_assets_tests.support.wire import (
    Spoil,
    SpoiledAnswers,
    Wire,
    cut_anywhere,
    cut_in_the_last_record,
    drip,
    http_answer,
    reset,
    saying,
    silence,
    wires_to,
    with_header,
)

TIMEOUT: Final = 0.4
LATE: Final = TIMEOUT * 5 / 30
REFUSAL: Final = b'{"metadata":{"status":"BAD_REQUEST","error":{"code":"1000"}}}'

LARGE: Final = b" " * 1_000_001
PACKED: Final = http_answer(gzip.compress(LARGE), "200 OK", "Content-Encoding: gzip")

Always = Literal["fails", "fails there", "whole", "either"]


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        arrange: switches it on, given bench, table, page and how often (None is always).
        always: what comes of it when it stays; "there" is at the very page of the fault.
        once: whether a table that it hit once is whole.
        spoils: whether it is done on the wire instead of by ``arrange``.
        tls: whether that wire is TLS.
        impatient: whether the client's timeout is the scaled one.
        bounded: whether the client gives a whole answer little time and size.
        brought: whether the client is a caller's, over httpx's own transport.
    """

    arrange: Callable[[Bench, str, int, int | None], None] | None = None
    always: Always = "fails there"
    once: bool = True
    spoil: Spoil | None = None
    tls: bool = False
    impatient: bool = False
    bounded: bool = False
    brought: bool = False


def served(kind: Any, always: Always = "fails there", **options: Any) -> Kind:
    """A fault that the registry itself has."""

    def arrange(on: Bench, table: str, page: int, times: int | None) -> None:
        fault = Fault(kind, endpoint=table, page=page, times=times, **options)
        on.server.faults.add(fault)

    return Kind(arrange, always, impatient=kind == "delay")


def half_a_pair(on: Bench, table: str, page: int, times: int | None) -> None:
    """A text that is valid JSON, and no UTF-8, in a typed column and in record data."""
    changes: dict[str, Any] = {"subjectKey": "001-\ud83d"}
    if table == "records":
        changes["recordData"] = {**on.row(table, page)["recordData"], "AETERM": "felt \ud83d"}
    on.change(table, page, **changes)
    on.states[table] = [
        [{**row, "subjectKey": row["subjectKey"].replace("\ud83d", "\ufffd")} for row in rows]
        for rows in on.states[table]
    ]


def nested_too_deeply(on: Bench, table: str, page: int, times: int | None) -> None:
    """Valid JSON that no decoder reads."""
    on.change(table, page, strange=msgspec.Raw(b"[" * 100_000 + b"]" * 100_000))


def moved(*, adding: bool) -> Kind:
    """Rows shift while the table is read."""

    def arrange(on: Bench, table: str, page: int, times: int | None) -> None:
        on.move(table, page, adding=adding, always=times is None)

    return Kind(arrange, "either")


KINDS: Final = {
    "500": served("status", status=500),
    "408": served("status", status=408),
    "429": served("status", status=429),
    "429 with Retry-After": served("status", status=429, retry_after="0.05"),
    "reset": Kind(spoil=reset),
    "cut body": served("cut"),
    "socket cut anywhere": Kind(spoil=cut_anywhere(1)),
    "socket cut anywhere and reset": Kind(spoil=cut_anywhere(2, rudely=True)),
    "TLS cut anywhere": Kind(spoil=cut_anywhere(3), tls=True),
    "TLS cut in its last record": Kind(spoil=cut_in_the_last_record, tls=True),
    "socket cut, httpx's transport": Kind(spoil=cut_anywhere(4), brought=True),
    "TLS cut, httpx's transport": Kind(spoil=cut_anywhere(5), tls=True, brought=True),
    "HTML": served("html"),
    "error envelope": served("error_envelope"),
    "error envelope that refuses": Kind(spoil=saying(http_answer(REFUSAL)), once=False),
    "empty data": served("empty"),
    "missing data": served("missing"),
    "wrong page": served("wrong_page", "fails"),
    "repeated page": served("repeated_page"),
    "shrunk totals": served("shrunk", "fails"),
    "another study's rows": served("other_study"),
    "rows shifted by an insert": moved(adding=True),
    "rows shifted by a delete": moved(adding=False),
    "half a surrogate pair": Kind(half_a_pair, "whole"),
    "nested too deeply": Kind(nested_too_deeply, once=False),
    "wrong content type": served("content_type", "whole"),
    "late": served("delay", "whole", seconds=LATE),
    "too late": served("delay", seconds=TIMEOUT * 2),
    "never": Kind(spoil=silence, impatient=True),
    "byte by byte": Kind(spoil=drip(0.02), bounded=True),
    "byte by byte, httpx's transport": Kind(spoil=drip(0.02), bounded=True, brought=True),
    "larger than allowed": Kind(spoil=saying(http_answer(LARGE)), once=False, bounded=True),
    "larger than allowed, packed": Kind(spoil=saying(PACKED), once=False, bounded=True),
    "no content": Kind(spoil=saying(http_answer(b"", "204 No Content"))),
    "not modified": Kind(spoil=saying(http_answer(b"", "304 Not Modified"))),
    "moved": Kind(spoil=saying(http_answer(b"", "302 Found", "Location: /login"))),
    "Retry-After with the answer": Kind(spoil=with_header("Retry-After: 50"), always="whole"),
}
# There is no page before the first whose rows it could repeat.
HARMLESS: Final = {("repeated page", "first")}


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("bench")) as opened:
        yield opened


@pytest.fixture(scope="module")
def wires(on: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Wire]]:
    """What is in front of the registry, without and with TLS, which the clients trust."""
    with wires_to(on.server.base_url, tmp_path_factory.mktemp("tls")) as opened:
        yield opened


@pytest.fixture(scope="module")
def clients(on: Bench, wires: dict[bool, Wire]) -> Iterator[dict[bool, httpx.Client]]:
    """The client that the SDK opens, and one that a caller may bring."""
    ours = httpx.Client(transport=StandardTransport())
    with ours, httpx.Client() as brought:
        yield {False: ours, True: brought}


@pytest.fixture(scope="module")
def counted() -> Iterator["Counter[str]"]:
    """How the cases ended; printed at the end (``pytest -s``)."""
    outcomes: Counter[str] = Counter()
    yield outcomes
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(f"\nfault matrix: {told}, {outcomes['wrong']} wrong tables")  # noqa: T201


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("name", KINDS)
def test_a_fault_gives_a_whole_table_or_a_failure_that_touches_nothing(
    name: str,
    where: str,
    times: int | None,
    on: Bench,
    wires: dict[bool, Wire],
    clients: dict[bool, httpx.Client],
    counted: "Counter[str]",
) -> None:
    kind = KINDS[name]
    for table in TABLES:
        on.reset()
        last = on.pages(table) - 1
        page = {"first": 0, "middle": last // 2, "last": last}[where]
        options: dict[str, Any] = {"client": clients[kind.brought]}
        if kind.impatient:
            fails = times is None and kind.always != "whole"
            options |= {"timeout": TIMEOUT, "attempts": 2 if fails else 5}
        if kind.bounded:
            options |= {"answer_timeout": TIMEOUT, "max_answer_mb": 1}
        if kind.arrange is not None:
            kind.arrange(on, table, page, times)
        if kind.spoil is not None:
            through = wires[kind.tls]
            through.spoiled[:] = [SpoiledAnswers(table, page, kind.spoil, times)]
            options["base_url"] = through.base_url
        before = on.files(table)
        result = on.read(on.sdk(**options), table)
        expect = kind.always if times is None else "whole" if kind.once else "fails there"
        if (name, where) in HARMLESS:
            expect = "whole"
        outcome = outcome_of(on, table, result, before)
        counted[outcome] += 1
        assert outcome in {"whole", "failed"}, (table, result.failure)
        assert expect == "either" or outcome == ("whole" if expect == "whole" else "failed"), (
            table,
            result.failure,
        )
        if outcome == "failed":
            told = named(table, result.failure.loggable)
            assert told == page if expect == "fails there" else told <= last


def outcome_of(on: Bench, table: str, result: Any, before: dict[str, str]) -> str:
    if result.failure is None:
        return "whole" if on.is_whole(table) else "wrong"
    return "failed" if on.files(table) == before else "touched"


def named(table: str, text: str) -> int:
    """Return the page that a failure names, beside its endpoint."""
    found = re.search(rf" /studies/{STUDY}/{table}, page (\d+): ", text)
    assert found, text
    return int(found[1])


def test_every_bench_begins_with_an_earlier_version(on: Bench) -> None:
    """Else "nothing was touched" would say nothing, and neither would "whole"."""
    on.reset()
    for table in TABLES:
        assert not on.is_whole(table)
        stores = {path.partition("/")[0] for path in on.files(table)}
        assert stores == ({"artifacts", "restricted"} if table == "records" else {"artifacts"})
        assert on.pages(table) > 2
    withheld = on.store("restricted").download_table(f"records/{STUDY}")
    assert withheld.num_rows > 0


@pytest.mark.parametrize("adding", [True, False])
@pytest.mark.parametrize("table", TABLES)
def test_rows_that_move_behind_the_stream_cost_a_second_reading(
    table: str, adding: bool, on: Bench
) -> None:
    """The lane reads the table anew, twice at most; without that the study would have failed."""
    for retries, kind in ((0, "TableChangedError"), (2, None)):
        on.reset()
        on.move(table, on.pages(table) - 2, adding=adding, always=False)
        result = on.read(on.sdk(window=1), table, retries=retries)
        assert (result.failure and result.failure.kind) == kind
        assert on.is_whole(table) is (kind is None)
