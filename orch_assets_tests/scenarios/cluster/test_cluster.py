"""A cluster distributes twenty studies over two workers, and each fault ends in exact states.

The tests share one cluster and go by order: the first ones leave it idle, and so does each fault.
"""

import signal
import time
from collections import Counter

import pytest

from orch_assets.defs.study_results import RESULTS_KEY
from orch_assets_tests.scenarios.cluster.cluster_account import PIPELINES, every_pair
from orch_assets_tests.support.cluster import HEARTBEAT, MONITORING
from orch_assets_tests.support.harness import materializations
from orch_assets_tests.support.processes import until

pytestmark = pytest.mark.timeout(600)
PER_RUN, STUDIES = 10, 20
# Two looks of the daemon after a run would have been named dead.
LONG = HEARTBEAT["dead_after_seconds"] + 2 * MONITORING["poll_interval_seconds"]
FOUND_WITHIN = 90  # on a loaded machine; about 16 seconds on an idle one


@pytest.fixture
def five(account):
    """Five studies, the fourth and the fifth of which wait in the third pipeline."""
    studies = account.studies[:5]
    with account.holding("third", *studies[3:]):
        yield studies


def begin(account, studies):
    """Launch a run whose last two studies wait; return its ID when all else is logged."""
    run_id = account.launch(studies[0], studies[-1])
    rest = len(every_pair(studies)) - 2
    until(lambda: len(account.logged_by(run_id)) == rest, 120, "the results before the wait")
    return run_id


def ids_of(runs):
    return [run.run_id for run in runs]


def added(account, before):
    """Return the calls since then."""
    return account.calls() - before


def test_the_sensor_runs_every_new_study_once(account):
    assert account.runs() == []
    account.start("study_registry_sensor")
    until(lambda: len(account.runs()) == STUDIES // PER_RUN, 120, "the sensor's runs")
    account.stop("study_registry_sensor")
    account.await_ended()
    assert len(account.studies) == STUDIES
    assert account.calls() == dict.fromkeys(every_pair(account.studies), 1)
    runs = account.runs(**{"dagster/sensor_name": "study_registry_sensor"})
    assert [run.status.value for run in runs] == ["SUCCESS"] * (STUDIES // PER_RUN)
    assert len(account.logged_by(*ids_of(runs))) == STUDIES * len(PIPELINES)
    assert account.workers_of(*ids_of(runs)) == {"worker1", "worker2"}


def test_a_backfill_and_the_schedule_run_every_study_once_more(account):
    account.start("daily_refresh")
    of_backfill = {"dagster/backfill": account.backfill(account.studies)}
    of_schedule = {"dagster/schedule_name": "daily_refresh"}
    expected = STUDIES // PER_RUN
    until(lambda: len(account.runs(**of_schedule)) >= expected, 150, "the schedule's runs")
    account.stop("daily_refresh")
    until(lambda: len(account.runs(**of_backfill)) == expected, 120, "the backfill's runs")
    account.await_ended()
    runs = [*account.runs(**of_backfill), *account.runs(**of_schedule)]
    assert {run.status.value for run in runs} == {"SUCCESS"}
    times = 1 + len(runs) // expected  # a slow machine may see a second tick of the schedule
    assert account.calls() == dict.fromkeys(every_pair(account.studies), times)
    for name in PIPELINES:
        found = materializations(account.real, name)
        assert {study: len(each) for study, each in found.items()} == dict.fromkeys(
            account.studies, times
        )
        assert account.states()[name] == dict.fromkeys(account.studies, "MATERIALIZED")


def test_the_matrix_follows(account):
    def is_whole():
        found = materializations(account.real, RESULTS_KEY.to_user_string()).get(None, [])
        return found and (found[-1]["studies"], found[-1]["failed_studies"]) == (STUDIES, 0)

    until(is_whole, 120, "study_results")
    account.start("study_results_sensor")
    account.stop("study_results_sensor")  # its runs aren't looked at
    account.await_ended()


def test_a_killed_worker_is_found_and_only_the_rest_runs_again(account, five):
    before = account.calls()
    run_id = begin(account, five)
    (worker,) = account.workers_of(run_id)
    account.cluster.stop(worker, signal.SIGKILL)
    account.cluster.start(worker)
    account.release()
    account.await_status(run_id, "FAILURE", FOUND_WITHIN)
    retry = account.retry_of(run_id)
    account.await_status(retry, "SUCCESS")
    waited = {("third", study) for study in five[3:]}
    assert added(account, before) == Counter([*every_pair(five), *waited])
    assert account.logged_by(run_id) == every_pair(five) - waited
    assert account.logged_by(retry) == every_pair(five)  # the others carried forward
    assert account.real.get_run_by_id(retry).tags["dagster/is_resume_retry"] == "true"
    assert account.children(retry) == []
    account.cluster.await_worker(worker)


def test_a_cancelled_run_is_canceled_and_not_restarted(account, five):
    before = account.calls()
    run_id = begin(account, five)
    account.terminate(run_id)
    account.await_status(run_id, "CANCELED")
    account.release()
    next_run = account.launch(five[0], five[0])  # longer than a re-execution would take to begin
    account.await_status(next_run, "SUCCESS")
    assert (account.status(run_id), account.children(run_id)) == ("CANCELED", [])
    waited = {("third", study) for study in five[3:]}
    assert account.logged_by(run_id) == every_pair(five) - waited
    assert added(account, before) == Counter([*every_pair(five), *every_pair([five[0]])])
    assert not account.published_by(run_id) & waited


def test_waiting_in_the_broker_is_not_death(account, five):
    """Two runs hold both workers; of two that wait, one is cancelled and one runs in the end."""
    others = account.studies[5:8]
    before = account.calls()
    with account.holding("first", others[0]):
        holders = [begin(account, five), account.launch(others[0], others[0])]
        account.await_status(holders[1], "STARTED")
        waiting, cancelled = [account.launch(each, each) for each in others[1:3]]
        account.await_status(waiting, "STARTING")
        account.await_status(cancelled, "STARTING")
        # Dagster's UI offers nothing milder for a run that hasn't begun.
        account.terminate(cancelled, "MARK_AS_CANCELED_IMMEDIATELY")
        assert account.status(cancelled) == "CANCELED"
        time.sleep(LONG)
        assert [account.status(each) for each in holders] == ["STARTED", "STARTED"]
        assert account.status(waiting) == "STARTING"
        account.release()
    account.await_ended()
    assert [account.status(each) for each in (*holders, waiting)] == ["SUCCESS"] * 3
    assert account.status(cancelled) == "CANCELED"
    assert added(account, before) == Counter(every_pair([*five, *others[:2]]))
    assert account.children(cancelled) == []


def test_a_task_that_is_delivered_twice_runs_once(account, five):
    before = account.calls()
    run_id = begin(account, five)
    account.deliver_again(run_id)  # to the other worker: this one is busy
    until(lambda: account.said(run_id, "was delivered again") == 1, 60, "the second task ends")
    assert account.status(run_id) == "STARTED"
    account.release()
    account.await_status(run_id, "SUCCESS")
    account.deliver_again(run_id)
    until(lambda: account.said(run_id, "was delivered again") == 2, 60, "the third task ends")
    assert account.status(run_id) == "SUCCESS"
    assert added(account, before) == Counter(every_pair(five))
    assert account.logged_by(run_id) == every_pair(five)


def test_a_run_that_was_named_dead_cannot_commit(account, five):
    """Its worker stands still for too long, and then goes on where it stood."""
    before = account.calls()
    run_id = begin(account, five)
    (worker,) = account.workers_of(run_id)
    with account.cluster.standing_still(worker):
        account.release()
        account.await_status(run_id, "FAILURE", FOUND_WITHIN)
        retry = account.retry_of(run_id)
        account.await_status(retry, "SUCCESS")
        published = account.publications()
    until(lambda: account.said(run_id, "This process ends") == 1, 60, "the process ends")
    waited = {("third", study) for study in five[3:]}
    assert account.publications() == published
    assert account.published_by(run_id) == every_pair(five) - waited
    assert account.logged_by(run_id) == every_pair(five) - waited
    assert added(account, before) == Counter([*every_pair(five), *waited])
    assert (account.status(run_id), account.status(retry)) == ("FAILURE", "SUCCESS")
    next_run = account.launch(five[0], five[0])  # the worker has a new process
    account.await_status(next_run, "SUCCESS")


def test_a_broker_that_restarts_loses_and_repeats_nothing(account, five):
    other, later = account.studies[5], account.studies[6]
    before = account.calls()
    with account.holding("first", other):
        running = [begin(account, five), account.launch(other, other)]
        account.await_status(running[1], "STARTED")
        waiting = account.launch(later, later)
        account.await_status(waiting, "STARTING")
        account.cluster.stop("broker", signal.SIGKILL)
        sent_meanwhile = account.launch(later, later)
        time.sleep(LONG)
        assert [account.status(each) for each in running] == ["STARTED", "STARTED"]
        account.cluster.start("broker")
        account.release()
    account.await_ended()
    runs = [*running, waiting, sent_meanwhile]
    assert [account.status(each) for each in runs] == ["SUCCESS"] * 4
    assert added(account, before) == Counter(
        [*every_pair([*five, other, later]), *every_pair([later])]
    )
    assert [account.children(each) for each in runs] == [[]] * 4


def test_a_database_that_is_away_delays_a_run_and_ends_none(account, five):
    before = account.calls()
    run_id = begin(account, five)
    account.cluster.stop("database", signal.SIGQUIT)
    account.release()  # the last results come while nothing can be recorded
    time.sleep(LONG)
    account.cluster.start("database")
    account.cluster.await_database()
    account.await_status(run_id, "SUCCESS")
    assert added(account, before) == Counter(every_pair(five))
    assert account.logged_by(run_id) == every_pair(five)
    assert account.children(run_id) == []
    next_run = account.launch(five[0], five[0])
    account.await_status(next_run, "SUCCESS")


def test_a_worker_without_disk_space_fails_its_studies_alone(account):
    """The results that fit are published; one that doesn't fit leaves nothing."""
    studies = account.studies[:5]
    before = account.calls()
    for worker in ("worker1", "worker2"):
        account.cluster.stop(worker, signal.SIGKILL)
    account.cluster.start("worker3", wrapped="ulimit -f 256; ")
    (account.calls_folder / f"large|{studies[2]}").touch()
    run_id = account.launch(studies[0], studies[-1])
    account.await_status(run_id, "FAILURE")
    failed = {("second", studies[2]), ("third", studies[2])}
    assert account.logged_by(run_id) == every_pair(studies) - failed
    assert account.published_by(run_id) == every_pair(studies) - failed
    assert account.states()["second"][studies[2]] == "FAILED"
    account.cluster.stop("worker3", signal.SIGKILL)
    account.cluster.start("worker1")
    again = account.reexecute(run_id)
    account.await_status(again, "SUCCESS")
    tried = Counter(every_pair(studies)) - Counter([("third", studies[2])])
    assert added(account, before) == tried + Counter(failed)
    assert account.children(run_id) == [again]  # a failed study isn't retried unasked
