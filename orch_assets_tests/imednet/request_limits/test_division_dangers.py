"""A division whose place is unfit, new or set to another time, or whose slots nobody gives back."""

import logging
import threading
import time
from pathlib import Path

import pytest

from orch_assets.imednet.request_limits import FileSlots
from orch_assets.imednet.request_limits.slot_members import Member, Narrowing
from orch_assets.imednet.request_limits.slot_places import HeldSlots, SeenMembers, UnfitPlaceError
from orch_assets.imednet.request_limits.uptime import uptime
from orch_assets_tests.imednet.request_limits.conftest import ACCOUNT, MAXIMUM, Share, until


class Noticeboard:
    """A place with a clock that a test sets, and the texts that it gives."""

    lease_seconds = float("inf")

    def __init__(self) -> None:
        self.now, self.processes = 1e9, 1
        self.texts: dict[str, str] = {}
        self.rounds, self.running_seconds = 0, float("inf")

    def open(self, account: str, name: str) -> HeldSlots:
        return self

    def publish(self, text: str | None) -> SeenMembers:
        self.rounds += 1
        return SeenMembers(self.now, self.texts, self.running_seconds)

    def hold(self, count: int, most: int) -> int:
        return min(count, most)

    def close(self) -> None:
        """Nothing is open."""

    abandon = close


def test_a_place_that_has_just_started_gives_the_fallback_share_at_first(share: Share) -> None:
    """Others' requests that held slots before may still be in flight."""
    place = Noticeboard()
    place.processes, place.running_seconds = 4, 3.9
    limiter = share(place)
    with limiter.slot():
        assert limiter.limit == 2
        place.running_seconds = 4.0
        until(lambda: limiter.limit == MAXIMUM)


def test_a_process_that_others_let_starve_says_so_once(
    share: Share,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of one that is suspended, and holds all slots."""
    monkeypatch.setattr("orch_assets.imednet.request_limits.slot_division._STARVED_SECONDS", 0.5)
    suspended, limiter = FileSlots(tmp_path).open(ACCOUNT, "another0"), share()
    suspended.publish(Member(8, MAXIMUM, Narrowing(0, 0, 8, 0)).as_text())
    assert suspended.hold(MAXIMUM, MAXIMUM) == MAXIMUM
    waiting = threading.Thread(target=lambda: limiter.slot().__enter__())
    waiting.start()
    until(lambda: caplog.records)
    time.sleep(1.0)
    suspended.close()
    waiting.join(20)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert f"other processes hold all (files in {tmp_path}/request_limits)" in record.message


def test_a_clock_that_is_set_back_prolongs_no_retry_after(share: Share) -> None:
    place, told = Noticeboard(), Member(1, MAXIMUM, Narrowing(1, 0, 6, 8), 2.0)
    limiter = share(place)
    with limiter.slot():
        place.texts = {"another0": told.as_text()}
        until(limiter._hold_seconds)
        ends = limiter._held_until
        place.now -= 3600
        rounds = place.rounds
        until(lambda: place.rounds > rounds + 1)
    assert limiter._held_until == ends <= uptime() + 2.0


def test_a_retry_after_that_a_suspended_process_still_tells_ends(share: Share) -> None:
    place, told = Noticeboard(), Member(1, MAXIMUM, Narrowing(1, 0, 6, 8), 1.0)
    limiter = share(place)
    with limiter.slot():
        place.texts = {"another0": told.as_text()}
        until(limiter._hold_seconds)
        until(lambda: not limiter._hold_seconds())


def test_a_place_that_is_unfit_is_told_with_the_reason(
    share: Share, caplog: pytest.LogCaptureFixture
) -> None:
    class Pooled:
        processes = 2

        def open(self, account: str, name: str) -> HeldSlots:
            raise UnfitPlaceError(f"pools {account} and {len(name)}.")

        def __str__(self) -> str:
            return "locks"

    limiter = share(Pooled())
    with limiter.slot():
        assert limiter.limit == 4
    until(lambda: caplog.records)
    said = f"isn't shared: locks pools {ACCOUNT} and 8. This process keeps to its share, 4 of 8"
    assert said in caplog.text
