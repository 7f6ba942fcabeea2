"""Many new studies: each is added and run once, over several ticks."""

import json
import time

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from orch_assets.defs.partitions import STUDIES_NAME, range_tags
from orch_assets.defs.resources import OrchestrationResource
from orch_assets.defs.runs import first_runs
from orch_assets.defs.study_sensor import build_study_sensor
from orch_assets.demo import DemoServer
from orch_assets_tests.defs.test_study_sensor import JOB, RAW, Account, raw
from orch_assets_tests.support.harness import instance
from orch_assets_tests.support.statements import counted_statements


def keys_of(number):
    return [f"S-{each:04}" for each in range(number)]


@pytest.fixture
def server():
    with DemoServer(studies=0, subjects=0) as running:
        for study_key in keys_of(10):
            running.registry.add_study(study_key, subjects=0)
        yield running


class Patient(Account):
    """An account whose sensor requests at most three studies a tick; knows what was asked for."""

    def __init__(self, server, real, **orchestration):
        super().__init__(server, real, **orchestration)
        self.sensor = build_study_sensor(JOB, [RAW], per_tick=3)
        self.asked = []

    def run(self, tags):
        super().run(tags)
        first, last = (tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        self.asked += self.known[self.known.index(first) : self.known.index(last) + 1]

    def ticks(self, number):
        """Return how many studies each of so many ticks asks for."""
        counts = []
        for _ in range(number):
            before = len(self.asked)
            self.tick()
            counts.append(len(self.asked) - before)
        return counts


def test_all_are_added_in_one_tick_and_asked_for_in_pieces(server):
    with instance() as real:
        account = Patient(server, real)
        assert account.ticks(1) == [3]
        assert account.known == keys_of(10)
        assert account.ticks(4) == [3, 3, 1, 0]
        assert account.asked == keys_of(10)


def test_5000_are_added_in_five_ticks_and_250_asked_for_in_each(monkeypatch):
    with DemoServer(studies=0, subjects=0) as server, instance() as real:
        for study_key in keys_of(5000):
            server.registry.add_study(study_key, subjects=0)
        account = Account(server, real)
        monkeypatch.setattr(account, "run", lambda _: None)  # as if no run could be created
        for tick in range(1, 6):
            requests = [request.tags for request in account.tick().run_requests]
            assert requests == [range_tags("S-0000", "S-0249")]
            assert account.known == keys_of(1000 * tick)
        assert account.known == keys_of(5000)


def test_an_evaluation_changes_nothing(server):
    """As for a preview in the UI."""
    with instance() as real:
        account = Patient(server, real)
        assert account.evaluate(account.registry).run_requests
        assert account.known == []


def test_fewer_are_asked_for_if_there_are_many_pipelines(server):
    with instance() as real:
        account = Account(server, real)
        pipelines = [RAW, *(dg.AssetKey(f"pipeline_{number}") for number in range(1999))]
        account.sensor = build_study_sensor(JOB, pipelines)
        (request,) = account.tick().run_requests
        assert request.tags == range_tags("S-0000", "S-0001")


def test_a_lost_cursor_loses_no_study_and_runs_none_twice(server):
    with instance() as real:
        account = Patient(server, real)
        account.ticks(2)
        account.cursor = None
        assert account.ticks(4) == [0, 3, 1, 0], "the first tick only looks"
        assert account.asked == keys_of(10)


def test_the_cursor_of_an_earlier_release_keeps_its_absences(server):
    with instance() as real:
        account = Patient(server, real)
        account.ticks(5)
        server.registry.hide_study("S-0004")
        account.cursor = json.dumps({"S-0004": 2})
        account.ticks(1)
        assert "S-0004" not in account.known


def test_a_tick_that_fails_after_it_added_the_studies_loses_none(server):
    """Their partitions are there, but neither cursor nor run."""
    with instance() as real:
        account = Patient(server, real)
        account.evaluate(account.registry)
        real.add_dynamic_partitions(STUDIES_NAME, keys_of(10))
        assert account.ticks(6) == [0, 3, 3, 3, 1, 0]
        assert account.asked == keys_of(10)


def test_a_run_that_could_not_be_created_is_asked_for_again(server):
    with instance() as real:
        account = Patient(server, real)
        account.cursor = account.evaluate(account.registry).cursor
        real.add_dynamic_partitions(STUDIES_NAME, keys_of(10))
        assert account.ticks(5) == [3, 3, 3, 1, 0]
        assert account.asked == keys_of(10)


def test_what_somebody_else_runs_meanwhile_is_not_run_twice(server):
    with instance() as real:
        account = Patient(server, real)
        account.ticks(1)
        Account.run(account, range_tags("S-0004", "S-0005"))
        assert account.ticks(3) == [3, 2, 0]
        assert account.asked == [key for key in keys_of(10) if key not in ("S-0004", "S-0005")]


def test_what_somebody_else_added_is_left_to_them_for_one_tick(server):
    """`orch-assets run` adds new studies just before it creates their run."""
    with instance() as real:
        account = Patient(server, real)
        account.ticks(5)
        for study_key in ("NEW-1", "NEW-2"):
            server.registry.add_study(study_key, subjects=0)
            real.add_dynamic_partitions(STUDIES_NAME, [study_key])
        assert account.ticks(1) == [0]
        Account.run(account, {"dagster/partition": "NEW-1"})
        assert account.ticks(2) == [1, 0]
        assert account.asked[-1] == "NEW-2"


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING"])
def test_a_run_that_was_not_planned_completely_is_left_its_studies(server, status):
    """It is being created, or the daemon was killed while it created the run."""
    with instance() as real:
        account = Patient(server, real)
        account.ticks(1)
        run = real.add_run(make_run("S-0003", "S-0004", dg.DagsterRunStatus(status)))
        assert account.ticks(3) == [3, 2, 0]
        assert "wait for their first run" in account.tick().skip_reason.skip_message
        real.report_run_failed(run)
        assert account.ticks(2) == [2, 0]
        assert sorted(account.asked) == keys_of(10)


def test_nothing_is_asked_for_while_a_backfill_may_create_runs(server):
    """New studies can't be among them."""
    with instance() as real:
        account = Patient(server, real)
        account.ticks(1)
        backfill = backfill_of(real)
        real.add_backfill(backfill)
        assert account.ticks(2) == [0, 0]
        real.update_backfill(backfill.with_status(BulkActionStatus.CANCELED))
        assert account.ticks(1) == [3]


def backfill_of(real):
    return PartitionBackfill.from_asset_partitions(
        backfill_id="backfill",
        asset_graph=dg.Definitions(assets=[raw]).resolve_asset_graph(),
        partition_names=["S-0004"],
        asset_selection=[RAW],
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=real,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )


def test_a_filter_that_changes_back_loses_no_study(server):
    """Excluded studies aren't run, whether they are retired at once or a run holds that up."""
    for busy in (False, True):
        with instance() as real:
            account = Patient(server, real)
            account.ticks(1)
            status = dg.DagsterRunStatus.STARTED if busy else dg.DagsterRunStatus.FAILURE
            run = real.add_run(make_run("S-0000", "S-0002", status))
            account.orchestration = OrchestrationResource(whitelist=["S-0000", "S-0007", "S-0008"])
            assert account.ticks(2) == [2, 0]
            assert len(account.known) == (10 if busy else 3)
            account.orchestration = OrchestrationResource()
            if busy:
                real.report_run_failed(run)
            account.ticks(8)
            new = [key for key in account.asked[3:] if key > "S-0002"]
            assert sorted(new) == keys_of(10)[3:]


def make_run(first, last, status):
    return dg.DagsterRun(
        job_name="all",
        tags=range_tags(first, last),
        asset_selection=frozenset({RAW}),
        status=status,
    )


def test_studies_that_return_are_all_run_again(server):
    """More than one tick asks for; their earlier runs don't count."""
    with instance() as real:
        account = Patient(server, real)
        account.ticks(5)
        account.orchestration = OrchestrationResource(whitelist=["S-0000"])
        account.ticks(1)
        assert account.known == ["S-0000"]
        account.orchestration = OrchestrationResource()
        assert account.ticks(4) == [3, 3, 3, 0]
        assert account.asked[10:] == keys_of(10)[1:]


def test_retiring_by_hand_meanwhile_loses_no_study(server):
    """Also the study that the cursor names."""
    with instance() as real:
        account = Patient(server, real)
        account.ticks(2)
        begun = json.loads(account.cursor)["begun"]
        for study_key in (begun, "S-0009"):
            server.registry.hide_study(study_key)
            real.delete_dynamic_partition(STUDIES_NAME, study_key)
        account.ticks(4)
        assert account.asked == keys_of(9)


def test_retiring_the_newest_by_hand_runs_no_other_study_again(server):
    """Nor if the daemon dies after it retired that study, before it stores the cursor."""
    for by_hand in (True, False):
        with instance() as real:
            account = Patient(server, real)
            account.ticks(5)
            server.registry.hide_study("S-0009")
            if by_hand:
                real.delete_dynamic_partition(STUDIES_NAME, "S-0009")
            else:
                account.ticks(2)
                cursor = account.cursor
                account.ticks(1)
                account.cursor = cursor
            assert account.known == keys_of(9)
            assert account.ticks(2) == [0, 0]
            server.registry.show_study("S-0009")


def test_the_newest_is_run_again_if_it_was_retired_by_hand_but_is_still_listed(server):
    """With a new study or without."""
    with instance() as real:
        account = Patient(server, real)
        account.ticks(5)
        real.delete_dynamic_partition(STUDIES_NAME, "S-0009")
        assert account.ticks(2) == [1, 0]
        real.delete_dynamic_partition(STUDIES_NAME, "S-0009")
        server.registry.add_study("T-1", subjects=0)
        assert account.ticks(2) == [2, 0]
        assert account.asked[10:] == ["S-0009", "S-0009", "T-1"]


def test_retiring_and_adding_by_hand_again_loses_no_study(server):
    """The study that the cursor names is the last partition then, behind those that wait."""
    with instance() as real:
        account = Patient(server, real)
        account.ticks(2)
        begun = json.loads(account.cursor)["begun"]
        real.delete_dynamic_partition(STUDIES_NAME, begun)
        real.add_dynamic_partitions(STUDIES_NAME, [begun])
        account.ticks(4)
        assert sorted(account.asked) == keys_of(10)


def test_a_steady_tick_takes_the_same_statements_however_many_studies_are_known():
    counts = []
    for number in (2, 40):
        with DemoServer(studies=0, subjects=0) as server, instance() as real:
            for study_key in keys_of(number):
                server.registry.add_study(study_key, subjects=0)
            account = Account(server, real)
            account.tick()
            account.tick()
            with counted_statements() as statements:
                account.tick()
            counts.append(len(statements))
    assert counts[0] == counts[1] <= 8


def test_the_studies_left_to_the_sensor_are_those_after_the_last_that_began(server, monkeypatch):
    """As long as it is running: a stopped sensor's cursor grows old."""
    with instance() as real:
        assert first_runs.left_to_registry_sensor(real) == set()
        account = Patient(server, real)
        account.ticks(2)
        real.add_instigator_state(state_of(account.cursor))
        assert first_runs.left_to_registry_sensor(real) == set(keys_of(10)[3:])
        monkeypatch.setattr(first_runs, "_RECENT_SECONDS", 0.0)
        time.sleep(0.01)
        assert first_runs.left_to_registry_sensor(real) == set()


def state_of(cursor):
    """Return the sensor's state, as the daemon stores it."""
    target = LoadableTargetOrigin(module_name="orch_assets.definitions")
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, "orch_assets")
    repository = RemoteRepositoryOrigin(location, "__repository__")
    return InstigatorState(
        RemoteInstigatorOrigin(repository, first_runs.REGISTRY_SENSOR),
        InstigatorType.SENSOR,
        InstigatorStatus.RUNNING,
        SensorInstigatorData(cursor=cursor),
    )
