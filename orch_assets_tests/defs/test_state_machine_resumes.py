"""Re-execution from failure of runs with state machines: what failed goes on where it failed."""

import json
import signal
import threading
import time

import dagster as dg
import pytest

from orch_assets import StudyMachine, study_pipeline
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.step_functions import execution_name
from orch_assets_tests.step_functions.answers import answering_server
from orch_assets_tests.support.harness import (
    ended,
    execute,
    instance,
    materializations,
    observations,
    resume,
    states,
)
from orch_assets_tests.support.machines import (
    BAD_DAY,
    ROLE,
    by_study,
    deploy,
    executions,
    location,
    machine,
    result,
    wait,
)

STUDIES = ["S0", "S1", "S2"]


class Scoring:
    """A pipeline whose input says since when."""

    def __init__(self, steps, name=None):
        self.since = 2020
        given = StudyMachine([steps], name=name) if name else machine(steps)

        @study_pipeline(machine=given)
        def scores(study_key, sdk, study_logger):
            return {"study_key": study_key, "since": self.since}

        @study_pipeline
        def other(study_key, sdk, study_logger):
            return 1

        self.pipelines = (scores, other)
        self.scores = scores


@pytest.fixture
def redriving(aws):
    """A server that redrives: a redriven execution has succeeded; and the ARNs that it redrove."""
    redriven = []

    def described(request):
        found = aws.client("stepfunctions").describe_execution(**request)
        kept = {"executionArn", "stateMachineArn", "name", "status", "input", "output"}
        answer = {k: v for k, v in found.items() if k in kept} | {"startDate": 0}
        if request["executionArn"] in redriven:
            answer |= {"status": "SUCCEEDED", "output": '{"rows": 9}', "redriveCount": 1}
        return answer

    def redrive(request):
        redriven.append(request["executionArn"])
        return {"redriveDate": 0}

    with answering_server(aws) as server:
        server.answers |= {"DescribeExecution": described, "RedriveExecution": redrive}
        server.redriven = redriven
        yield server


def test_what_failed_is_redriven_and_the_rest_is_carried(tmp_path, aws, redriving):
    scoring = Scoring(by_study(result({"rows": 3}), S1=BAD_DAY))
    with instance(*STUDIES) as real:
        defs = location(tmp_path, redriving.url, *scoring.pipelines)
        deploy(defs, real, "scores")
        run = execute(defs, real, "S0", "S2", select=["scores"])
        failed = observations(real, "scores")["S1"]["execution_arn"]
        again = resume(defs, real, run)
        assert again.status == dg.DagsterRunStatus.SUCCESS
        events = materializations(real, "scores")
    assert redriving.redriven == [failed]
    assert events["S1"][0]["execution_arn"] == failed
    assert events["S1"][0]["data"] == {"rows": 9}
    assert [event.get("carried_from") for event in events["S0"]] == [None, run.run_id]
    assert len(executions(aws, scoring.scores, "SUCCEEDED")) == 2
    assert executions(aws, scoring.scores, "FAILED") == [failed]


def test_where_nothing_can_be_redriven_a_new_execution_starts(tmp_path, aws):
    """Moto has no RedriveExecution; what succeeded isn't executed again."""
    scoring = Scoring(by_study(result({"rows": 3}), S1=BAD_DAY))
    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, *scoring.pipelines)
        deploy(defs, real, "scores")
        run = execute(defs, real, "S0", "S2", select=["scores"])
        for attempt in (2, 3):
            run = resume(defs, real, run)
            assert run.status == dg.DagsterRunStatus.FAILURE
            assert states(real, "scores") == {
                "S0": "MATERIALIZED", "S1": "FAILED", "S2": "MATERIALIZED",
            }  # fmt: skip
            failed = observations(real, "scores")["S1"]["execution_arn"]
            assert failed.rpartition(":")[2].startswith(f"S1-{run.run_id[:20]}-0-")
            assert len(executions(aws, scoring.scores, "FAILED")) == attempt
    assert len(executions(aws, scoring.scores, "SUCCEEDED")) == 2


def test_another_input_is_another_execution(tmp_path, aws, redriving):
    """Whoever corrects the input and runs again means the corrected one."""
    scoring = Scoring(by_study(result({"rows": 3}), S1=BAD_DAY))
    with instance(*STUDIES) as real:
        defs = location(tmp_path, redriving.url, *scoring.pipelines)
        deploy(defs, real, "scores")
        run = execute(defs, real, "S0", "S2", select=["scores"])
        scoring.since = 2021
        resume(defs, real, run)
        arn = observations(real, "scores")["S1"]["execution_arn"]
    assert redriving.redriven == []
    found = aws.client("stepfunctions").describe_execution(executionArn=arn)
    assert json.loads(found["input"]) == {"study_key": "S1", "since": 2021}


def test_another_definition_is_another_execution(tmp_path, aws, redriving):
    """A redriven execution would keep the definition that failed.

    Which that was AWS says; moto says only what is deployed now.
    """
    scoring = Scoring(by_study(result({"rows": 3}), S1=BAD_DAY))
    with instance(*STUDIES) as real:
        defs = location(tmp_path, redriving.url, *scoring.pipelines)
        deploy(defs, real, "scores")
        run = execute(defs, real, "S0", "S2", select=["scores"])
        name = pipeline_of(scoring.scores).machine.name
        (event,) = materializations(real, "scores_machine")[None]
        redriving.answers["DescribeStateMachineForExecution"] = lambda _: {
            "stateMachineArn": event["arn"],
            "name": name,
            "definition": json.dumps(event["definition"]),
            "roleArn": ROLE,
            "updateDate": 0,
        }
        mended = Scoring(by_study(result({"rows": 4})), name)
        defs = location(tmp_path, redriving.url, *mended.pipelines)
        deploy(defs, real, "scores")
        assert resume(defs, real, run).status == dg.DagsterRunStatus.SUCCESS
        assert materializations(real, "scores")["S1"][0]["data"] == {"rows": 4}
    assert redriving.redriven == []


def test_a_cancelled_run_goes_on_where_it_was_stopped(tmp_path, aws, redriving):
    """It said nothing of its executions: their names tell which they were."""
    scoring = Scoring(by_study(result({"rows": 3}), S1=wait(120)))

    def interrupt():
        while not executions(aws, scoring.scores, "RUNNING"):
            time.sleep(0.2)
        time.sleep(2)  # until the others have ended
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with instance(*STUDIES) as real:
        defs = location(tmp_path, redriving.url, *scoring.pipelines)
        deploy(defs, real, "scores")
        threading.Thread(target=interrupt, daemon=True).start()
        run = execute(defs, real, "S0", "S2", select=["scores"])
        (stopped,) = executions(aws, scoring.scores, "ABORTED")
        assert resume(defs, real, run).status == dg.DagsterRunStatus.SUCCESS
        assert materializations(real, "scores")["S1"][0]["execution_arn"] == stopped
    assert redriving.redriven == [stopped]


def test_an_execution_that_outlived_its_run_is_waited_for_and_not_started_again(tmp_path, aws):
    """The process of the run was killed: nothing was logged, nothing was stopped."""
    scoring = Scoring(by_study(wait(4)))
    with instance("S1") as real:
        defs = location(tmp_path, aws.url, *scoring.pipelines)
        deploy(defs, real, "scores")
        job = defs.resolve_job_def("everything")
        killed = real.create_run_for_job(job, tags={"dagster/partition": "S1"})
        real.report_run_failed(killed)
        left = aws.client("stepfunctions").start_execution(
            stateMachineArn=materializations(real, "scores_machine")[None][0]["arn"],
            name=execution_name("S1", killed.run_id),
            input=json.dumps({"study_key": "S1", "since": 2020}),
        )["executionArn"]
        resume(defs, real, ended(real, killed.run_id))
        (event,) = materializations(real, "scores")["S1"]
    assert event["execution_arn"] == left
    assert executions(aws, scoring.scores, "SUCCEEDED") == [left]
