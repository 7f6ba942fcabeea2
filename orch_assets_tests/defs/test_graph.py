"""A run of a study graph: what it leaves in the instance, for one study and for many."""

import logging
import shutil
import threading
from typing import ClassVar

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from orch_assets import ImednetError, SplitTable, study_pipeline
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.graph_run import GraphRun
from orch_assets.imednet.descriptions import DescribedColumn
from orch_assets.stores import LocalPipelineStore
from orch_assets_tests.defs.instances import temporary_instance
from orch_assets_tests.support.harness import (
    Account,
    definitions,
    everything_logged,
    execute,
    failure_text,
    in_state,
    instance,
    materializations,
    observations,
    states,
)


@study_pipeline
def raw(study_key, sdk, study_logger):
    """Raw."""
    return pd.DataFrame({"subject": ["001", "002"], "age": [41, 52]})


@study_pipeline
def counted(study_key, sdk, study_logger, raw: "pa.Table"):
    """Counted."""
    return {"subjects": raw.num_rows}


@study_pipeline
def doubled(study_key, sdk, study_logger, raw):
    """Doubled."""
    return raw.assign(age=raw["age"] * 2)


def test_a_table_is_stored_and_its_event_says_all_of_it(tmp_path):
    with instance("S1", "S2") as real:
        run = execute(definitions(tmp_path, raw), real, "S1", "S2")
        (event,) = materializations(real, "raw")["S1"]
    assert run.status == dg.DagsterRunStatus.SUCCESS
    duration = event.pop("duration_seconds")
    assert 0 < duration < 30
    artifact = tmp_path / "artifacts" / "raw" / "S1~~1.parquet"
    columns = event.pop("dagster/column_schema").columns
    assert [(column.name, column.type) for column in columns] == [
        ("subject", "string"),
        ("age", "int64"),
    ]
    sha256 = event["sha256"]
    assert len(sha256) == 64
    assert event == {
        "status": "SUCCESS",
        "data": None,
        "error": None,
        "dagster/uri": artifact.as_uri(),
        "bytes": artifact.stat().st_size,
        "dagster/row_count": 2,
        "sha256": sha256,
        "registry": "demo",
        "run": run.run_id,
        "tags": {"dagster/data_version": sha256},
    }


def test_columns_that_the_definition_declares_are_not_in_the_event(tmp_path):
    """The UI shows the definition's; a study whose own columns differ has those in its event."""

    @study_pipeline(columns=[DescribedColumn("a", "int64", "A number.")])
    def declared(study_key, sdk, study_logger):
        return pa.table({"a": [1]} if study_key == "S1" else {"a": ["1"]})

    with instance("S1", "S2") as real:
        execute(definitions(tmp_path, declared), real, "S1", "S2")
        found = {key: each[0] for key, each in materializations(real, "declared").items()}
    assert "dagster/column_schema" not in found["S1"]
    (column,) = found["S2"]["dagster/column_schema"].columns
    assert (column.name, column.type) == ("a", "string")


def test_one_study_and_many_leave_the_same(tmp_path):
    with instance("S1", "S2", "S3") as real:
        defs = definitions(tmp_path, raw, counted)
        execute(defs, real, "S1")
        execute(defs, real, "S2", "S3")
        (one,), (many,) = (
            materializations(real, "counted")["S1"],
            materializations(real, "counted")["S2"],
        )
        assert states(real, "counted") == dict.fromkeys(("S1", "S2", "S3"), "MATERIALIZED")
    assert one.keys() == many.keys()
    assert one["data"] == many["data"] == {"subjects": 2}


def test_upstream_tables_come_from_memory_or_from_the_store_alike(tmp_path):
    with instance("S1") as real:
        defs = definitions(tmp_path, raw, counted, doubled)
        execute(defs, real, "S1")
        store = LocalPipelineStore(tmp_path / "artifacts")
        together = store.download("doubled/S1")
        execute(defs, real, "S1", select=["doubled"])
        assert len(materializations(real, "raw")["S1"]) == 1
    pd.testing.assert_frame_equal(store.download("doubled/S1"), together)
    assert list(together["age"]) == [82, 104]


def test_numbers_alone_live_in_the_event_and_still_reach_a_later_run(tmp_path):
    @study_pipeline
    def twice(study_key, sdk, study_logger, counted):
        return {"subjects": 2 * counted["subjects"]}

    with instance("S1") as real:
        defs = definitions(tmp_path, raw, counted, twice)
        execute(defs, real, "S1", select=["raw", "counted"])
        execute(defs, real, "S1", select=["twice"])
        assert materializations(real, "twice")["S1"][0]["data"] == {"subjects": 4}


def test_a_result_with_text_goes_to_a_json_artifact_and_not_into_the_event(tmp_path):
    @study_pipeline
    def notes(study_key, sdk, study_logger):
        return {"subject": "planted name"}

    with instance("S1") as real:
        run = execute(definitions(tmp_path, notes, registry=Account()), real, "S1")
        (event,) = materializations(real, "notes")["S1"]
        assert "planted" not in everything_logged(real, run)
    assert event["data"] is None
    assert LocalPipelineStore(tmp_path / "artifacts").download_json("notes/S1") == {
        "subject": "planted name"
    }


def test_several_tables_are_one_artifact_set(tmp_path):
    @study_pipeline
    def pair(study_key, sdk, study_logger):
        return {"one": pd.DataFrame({"a": [1]}), "two": pd.DataFrame({"b": [1, 2]})}

    with instance("S1") as real:
        execute(definitions(tmp_path, pair), real, "S1")
        (event,) = materializations(real, "pair")["S1"]
    assert event["dagster/row_count"] == 3
    assert set(LocalPipelineStore(tmp_path / "artifacts").download_set("pair/S1")) == {"one", "two"}


def test_a_stream_of_batches_is_stored_and_handed_on(tmp_path):
    @study_pipeline
    def stream(study_key, sdk, study_logger):
        batches = [pa.record_batch({"a": [1, 2]}), pa.record_batch({"a": [3]})]
        return pa.RecordBatchReader.from_batches(batches[0].schema, batches)

    @study_pipeline
    def read(study_key, sdk, study_logger, stream: pa.Table):
        return {"rows": stream.num_rows}

    with instance("S1") as real:
        execute(definitions(tmp_path, stream, read), real, "S1")
        assert materializations(real, "read")["S1"][0]["data"] == {"rows": 3}


def test_the_withheld_part_goes_to_the_restricted_store_alone(tmp_path):
    @study_pipeline
    def split(study_key, sdk, study_logger):
        return SplitTable(pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"arm": ["active"]}))

    with instance("S1") as real:
        execute(definitions(tmp_path, split), real, "S1")
        (event,) = materializations(real, "split")["S1"]
    restricted = LocalPipelineStore(tmp_path / "restricted")
    assert list(restricted.download("split/S1")["arm"]) == ["active"]
    assert list(LocalPipelineStore(tmp_path / "artifacts").download("split/S1")) == ["a"]
    assert (event["withheld_rows"], event["dagster/row_count"]) == (1, 2)


def test_a_failed_study_is_failed_with_its_evidence_and_the_others_are_materialized(tmp_path):
    @study_pipeline
    def picky(study_key, sdk, study_logger, raw):
        if study_key == "S2":
            raise ValueError("subject 001-007 is Ms Planted")
        return raw

    @study_pipeline
    def after(study_key, sdk, study_logger, picky):
        return {"rows": len(picky)}

    with instance("S1", "S2", "S3") as real:
        defs = definitions(tmp_path, raw, picky, after, registry=Account())
        run = execute(defs, real, "S1", "S3")
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert states(real, "raw") == dict.fromkeys(("S1", "S2", "S3"), "MATERIALIZED")
        expected = {"S1": "MATERIALIZED", "S2": "FAILED", "S3": "MATERIALIZED"}
        assert states(real, "picky") == states(real, "after") == expected
        failed = observations(real, "picky")
        told = failure_text(real, run)
        assert told.splitlines() == [
            "1 of 3 studies failed:",
            f"- {failed['S2']['error']}",
            "  study: S2",
            "  pipeline: picky",
            f"  failure report: {failed['S2']['failure_report']}",
            "1 more result is missing because an upstream failed.",
            (
                "Successful results are materialized; use `orch-assets run --failed` (for the last "
                "run) to run only the rest."
            ),
        ]
        (line,) = errors_logged(real, run)
        assert line == (
            f"[S2] picky failed: {failed['S2']['error']} "
            f"Failure report: {failed['S2']['failure_report']}"
        )
        assert list(failed) == ["S2"]
        assert {"status", "data", "error", "duration_seconds"} <= failed["S2"].keys()
        assert failed["S2"]["status"] == "FAILED"
        assert failed["S2"]["data"] is None
        assert failed["S2"]["error"].startswith("ValueError (at test_graph.py:")
        assert observations(real, "after")["S2"]["error"] == "UpstreamFailed: picky"
        assert "Planted" not in everything_logged(real, run)
    report = failed["S2"]["failure_report"]
    assert "Ms Planted" in report_text(report)
    assert report.startswith((tmp_path / "restricted").as_uri())


def test_of_made_up_data_everything_is_shown(tmp_path):
    @study_pipeline
    def tells(study_key, sdk, study_logger):
        raise ValueError("subject 001-007\nis made up")

    with instance("S1") as real:
        run = execute(definitions(tmp_path, tells), real, "S1")
        error = observations(real, "tells")["S1"]["error"]
        assert error.startswith("ValueError: subject 001-007\nis made up (at test_graph.py:")
        assert "- ValueError: subject 001-007 is made up (at " in failure_text(real, run)


def errors_logged(real, run):
    """Return the lines of the run's log that are errors, events left out."""
    return [
        entry.user_message
        for entry in real.all_logs(run.run_id)
        if entry.level >= logging.ERROR and not entry.is_dagster_event
    ]


def report_text(uri):
    from pathlib import Path
    from urllib.parse import unquote, urlsplit

    return Path(unquote(urlsplit(uri).path)).read_text(encoding="utf-8")


def test_a_failure_report_that_cannot_be_written_is_said_and_hides_nothing(tmp_path):
    @study_pipeline
    def fails(study_key, sdk, study_logger):
        shutil.rmtree(tmp_path / "restricted")  # before the first study it could be written
        (tmp_path / "restricted").write_text("a file where a folder should be")
        raise ValueError("planted")

    with instance("S1") as real:
        run = execute(definitions(tmp_path, fails, registry=Account()), real, "S1")
        logged = everything_logged(real, run)
        assert observations(real, "fails")["S1"]["failure_report"] == "could not be written"
        assert "could not be written to the restricted store" in logged
        assert "planted" not in logged


def test_a_table_that_cannot_be_stored_fails_its_study_without_its_values(tmp_path):
    @study_pipeline
    def mixed(study_key, sdk, study_logger):
        return pd.DataFrame({"result": [1, "planted"] if study_key == "S1" else [1, 2]})

    with instance("S1", "S2") as real:
        run = execute(definitions(tmp_path, mixed, registry=Account()), real, "S1", "S2")
        assert states(real, "mixed") == {"S1": "FAILED", "S2": "MATERIALIZED"}
        error = observations(real, "mixed")["S1"]["error"]
        assert error.startswith("UnstorableTableError: ")
        assert "'result'" in error
        assert "planted" not in everything_logged(real, run)
    assert not (tmp_path / "artifacts" / "mixed" / "S1~~1.parquet").exists()


def test_a_study_that_hangs_times_out_and_publishes_nothing(tmp_path):
    release = threading.Event()

    @study_pipeline(timeout=0.3)
    def hangs(study_key, sdk, study_logger):
        if study_key == "S1":
            release.wait(20)
        return pd.DataFrame({"a": [1]})

    with instance("S1", "S2", "S3") as real:
        execute(definitions(tmp_path, hangs), real, "S1", "S3")
        assert states(real, "hangs") == {"S1": "FAILED", "S2": "MATERIALIZED", "S3": "MATERIALIZED"}
        assert observations(real, "hangs")["S1"]["error"] == "Timeout: gave up after 0.3 s"
    release.set()
    assert not (tmp_path / "artifacts" / "hangs" / "S1~~1.parquet").exists()


def test_async_pipelines_wait_beside_plain_ones(tmp_path):
    import asyncio

    @study_pipeline
    async def waits(study_key, sdk, study_logger, raw):
        await asyncio.sleep(0.2)
        return raw

    studies = [f"S{n}" for n in range(30)]
    with instance(*studies) as real:
        execute(definitions(tmp_path, raw, waits), real, "S0", "S29")
        assert in_state(real, "waits", "MATERIALIZED") == studies
    assert len(LocalPipelineStore(tmp_path / "artifacts").list_artifacts("waits")) == 30


def test_what_a_pipeline_logs_carries_its_study(tmp_path):
    @study_pipeline
    def talks(study_key, sdk, study_logger):
        study_logger.info("seven forms")
        study_logger.info("%d forms", 7)

    with temporary_instance(
        overrides={
            "python_logs": {
                "managed_python_loggers": ["orch_assets"],
                "python_log_level": "INFO",
            }
        }
    ) as real:
        real.add_dynamic_partitions("studies", ["PAIN#5%A"])
        run = execute(definitions(tmp_path, talks), real, "PAIN#5%A")
        messages = [entry.user_message for entry in real.all_logs(run.run_id)]
    assert {"[PAIN#5%A] seven forms", "[PAIN#5%A] 7 forms"} <= set(messages)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({}, "no study"),
        (
            {
                "dagster/asset_partition_range_start": "S3",
                "dagster/asset_partition_range_end": "S1",
            },
            "S3...S1 contains no study: S1 comes before S3",
        ),
    ],
)
def test_a_run_without_studies_fails_and_says_what_to_do(tmp_path, tags, said):
    with instance("S1", "S2", "S3") as real:
        job = definitions(tmp_path, raw).resolve_job_def("everything")
        result = job.execute_in_process(instance=real, tags=tags, raise_on_error=False)
        run = real.get_run_by_id(result.run_id)
        assert said in failure_text(real, run)
        assert not materializations(real, "raw")


def test_runs_of_n_studies_are_one_policy_away(tmp_path):
    policy = dg.BackfillPolicy.multi_run(7)
    graph = build_study_graph([raw.__study_pipeline__], backfill_policy=policy)
    assert graph.backfill_policy == policy


def test_numbers_of_numpy_are_numbers(tmp_path):
    @study_pipeline
    def sums(study_key, sdk, study_logger, raw):
        return {"age": raw["age"].sum(), "any": (raw["age"] > 50).any(), "mean": raw["age"].mean()}

    with instance("S1") as real:
        execute(definitions(tmp_path, raw, sums), real, "S1")
        (event,) = materializations(real, "sums")["S1"]
    assert event["data"] == {"age": 93, "any": True, "mean": 46.5}


@pytest.mark.parametrize(
    "returned", [object(), {"when": object()}, pd.Index([1]), float("inf"), {1, 2}, {12: "closed"}]
)
def test_a_result_that_cannot_be_stored_fails_with_what_to_return_instead(tmp_path, returned):
    @study_pipeline
    def odd(study_key, sdk, study_logger):
        return returned

    with instance("S1") as real:
        execute(definitions(tmp_path, odd), real, "S1")
        assert states(real, "odd") == {"S1": "FAILED"}
        error = observations(real, "odd")["S1"]["error"]
    assert "Return a table" in error
    assert "<object" not in error


@pytest.mark.parametrize("number", [3, 2.5, True, 0, np.int64(7)])
def test_a_bare_number_is_the_results_data_and_reaches_a_later_run(tmp_path, number):
    @study_pipeline
    def one(study_key, sdk, study_logger):
        return number

    @study_pipeline
    def after(study_key, sdk, study_logger, one):
        return {"got": one}

    with instance("S1") as real:
        defs = definitions(tmp_path, one, after)
        execute(defs, real, "S1")
        execute(defs, real, "S1", select=["after"])
        assert materializations(real, "one")["S1"][0]["data"] == number
        assert [m["data"] for m in materializations(real, "after")["S1"]] == [{"got": number}] * 2


def test_none_is_handed_on_and_never_an_older_table(tmp_path):
    returns = [pd.DataFrame({"a": [1, 2, 3]}), None]

    @study_pipeline
    def changing(study_key, sdk, study_logger):
        return returns.pop(0)

    @study_pipeline
    def after(study_key, sdk, study_logger, changing):
        return {"rows": -1 if changing is None else len(changing)}

    with instance("S1") as real:
        defs = definitions(tmp_path, changing, after)
        execute(defs, real, "S1")
        execute(defs, real, "S1")
        execute(defs, real, "S1", select=["after"])
        results = [m["data"]["rows"] for m in materializations(real, "after")["S1"]]
    assert results == [3, -1, -1]


def test_sets_and_json_are_handed_on_as_the_store_gives_them(tmp_path):
    @study_pipeline
    def pair(study_key, sdk, study_logger):
        return {"a": pa.table({"n": [1]})}

    @study_pipeline
    def facts(study_key, sdk, study_logger):
        return {"1": ("x", "y")}

    @study_pipeline
    def spoils(study_key, sdk, study_logger, pair, facts):
        pair.clear()
        facts.clear()

    @study_pipeline
    def kinds(study_key, sdk, study_logger, pair, facts, spoils):
        return {"pair": type(pair["a"]).__name__, "facts": facts}

    with instance("S1") as real:
        defs = definitions(tmp_path, pair, facts, spoils, kinds)
        store = LocalPipelineStore(tmp_path / "artifacts")
        execute(defs, real, "S1")
        together = store.download_json("kinds/S1")
        execute(defs, real, "S1", select=["kinds"])
        assert store.download_json("kinds/S1") == together
    assert together == {"pair": "DataFrame", "facts": {"1": ["x", "y"]}}


def test_an_io_manager_may_yield(tmp_path):
    class Yielding(dg.IOManager):
        stored: ClassVar[list] = []

        def handle_output(self, context, obj):
            yield {"rows": 1}
            self.stored.append((context.asset_partition_key, obj))

        def load_input(self, context):
            return self.stored[-1][1]

    with instance("S1") as real:
        execute(definitions(tmp_path, raw, io_manager=Yielding()), real, "S1")
        assert states(real, "raw") == {"S1": "MATERIALIZED"}
    assert [key for key, _ in Yielding.stored] == ["S1"]


def test_dagsters_own_io_manager_serves_pipelines_too(tmp_path):
    with instance("S1") as real:
        own = dg.FilesystemIOManager(base_dir=str(tmp_path / "pickles"))
        defs = definitions(tmp_path, raw, doubled, io_manager=own)
        execute(defs, real, "S1")
        execute(defs, real, "S1", select=["doubled"])
        assert states(real, "doubled") == {"S1": "MATERIALIZED"}


def test_metadata_of_an_io_manager_that_would_replace_the_four_fields_fails_its_study(tmp_path):
    class Talkative(dg.IOManager):
        def handle_output(self, context, obj):
            if context.asset_partition_key == "S1":
                context.add_output_metadata({"status": "x", "error": "y", "rows": "many"})

        def load_input(self, context):
            raise NotImplementedError

    with instance("S1", "S2") as real:
        execute(definitions(tmp_path, raw, io_manager=Talkative()), real, "S1", "S2")
        assert states(real, "raw") == {"S1": "FAILED", "S2": "MATERIALIZED"}
        event = observations(real, "raw")["S1"]
    assert event["error"].startswith("EventMetadataError: The metadata has error, status, which")


def test_the_text_of_our_own_error_classes_is_not_logged_when_a_pipeline_raises_them(tmp_path):
    @study_pipeline
    def leaks(study_key, sdk, study_logger):
        raise ImednetError("subject Planted")

    with instance("S1") as real:
        run = execute(definitions(tmp_path, leaks, registry=Account()), real, "S1")
        assert "Planted" not in everything_logged(real, run)
        assert observations(real, "leaks")["S1"]["error"].startswith("ImednetError (at test_graph")


def test_an_async_function_in_a_plain_wrapper_is_run(tmp_path):
    import functools

    async def waits(study_key, sdk, study_logger):
        return {"answer": 42}

    @study_pipeline
    @functools.wraps(waits)
    def wrapped(study_key, sdk, study_logger):
        return waits(study_key, sdk, study_logger)

    with instance("S1") as real:
        execute(definitions(tmp_path, wrapped), real, "S1")
        assert materializations(real, "waits")["S1"][0]["data"] == {"answer": 42}


def test_an_interrupted_run_keeps_what_had_ended(tmp_path):
    """Results that wait to be logged when the interrupt comes are logged before the run ends."""
    ended = threading.Semaphore(0)

    @study_pipeline
    def quick(study_key, sdk, study_logger):
        ended.release()
        return 1

    studies = [f"S{n}" for n in range(40)]
    with instance(*studies) as real:
        defs = definitions(tmp_path, quick)
        original = GraphRun._log_result
        logged = []

        def interrupted(self, result, registry):
            if not logged:
                logged.append(result)
                for _ in studies:  # all have ended, none is logged
                    assert ended.acquire(timeout=20)
                raise KeyboardInterrupt
            original(self, result, registry)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(GraphRun, "_log_result", interrupted)
            execute(defs, real, "S0", "S39")
        assert len(in_state(real, "quick", "MATERIALIZED")) >= 39
