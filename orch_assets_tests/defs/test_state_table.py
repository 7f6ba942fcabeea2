"""How Dagster derives the states of partitions that one run leaves behind.

Dagster gives no contract for any of it, and the study graphs rest on it: these tests, of Dagster
alone, run at each of its upgrades. Five studies, of which s1 and s3 fail; a state is a letter for
each study: M is materialized, F is failed, - is neither.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
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
    studies,
)
from orch_assets_tests.graphql import partition_stats

GOOD = [study for study in STUDIES if study not in BAD]
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE

# --- the approaches ---


@chain(spec("pattern"))
def pattern(context: dg.AssetExecutionContext) -> Iterator[Any]:
    for study in context.partition_keys:
        if study in BAD:
            context.log_event(
                dg.AssetObservation("pattern", partition=study, metadata={"error": "ValueError"})
            )
        else:
            context.log_event(materialization(study, "pattern"))
    if BAD.intersection(context.partition_keys):
        raise dg.Failure("2 of 5 studies failed: s1, s3", allow_retries=False)
    yield from ()


pattern_defs = dg.Definitions(assets=[pattern])


def test_logged_successes_and_one_failure_at_the_end_give_exact_states():
    """log_event per success, an observation per failure, one Failure: the only right way."""
    with instance() as real:
        assert run(real, pattern).status == FAILURE
        assert states(real, "pattern") == "MFMFM"
        seen = real.fetch_observations(dg.AssetKey("pattern"), limit=9).records
        errors = {r.partition_key: r.asset_observation.metadata["error"].value for r in seen}
        assert errors == dict.fromkeys(BAD, "ValueError")
        assert len(real.fetch_materializations(dg.AssetKey("pattern"), limit=9).records) == 3


def test_the_ui_counts_the_same():
    """GraphQL's partitionStats agrees with the instance: a failed partition counts once."""
    with instance() as real:
        run(real, pattern)
        assert partition_stats(real, __name__, "pattern", attribute="pattern_defs") == {
            "numPartitions": 5,
            "numMaterialized": 3,
            "numFailed": 2,
            "numMaterializing": 0,
        }


def test_the_same_code_serves_one_partition():
    """partition_keys is a list of one in a run of one partition."""
    with instance() as real:
        for study in ("s0", "s1"):
            plain_dagster.job_of([pattern]).execute_in_process(
                instance=real, tags={"dagster/partition": study}, raise_on_error=False
            )
        assert states(real, "pattern") == "MF---"


def test_yielded_materializations_then_a_failure_give_right_states_too():
    """Yield AssetMaterialization then raise: right states (but workers' log lines get lost)."""

    @chain(spec())
    def graph(context: dg.AssetExecutionContext) -> Iterator[Any]:
        for study in GOOD:
            yield materialization(study)
        raise dg.Failure("s1, s3", allow_retries=False)

    with instance() as real:
        assert run(real, graph).status == FAILURE
        assert states(real, "raw") == "MFMFM"


def test_without_a_failure_bad_studies_are_missing_instead_of_failed():
    """An optional output and no raise: run SUCCESS, bad studies missing, downstream skipped."""

    @chain(spec())
    def graph(context: dg.AssetExecutionContext) -> Iterator[Any]:
        for study in GOOD:
            context.log_event(materialization(study))
        yield from ()

    @dg.asset(partitions_def=studies, deps=["raw"], backfill_policy=dg.BackfillPolicy.single_run())
    def after() -> None: ...

    with instance() as real:
        assert run(real, graph, after).status == SUCCESS
        assert states(real, "raw") == "M-M-M"
        assert states(real, "after") == "-----"


def test_several_materialize_results_mark_everything_materialized():
    """Several MaterializeResult: the run fails, and yet ALL are materialized."""

    @dg.asset(partitions_def=studies, backfill_policy=dg.BackfillPolicy.single_run())
    def raw(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        for study in GOOD:
            yield dg.MaterializeResult(metadata={"study": study})

    with instance() as real:
        assert run(real, raw).status == FAILURE
        assert states(real, "raw") == "MMMMM"


def test_returning_normally_materializes_bad_studies_too():
    """-> None without a raise, per-partition metadata or not: bad studies are materialized too."""

    @dg.asset(partitions_def=studies, backfill_policy=dg.BackfillPolicy.single_run())
    def raw(context: dg.AssetExecutionContext) -> None:
        for study in GOOD:
            context.add_asset_metadata({"status": "SUCCESS"}, partition_key=study)

    with instance() as real:
        assert run(real, raw).status == SUCCESS
        assert states(real, "raw") == "MMMMM"


def test_a_dynamic_step_per_study_gives_right_states_at_a_process_each():
    """A graph asset with one dynamic step per study is right as well, at a step's cost each."""

    @dg.op(out=dg.DynamicOut(str))
    def each(context: dg.OpExecutionContext) -> Iterator[dg.DynamicOutput[str]]:
        for study in context.partition_keys:
            yield dg.DynamicOutput(study, mapping_key=study)

    @dg.op
    def work(context: dg.OpExecutionContext, study: str) -> str:
        if study in BAD:
            raise ValueError(study)
        context.log_event(materialization(study))
        return study

    @dg.op(out=dg.Out(dg.Nothing))
    def end(done: list[str]) -> None: ...

    @dg.graph_asset(partitions_def=studies, backfill_policy=dg.BackfillPolicy.single_run())
    def raw() -> Any:
        return end(each().map(work).collect())

    with instance() as real:
        ended = run(real, raw)
        assert ended.status == FAILURE
        assert states(real, "raw") == "MFMFM"
        assert len(real.get_run_step_stats(ended.run_id)) == 6  # five studies and their list


# --- the body ---


def test_a_plain_function_that_returns_none_emits_its_output_as_well():
    """A multi_asset body that isn't a generator materializes everything once more."""

    @dg.multi_asset(
        specs=[dg.AssetSpec("raw", partitions_def=studies)],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def graph(context: dg.AssetExecutionContext) -> None:
        for study in context.partition_keys:
            context.log_event(materialization(study))

    with instance() as real:
        run(real, graph)
        assert len(real.fetch_materializations(dg.AssetKey("raw"), limit=99).records) == 10


def test_a_generator_over_skippable_outputs_that_yields_nothing_adds_no_event():
    """`yield from ()` with skippable specs: the logged events are all there is."""
    with instance() as real:
        assert run(real, logged(*STUDIES, fail=False)).status == SUCCESS
        assert states(real, "raw") == "MMMMM"
        assert len(real.fetch_materializations(dg.AssetKey("raw"), limit=99).records) == 5


def test_another_asset_downstream_in_the_same_run_fails_for_every_study():
    """Downstream assets of the same run all fail once the upstream step raises."""

    @dg.asset(partitions_def=studies, deps=["raw"], backfill_policy=dg.BackfillPolicy.single_run())
    def after() -> None: ...

    with instance() as real:
        run(real, logged(*GOOD), after)
        assert states(real, "raw") == "MFMFM"
        assert states(real, "after") == "FFFFF"


def test_two_assets_of_one_step_have_states_of_their_own():
    """A whole per-study chain lives in one multi_asset, exact for each (asset, study)."""

    @chain(spec("raw"), spec("clean", "raw"))
    def graph(context: dg.AssetExecutionContext) -> Iterator[Any]:
        for study in STUDIES:
            context.log_event(materialization(study, "raw"))
        for study in GOOD:
            context.log_event(materialization(study, "clean"))
        raise dg.Failure("s1, s3", allow_retries=False)
        yield

    with instance() as real:
        run(real, graph)
        assert (states(real, "raw"), states(real, "clean")) == ("MMMMM", "MFMFM")


@pytest.mark.parametrize(("allowed", "attempts"), [(True, 2), (False, 1)])
def test_a_step_that_is_retried_doubles_its_events(allowed, attempts):
    """An op RetryPolicy repeats the whole step; Failure(allow_retries=False) opts out."""

    @chain(spec(), retry_policy=dg.RetryPolicy(max_retries=1))
    def graph(context: dg.AssetExecutionContext) -> Iterator[Any]:
        context.log_event(materialization("s0"))
        raise dg.Failure("bad", allow_retries=allowed)
        yield

    with instance() as real:
        run(real, graph)
        events = real.fetch_materializations(dg.AssetKey("raw"), limit=9).records
        assert len(events) == attempts


# --- what FAILED is derived from ---


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
            plain_dagster.job_of([pattern]), tags=plain_dagster.range_tags("s0", "s4")
        )
        real.report_run_canceled(planned)
        assert states(real, "pattern") == "-----"


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
        # instance_for_test keeps its files where DAGSTER_HOME would be.
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
