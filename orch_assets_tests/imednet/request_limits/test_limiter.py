import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable

import pytest

from orch_assets.imednet import ImednetSDK, RequestLimiter
from orch_assets.imednet.request_limits.account_limiters import _limiters, limiter_for
from orch_assets.imednet.request_limits.slot_members import Member, Narrowing, newest
from orch_assets.imednet.request_limits.uptime import uptime
from orch_assets.imednet.settings import RegistrySettings


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def succeed(limiter: RequestLimiter, times: int = 1) -> None:
    for _ in range(times):
        with limiter.slot():
            pass


def refuse(limiter: RequestLimiter, retry_after: float | None = None) -> None:
    with limiter.slot() as slot:
        slot.refuse(retry_after)


def run_threads(work: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_never_more_in_flight_than_the_limit() -> None:
    limiter = RequestLimiter(3)
    most = []

    def work() -> None:
        for _ in range(20):
            with limiter.slot():
                most.append(limiter.in_flight)
                time.sleep(0.0005)

    run_threads(work, 12)
    assert max(most) == 3
    assert limiter.in_flight == 0


def test_first_come_first_served() -> None:
    limiter = RequestLimiter(1)
    served = []

    def work(number: int) -> None:
        with limiter.slot():
            served.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    with limiter.slot():
        for waiting, thread in enumerate(threads, start=1):
            thread.start()
            while len(limiter._waiting) < waiting:
                time.sleep(0.001)
    for thread in threads:
        thread.join(5)
    assert served == list(range(6))


def test_a_refusal_narrows_and_successes_widen_again() -> None:
    limiter = RequestLimiter(8)
    refuse(limiter)
    assert limiter.limit == 6
    succeed(limiter, 6)
    assert limiter.limit == 7
    succeed(limiter, 29)
    assert limiter.limit == 7  # eight was refused: only slowly there
    succeed(limiter, 1)
    assert limiter.limit == 8


def test_the_limit_never_falls_below_one() -> None:
    limiter = RequestLimiter(4)
    for _ in range(20):
        refuse(limiter)
    assert limiter.limit == 1


def test_requests_refused_together_narrow_by_how_many_they_were() -> None:
    limiter = RequestLimiter(8)
    slots = [limiter.slot() for _ in range(8)]
    entered = [slot.__enter__() for slot in slots]
    for slot in entered[:5]:
        slot.refuse()
    for slot in slots:
        slot.__exit__(None, None, None)
    assert limiter.limit == 3


def test_a_lost_exchange_says_nothing_of_the_registry() -> None:
    limiter = RequestLimiter(8)
    refuse(limiter)
    for _ in range(100):
        with limiter.slot() as slot:
            slot.lost = True
        with pytest.raises(OSError, match="gone"), limiter.slot():
            raise OSError("gone")
    assert (limiter.limit, limiter.in_flight) == (6, 0)


def test_slowness_does_not_narrow() -> None:
    clock = Clock()
    limiter = RequestLimiter(8, clock=clock)
    for _ in range(50):
        with limiter.slot():
            clock.now += 1000
    assert limiter.limit == 8


def test_retry_after_holds_new_requests_of_every_thread() -> None:
    limiter = RequestLimiter(4)
    began = time.monotonic()
    refuse(limiter, 0.2)
    starts = []

    def work() -> None:
        with limiter.slot():
            starts.append(time.monotonic() - began)

    run_threads(work, 3)
    assert len(starts) == 3
    assert 0.2 <= min(starts) < 5


def test_a_shorter_retry_after_does_not_cut_a_longer_one() -> None:
    clock = Clock()
    limiter = RequestLimiter(4, clock=clock)
    long, short = limiter.slot(), limiter.slot()
    long.__enter__().refuse(30)
    short.__enter__().refuse(1)
    long.__exit__(None, None, None)
    short.__exit__(None, None, None)
    clock.now = 29.0
    assert limiter._must_wait()
    clock.now = 30.0
    assert not limiter._must_wait()


def test_the_later_refusal_counts_not_the_process_with_more_of_them() -> None:
    """One that was refused often, widened again and rested doesn't forget what others learned."""
    clock = Clock()
    old, new = RequestLimiter(8, clock=clock), RequestLimiter(8, clock=clock)
    for limiter in (old, new):
        limiter.adopt(Narrowing(0, 0, 8, 0), 0.0, 1e9)
    for _ in range(3):
        refuse(old)
    succeed(old, 500)
    clock.now += 60
    refuse(new)
    assert (old.limit, new.limit) == (8, 6)
    newer = newest(Member(1, 8, each.narrowing()[0]) for each in (old, new))
    for limiter in (old, new):
        limiter.adopt(newer, 0.0, 1e9)
    assert (old.limit, new.limit) == (6, 6)


def test_refusals_in_two_processes_at_once_narrow_to_the_less() -> None:
    clock = Clock()
    first, second = RequestLimiter(8, clock=clock), RequestLimiter(8, clock=clock)
    refuse(first)
    slots = [second.slot() for _ in range(4)]
    for slot in [slot.__enter__() for slot in slots]:
        slot.refuse()
    clock.now += 1
    for slot in slots:
        slot.__exit__(None, None, None)
    first.adopt(newest(Member(1, 8, e.narrowing()[0]) for e in (first, second)), 0.0, 0.0)
    assert first.limit == second.limit == 4


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux has that clock")
def test_a_lease_ends_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = RequestLimiter(8)
    limiter.allot(8, 8, uptime() + 8)
    assert limiter.limit == 8
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: now + 60}.get)
    assert limiter.limit == 0


def test_one_limiter_for_each_url_and_key_and_none_readable() -> None:
    first = limiter_for(RegistrySettings.read("planted-key", "planted-secret"))
    assert limiter_for(RegistrySettings.read("planted-key", "planted-secret")) is first
    assert limiter_for(RegistrySettings.read("planted-key", "other")) is not first
    assert limiter_for(RegistrySettings.read("k", "s", "https://a.b")) is not first
    assert "planted" not in repr(_limiters) + repr(vars(first))


def test_the_newest_named_maximum_counts_for_all() -> None:
    with ImednetSDK("mine", "s", max_requests=3), ImednetSDK("mine", "s"):
        limiter = limiter_for(RegistrySettings.read("mine", "s"))
        assert (limiter.maximum, limiter.limit) == (3, 3)
        with ImednetSDK("mine", "s", max_requests=5):
            assert (limiter.maximum, limiter.limit) == (5, 5)
        refuse(limiter)
        limiter.maximum = 9
        assert limiter.limit == 4


class Simulation:
    """A server that refuses more than ``allowed`` requests in flight, on a simulated clock."""

    def __init__(self, maximum: int, allowed: Callable[[float], int]) -> None:
        self.clock = Clock()
        self.limiter = RequestLimiter(maximum, clock=self.clock)
        self.allowed = allowed
        self.random = random.Random(1)
        self.order = itertools.count()
        self.events: list[tuple[float, int, str, object]] = []
        self.at_server = self.sent = self.refused = self.served = 0
        self.waiting = 64

    def run(self, requests: int) -> None:
        while self.served < requests:
            while self.waiting and not self.limiter._must_wait():
                self.send()
            self.clock.now, _, event, slot = heapq.heappop(self.events)
            if event == "served":
                self.served += 1
                self.at_server -= 1
            if slot is not None:
                slot.__exit__(None, None, None)
            if event == "refused":
                self.later(self.random.uniform(0, 5), "retry", None)
            else:
                self.waiting += 1

    def send(self) -> None:
        self.waiting -= 1
        self.sent += 1
        context = self.limiter.slot()
        slot = context.__enter__()
        if self.at_server >= self.allowed(self.clock.now):
            self.refused += 1
            slot.refuse()
            self.later(0.1, "refused", context)
        else:
            self.at_server += 1
            self.later(self.random.uniform(0.7, 1.3), "served", context)

    def later(self, seconds: float, event: str, slot: object) -> None:
        heapq.heappush(self.events, (self.clock.now + seconds, next(self.order), event, slot))


@pytest.mark.parametrize("maximum", [8, 32])
@pytest.mark.parametrize("allowed", [(1,), (3,), (8,), (16,), (4, 8), (8, 2), (8, 4, 6, 2)])
def test_few_are_refused_and_throughput_stays_near_what_is_allowed(
    maximum: int, allowed: tuple[int, ...]
) -> None:
    def allowed_at(now: float) -> int:
        return allowed[int(now // 60) % len(allowed)]

    simulation = Simulation(maximum, allowed_at)
    simulation.run(3000)
    possible = sum(
        min(allowed_at(tenth / 10), maximum) for tenth in range(int(simulation.clock.now * 10))
    )
    assert simulation.refused / simulation.sent < 0.05
    assert simulation.served / (possible / 10) > 0.8
