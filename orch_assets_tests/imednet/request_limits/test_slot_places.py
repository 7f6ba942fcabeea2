"""Every place holds slots by the same rules: never more than there are, and none of the dead."""

import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from orch_assets.errors import MissingExtraError, SettingError
from orch_assets.imednet.request_limits import PostgresSlots, RedisSlots
from orch_assets.imednet.request_limits.postgres_connection import PostgresConnection
from orch_assets.imednet.request_limits.postgres_slots import pools_transactions
from orch_assets.imednet.request_limits.slot_places import HeldSlots, UnfitPlaceError, problem_of
from orch_assets_tests.imednet.request_limits.conftest import PLACES, until
from orch_assets_tests.support.processes import free_port
from orch_assets_tests.support.requesting import place_of

every_place = pytest.mark.parametrize("place_text", PLACES, indirect=True)

Join = Callable[[], HeldSlots]


@pytest.fixture
def join(place_text: str) -> Iterator[Join]:
    """Opens the slots of one account for one more process."""
    account, opened = secrets.token_hex(8), []

    def open_slots() -> HeldSlots:
        slots = place_of(place_text).open(account, secrets.token_hex(4))
        opened.append(slots)
        return slots

    yield open_slots
    for slots in opened:
        slots.close()


def joined(join: Join, count: int) -> list[HeldSlots]:
    members = [join() for _ in range(count)]
    for member in members:
        member.publish("a b")
    return members


@every_place
def test_no_slot_is_held_twice_and_a_free_one_is_taken(join: Join) -> None:
    first, second = joined(join, 2)
    assert first.hold(8, 8) == 8
    assert second.hold(4, 8) == 0
    assert first.hold(5, 8) == 5
    second.publish("a b")
    assert second.hold(4, 8) == 3
    first.close()
    until(lambda: second.publish("a b").texts == {})
    assert second.hold(8, 8) == 8


@every_place
def test_never_more_are_held_than_there_are(join: Join) -> None:
    members, rng = joined(join, 3), random.Random(1)
    held = [0, 0, 0]
    for _ in range(100):
        number, count = rng.randrange(3), rng.randrange(7)
        if rng.random() < 0.5:
            members[number].publish("a b")
        before = held[number]
        held[number] = members[number].hold(count, 6)
        assert min(before, count) <= held[number] <= count
        assert sum(held) <= 6


@every_place
def test_with_fewer_slots_none_of_the_last_is_taken(join: Join) -> None:
    first, second = joined(join, 2)
    assert first.hold(3, 8) == 3
    second.publish("a b")
    assert second.hold(8, 5) == 2
    assert second.hold(1, 5) == 1


@every_place
def test_slots_above_a_smaller_limit_count_as_long_as_they_are_held(join: Join) -> None:
    first, second, third = joined(join, 3)
    assert first.hold(7, 8) == 7
    second.publish("a b")
    assert second.hold(1, 8) == 1  # the last one
    assert first.hold(0, 5) == 0
    for each in (first, third):
        each.publish("a b")
    assert first.hold(2, 5) == 2
    third.publish("a b")
    assert third.hold(8, 5) == 2


@every_place
def test_each_sees_what_the_others_publish_and_nothing_of_itself(join: Join) -> None:
    first, second = join(), join()
    assert first.publish("1 8").texts == {}
    assert list(second.publish("2 8").texts.values()) == ["1 8"]
    assert list(first.publish("3 8").texts.values()) == ["2 8"]
    assert list(second.publish(None).texts.values()) == ["3 8"]
    assert first.publish("4 8").texts == {}
    second.publish("5 8")
    second.close()
    until(lambda: first.publish("6 8").texts == {})  # Postgres ends a session by and by


@every_place
def test_all_see_the_same_clock(join: Join) -> None:
    first, second = join(), join()
    began = time.monotonic()
    earlier, later = first.publish("a").now, second.publish("a").now
    assert 0 <= later - earlier <= time.monotonic() - began + 0.01


@every_place
def test_another_account_has_slots_of_its_own(place_text: str, join: Join) -> None:
    (first,) = joined(join, 1)
    other = place_of(place_text).open(secrets.token_hex(8), secrets.token_hex(4))
    try:
        assert other.publish("a b").texts == {}
        assert first.hold(4, 4) == other.hold(4, 4) == 4
    finally:
        other.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # with threads, on purpose
@every_place
def test_a_forked_child_keeps_nothing_and_ends_nothing(join: Join) -> None:
    """Its parent's death frees the slots, although the child lives on; and not its own death."""
    first, second = joined(join, 2)
    assert first.hold(8, 8) == 8
    read, write = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - another process
        first.abandon()
        second.abandon()
        os.write(write, b"x")
        signal.pause()
        os._exit(0)
    os.read(read, 1)
    try:
        second.publish("a b")
        assert second.hold(1, 8) == 0  # the parent's are held
        first.publish("a b")
        first.hold(0, 8)
        second.publish("a b")
        assert second.hold(8, 8) == 8  # the child has kept none
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


def test_a_lease_in_redis_ends_by_itself(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orch_assets.imednet.request_limits.redis_slots._LEASE_SECONDS", 0.5)
    first = RedisSlots(redis_url).open("lease", "first000")
    second = RedisSlots(redis_url).open("lease", "second00")
    first.publish("1 8")
    assert first.hold(8, 8) == 8
    assert second.hold(8, 8) == 0
    until(lambda: second.publish("1 8").texts == {})
    assert second.hold(8, 8) == 8
    first.close()
    second.close()


def test_a_lease_in_redis_ends_although_the_clock_was_set_back(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orch_assets.imednet.request_limits.redis_slots._LEASE_SECONDS", 0.5)
    dead_until = f"{time.time() + 3600:.3f}"
    with redis.Redis.from_url(redis_url) as client:
        client.hset("orch-assets:request-slots:back", "dead0000", f"{dead_until} 8 1 8")
    slots = RedisSlots(redis_url).open("back", "first000")
    assert slots.publish("1 8").texts == {"dead0000": "1 8"}
    assert slots.hold(8, 8) == 0
    until(lambda: slots.publish("1 8").texts == {})
    assert slots.hold(8, 8) == 8
    slots.close()


def test_after_an_error_the_lease_in_redis_stays(redis_url: str) -> None:
    """Requests that use it may still be in flight."""
    first = RedisSlots(redis_url).open("error", "first000")
    second = RedisSlots(redis_url).open("error", "second00")
    first.publish("1 8")
    assert first.hold(8, 8) == 8
    with pytest.raises(redis.ResponseError):
        first.hold(8, "x")  # type: ignore[arg-type] # which the server can't compute
    first.close()
    second.publish("1 8")
    assert second.hold(8, 8) == 0
    again = RedisSlots(redis_url).open("error", "first000")
    again.publish("1 8")
    assert again.hold(8, 8) == 8
    again.close()
    assert second.hold(8, 8) == 8
    second.close()


@pytest.mark.parametrize("place_text", ["postgres", "redis"], indirect=True)
def test_a_server_says_for_how_long_it_has_held_slots(join: Join) -> None:
    first, second = join(), join()
    seconds = first.publish("a").running_seconds
    assert 0 <= seconds < 3600
    until(lambda: second.publish("a").running_seconds > seconds)


def test_a_process_that_connects_again_ends_its_own_earlier_session(postgres_url: str) -> None:
    """The server may not have noticed that the connection was lost."""
    place, account = PostgresSlots(postgres_url), secrets.token_hex(8)
    lost, other = place.open(account, "first000"), place.open(account, "other000")
    for each, count in ((lost, 6), (other, 2)):
        each.publish("1 8")
        assert each.hold(count, 8) == count
    again = place.open(account, "first000")

    def held() -> int:
        again.publish("1 8")
        return again.hold(8, 8)

    until(lambda: held() == 6)
    assert other.publish("1 8").texts.keys() == {"first000"}
    for each in (lost, again, other):
        each.close()


def test_a_machine_that_is_gone_is_noticed_before_its_answer_is_given_up(postgres_url: str) -> None:
    """And a process on a machine that slept stops using slots before the server drops them."""
    slots = PostgresSlots(postgres_url).open("ab" * 8, "first000")
    names = ("idle", "interval", "count")
    shown = [slots._connection.ask(f"SHOW tcp_keepalives_{name}")[0][0] for name in names]
    idle, interval, count = (int(text) for text in shown)
    [(most,)] = slots._connection.ask("SHOW tcp_user_timeout")
    slots.close()
    assert int(most) == 15_000
    assert slots.lease_seconds < idle + interval * count < 20


def test_a_session_that_changes_under_the_slots_is_refused(postgres_url: str) -> None:
    """As behind a proxy that pools transactions: the locks are another session's."""
    slots = PostgresSlots(postgres_url).open("ab" * 8, "first000")
    slots.publish("1 8")
    assert slots.hold(2, 8) == 2
    slots._connection, replaced = PostgresConnection(postgres_url), slots._connection
    with pytest.raises(UnfitPlaceError, match="pools transactions"):
        slots.publish("1 8")
    replaced.close()
    slots.close()


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_proxy_that_pools_transactions_is_refused(
    postgres_url: str, *, newest_first: bool
) -> None:
    """Whichever free session it gives next; and one that doesn't pool them is accepted."""
    assert problem_of(PostgresSlots(postgres_url)) is None
    pooled = PooledSessions([11, 12], newest_first=newest_first)
    assert pools_transactions(pooled.connect(), pooled.connect())
    first, second = PooledSessions([11]).connect(), PooledSessions([12]).connect()
    assert not pools_transactions(first, second)


class PooledSessions:
    """A pool of a proxy: which session answers next, as pgbouncer chooses it."""

    def __init__(self, numbers: list[int], *, newest_first: bool = True) -> None:
        self.free = numbers
        self.newest_first = newest_first

    def connect(self) -> "PooledConnection":
        return PooledConnection(self)


class PooledConnection:
    """What a client sees of it."""

    def __init__(self, pool: PooledSessions) -> None:
        self.pool = pool
        self.own: int | None = None

    def ask(self, statement: str) -> None:
        if statement == "BEGIN":
            self.own = self.pool.free.pop(-1 if self.pool.newest_first else 0)
        elif self.own is not None:
            self.pool.free.append(self.own)
            self.own = None

    def session(self) -> int:
        if self.own is not None:
            return self.own
        number = self.pool.free.pop(-1 if self.pool.newest_first else 0)
        self.pool.free.append(number)
        return number

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_an_unreachable_server_is_told_without_its_address(scheme: str) -> None:
    place = place_of(f"{scheme}://me:planted@127.0.0.1:{free_port()}/0")
    problem = problem_of(place)
    assert problem is not None
    assert not problem.is_unfit
    assert problem.text.startswith("can't be reached (")
    assert "planted" not in f"{problem}{place}{place!r}"


def test_a_url_that_cannot_be_read_is_refused_without_its_text() -> None:
    with pytest.raises(SettingError) as caught:
        RedisSlots("redis://me:planted@host:port/0")
    assert "planted" not in str(caught.value)
    assert "planted" not in repr(caught.value.__context__)


def test_without_the_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, make in (("redis", RedisSlots), ("psycopg2", PostgresSlots)):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingExtraError, match=r"orch-assets\[cluster\]"):
            make(f"{module}://127.0.0.1/0")
