"""One execution for all studies of a run: its outcomes are those of the studies."""

import json
import signal
import threading
import time

import dagster as dg

from orch_assets import LocalPipelineStore, study_pipeline
from orch_assets_tests.support.harness import (
    Account,
    everything_logged,
    execute,
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
    resume_only,
    sizes,
    wait,
)

STUDIES = [f"S{n}" for n in range(6)]


def ranking(steps, at_once=3, **settings):
    @study_pipeline(machine=machine(steps, studies_at_once=at_once), **settings)
    def ranks(study_key, sdk, study_logger, sizes):
        """Ranks."""

    return ranks


def run_all(real, defs):
    """Deploy, make the tables, and then the ranks."""
    deploy(defs, real, "ranks")
    execute(defs, real, STUDIES[0], STUDIES[-1], select=["sizes"])
    return execute(defs, real, STUDIES[0], STUDIES[-1], select=["ranks"])


def lost(key):
    """Return a state that asks a service for something that isn't there."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
        "Parameters": {"Bucket": "no-such-bucket", "Key": key},
        "End": True,
    }


def test_the_outcomes_of_one_execution_are_those_of_the_studies(tmp_path, aws):
    ranks = ranking(by_study(result({"rank": 2}), S1=BAD_DAY, S3=lost("k"), S4=AS_IT_COMES))
    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, sizes, ranks)
        run = run_all(real, defs)
        assert run.status == dg.DagsterRunStatus.FAILURE
        failed = {"S1": "FAILED", "S3": "FAILED"}
        assert states(real, "ranks") == dict.fromkeys(STUDIES, "MATERIALIZED") | failed
        failures, events = observations(real, "ranks"), materializations(real, "ranks")
    (arn,) = executions(aws, ranks, "SUCCEEDED")
    assert set(failures) == {"S1", "S3"}
    said = f"Execution {arn} of study S1 ended FAILED in state 'For S1' with Clinops.BadDay."
    assert said in failures["S1"]["error"]
    assert "in state 'For S3' with s3.NoSuchBucketException" in failures["S3"]["error"]
    assert {failure["execution_arn"] for failure in failures.values()} == {arn}
    assert [events[study][0]["data"] for study in ("S0", "S2", "S5")] == [{"rank": 2}] * 3
    assert {event["execution_arn"] for (event,) in events.values()} == {arn}
    given = LocalPipelineStore(tmp_path / "artifacts").download_json("ranks/S4")
    uri = (tmp_path / "artifacts" / "sizes" / "S4~~1.parquet").as_uri()
    assert given == {"study_key": "S4", "sizes": uri}


def test_a_resumed_run_executes_once_for_those_that_failed(tmp_path, aws):
    ranks = ranking(by_study(result({"rank": 2}), S1=BAD_DAY, S3=BAD_DAY))
    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, sizes, ranks)
        run = resume_only(defs, real, run_all(real, defs), "ranks")
        failed = {"S1": "FAILED", "S3": "FAILED"}
        assert states(real, "ranks") == dict.fromkeys(STUDIES, "MATERIALIZED") | failed
        (arn,) = {each["execution_arn"] for each in observations(real, "ranks").values()}
    assert run.run_id[:20] in arn
    found = aws.client("stepfunctions").describe_execution(executionArn=arn)
    assert [each["study_key"] for each in json.loads(found["input"])["studies"]] == ["S1", "S3"]
    assert len(executions(aws, ranks, "SUCCEEDED")) == 2


def test_no_value_is_in_an_event_or_a_log(tmp_path, aws, capfd):
    @study_pipeline(machine=machine(by_study(AS_IT_COMES, S1=BAD_DAY), studies_at_once=2))
    def ranks(study_key, sdk, study_logger, sizes):
        if study_key == "S2":
            raise ValueError(PLANTED)
        return {"study_key": study_key, "subject": PLANTED}

    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, sizes, ranks, registry=Account())
        deploy(defs, real, "ranks")
        execute(defs, real, "S0", "S5", select=["sizes"])
        capfd.readouterr()
        run = execute(defs, real, "S0", "S5", select=["ranks"])
        assert PLANTED not in everything_logged(real, run) + "".join(capfd.readouterr())
        failures = observations(real, "ranks")
    assert set(failures) == {"S1", "S2"}
    assert failures["S2"]["error"].startswith("ValueError (at test_state_machines_together.py")


def test_an_execution_that_fails_as_a_whole_fails_all_studies(tmp_path, aws):
    too_early = {"Type": "Wait", "TimestampPath": "$.no_such", "End": True}
    ranks = ranking(by_study(result(1), S1=too_early))
    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, sizes, ranks)
        run_all(real, defs)
        found = states(real, "ranks")
    # AWS catches no States.Runtime; moto does.
    assert set(found.values()) in ({"FAILED"}, {"MATERIALIZED", "FAILED"})


def test_studies_that_take_too_long_are_given_up_and_the_execution_stopped(tmp_path, aws):
    ranks = ranking(by_study(result(1), S1=wait(120)), timeout=5)
    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, sizes, ranks)
        run_all(real, defs)
        failures = observations(real, "ranks").values()
    assert {failure["error"] for failure in failures} == {"Timeout: gave up after 5 s"}
    assert len(failures) == len(STUDIES)
    assert executions(aws, ranks, "RUNNING") == []  # moto calls what is stopped in a Map FAILED


def test_a_cancelled_run_stops_its_one_execution(tmp_path, aws):
    ranks = ranking(by_study(wait(120)))

    def interrupt():
        while not executions(aws, ranks, "RUNNING"):
            time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, sizes, ranks)
        deploy(defs, real, "ranks")
        execute(defs, real, "S0", "S5", select=["sizes"])
        threading.Thread(target=interrupt, daemon=True).start()
        execute(defs, real, "S0", "S5", select=["ranks"])
    assert executions(aws, ranks, "RUNNING") == []  # moto calls what is stopped in a Map FAILED
