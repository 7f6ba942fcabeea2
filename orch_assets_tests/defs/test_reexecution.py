"""Re-execution from failure: only what failed runs again, and nothing earlier is lost."""

from collections import Counter

import dagster as dg
import pyarrow as pa
import pytest

from orch_assets import SplitTable, study_pipeline
from orch_assets.defs.partitions import STUDIES_NAME, range_tags
from orch_assets.defs.runs.command_runs import last_runs, plan_resumption
from orch_assets.defs.runs.earlier_results import done_in_parent
from orch_assets.errors import OrchestratorError
from orch_assets_tests.support.harness import (
    definitions,
    execute,
    in_state,
    instance,
    materializations,
    queued_resume,
    resume,
    states,
)
from orch_assets_tests.support.statements import counted_statements

STUDIES = [f"S{n}" for n in range(6)]
KEYS = [dg.AssetKey("first"), dg.AssetKey("second")]
NO_ROWS = pa.table({"x": pa.array([], pa.int64())})


class Flaky:
    """Two pipelines that count their calls; the second fails for the studies named."""

    def __init__(self, *failing):
        self.failing = set(failing)
        self.calls = Counter()

    def pipelines(self):
        @study_pipeline
        def first(study_key, sdk, study_logger):
            self.calls["first", study_key] += 1
            return {"call": self.calls["first", study_key]}

        @study_pipeline
        def second(study_key, sdk, study_logger, first):
            self.calls["second", study_key] += 1
            if study_key in self.failing:
                raise ValueError
            return {"of": first["call"]}

        return first, second


def test_a_resume_runs_only_what_failed_and_carries_the_rest(tmp_path):
    flaky = Flaky("S1", "S4")
    with instance(*STUDIES) as real:
        defs = definitions(tmp_path, *flaky.pipelines())
        failed = execute(defs, real, "S0", "S5")
        assert in_state(real, "second", "FAILED") == ["S1", "S4"]
        flaky.failing, flaky.calls = set(), Counter({("first", study): 1 for study in STUDIES})
        again = resume(defs, real, failed)
        assert again.status == dg.DagsterRunStatus.SUCCESS
        assert states(real, "second") == dict.fromkeys(STUDIES, "MATERIALIZED")
        carried = [m[-1] for m in materializations(real, "first").values()]
    assert flaky.calls - Counter({("first", study): 1 for study in STUDIES}) == {
        ("second", "S1"): 1,
        ("second", "S4"): 1,
    }
    assert {m["carried_from"] for m in carried} == {failed.run_id}


@pytest.mark.parametrize(
    "together", [dg.DagsterRun.tags_for_tick_id("7"), dg.DagsterRun.tags_for_backfill_id("b7")]
)
def test_the_last_runs_are_all_of_a_tick_or_backfill(tmp_path, together):
    """With ``ORCH_STUDIES_PER_RUN``, say, there are several, and the newest may have succeeded."""
    flaky = Flaky("S1")
    keys = [dg.AssetKey("first"), dg.AssetKey("second")]
    with instance(*STUDIES) as real:
        job = definitions(tmp_path, *flaky.pipelines()).resolve_job_def("everything")
        runs = [
            job.execute_in_process(
                instance=real, tags={**range_tags(*studies), **tags}, raise_on_error=False
            ).run_id
            for studies, tags in (
                (("S5", "S5"), {}),
                (("S0", "S2"), together),
                (("S3", "S4"), together),
            )
        ]
        assert [run.run_id for run in last_runs(real, frozenset(keys))] == runs[1:]
        (planned,) = plan_resumption(real, keys)
    assert planned.study_keys == ["S0", "S1", "S2"]


def test_a_resume_that_fails_again_leaves_the_others_materialized(tmp_path):
    flaky = Flaky("S1", "S4")
    with instance(*STUDIES) as real:
        defs = definitions(tmp_path, *flaky.pipelines())
        run = execute(defs, real, "S0", "S5")
        for _ in range(2):
            flaky.calls.clear()
            run = resume(defs, real, run)
            assert run.status == dg.DagsterRunStatus.FAILURE
            assert flaky.calls == {("second", "S1"): 1, ("second", "S4"): 1}
            assert in_state(real, "second", "FAILED") == ["S1", "S4"]
            assert states(real, "first") == dict.fromkeys(STUDIES, "MATERIALIZED")


def test_what_is_carried_is_the_newest_materialization_not_the_parents(tmp_path):
    flaky = Flaky("S1")
    with instance(*STUDIES) as real:
        defs = definitions(tmp_path, *flaky.pipelines())
        failed = execute(defs, real, "S0", "S5")
        newer = execute(defs, real, "S3")
        resume(defs, real, failed)
        events = materializations(real, "first")
        assert [m["run"] for m in events["S3"][:2]] == [failed.run_id, newer.run_id]
        assert events["S3"][2]["data"] == {"call": 2}
        assert events["S3"][2]["carried_from"] == newer.run_id
        assert events["S2"][1]["carried_from"] == failed.run_id


def test_a_carried_artifact_keeps_its_data_version_and_first_origin(tmp_path):
    import pandas as pd

    @study_pipeline
    def table(study_key, sdk, study_logger):
        if study_key == "S1":
            raise ValueError
        return pd.DataFrame({"a": [1]})

    with instance("S0", "S1") as real:
        defs = definitions(tmp_path, table)
        first = execute(defs, real, "S0", "S1")
        resume(defs, real, resume(defs, real, first))
        events = materializations(real, "table")["S0"]
    assert len(events) == 3
    assert len({m["tags"]["dagster/data_version"] for m in events}) == 1
    assert [m.get("carried_from") for m in events] == [None, first.run_id, first.run_id]


def test_resumes_that_never_began_are_passed_over(tmp_path):
    flaky = Flaky("S1")
    with instance(*STUDIES) as real:
        defs = definitions(tmp_path, *flaky.pipelines())
        run = execute(defs, real, "S0", "S5")
        flaky.failing, flaky.calls = set(), Counter()
        for _ in range(2):
            run = queued_resume(defs, real, run)
            real.report_run_canceled(run)
        assert resume(defs, real, run).status == dg.DagsterRunStatus.SUCCESS
    assert flaky.calls == {("second", "S1"): 1}


def test_only_a_resume_of_a_run_without_a_success_looks_further_back(tmp_path):
    flaky, key = Flaky("S1"), dg.AssetKey("second")
    with instance(*STUDIES) as real:
        defs = definitions(tmp_path, *flaky.pipelines())
        run = execute(defs, real, "S0", "S5")
        carried = resume(defs, real, run)
        again = resume(defs, real, carried)
        counts = []
        for each in (run, carried, again):
            with counted_statements() as statements:
                done = done_in_parent(real, each, [key])
            counts.append(len(statements))
    assert done == {key: {*STUDIES} - {"S1"}}
    assert counts == [0, 1, 1]


def in_the_store(column):
    """Return a table that is handed on through the store only."""
    table = pa.table({"x": column})
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches())


@pytest.mark.parametrize(
    ("annotation", "before", "after"),
    [
        (pa.Table, lambda: {"x": 0}, lambda: in_the_store([1, 2])),
        (
            SplitTable,
            lambda: SplitTable(pa.table({"x": [1]}), NO_ROWS, withheld_if_any=True),
            lambda: SplitTable(pa.table({"x": [1]}), in_the_store([1, 2])),
        ),
    ],
)
def test_what_a_resume_makes_again_replaces_every_earlier_fact(tmp_path, annotation, before, after):
    """Also if other studies' results of the same pipeline are carried."""
    today, rows = [before], {}

    @study_pipeline
    def source(study_key, sdk, study_logger):
        return today[-1]() if study_key == "S0" else before()

    def follower(study_key, sdk, study_logger, source):
        if isinstance(source, SplitTable):
            source = source.withheld.read_all()
        rows[study_key] = len(source)
        return {"rows": len(source)}

    follower.__annotations__["source"] = annotation
    with instance("S0", "S1") as real:
        defs = definitions(tmp_path, source, study_pipeline(follower))
        execute(defs, real, "S0", "S1")
        today += [after, lambda: 1 / 0]
        failed = execute(defs, real, "S0", "S1")
        today.pop()
        assert resume(defs, real, failed).status == dg.DagsterRunStatus.SUCCESS
    assert rows["S0"] == 2


@pytest.mark.parametrize("moved", ["S0", "S3", "S5"])
def test_a_range_with_other_studies_than_the_failed_run_is_not_re_executed(tmp_path, moved):
    """A study that was retired and returned is the last partition."""
    flaky = Flaky("S1")
    with instance(*STUDIES) as real:
        failed = execute(definitions(tmp_path, *flaky.pipelines()), real, "S0", "S5")
        real.add_dynamic_partitions(STUDIES_NAME, ["T1"])
        real.delete_dynamic_partition(STUDIES_NAME, moved)
        real.add_dynamic_partitions(STUDIES_NAME, [moved])
        with pytest.raises(OrchestratorError) as error:
            plan_resumption(real, KEYS)
    assert str(error.value) == (
        f"Run {failed.run_id} covered the studies S0 to S5, but that range now has other "
        "studies than the run planned, as when one was retired and returned: it can't be "
        "re-executed. Run all with `orch-assets run`, or one with --study."
    )


def test_a_retired_study_within_the_range_is_left_out_of_a_re_execution(tmp_path):
    flaky = Flaky("S1")
    with instance(*STUDIES) as real:
        execute(definitions(tmp_path, *flaky.pipelines()), real, "S0", "S5")
        real.delete_dynamic_partition(STUDIES_NAME, "S3")
        (planned,) = plan_resumption(real, KEYS)
    assert planned.study_keys == ["S0", "S1", "S2", "S4", "S5"]


def test_any_other_re_execution_runs_everything_again(tmp_path):
    flaky = Flaky()
    with instance(*STUDIES) as real:
        defs = definitions(tmp_path, *flaky.pipelines())
        execute(defs, real, "S0", "S5")
        execute(defs, real, "S0", "S5")
    assert set(flaky.calls.values()) == {2}


def test_a_resume_with_a_bad_setting_leaves_the_others_materialized(tmp_path, monkeypatch):
    flaky = Flaky("S1")
    with instance(*STUDIES) as real:
        defs = definitions(tmp_path, *flaky.pipelines())
        failed = execute(defs, real, "S0", "S5")
        for variable in ("ORCH_STORE_FORMAT", "IMEDNET_MAX_WORKERS"):
            monkeypatch.setenv(variable, "nonsense")
            assert resume(defs, real, failed).status == dg.DagsterRunStatus.FAILURE
            assert in_state(real, "second", "FAILED") == ["S1"]
            assert states(real, "first") == dict.fromkeys(STUDIES, "MATERIALIZED")


def test_a_resume_after_the_asset_was_wiped_runs_its_studies_again(tmp_path):
    flaky = Flaky("S1")
    with instance(*STUDIES) as real:
        defs = definitions(tmp_path, *flaky.pipelines())
        failed = execute(defs, real, "S0", "S5")
        real.wipe_assets([dg.AssetKey("second")])
        flaky.failing = set()
        assert resume(defs, real, failed).status == dg.DagsterRunStatus.SUCCESS
        assert states(real, "second") == dict.fromkeys(STUDIES, "MATERIALIZED")
