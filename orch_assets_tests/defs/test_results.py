"""``study_results``: the newest result of each study and pipeline, and the sensor behind it."""

import json
import re
import time
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.execution.api import execute_run
from dagster._core.storage.runs.schema import RunsTable
from rich.console import Console

from orch_assets import LocalPipelineStore, study_pipeline
from orch_assets.commands.grids import print_portfolio
from orch_assets.defs import events
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.io.io_manager import StudyIOManager
from orch_assets.defs.partitions import range_tags
from orch_assets.defs.resources import OrchestrationResource, StoreResource
from orch_assets.defs.runs import recorded_results, run_states
from orch_assets.defs.study_results import (
    RESULTS_KEY,
    build_results_sensor,
    build_study_results,
    load_results,
)
from orch_assets.orchestration.reporting.portfolio import Portfolio
from orch_assets_tests.support.harness import (
    Account,
    execute,
    instance,
    materializations,
    resume,
)
from orch_assets_tests.support.statements import counted_statements

PLANTED = "Jane Planted, born 1950-01-02"


class Location:
    """A code location of two pipelines and ``study_results``; the studies in ``failing`` fail."""

    def __init__(self, folder):
        self.failing = set()

        @study_pipeline
        def one(study_key, sdk, study_logger):
            if study_key in self.failing:
                raise ValueError(PLANTED)
            return {"answer": 42}

        @study_pipeline
        def two(study_key, sdk, study_logger, one):
            return one

        store = StoreResource(uri=str(folder / "artifacts"))
        self.io_manager = StudyIOManager(store=store)
        graph = build_study_graph([one.__study_pipeline__, two.__study_pipeline__])
        refresh = dg.define_asset_job("refresh", selection=[RESULTS_KEY])
        self.sensor = build_results_sensor(refresh, graph.keys)
        self.defs = dg.Definitions(
            assets=[graph, build_study_results(graph.keys)],
            jobs=[dg.define_asset_job("everything", selection=["one", "two"]), refresh],
            resources={
                "registry": Account(),
                "orchestration": OrchestrationResource(),
                "io_manager": self.io_manager,
                "restricted_io_manager": self.io_manager,
                "restricted_store": StoreResource(uri=str(folder / "restricted"), restricted=True),
            },
            executor=dg.in_process_executor,
        )

    def refresh(self, real):
        """Refresh the matrix; return its entries and the metadata of the refresh."""
        job = self.defs.resolve_job_def("refresh")
        assert job.execute_in_process(instance=real).success
        event = real.get_latest_materialization_event(RESULTS_KEY).asset_materialization
        entries, _ = load_results(real, self.io_manager)
        return entries, {name: value.value for name, value in event.metadata.items()}


@pytest.fixture
def location(tmp_path):
    return Location(tmp_path)


def found(entries):
    return {(e.study_key, e.pipeline): (e.status, e.data, e.error) for e in entries}


OK = ("SUCCESS", '{"answer": 42}', None)


def test_the_matrix_has_the_newest_result_of_each_study_and_pipeline(location):
    with instance("S1", "S2") as real:
        location.failing = {"S2"}
        run = execute(location.defs, real, "S1", "S2")
        entries, told = location.refresh(real)
        results = found(entries)
        assert results["S1", "one"] == results["S1", "two"] == OK
        assert results["S2", "one"][0] == "FAILED"
        assert results["S2", "one"][2].startswith("ValueError (at test_results.py")
        assert results["S2", "two"] == ("FAILED", None, "UpstreamFailed: one")
        assert {entry.run_id for entry in entries} == {run.run_id}
        assert (told["studies"], told["failed_studies"], told["new_results"]) == (2, 1, 4)
        location.failing = set()
        execute(location.defs, real, "S2")
        entries, told = location.refresh(real)
        assert set(found(entries).values()) == {OK}
        assert told["failed_studies"] == 0


def test_a_result_that_resumed_runs_carry_forward_keeps_its_age(location):
    """However often it is carried."""
    with instance("S1", "S2") as real:
        location.failing = {"S2"}
        run = execute(location.defs, real, "S1", "S2")
        results = location.refresh(real)[0]
        made = {e.pipeline: e.succeeded_at for e in results if e.study_key == "S1"}
        for _ in range(2):
            run = resume(location.defs, real, run)
            carried = [e for e in location.refresh(real)[0] if e.study_key == "S1"]
            assert {e.run_id for e in carried} == {run.run_id}
            assert {e.pipeline: e.succeeded_at for e in carried} == made
            assert {e.pipeline: e.finished_at for e in carried} == made


def test_a_refresh_reads_what_is_new_and_keeps_the_rest(location, monkeypatch):
    monkeypatch.setattr(recorded_results, "_OVERLAP", 0)
    with instance("S1", "S2") as real:
        execute(location.defs, real, "S1")
        assert location.refresh(real)[1]["new_results"] == 2
        assert location.refresh(real)[1]["new_results"] == 0
        execute(location.defs, real, "S2")
        entries, told = location.refresh(real)
        assert told["new_results"] == 2
        assert len(entries) == 4


def statements_of_refresh(location, real, made):
    """Return how many statements look for results in a refresh, without those that write events."""
    with counted_statements() as statements:
        entries, _ = location.refresh(real)
    assert len(entries) == made
    return sum(each.startswith("SELECT") for each in statements)


def test_a_table_that_is_lost_costs_the_same_however_often_the_studies_ran(location, tmp_path):
    with instance("S1", "S2") as real:
        counts = []
        for runs in (1, 4):
            for _ in range(runs):
                execute(location.defs, real, "S1", "S2")
            location.refresh(real)
            (tmp_path / "artifacts" / "study_results.parquet").unlink()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(recorded_results, "_BATCH", 2)
                counts.append(statements_of_refresh(location, real, 4))
    assert counts[0] == counts[1]


def test_studies_that_never_ended_cost_the_same_however_many_they_are(location):
    counts = []
    for number in (1, 8):
        study_keys = [f"S{each}" for each in range(number)]
        with instance(*study_keys) as real:
            tags = range_tags(study_keys[0], study_keys[-1])
            job = location.defs.resolve_job_def("everything")
            real.report_run_failed(real.create_run_for_job(job, tags=tags))
            location.refresh(real)
            counts.append(statements_of_refresh(location, real, 2 * number))
    assert counts[0] == counts[1]


def test_a_users_own_event_hides_no_result_of_a_lost_table(location, tmp_path):
    """Neither a materialization nor an observation that somebody reported by hand."""
    with instance("S1", "S2") as real:
        location.failing = {"S2"}
        execute(location.defs, real, "S1", "S2")
        for study_key in ("S1", "S2"):
            for kind in (dg.AssetMaterialization, dg.AssetObservation):
                for _ in range(3):
                    real.report_runless_asset_event(kind("one", partition=study_key))
        before, _ = location.refresh(real)
        (tmp_path / "artifacts" / "study_results.parquet").unlink()
        assert location.refresh(real)[0] == before
        assert [entry.status for entry in before] == ["SUCCESS"] * 2 + ["FAILED"] * 2


def test_a_study_that_returns_shows_its_newest_results_at_once(location):
    with instance("S1", "S2") as real:
        execute(location.defs, real, "S1", "S2")
        real.delete_dynamic_partition("studies", "S1")
        location.refresh(real)
        real.add_dynamic_partitions("studies", ["S1"])
        entries, _ = location.refresh(real)
        assert {entry.study_key for entry in entries} == {"S1", "S2"}


def test_a_lost_table_is_made_anew_from_the_events(location, tmp_path):
    with instance("S1") as real:
        execute(location.defs, real, "S1")
        location.refresh(real)
        (tmp_path / "artifacts" / "study_results.parquet").unlink()
        entries, _ = location.refresh(real)
        assert len(entries) == 2


def test_an_event_of_an_earlier_release_keeps_its_rows_and_its_address(location):
    """Up to release 0.2.0 the metadata keys were ``rows`` and ``uri``."""
    told = {"status": "SUCCESS", "rows": 7, "uri": "file:///x/one/S1.parquet", "sha256": "5" * 64}
    with instance("S1") as real:
        real.report_runless_asset_event(
            dg.AssetMaterialization("one", metadata=told, partition="S1")
        )
        ((_, entry),) = [(e.study_key, e) for e in location.refresh(real)[0]]
        assert (entry.rows, entry.uri) == (7, told["uri"])
        record = real.fetch_materializations(dg.AssetKey("one"), limit=1).records[0]
        assert events.uri_of(record.asset_materialization.metadata) == told["uri"]
        assert events.data_alone(record) == (False, None)


REFRESHED = {
    "refresh": "counted",
    "rows_new": 12,
    "rows_changed": 4,
    "rows_deleted": 1,
    "rows_vanished": 0,
    "requests_saved": 39,
}


# Columns that the tables of releases up to 0.2.0 lack.
LATER = [*REFRESHED, "skipped", "succeeded_at", "age_hours", "failure_report"]


def refreshed(entry):
    return {name: getattr(entry, name) for name in REFRESHED}


def test_the_matrix_says_how_a_table_was_refreshed(location):
    told = {"status": "SUCCESS", "dagster/row_count": 20_011, **REFRESHED}
    with instance("S1") as real:
        for asset, metadata in (("one", told), ("two", {"status": "SUCCESS"})):
            real.report_runless_asset_event(
                dg.AssetMaterialization(asset, metadata=metadata, partition="S1")
            )
        entries, shown = location.refresh(real)
    assert [refreshed(entry) for entry in entries] == [REFRESHED, dict.fromkeys(REFRESHED)]
    assert "| S1 | 20,011 +12 ~3 \N{MINUS SIGN}1 | ok |" in shown["matrix"]


def test_the_catalogue_has_the_columns_of_the_matrix(location, tmp_path):
    """With all names, and once, not with each refresh."""
    node = location.defs.resolve_asset_graph().get(RESULTS_KEY)
    declared = node.metadata["dagster/column_schema"]
    with instance("S1") as real:
        execute(location.defs, real, "S1")
        _, told = location.refresh(real)
    stored = LocalPipelineStore(tmp_path / "artifacts").manifest("study_results").content
    assert [(each.name, each.type) for each in declared.columns] == list(stored.columns)
    assert "dagster/column_schema" not in told


def test_a_table_of_an_earlier_release_is_kept_though_it_has_fewer_columns(location, tmp_path):
    with instance("S1") as real:
        execute(location.defs, real, "S1")
        before, _ = location.refresh(real)
        store = LocalPipelineStore(tmp_path / "artifacts")
        table = store.download_table("study_results")
        store.upload(table.drop_columns(LATER), "study_results")
        entries, last = load_results(real, location.io_manager)
        assert entries == [replace(e, succeeded_at=None, age_hours=None) for e in before]
        assert last == max(entry.event_id for entry in before)
        assert location.refresh(real)[0] == before


def test_a_failure_keeps_the_moment_of_the_last_success_through_every_refresh(location, tmp_path):
    """Also if the table is lost, or of a release that didn't have that column."""
    with instance("S1") as real:
        execute(location.defs, real, "S1")
        moments = {e.pipeline: e.succeeded_at for e in location.refresh(real)[0]}
        assert moments == {e.pipeline: e.finished_at for e in location.refresh(real)[0]}
        location.failing = {"S1"}
        for _ in range(2):
            execute(location.defs, real, "S1")
            entries, told = location.refresh(real)
            assert {e.pipeline: (e.status, e.succeeded_at) for e in entries} == {
                name: ("FAILED", moment) for name, moment in moments.items()
            }
            assert told["old_results"] == 0
        assert all(e.failure_report for e in entries if e.pipeline == "one")
        (tmp_path / "artifacts" / "study_results.parquet").unlink()
        assert location.refresh(real)[0] == entries


def test_a_study_that_was_skipped_has_no_success_until_the_next(location):
    """Its last table is no longer current, so a failure after the skip has no age either."""
    skipped = {"status": "SUCCESS", "data": {"skipped": "no PK in this study"}}
    with instance("S1") as real:
        for metadata in ({"status": "SUCCESS"}, skipped):
            event = dg.AssetMaterialization("one", metadata=metadata, partition="S1")
            real.report_runless_asset_event(event)
        (entry,), told = location.refresh(real)
        assert (entry.skipped, entry.succeeded_at) == ("no PK in this study", None)
        assert "| S1 | – |  |" in told["matrix"]
        failed = dg.AssetObservation("one", metadata={"status": "FAILED"}, partition="S1")
        real.report_runless_asset_event(failed)
        ((entry,), _) = location.refresh(real)
        assert (entry.status, entry.skipped, entry.succeeded_at) == ("FAILED", None, None)


def test_what_counts_as_old_is_a_setting(location, monkeypatch):
    with instance("S1") as real:
        execute(location.defs, real, "S1")
        assert location.refresh(real)[1]["old_results"] == 0
        monkeypatch.setenv("ORCH_STALE_AFTER", "0.0001s")
        assert location.refresh(real)[1]["old_results"] == 2


def test_a_retired_study_leaves_the_matrix(location):
    with instance("S1", "S2") as real:
        execute(location.defs, real, "S1", "S2")
        location.refresh(real)
        real.delete_dynamic_partition("studies", "S1")
        entries, _ = location.refresh(real)
        assert {entry.study_key for entry in entries} == {"S2"}


def test_a_study_whose_run_ended_before_it_did_is_failed(location):
    with instance("S1", "S2") as real:
        execute(location.defs, real, "S1", "S2")
        location.refresh(real)
        job = location.defs.resolve_job_def("everything")
        run = real.create_run_for_job(job, tags={"dagster/partition": "S2"})
        real.report_run_failed(run)
        entries, _ = location.refresh(real)
        errors = {(e.study_key, e.pipeline): e.error for e in entries}
    assert errors == {
        ("S1", "one"): None,
        ("S1", "two"): None,
        ("S2", "one"): "RunEnded: the run ended before this study did",
        ("S2", "two"): "RunEnded: the run ended before this study did",
    }


def test_what_a_pipeline_said_is_in_no_event_and_no_picture(location, capsys):
    """The text of its exception may quote a patient: only the failure report has it."""
    with instance("S1", "S2") as real:
        location.failing = {"S2"}
        run = execute(location.defs, real, "S1", "S2")
        entries, told = location.refresh(real)
        events_of_all = [record.event_log_entry.to_json() for record in all_events(real)]
        causes = failure_metadata(real, run.run_id)["causes"]
    picture = b64decode(re.search(r"base64,([\w+/=]+)", told["portfolio"])[1]).decode()
    portfolio = Portfolio(entries, ["one", "two"], datetime.now(UTC))
    print_portfolio(Console(width=200), portfolio)
    shown = [*events_of_all, picture, told["portfolio"], str(causes), capsys.readouterr().out]
    assert "ValueError" in told["portfolio"]
    assert len(events_of_all) > 20
    assert not [text for text in shown if PLANTED in text]


def test_a_failed_run_has_its_causes_as_a_table(location):
    with instance("S1", "S2") as real:
        location.failing = {"S1", "S2"}
        run = execute(location.defs, real, "S1", "S2")
        told = failure_metadata(real, run.run_id)
    ((cause,),) = [told["causes"].value.records]
    report = cause.data.pop("failure_report")
    assert re.fullmatch(r"test_results\.py:\d+ in one", cause.data.pop("place"))
    assert cause.data == {
        "cause": "ValueError",
        "studies": "2 studies: S1, S2",
        "pipelines": "pipeline: one",
    }
    assert report.endswith("/one/S1~~1.json")
    assert (told["studies"].value, told["failed_studies"].value) == (2, 2)


def failure_metadata(real, run_id):
    (failure,) = [
        entry.dagster_event.step_failure_data.user_failure_data
        for entry in real.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE)
    ]
    return failure.metadata


def all_events(real):
    return [
        record for run in real.get_runs() for record in real.get_records_for_run(run.run_id).records
    ]


def test_the_matrix_is_rendered_with_failures_first(location):
    with instance("S1", "S2") as real:
        location.failing = {"S2"}
        execute(location.defs, real, "S1", "S2")
        _, told = location.refresh(real)
    lines = told["matrix"].splitlines()
    assert lines[0] == "| study | one | two |"
    assert lines[2:] == [
        "| S2 | ✗ | ✗ |",
        "| S1 | ok | ok |",
        "",
        "- **S2**: one ValueError, two UpstreamFailed",
    ]


def ticks(location, real):
    """Return a function that evaluates the sensor and says whether it requests a refresh."""
    cursor = None

    def tick():
        nonlocal cursor
        with dg.build_sensor_context(instance=real, cursor=cursor) as context:
            result = location.sensor(context)
        cursor = result.cursor
        assert len(result.run_requests) <= 1
        return bool(result.run_requests)

    return tick


def waiting_refresh(location, real):
    job = location.defs.resolve_job_def("refresh")
    return real.create_run_for_job(job, status=dg.DagsterRunStatus.STARTING)


def run_that_ends_while_a_refresh_waits(location, real):
    tick = ticks(location, real)
    execute(location.defs, real, "S1")
    assert tick()
    refresh = waiting_refresh(location, real)
    execute(location.defs, real, "S2")
    return tick, refresh


def test_the_sensor_asks_for_one_refresh_however_many_runs_ended(location):
    with instance("S1", "S2") as real:
        tick = ticks(location, real)
        assert not tick()
        execute(location.defs, real, "S1")
        execute(location.defs, real, "S2")
        assert tick()
        location.refresh(real)
        assert not tick()
        assert len(materializations(real, "one")) == 2


def test_a_refresh_that_waits_includes_the_runs_that_end_before_it_begins(location):
    with instance("S1", "S2") as real:
        tick, refresh = run_that_ends_while_a_refresh_waits(location, real)
        assert not tick()
        assert not tick()
        job = InMemoryJob(location.defs.resolve_job_def("refresh"))
        assert execute_run(job, refresh, real).success
        assert not tick()
        assert len(load_results(real, location.io_manager)[0]) == 4
        real.delete_run(refresh.run_id)
        assert not tick()


def test_a_run_that_ends_when_a_refresh_has_begun_gets_another(location):
    with instance("S1", "S2") as real:
        tick = ticks(location, real)
        execute(location.defs, real, "S1")
        assert tick()
        real.handle_new_event(started(waiting_refresh(location, real)))
        execute(location.defs, real, "S2")
        assert tick()
        assert not tick()


def started(run):
    """Return the event with which a run begins."""
    begun = DagsterEvent(DagsterEventType.RUN_START.value, run.job_name)
    return dg.EventLogEntry(
        error_info=None,
        level="debug",
        user_message="",
        run_id=run.run_id,
        timestamp=time.time(),
        dagster_event=begun,
    )


@pytest.mark.parametrize("ends", ["is cancelled", "is deleted"])
def test_runs_left_to_a_refresh_that_never_begins_get_another(location, ends):
    with instance("S1", "S2") as real:
        tick, refresh = run_that_ends_while_a_refresh_waits(location, real)
        assert not tick()
        if ends == "is cancelled":
            real.report_run_canceled(refresh)
        else:
            real.delete_run(refresh.run_id)
        assert tick()
        assert not tick()


def test_a_refresh_that_was_never_launched_holds_nothing_up_for_long(location, monkeypatch):
    with instance("S1", "S2") as real:
        tick = ticks(location, real)
        real.create_run_for_job(location.defs.resolve_job_def("refresh"))
        execute(location.defs, real, "S1")
        assert not tick()
        monkeypatch.setattr(run_states, "_TIME_TO_BEGIN", timedelta(0))
        execute(location.defs, real, "S2")
        assert tick()


def test_the_table_of_one_refresh_and_the_event_of_another_lose_nothing(location, monkeypatch):
    """Two refreshes at once: the earlier one's table is the last that is stored."""
    monkeypatch.setattr(recorded_results, "_OVERLAP", 0)
    with instance("S1", "S2") as real:
        execute(location.defs, real, "S1")
        location.refresh(real)
        store = location.io_manager.store.store
        earlier = store.download_table("study_results")
        execute(location.defs, real, "S2")
        location.refresh(real)
        store.publish(earlier, "study_results")
        entries, _ = location.refresh(real)
    assert {entry.study_key for entry in entries} == {"S1", "S2"}


def test_a_run_that_is_stored_late_is_seen_all_the_same(location):
    with instance("S1") as real:

        def tick(cursor):
            with dg.build_sensor_context(instance=real, cursor=cursor) as context:
                return location.sensor(context)

        execute(location.defs, real, "S1")
        up_to, seen, _ = json.loads(tick(None).cursor)
        assert tick(json.dumps([up_to + 60, []])).run_requests, "a cursor of release 0.2.0"
        assert not tick(json.dumps([up_to + 60, seen])).run_requests


def cancelled_at_once(real, number):
    """Store runs that a user cancelled in the queue, with the same moment."""
    for _ in range(number):
        run = dg.DagsterRun(
            "everything", tags=range_tags("S1", "S2"), status=dg.DagsterRunStatus.CANCELED
        )
        real.run_storage.add_run(run)


def moved_in_time(real, run, by):
    """Store that a run ended earlier or later than it did."""
    ended_at = real.get_run_record_by_id(run.run_id).update_timestamp.replace(tzinfo=None)
    with real.run_storage.connect() as connection:
        connection.execute(
            RunsTable.update()
            .where(RunsTable.c.run_id == run.run_id)
            .values(update_timestamp=ended_at + by)
        )


def test_more_runs_than_a_page_holds_may_end_at_once(location, monkeypatch):
    monkeypatch.setattr(run_states, "_BATCH", 2)
    with instance("S1", "S2") as real:
        tick = ticks(location, real)
        execute(location.defs, real, "S1")
        assert [tick(), tick()] == [True, False]
        cancelled_at_once(real, 5)
        assert [tick(), tick()] == [True, False]
        execute(location.defs, real, "S2")
        assert [tick(), tick()] == [True, False]


def test_the_first_tick_reads_only_the_last_runs_but_asks_for_all(location):
    """Whose cursor was lost: the first refresh includes all runs, however many there were."""
    with instance("S1", "S2") as real:
        earlier = execute(location.defs, real, "S1")
        moved_in_time(real, earlier, -timedelta(days=9))
        location.refresh(real)
        with dg.build_sensor_context(instance=real) as context:
            result = location.sensor(context)
        assert result.run_requests
        assert earlier.run_id not in result.cursor
        with dg.build_sensor_context(instance=real, cursor=result.cursor) as context:
            assert not location.sensor(context).run_requests


def test_a_clock_that_was_ahead_holds_no_refresh_up(location):
    with instance("S1", "S2") as real:
        tick = ticks(location, real)
        moved_in_time(real, execute(location.defs, real, "S1"), timedelta(days=1))
        assert [tick(), tick()] == [True, False]
        execute(location.defs, real, "S2")
        assert [tick(), tick()] == [True, False]


def test_a_cursor_of_a_clock_that_was_ahead_holds_no_refresh_up(location):
    with instance("S1") as real:
        execute(location.defs, real, "S1")
        ahead = json.dumps([time.time() + 86_400, [], None])
        with dg.build_sensor_context(instance=real, cursor=ahead) as context:
            assert location.sensor(context).run_requests


@pytest.mark.parametrize("is_lost", [False, True])
def test_what_runs_record_during_a_refresh_is_in_the_next(location, tmp_path, monkeypatch, is_lost):
    """However much it is: these runs end after ``one`` was read, and before ``two`` is."""
    monkeypatch.setattr(recorded_results, "_OVERLAP", 0)
    with instance("S2", "S3") as real:
        before = execute(location.defs, real, "S2", "S3")
        location.refresh(real)
        if is_lost:
            (tmp_path / "artifacts" / "study_results.parquet").unlink()
        during = {}
        fetch = real.fetch_materializations

        def fetch_materializations(*args, **options):
            page = fetch(*args, **options)
            monkeypatch.setattr(real, "fetch_materializations", fetch)
            during.update(
                (each, execute(location.defs, real, each).run_id) for each in ("S2", "S3")
            )
            return page

        monkeypatch.setattr(real, "fetch_materializations", fetch_materializations)
        entries, _ = location.refresh(real)
        assert {entry.run_id for entry in entries} == {before.run_id}
        entries, _ = location.refresh(real)
        assert len(entries) == 4
        assert [entry.run_id for entry in entries] == [during[e.study_key] for e in entries]


def test_a_refresh_that_failed_is_requested_again_after_a_while(location):
    with instance("S1") as real:
        tick = ticks(location, real)
        execute(location.defs, real, "S1")
        assert tick()
        refresh = waiting_refresh(location, real)
        real.handle_new_event(started(refresh))
        real.report_run_failed(refresh)
        assert not tick()
        moved_in_time(real, refresh, -timedelta(minutes=11))
        assert tick()
        location.refresh(real)
        assert not tick()
