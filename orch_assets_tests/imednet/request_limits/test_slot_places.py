"""Every place holds slots by the same rules: never more than there are, and none of the dead."""

import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orch_assets.errors import MissingExtraError, SettingError
from orch_assets.imednet.request_limits import FileSlots, PostgresSlots, RedisSlots
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


def test_the_file_of_a_dead_process_is_ignored_and_used_again(tmp_path: Path) -> None:
    account = tmp_path / "request_limits" / "ab"
    names = ("dead0000", "living00", "another0")
    dead, living, another = (FileSlots(tmp_path).open("ab", name) for name in names)
    for each in (dead, living):
        each.publish("1 8")
    dead.close()
    assert (account / "member-0").read_text().startswith("dead0000 1 8")
    assert living.publish("1 8").texts == {}
    assert another.publish("2 8").texts == {"living00": "1 8"}
    assert living.publish("1 8").texts == {"another0": "2 8"}
    assert {each.name for each in account.iterdir()} == {"member-0", "member-1"}
    assert account.stat().st_mode & 0o777 == 0o700
    living.close()
    another.close()


def test_files_that_somebody_removes_are_made_anew_and_their_locks_are_lost(tmp_path: Path) -> None:
    slots = FileSlots(tmp_path).open("ab", "first000")
    slots.publish("1 8")
    assert slots.hold(2, 2) == 2
    for each in (tmp_path / "request_limits" / "ab").iterdir():
        each.unlink()
    other = FileSlots(tmp_path).open("ab", "other000")
    other.publish("1 8")
    assert other.hold(2, 2) == 2
    assert list(slots.publish("1 8").texts.values()) == ["1 8"]
    assert slots.hold(2, 2) == 0
    slots.close()
    other.close()


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
