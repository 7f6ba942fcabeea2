"""A run that may have been named dead neither publishes nor records before it knows better."""

import threading
from collections.abc import Iterator
from typing import NoReturn

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from orch_assets.defs.cluster import database_waits
from orch_assets.defs.cluster.run_claims import Heartbeats, RunClaim
from orch_assets.defs.cluster.run_lease import RunLease
from orch_assets.run_guard import guarded_by, require_run, storing
from orch_assets.study import publishing, study_context
from orch_assets_tests.defs.instances import temporary_instance

STATUS = dg.DagsterRunStatus
RUN = "00000000-0000-0000-0000-000000000001"


class EndedError(BaseException):
    """Stands for the end of the process."""


class Worker:
    """A process that executes a run: its clock, its lease, and what became of it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.now = 1000.0
        self.interrupts = 0
        instance.add_run(dg.DagsterRun(job_name="some", run_id=RUN, status=STATUS.STARTED))
        self.claim = RunClaim(instance, RUN)
        self.claim.take()
        self.interrupted = False
        self.lease = self.new_lease()
        self.lease.renew()

    def new_lease(self) -> RunLease:
        return RunLease(
            self.claim,
            Heartbeats(every_seconds=30, dead_after_seconds=90),
            clock=lambda: self.now,
            end=self._end,
            interrupt=self._interrupt,
            interrupted=lambda: self.interrupted,
        )

    @property
    def run(self) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(RUN)
        assert run is not None
        return run

    def _interrupt(self) -> None:
        self.interrupts += 1

    def _end(self, reason: str) -> NoReturn:
        raise EndedError(reason)


@pytest.fixture
def worker() -> Iterator[Worker]:
    with temporary_instance() as instance:
        yield Worker(instance)


def test_while_the_lease_is_young_a_commit_asks_nobody(worker: Worker) -> None:
    worker.instance.report_run_failed(worker.run)
    worker.now += 59
    with guarded_by(worker.lease), study_context("S1"), publishing():
        pass


def test_a_run_that_was_named_dead_cannot_commit(worker: Worker) -> None:
    worker.instance.report_run_failed(worker.run)
    worker.now += 60
    with guarded_by(worker.lease), study_context("S1"):
        with pytest.raises(EndedError, match="is FAILURE"), publishing():
            raise AssertionError("published")
        with pytest.raises(EndedError):
            storing(lambda: None)
    require_run()  # no run, no guard


def test_a_commit_without_a_study_is_fenced_too(worker: Worker) -> None:
    worker.instance.report_run_failed(worker.run)
    worker.now += 60
    with guarded_by(worker.lease), pytest.raises(EndedError), publishing():
        raise AssertionError("published")


def test_a_run_that_only_stood_still_goes_on(worker: Worker) -> None:
    worker.now += 1000
    with guarded_by(worker.lease), study_context("S1"), publishing():
        assert worker.claim.note() == f"{worker.claim.owner} 2;"


def test_a_run_that_another_process_has_taken_over_cannot_commit(worker: Worker) -> None:
    note = worker.claim.note()
    assert note is not None
    assert RunClaim(worker.instance, RUN).take_over(note)
    with pytest.raises(EndedError, match="belongs to another process"):
        worker.lease.renew()


def test_a_deleted_run_cannot_commit(worker: Worker) -> None:
    worker.instance.run_storage.delete_run(RUN)
    with pytest.raises(EndedError):
        worker.lease.renew()


def test_a_run_that_was_taken_over_right_after_its_claim_begins_nothing(worker: Worker) -> None:
    """Its process stood still between the claim and the lease."""
    lease = worker.new_lease()
    note = worker.claim.note()
    assert note is not None
    assert RunClaim(worker.instance, RUN).take_over(note)
    with guarded_by(lease), pytest.raises(EndedError, match="another process"), publishing():
        raise AssertionError("published")


def test_a_cancellation_that_the_broker_lost_interrupts_once(worker: Worker) -> None:
    worker.instance.report_run_canceling(worker.run)
    worker.lease.beat()
    assert worker.interrupts == 0  # the broker's own interrupt may be on its way
    for _ in range(3):
        worker.lease.beat()
    assert worker.interrupts == 1


def test_a_run_that_was_interrupted_already_is_not_disturbed(worker: Worker) -> None:
    worker.instance.report_run_canceling(worker.run)
    worker.interrupted = True
    for _ in range(4):
        worker.lease.beat()
    assert worker.interrupts == 0


def test_while_the_database_is_away_a_write_waits(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_waits, "_AWAY_SECONDS", 0)
    errors = [OperationalError("INSERT", {}, Exception()) for _ in range(3)]

    def write() -> str:
        if errors:
            raise errors.pop()
        return "written"

    assert worker.lease.storing(write) == "written"
    with pytest.raises(KeyError):
        worker.lease.storing(lambda: {}["an error of its own"])


def test_the_end_that_the_process_records_itself_does_not_end_it(worker: Worker) -> None:
    with worker.lease.beating():
        worker.instance.report_run_failed(worker.run)
        worker.lease.renew()
        worker.now += 1000
        worker.lease.require()
    assert worker.run.status == STATUS.FAILURE
    assert not [each for each in threading.enumerate() if each.name == "heartbeats"]


def test_an_end_that_had_to_wait_is_not_recorded_over_another_one(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run was named dead while the database was away for its process alone."""
    storage = type(worker.instance.event_log_storage)
    store, run, lost = storage.store_event, worker.run, []

    def lose_once(self: object, event: dg.EventLogEntry) -> None:
        if not lost:
            lost.append(event)
            worker.now += 1000
            with dg.DagsterInstance.from_ref(worker.instance.get_ref()) as others:
                others.report_run_failed(run)
            raise OperationalError("INSERT", {}, Exception())
        store(self, event)

    monkeypatch.setattr(storage, "store_event", lose_once)
    with worker.lease.beating(), pytest.raises(EndedError, match="is FAILURE"):
        worker.instance.report_run_canceled(run)
    assert worker.run.status == STATUS.FAILURE


def test_an_end_that_could_not_be_recorded_leaves_the_guard(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(event: dg.EventLogEntry, **further: object) -> NoReturn:
        raise KeyError(event.run_id)

    monkeypatch.setattr(type(worker.instance), "handle_new_event", lambda _, e, **f: refuse(e, **f))
    with worker.lease.beating():
        with pytest.raises(KeyError):
            worker.instance.report_run_failed(worker.run)
        worker.instance.run_storage.delete_run(RUN)
        with pytest.raises(EndedError):
            worker.lease.renew()


def test_an_end_is_not_recorded_over_another_one(worker: Worker) -> None:
    """Somebody has marked the run as cancelled a moment ago, and now it would succeed."""
    with dg.DagsterInstance.from_ref(worker.instance.get_ref()) as others:
        others.report_run_canceled(worker.run)
    with worker.lease.beating(), pytest.raises(EndedError, match="is CANCELED"):
        worker.instance.report_run_failed(worker.run)
    assert worker.run.status == STATUS.CANCELED
    worker.instance.report_run_failed(worker.run)  # the instance is as it was
    assert worker.run.status == STATUS.FAILURE


def test_heartbeats_go_on_by_themselves(worker: Worker) -> None:
    beaten = threading.Event()
    lease = RunLease(worker.claim, Heartbeats(0.01, 90), interrupt=beaten.set)
    worker.instance.report_run_canceling(worker.run)
    with lease.beating():
        assert beaten.wait(30)
