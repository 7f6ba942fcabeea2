"""State machines as study pipelines: an execution for each study, in the lanes of the graph."""

import gc
import json
import signal
import threading
import time
import weakref
from pathlib import Path

import dagster as dg
import pytest

from orch_assets import LocalPipelineStore, study_pipeline
from orch_assets.step_functions import ExecutionFailed
from orch_assets_tests.step_functions.answers import RefusedError, answering_server
from orch_assets_tests.support.harness import (
    everything_logged,
    execute,
    failure_text,
    instance,
    materializations,
    observations,
    states,
)
from orch_assets_tests.support.machines import (
    AS_IT_COMES,
    BAD_DAY,
    PLANTED,
    by_study,
    deploy,
    executions,
    location,
    machine,
    result,
    sizes,
    wait,
)

STUDIES = ["S0", "S1", "S2"]


@study_pipeline
def count(study_key, sdk, study_logger):
    return {"subjects": 7}


def scoring(steps, **settings):
    """A pipeline ``scores`` over a machine of these steps, for the tables ``sizes``."""

    @study_pipeline(machine=machine(steps), **settings)
    def scores(study_key, sdk, study_logger, sizes):
        """Scores."""

    return scores


def test_each_study_is_one_execution_and_its_numbers_are_data(tmp_path, aws):
    scores = scoring(by_study(result({"rows": 3, "ok": True}), S1=result(5)))
    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, sizes, scores)
        deploy(defs, real, "scores")
        run = execute(defs, real, "S0", "S2", select=["sizes", "scores"])
        assert run.status == dg.DagsterRunStatus.SUCCESS
        events = {study: found[0] for study, found in materializations(real, "scores").items()}
    assert {study: event["data"] for study, event in events.items()} == {
        "S0": {"rows": 3, "ok": True}, "S1": 5, "S2": {"rows": 3, "ok": True},
    }  # fmt: skip
    for study, event in events.items():
        assert (event["status"], event["error"]) == ("SUCCESS", None)
        assert event["duration_seconds"] > 0
        arn = event["execution_arn"]
        assert arn.rpartition(":")[2].startswith(f"{study}-{run.run_id[:20]}-0-")
        assert event["execution"] == (
            "https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1"
            f"#/v2/executions/details/{arn}"
        )
        assert "dagster/uri" not in event
    assert len({event["execution_arn"] for event in events.values()}) == 3


@pytest.mark.parametrize("together", [True, False], ids=["in one run", "in an earlier run"])
def test_the_input_is_the_studys_key_and_where_its_artifacts_are(tmp_path, aws, together):
    @study_pipeline(machine=machine(by_study(AS_IT_COMES)))
    def scores(study_key, sdk, study_logger, sizes, count):
        """Scores."""

    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, sizes, count, scores)
        deploy(defs, real, "scores")
        if not together:
            execute(defs, real, "S0", "S2", select=["sizes", "count"])
        execute(defs, real, "S0", "S2", select=["sizes", "count", "scores"][0 if together else 2 :])
        (event,) = materializations(real, "scores")["S1"]
    store = LocalPipelineStore(tmp_path / "artifacts")
    uri = (tmp_path / "artifacts" / "sizes" / "S1~~1.parquet").as_uri()
    given = {"study_key": "S1", "sizes": uri, "count": None}
    assert store.download_json("scores/S1") == given
    assert event["data"] is None
    assert event["dagster/uri"].endswith("/scores/S1~~1.json")
    assert event["tags"]["dagster/data_version"] == event["sha256"]


def test_a_function_that_returns_something_makes_the_input(tmp_path, aws):
    @study_pipeline(machine=machine(by_study(AS_IT_COMES)))
    def scores(study_key, sdk, study_logger, sizes):
        return {"key": study_key, "table": sizes, "study_key": study_key, "since": 2020}

    with instance("S0") as real:
        defs = location(tmp_path, aws.url, sizes, scores)
        deploy(defs, real, "scores")
        execute(defs, real, "S0", select=["sizes", "scores"])
    uri = (tmp_path / "artifacts" / "sizes" / "S0~~1.parquet").as_uri()
    store = LocalPipelineStore(tmp_path / "artifacts")
    given = {"key": "S0", "table": uri, "study_key": "S0", "since": 2020}
    assert store.download_json("scores/S0") == given


def test_a_study_that_fails_names_its_state_and_hurts_no_other(tmp_path, aws):
    scores = scoring(by_study(result({"rows": 3}), S1=BAD_DAY))

    @study_pipeline
    def report(study_key, sdk, study_logger, scores):
        return {"rows": scores["rows"] * 2}

    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, sizes, scores, report)
        deploy(defs, real, "scores")
        run = execute(defs, real, "S0", "S2", select=["sizes", "scores", "report"])
        assert run.status == dg.DagsterRunStatus.FAILURE
        expected = {"S0": "MATERIALIZED", "S1": "FAILED", "S2": "MATERIALIZED"}
        assert states(real, "scores") == states(real, "report") == expected
        assert "1 of 3 studies failed:\n- ExecutionFailed" in failure_text(real, run)
        (failure,) = observations(real, "scores").values()
        assert materializations(real, "report")["S2"][0]["data"] == {"rows": 6}
    assert (failure["status"], failure["data"]) == ("FAILED", None)
    assert "in state 'For S1' with Clinops.BadDay." in failure["error"]
    assert failure["execution"].endswith(failure["execution_arn"])
    assert "isn't shown here, as it may hold data: see the AWS console." in failure["error"]
    assert failure["execution_arn"] in failure["error"]


def test_what_an_execution_takes_in_and_puts_out_is_in_no_event_and_no_log(tmp_path, aws, capfd):
    """The cause of a failure is in the failure report alone."""

    @study_pipeline(machine=machine(by_study(AS_IT_COMES, S1=BAD_DAY)))
    def scores(study_key, sdk, study_logger):
        return {"study_key": study_key, "subject": PLANTED}

    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, scores, sizes)
        # The definition, which holds the cause here, is no data: it is shown where it is deployed.
        deploy(defs, real, "scores")
        capfd.readouterr()
        run = execute(defs, real, "S0", "S2", select=["scores"])
        assert PLANTED not in everything_logged(real, run) + "".join(capfd.readouterr())
        report = observations(real, "scores")["S1"]["failure_report"]
    written = json.loads(Path(report.removeprefix("file://")).read_text())
    assert f"no {PLANTED} today" in written["traceback"]
    store = LocalPipelineStore(tmp_path / "artifacts")
    assert store.download_json("scores/S0")["subject"] == PLANTED


def test_what_has_no_upstream_is_not_executed(tmp_path, aws):
    @study_pipeline(name="sizes")
    def failing(study_key, sdk, study_logger):
        raise ValueError

    scores = scoring(by_study(result(1)))
    with instance("S0") as real:
        defs = location(tmp_path, aws.url, failing, scores)
        deploy(defs, real, "scores")
        execute(defs, real, "S0", select=["sizes", "scores"])
        (failure,) = observations(real, "scores").values()
        assert failure["error"] == "UpstreamFailed: sizes"
        assert "execution" not in failure
        execute(defs, real, "S0", select=["scores"])
        assert "sizes has no result for study S0" in observations(real, "scores")["S0"]["error"]


def test_a_study_that_takes_too_long_is_given_up_and_its_execution_stopped(tmp_path, aws):
    scores = scoring(by_study(result(1), S1=wait(120)), timeout=10)
    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, sizes, scores)
        deploy(defs, real, "scores")
        execute(defs, real, "S0", "S2", select=["sizes", "scores"])
        failure = observations(real, "scores")["S1"]
        expected = {"S0": "MATERIALIZED", "S1": "FAILED", "S2": "MATERIALIZED"}
        assert states(real, "scores") == expected
    assert failure["error"] == "Timeout: gave up after 10 s"
    assert failure["execution"].endswith(failure["execution_arn"])
    found = aws.client("stepfunctions").describe_execution(executionArn=failure["execution_arn"])
    assert found["status"] == "ABORTED"


def test_a_cancelled_run_stops_its_executions(tmp_path, aws):
    """By a signal to the process that runs it, as Dagster cancels a run."""
    scores = scoring(by_study(wait(120)))
    studies = [f"S{n}" for n in range(10)]
    interrupted = []

    def interrupt():
        while len(executions(aws, scores, "RUNNING")) < len(studies):
            time.sleep(0.2)
        interrupted.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with instance(*studies) as real:
        defs = location(tmp_path, aws.url, sizes, scores)
        deploy(defs, real, "scores")
        execute(defs, real, "S0", "S9", select=["sizes"])
        threading.Thread(target=interrupt, daemon=True).start()
        execute(defs, real, "S0", "S9", select=["scores"])
        assert executions(aws, scores, "RUNNING") == []
        assert time.monotonic() - interrupted[0] < 10
    assert len(executions(aws, scores, "ABORTED")) == len(studies)


def test_executions_that_cannot_be_stopped_are_named_in_a_warning(tmp_path, aws, caplog):
    """They may go on, and somebody should know."""
    scores = scoring(by_study(wait(60)), timeout=3)

    def refuse(request):
        raise RefusedError("AccessDeniedException")

    with instance("S0") as real, answering_server(aws) as server:
        defs = location(tmp_path, server.url, sizes, scores)
        deploy(defs, real, "scores")
        server.answers["StopExecution"] = refuse
        execute(defs, real, "S0", select=["sizes", "scores"])
        arn = observations(real, "scores")["S0"]["execution_arn"]
    (said,) = {r.getMessage() for r in caplog.records if "couldn't be stopped" in r.getMessage()}
    assert said == (
        f"Executions that couldn't be stopped and may continue: {arn}. See the AWS console."
    )
    aws.client("stepfunctions").stop_execution(executionArn=arn)


def test_waiting_holds_no_thread(tmp_path, aws):
    scores = scoring(by_study(wait(4)))
    studies = [f"S{n}" for n in range(15)]
    counts, ended = [], threading.Event()

    def count_threads():
        before = threading.active_count()
        while not ended.wait(0.2):
            counts.append(threading.active_count() - before)

    with instance(*studies) as real:
        defs = location(tmp_path, aws.url, sizes, scores)
        deploy(defs, real, "scores")
        execute(defs, real, "S0", "S14", select=["sizes"])
        watcher = threading.Thread(target=count_threads)
        watcher.start()
        run = execute(defs, real, "S0", "S14", select=["scores"])
        ended.set()
        watcher.join()
        assert run.status == dg.DagsterRunStatus.SUCCESS
    assert max(counts) <= 4 + 2  # the workers; the event loop and the one that follows all


def test_a_pipelines_further_tries_are_executions_of_their_own(tmp_path, aws):
    scores = scoring(by_study(BAD_DAY), retries=1, retry_on=ExecutionFailed)
    with instance("S0") as real:
        defs = location(tmp_path, aws.url, sizes, scores)
        deploy(defs, real, "scores")
        run = execute(defs, real, "S0", select=["sizes", "scores"])
        arn = observations(real, "scores")["S0"]["execution_arn"]
    assert arn.rpartition(":")[2].startswith(f"S0-{run.run_id[:20]}-1-")


def test_an_input_that_is_none_fails_the_study_alone(tmp_path, aws):
    @study_pipeline(machine=machine(by_study(result(1))))
    def scores(study_key, sdk, study_logger):
        return {"study_key": study_key} if study_key != "S1" else [PLANTED]

    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, scores, sizes)
        deploy(defs, real, "scores")
        execute(defs, real, "S0", "S2", select=["scores"])
        (failure,) = observations(real, "scores").values()
        assert failure["error"].startswith("PipelineDefinitionError: Pipeline scores returned a li")


def test_no_table_is_in_memory_while_executions_wait(tmp_path, aws):
    """Neither one that the machine takes, nor one that a pipeline before it took."""
    import pandas as pd

    frames, alive = [], []

    @study_pipeline(name="sizes")
    def noted(study_key, sdk, study_logger):
        frame = pd.DataFrame({"size": [1, 2]})
        frames.append(weakref.ref(frame))
        return frame

    @study_pipeline
    def total(study_key, sdk, study_logger, sizes):
        return {"sum": int(sizes["size"].sum())}

    scores = scoring(by_study(wait(4)))

    def look():
        while len(executions(aws, scores, "RUNNING")) < len(STUDIES):
            time.sleep(0.1)
        gc.collect()
        alive.extend(ref() is not None for ref in frames)

    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, noted, total, scores)
        deploy(defs, real, "scores")
        watcher = threading.Thread(target=look)
        watcher.start()
        run = execute(defs, real, "S0", "S2", select=["sizes", "total", "scores"])
        watcher.join()
        assert run.status == dg.DagsterRunStatus.SUCCESS
    assert alive == [False] * len(STUDIES)


def test_what_needs_no_execution_does_not_wait_for_one(tmp_path, aws):
    @study_pipeline(machine=machine(by_study(wait(3))))
    def early(study_key, sdk, study_logger):
        """Comes first by its name and its place."""

    with instance("S0") as real:
        defs = location(tmp_path, aws.url, early, count, sizes)
        deploy(defs, real, "early")
        run = execute(defs, real, "S0", select=["early", "count", "sizes"])
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION
        logged = [
            entry.dagster_event.asset_key for entry in real.all_logs(run.run_id, of_type=kind)
        ]
    assert [key.to_user_string() for key in logged] == ["count", "sizes", "early"]
