"""What Dagster derives FAILED from, and what it can be asked: see test_state_table.

FAILED = planned in a run whose status is FAILURE, and no materialization after the plan.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import extract_data_version_from_entry

from orch_assets_tests.defs import plain_dagster
from orch_assets_tests.defs.plain_dagster import (
    BAD,
    STUDIES,
    chain,
    in_a_process,
    instance,
    logged,
    materialization,
    rerun,
    run,
    spec,
    states,
)

GOOD = [study for study in STUDIES if study not in BAD]
FAILURE = dg.DagsterRunStatus.FAILURE


def test_a_failing_range_marks_every_unlogged_partition_failed_earlier_successes_too():
    """FAILED = planned in a run that failed, and no materialization after the plan."""
    with instance() as real:
        run(real, logged(*STUDIES, fail=False))
        assert states(real, "raw") == "MMMMM"
        run(real, logged("s0"))
        assert states(real, "raw") == "MFFFF"


def test_logging_carried_studies_again_keeps_them_materialized():
    """A resume that fails again keeps what it logs again."""
    with instance() as real:
        first = run(real, logged(*GOOD))
        again = rerun(real, first, logged(*GOOD))
        assert again.status == FAILURE
        assert states(real, "raw") == "MFMFM"


def test_a_resume_that_fails_again_and_logs_only_its_own_loses_the_rest():
    """Without re-logging, a failed resume marks earlier successes failed."""
    with instance() as real:
        rerun(real, run(real, logged(*GOOD)), logged("s1"))
        assert states(real, "raw") == "FMFFF"


def test_a_resume_that_succeeds_needs_no_re_logging():
    """A run that succeeds marks nothing failed, whatever it had planned."""
    with instance() as real:
        rerun(real, run(real, logged(*GOOD)), logged(*BAD, fail=False))
        assert states(real, "raw") == "MMMMM"


def test_a_resume_gets_the_whole_range_again():
    """is_resume_retry narrows nothing: partition_keys is the whole range."""
    seen: list[list[str]] = []

    @chain(spec())
    def graph(context: dg.AssetExecutionContext) -> Iterator[Any]:
        seen.append(list(context.partition_keys))
        raise dg.Failure("bad", allow_retries=False)
        yield

    with instance() as real:
        rerun(real, run(real, graph), graph)
    assert seen == [STUDIES, STUDIES]


def test_a_later_success_of_one_partition_clears_its_failure():
    """A materialization after the plan counts, whichever run logged it."""
    with instance() as real:
        run(real, logged(*GOOD))
        run(real, logged("s1", fail=False), first="s1", last="s1")
        assert states(real, "raw") == "MMMFM"


def test_a_cancelled_run_marks_nothing_failed():
    """Only the status FAILURE counts: what a cancelled run planned goes back to what it was."""
    with instance() as real:
        planned = real.create_run_for_job(
            plain_dagster.job_of([logged()]), tags=plain_dagster.range_tags("s0", "s4")
        )
        real.report_run_canceled(planned)
        assert states(real, "raw") == "-----"


KILLED = """
import os, signal
import dagster as dg
from orch_assets_tests.defs.plain_dagster import chain, job_of, materialization, range_tags, spec

@chain(spec())
def graph(context):
    context.log_event(materialization("s0"))
    context.log_event(materialization("s2"))
    os.kill(os.getpid(), signal.SIGKILL)
    yield

if __name__ == "__main__":
    with dg.DagsterInstance.get() as real:
        job_of([graph]).execute_in_process(instance=real, tags=range_tags("s0", "s4"))
"""


def test_what_was_logged_survives_a_kill_and_the_rest_is_failed():
    """log_event stores at once; after SIGKILL the run is failed by whoever notices."""
    with instance() as real:
        assert in_a_process(KILLED, real.root_directory) == -9
        (left,) = real.get_runs()
        assert left.status == dg.DagsterRunStatus.STARTED
        assert states(real, "raw") == "MPMPP"
        real.report_run_failed(left)
        assert states(real, "raw") == "MFMFF"


def test_unended_attempts_can_be_asked_for():
    """Planned and never materialized: by partition, with the run and the event."""
    with instance() as real:
        failed = run(real, logged(*GOOD))
        ask = real.event_log_storage
        found = ask.get_latest_asset_partition_materialization_attempts_without_materializations(
            dg.AssetKey("raw")
        )
        assert {study: run_id for study, (run_id, _) in found.items()} == dict.fromkeys(
            BAD, failed.run_id
        )


def test_the_newest_materialization_of_each_partition_can_be_asked_for():
    """get_latest_storage_id_by_partition, and fetch_materializations by those IDs."""
    raw = dg.AssetKey("raw")
    with instance() as real:
        run(real, logged(*STUDIES, fail=False))
        newer = run(real, logged("s2", fail=False), first="s2", last="s2")
        ids = real.event_log_storage.get_latest_storage_id_by_partition(
            raw, dg.DagsterEventType.ASSET_MATERIALIZATION, {"s1", "s2"}
        )
        wanted = dg.AssetRecordsFilter(raw, storage_ids=list(ids.values()))
        found = real.fetch_materializations(wanted, limit=9).records
        assert sorted(record.partition_key for record in found) == ["s1", "s2"]
        assert {r.run_id for r in found if r.partition_key == "s2"} == {newer.run_id}


def test_the_data_version_tag_is_read_back():
    """The tag dagster/data_version of a logged event is the partition's data version."""

    @chain(spec())
    def graph(context: dg.AssetExecutionContext) -> Iterator[Any]:
        context.log_event(materialization("s0", tags={"dagster/data_version": "abc"}))
        yield from ()

    with instance() as real:
        run(real, graph)
        event = real.get_latest_data_version_record(dg.AssetKey("raw"), partition_key="s0")
        version = extract_data_version_from_entry(event.event_log_entry) if event else None
    assert version == dg.DataVersion("abc")
