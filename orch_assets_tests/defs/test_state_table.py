"""How Dagster derives the states of partitions that one run leaves behind.

Dagster gives no contract for any of it, and the study graphs rest on it: these tests, of Dagster
alone, run at each of its upgrades. Five studies, of which s1 and s3 fail; a state is a letter for
each study: M is materialized, F is failed, - is neither.
"""

import gc
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from orch_assets_tests.defs import plain_dagster
from orch_assets_tests.defs.plain_dagster import (
    BAD,
    STUDIES,
    chain,
    instance,
    logged,
    materialization,
    run,
    spec,
    states,
    studies,
)
from orch_assets_tests.support.graphql import partition_stats

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
        # Dagster leaves a generator that only the thread that began it can close: collected by
        # another, it would fail the test that runs then.
        gc.collect()
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
