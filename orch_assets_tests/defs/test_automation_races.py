"""What runs, or ran while a tick of automation went on, is never requested by it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Thread

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.test_utils import freeze_time

from orch_assets import study_pipeline
from orch_assets.defs.automation import build_automation_sensor
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets_tests.defs.postgres import postgres_instance, postgres_server
from orch_assets_tests.support.harness import (
    definitions,
    ended,
    evaluate,
    execute,
    in_state,
    instance,
    resume,
)

RAW = dg.AssetKey("raw")
NOON = datetime(2026, 3, 2, 12, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
GRACE = 3  # ticks from the first on; the next requests what is missing
LONG = 5  # ticks: longer than any grace period


@study_pipeline
def raw(study_key, sdk, study_logger):
    if study_key == "BAD":
        raise ValueError


@pytest.fixture(scope="module")
def server():
    with postgres_server() as running:
        yield running


class Meanwhile(dg.AutomationCondition[dg.AssetKey]):
    """Always true; lets something happen when a tick has read what it reads at its start."""

    happens: Callable[[], object] | None = None

    def evaluate(self, context):
        happens, Meanwhile.happens = Meanwhile.happens, None
        if happens is not None:
            # As in another process: Dagster's own event loop runs in this thread.
            other = Thread(target=happens)
            other.start()
            other.join()
        return dg.AutomationResult(context, true_subset=context.candidate_subset)


@dataclass
class Ticks:
    """Evaluates the conditions every five minutes."""

    defs: dg.Definitions
    real: dg.DagsterInstance
    cursor: object = None
    now: datetime = NOON

    def pass_by(self, number: int = LONG) -> set[str]:
        """Return the studies that are requested in so many ticks."""
        return set().union(*(self.tick() for _ in range(number)))

    def tick(self, happens: Callable[[], object] | None = None) -> set[str]:
        Meanwhile.happens = happens
        result = evaluate(self.defs, self.real, self.cursor, self.now)
        assert Meanwhile.happens is None
        self.cursor, self.now = result.cursor, self.now + STEP
        return set(result.get_requested_partitions(RAW))


@pytest.fixture
def defs(tmp_path) -> dg.Definitions:
    plain = definitions(tmp_path, raw)
    return plain.map_asset_specs(
        func=lambda spec: spec.replace_attributes(
            automation_condition=Meanwhile() & spec.automation_condition
        )
    )


@pytest.fixture(params=["sqlite"])
def ticks(request, defs) -> Iterator[Ticks]:
    """The ticks over two studies, on SQLite unless a test says otherwise.

    A third was run before: of an asset without a record, Dagster reads nothing at a tick's start.
    """
    kept = (
        postgres_instance(request.getfixturevalue("server"))
        if request.param == "postgres"
        else instance()
    )
    with kept as real:
        real.add_dynamic_partitions(STUDIES_NAME, ["OLD", "A", "B"])
        execute(defs, real, "OLD")
        yield Ticks(defs, real)


on_both = pytest.mark.parametrize("ticks", ["sqlite", "postgres"], indirect=True)


def begun(ticks: Ticks, study_key: str) -> Callable[[], dg.DagsterRun]:
    """Create a run of one study; return what executes it."""
    job = ticks.defs.resolve_job_def("everything")
    run = ticks.real.create_run_for_job(
        job, tags={"dagster/partition": study_key}, status=dg.DagsterRunStatus.STARTING
    )

    def go_on() -> dg.DagsterRun:
        execute_run(InMemoryJob(job), run, ticks.real)
        return ended(ticks.real, run.run_id)

    return go_on


@on_both
def test_a_study_that_a_long_run_materializes_within_a_tick_is_not_requested(ticks):
    """Missing when the tick began, no longer in progress when that is asked: but it is done."""
    go_on = begun(ticks, "A")
    assert not ticks.pass_by(GRACE)
    assert ticks.tick(go_on) == {"B"}
    assert in_state(ticks.real, "raw", "MATERIALIZED") == ["OLD", "A"]


@on_both
def test_a_study_that_is_run_wholly_within_a_tick_is_not_requested(ticks):
    """The tick in which its grace period ends."""
    assert not ticks.pass_by(GRACE)
    assert ticks.tick(lambda: execute(ticks.defs, ticks.real, "A")) == {"B"}
    assert in_state(ticks.real, "raw", "MATERIALIZED") == ["OLD", "A"]


@on_both
def test_a_run_that_begins_within_a_tick_is_left_its_studies(ticks):
    assert not ticks.pass_by(GRACE)
    assert ticks.tick(lambda: begun(ticks, "A")) == {"B"}


def test_a_study_whose_run_waits_to_begin_is_not_requested(ticks):
    begun(ticks, "A")
    assert ticks.pass_by() == {"B"}


def test_a_cancelled_study_stays_so_until_somebody_runs_it(ticks):
    begun(ticks, "A")
    ticks.pass_by()
    ticks.real.report_run_canceled(ticks.real.get_runs(limit=1)[0])
    assert ticks.pass_by() == {"B"}


def test_a_failed_study_that_is_run_again_and_cancelled_is_not_requested(ticks):
    ticks.real.add_dynamic_partitions(STUDIES_NAME, ["BAD"])
    failed = execute(ticks.defs, ticks.real, "BAD")
    ticks.tick()
    resume(ticks.defs, ticks.real, failed)
    begun(ticks, "BAD")
    ticks.real.report_run_canceled(ticks.real.get_runs(limit=1)[0])
    assert ticks.pass_by() == {"A", "B"}


def test_a_cursor_that_was_reset_requests_nothing_at_once_and_nothing_twice(ticks):
    go_on = begun(ticks, "A")
    ticks.pass_by()
    ticks.cursor = None
    assert not ticks.tick()
    assert "A" not in ticks.tick(go_on)
    assert ticks.pass_by() == {"B"}


def test_studies_that_nobody_runs_are_still_requested(ticks):
    """One that was never run, and one whose run was deleted with all that it left."""
    begun(ticks, "A")
    ticks.tick()
    ticks.real.delete_run(ticks.real.get_runs(limit=1)[0].run_id)
    assert ticks.pass_by() == {"A", "B"}


def test_nothing_is_requested_while_a_run_is_being_created(ticks):
    """Its studies are planned one by one: those that follow look as if nobody ran them."""
    job = ticks.defs.resolve_job_def("everything")
    run = ticks.real.create_run_for_job(job, tags={"dagster/partition": "A"})
    assert not ticks.pass_by()
    execute_run(InMemoryJob(job), run, ticks.real)
    assert ticks.pass_by() == {"B"}


def test_the_sensor_itself_requests_what_is_missing(ticks):
    """It is evaluated where the code is: the daemon could not evaluate our condition."""
    sensor = build_automation_sensor([RAW])
    repository = dg.Definitions.merge(ticks.defs, dg.Definitions(sensors=[sensor]))
    cursor, requested = None, []
    for minutes in (0, 10, 15):
        with (
            freeze_time(NOON + timedelta(minutes=minutes)),
            dg.build_sensor_context(
                ticks.real, cursor, repository_def=repository.get_repository_def()
            ) as context,
        ):
            result = sensor(context)
        cursor = result.cursor
        requested += result.run_requests
    (request,) = requested
    assert request.asset_selection == [RAW] or request.asset_graph_subset is not None
