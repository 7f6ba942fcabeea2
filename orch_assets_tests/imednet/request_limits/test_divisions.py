"""Limiters that share an account's slots: their sum, what they learn from others, and outages.

Two limiters in a process share slots as two processes do: a file's lock is that of its descriptor.
"""

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from orch_assets.imednet import ImednetSDK, RequestLimiter
from orch_assets.imednet.request_limits import FileSlots, RedisSlots
from orch_assets.imednet.request_limits.account_limiters import limiter_for
from orch_assets.imednet.request_limits.slot_division import SlotDivision
from orch_assets.imednet.request_limits.uptime import uptime
from orch_assets.imednet.settings import RegistrySettings
from orch_assets_tests.imednet.request_limits.conftest import ACCOUNT, MAXIMUM, Share, until
from orch_assets_tests.support.processes import free_port
from orch_assets_tests.support.redis_servers import redis_server


class Requests:
    """Threads that send requests through limiters, and how many were in flight at most."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.in_flight = self.most = self.sent = 0
        self.are_lost = False  # without an answer, nothing is learned: a limit isn't widened
        self.stopped = threading.Event()

    def send(self, limiter: RequestLimiter, seconds: float = 0.01) -> None:
        while not self.stopped.is_set():
            with limiter.slot() as slot:
                slot.lost = self.are_lost
                with self.lock:
                    self.in_flight += 1
                    self.sent += 1
                    self.most = max(self.most, self.in_flight)
                time.sleep(seconds)
                with self.lock:
                    self.in_flight -= 1

    @contextmanager
    def by(self, *limiters: RequestLimiter, threads: int = 8) -> Iterator[None]:
        started = [
            threading.Thread(target=self.send, args=(limiter,))
            for limiter in limiters
            for _ in range(threads)
        ]
        for thread in started:
            thread.start()
        try:
            yield
        finally:
            self.stopped.set()
            for thread in started:
                thread.join(20)


def test_one_process_gets_all_and_gives_all_back_when_it_idles(share: Share) -> None:
    limiter = share()
    assert limiter.limit == 0
    with limiter.slot():
        assert limiter.limit == MAXIMUM
    until(lambda: limiter.limit == 0)
    with limiter.slot():
        assert limiter.limit == MAXIMUM


def test_the_sum_is_never_exceeded_while_processes_come_go_and_narrow(share: Share) -> None:
    limiters, requests = [share() for _ in range(4)], Requests()
    with requests.by(limiters[0]):
        until(lambda: limiters[0].limit == MAXIMUM)
        with ExitStack() as others:
            for limiter in limiters[1:]:
                others.enter_context(requests.by(limiter))
                until(lambda limiter=limiter: limiter.limit)
            until(lambda: [limiter.limit for limiter in limiters] == [2, 2, 2, 2])
            requests.are_lost = True
            with limiters[1].slot() as slot:
                slot.refuse()
            until(lambda: sum(limiter.limit for limiter in limiters) == 6)
    assert requests.most == MAXIMUM


def test_what_one_does_not_need_the_other_uses(share: Share) -> None:
    one, busy, requests = share(), share(), Requests()
    with requests.by(busy), one.slot():
        until(lambda: (one.limit, busy.limit) == (1, 7))
    assert requests.most <= MAXIMUM


def test_a_slot_in_use_is_not_given_back(share: Share) -> None:
    first, second = share(), share()
    with ExitStack() as slots:
        for _ in range(MAXIMUM):
            slots.enter_context(first.slot())
        slot = second.slot()
        waiting = threading.Thread(target=slot.__enter__)
        waiting.start()
        until(lambda: first._share == 7)
        time.sleep(0.3)
        assert (first.limit, second.limit) == (MAXIMUM, 0)
    waiting.join(20)
    assert second.in_flight == 1
    slot.__exit__(None, None, None)


def test_the_least_maximum_counts_for_all(share: Share) -> None:
    first, second, requests = share(), share(maximum=3), Requests()
    with requests.by(first, second):
        until(lambda: first.limit + second.limit == 3)


def test_a_narrowing_and_its_widening_are_seen_by_all(share: Share) -> None:
    first, second, requests = share(), share(), Requests()
    with requests.by(first, second):
        until(lambda: (first.limit, second.limit) == (4, 4))
        requests.are_lost = True
        with first.slot() as slot:
            slot.refuse()
        seconds = until(lambda: first.limit + second.limit == 6)
        assert second.narrowing()[0].generation == first.narrowing()[0].generation > 0
        requests.are_lost = False
        until(lambda: first.limit + second.limit == MAXIMUM)
    assert seconds < 10  # on an idle machine, half a second
    assert first.narrowing()[0].limit == MAXIMUM


def test_a_new_process_learns_of_an_earlier_narrowing(share: Share) -> None:
    first, second = share(), share()
    with first.slot() as slot:
        slot.refuse()
    with first.slot(), second.slot():
        until(lambda: second.narrowing()[0].limit == 6)


def test_a_retry_after_holds_all_and_ends_for_all(share: Share) -> None:
    first, second = share(), share()
    with second.slot():
        with first.slot() as slot:
            slot.refuse(3.0)
        refused = uptime()
        until(second._hold_seconds)
    threads = [
        threading.Thread(target=lambda each=each: each.slot().__enter__())
        for each in (first, second)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert uptime() - refused >= 3.0
    assert first._held_until <= refused + 4
    assert second._held_until <= refused + 4


def test_a_place_that_cannot_be_reached_leaves_the_share_and_says_so_once(
    share: Share, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "orch_assets.imednet")
    port = free_port()
    limiter = share(RedisSlots(f"redis://me:planted@127.0.0.1:{port}/0", processes=3))
    with limiter.slot():
        assert limiter.limit == 2  # 8 // 3
    with limiter.slot():
        assert limiter.limit == 2
    until(lambda: caplog.records)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "leases in Redis can't be reached (ConnectionError)" in record.message
    assert "its share, 2 of 8 requests at once" in record.message
    assert "all processes together may exceed that limit" in record.message
    assert "planted" not in caplog.text
    assert str(port) not in caplog.text


def test_a_process_without_requests_keeps_no_share_of_what_it_lost(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may hold all slots by the time of its next request."""
    monkeypatch.setattr("orch_assets.imednet.request_limits.slot_division._RETRY_SECONDS", 0.2)
    limiter = share(RedisSlots(f"redis://127.0.0.1:{free_port()}/0"))
    with limiter.slot():
        until(lambda: limiter.limit == 2)
    until(lambda: limiter.limit == 0)


def test_requests_after_the_end_use_the_fallback(tmp_path: Path) -> None:
    limiter = RequestLimiter(MAXIMUM)
    division = SlotDivision(limiter, FileSlots(tmp_path), ACCOUNT)
    with limiter.slot():
        assert limiter.limit == MAXIMUM
    division.close()
    with limiter.slot():
        assert limiter.limit == 2


def test_a_server_that_comes_goes_and_comes_back(
    share: Share, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("_RETRY_SECONDS", 0.3), ("_RETURN_SECONDS", 1.0)):
        monkeypatch.setattr(f"orch_assets.imednet.request_limits.slot_division.{name}", seconds)
    caplog.set_level(logging.INFO, "orch_assets.imednet")
    port = free_port()
    place, requests = RedisSlots(f"redis://127.0.0.1:{port}/0"), Requests()
    first, second = share(place), share(place)
    with requests.by(first, second):
        until(lambda: (first.limit, second.limit) == (2, 2))
        for _ in range(2):
            with redis_server(port):
                until(lambda: (first.limit, second.limit) == (4, 4))
            until(lambda: (first.limit, second.limit) == (2, 2))
    assert requests.most == MAXIMUM
    assert sum(each.levelno == logging.WARNING for each in caplog.records) == 2  # one of each


def test_a_folder_that_vanishes_is_told_only_where_a_request_needs_it(
    share: Share, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As the DAGSTER_HOME of a test, at its end."""
    home = tmp_path / "home"
    home.mkdir()
    limiter = share(FileSlots(home))
    with limiter.slot():
        assert limiter.limit == MAXIMUM
    shutil.rmtree(home)
    until(lambda: limiter.limit == 0)
    time.sleep(0.1)
    assert caplog.records == []
    with limiter.slot():
        assert limiter.limit == 2
    until(lambda: caplog.records)


def test_a_small_limit_is_at_least_one(share: Share) -> None:
    limiter = share(RedisSlots(f"redis://127.0.0.1:{free_port()}/0"), maximum=2)
    with limiter.slot():
        assert limiter.limit == 1


def test_no_slot_is_used_after_its_lease(share: Share) -> None:
    """A process that slept longer than its lease waits until it has renewed it."""
    limiter = share()
    with limiter.slot():
        assert limiter.limit == MAXIMUM
    limiter._allotted_until = uptime() - 1
    assert limiter.limit == 0
    with limiter.slot():  # renewed, at the latest, by the next round
        assert limiter.limit == MAXIMUM


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # with threads, on purpose
def test_a_forked_child_starts_afresh(tmp_path: Path) -> None:
    """It has none of its parent's requests and slots, and takes its own share."""
    settings = RegistrySettings.read("k", "s", max_requests=2)
    with ImednetSDK("k", "s", max_requests=2, request_slots=FileSlots(tmp_path)):
        limiter = limiter_for(settings)
        read, write = os.pipe()
        with limiter.slot():
            child = os.fork()
            if not child:  # pragma: no cover - another process
                assert (limiter.in_flight, limiter.limit) == (0, 0)
                with limiter.slot():
                    os.write(write, b"x")
                    signal.pause()
                os._exit(0)
            assert os.read(read, 1) == b"x"
            assert (limiter.in_flight, limiter.limit) == (1, 1)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            until(lambda: limiter.limit == 2)
        os.close(read)
        os.close(write)


def test_another_place_for_the_same_account_is_used_from_then_on(tmp_path: Path) -> None:
    places = [FileSlots(tmp_path / name) for name in ("first", "second")]
    limiter = limiter_for(RegistrySettings.read("moved", "s"))
    for place in places:
        place.folder.mkdir()
        with ImednetSDK("moved", "s", request_slots=place), limiter.slot():
            until(lambda place=place: list(place.folder.rglob("slot-7")))
            assert "moved" not in str(list(place.folder.rglob("*")))
