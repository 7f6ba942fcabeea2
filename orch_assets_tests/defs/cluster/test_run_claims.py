"""One process claims a run, whoever else gets its task; and silence is told from being away."""

from collections.abc import Iterator

import dagster as dg
import pytest

from orch_assets.defs.cluster.run_claims import Heartbeats, RunClaim, Silence, owner_of
from orch_assets.defs.cluster.run_task import execute_delivered_run, take_delivered
from orch_assets.errors import SettingError
from orch_assets_tests.defs.instances import temporary_instance

STATUS = dg.DagsterRunStatus
RUN = "00000000-0000-0000-0000-000000000001"
HEARTBEATS = Heartbeats(every_seconds=30, dead_after_seconds=90)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with temporary_instance() as made:
        yield made


def add(instance: dg.DagsterInstance, status: STATUS = STATUS.STARTING) -> None:
    instance.add_run(dg.DagsterRun(job_name="some", run_id=RUN, status=status))


def never(seconds: float) -> None:
    raise AssertionError("there is nothing to wait for")


def test_only_one_of_two_claims_a_run(instance: dg.DagsterInstance) -> None:
    first, second = RunClaim(instance, RUN), RunClaim(instance, RUN)
    assert (first.take(), second.take()) == (True, False)
    assert (first.beat(1), second.beat(1)) == (True, False)
    second.drop()
    assert first.note() == f"{first.owner} 1;"
    first.drop()
    assert (first.note(), first.beat(2)) == (None, False)
    assert second.take()


def test_a_note_says_which_process_wrote_it() -> None:
    assert owner_of("a-host/12/abcdef 7;") == "process 12 on a-host"


def test_a_claim_is_taken_over_if_its_note_has_not_changed(instance: dg.DagsterInstance) -> None:
    first, second = RunClaim(instance, RUN), RunClaim(instance, RUN)
    first.take()
    seen = first.note()
    assert seen is not None
    first.beat(1)
    assert not second.take_over(seen)
    assert second.take_over(f"{first.owner} 1;")
    assert (first.beat(2), second.beat(1)) == (False, True)


@pytest.mark.parametrize("status", [STATUS.STARTED, STATUS.CANCELING, STATUS.CANCELED])
def test_a_run_that_does_not_wait_is_not_taken(
    instance: dg.DagsterInstance, status: STATUS
) -> None:
    add(instance, status)
    claim = RunClaim(instance, RUN)
    assert not take_delivered(claim, HEARTBEATS, never)
    assert claim.note() is None


def test_a_run_that_was_deleted_is_not_executed(instance: dg.DagsterInstance) -> None:
    assert not execute_delivered_run(instance, RUN, HEARTBEATS)


def test_a_run_whose_process_begins_is_left_to_it(instance: dg.DagsterInstance) -> None:
    add(instance)
    other = RunClaim(instance, RUN)
    other.take()
    beats = iter(range(1, 100))

    def sleep(seconds: float) -> None:
        other.beat(number := next(beats))
        if number == 10:
            instance.run_storage.delete_run(RUN)

    assert not take_delivered(RunClaim(instance, RUN), HEARTBEATS, sleep)
    assert next(beats) == 11


def test_a_run_whose_process_died_before_it_began_is_taken(instance: dg.DagsterInstance) -> None:
    add(instance)
    RunClaim(instance, RUN).take()
    slept: list[float] = []
    claim = RunClaim(instance, RUN)
    assert take_delivered(claim, HEARTBEATS, slept.append)
    assert sum(slept) == HEARTBEATS.dead_after_seconds
    assert claim.beat(1)


def looks(*pairs: tuple[float, str]) -> list[float]:
    silence = Silence(HEARTBEATS)
    return [silence.look(note, now) for now, note in pairs]


def test_silence_grows_while_the_note_stays() -> None:
    assert looks((0, "a"), (30, "a"), (60, "a"), (90, "a"), (120, "b")) == [0, 30, 60, 90, 0]


def test_after_a_long_time_without_a_look_silence_begins_anew() -> None:
    """The database was away for ten minutes: the next heartbeat may be on its way."""
    assert looks((0, "a"), (30, "a"), (60, "a"), (660, "a"), (690, "a")) == [0, 30, 60, 0, 30]


def test_an_observer_that_seldom_looks_finds_silence_too() -> None:
    silence = Silence(HEARTBEATS, usual_seconds=120)
    assert [silence.look("a", now) for now in (0, 120, 250)] == [0, 120, 250]


def test_a_run_that_nobody_looks_at_is_forgotten() -> None:
    silence = Silence(HEARTBEATS)
    silence.look("a", 1000)
    assert (silence.is_forgotten(1100), silence.is_forgotten(2000)) == (False, True)


def test_a_worker_is_sure_before_anyone_calls_it_dead() -> None:
    assert HEARTBEATS.every_seconds < HEARTBEATS.sure_seconds < HEARTBEATS.dead_after_seconds


@pytest.mark.parametrize("pair", [(30, 89), (0, 90), (-1, 90)])
def test_a_process_may_miss_a_heartbeat_or_two(pair: tuple[float, float]) -> None:
    with pytest.raises(SettingError, match="at least three times heartbeat_seconds"):
        Heartbeats(*pair)
