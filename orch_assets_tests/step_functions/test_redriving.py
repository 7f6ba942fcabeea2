"""Redriving: moto knows no RedriveExecution, so it is answered by a server of our own before it."""

import asyncio
import json
import queue

import pytest

from orch_assets.step_functions import (
    AwsUnavailableError,
    ExecutionFailed,
    ExecutionInputError,
    Fail,
    StateMachineNotFoundError,
    Wait,
)
from orch_assets_tests.step_functions.answers import RefusedError
from orch_assets_tests.step_functions.conftest import ROLE


@pytest.fixture
def pipeline(make_at_aws, name):
    """A machine that is deployed, and fails."""
    made = make_at_aws(name, Fail("Broken", "Clinops.BadDay"))
    made.deploy()
    return made


@pytest.fixture
def failed(pipeline):
    """The ARN of an execution that failed."""
    arn = pipeline.execute({"study_key": "ONC-301", "subject": "planted"}, "ONC-301-run-0")
    with pytest.raises(ExecutionFailed):
        pipeline.wait(arn, 30)
    return arn


def described(aws, arn, *later, **fields):
    """Let the execution be described as failed, and after its redrive as each of these in turn."""
    status = {"status": "FAILED", "redriveCount": 0, "error": "Clinops.BadDay", **fields}
    shown = [status]

    def describe(request):
        if len(shown) > 1:
            shown.pop(0)
        return {
            "executionArn": arn,
            "stateMachineArn": machine_of(arn),
            "name": arn.rpartition(":")[2],
            "startDate": 0,
            "input": "{}",
            **shown[0],
        }

    def redrive(request):
        assert request["executionArn"] == arn
        shown[:] = [status, *later]
        return {"redriveDate": 0}

    aws.answers |= {"DescribeExecution": describe, "RedriveExecution": redrive}


def machine_of(execution):
    return execution.replace(":execution:", ":stateMachine:").rpartition(":")[0]


def redrives(aws):
    return [call for call, _ in aws.asked].count("RedriveExecution")


OLD = {"status": "FAILED", "redriveCount": 0}
RUNNING = {"status": "RUNNING", "redriveCount": 1}
SUCCEEDED = {"status": "SUCCEEDED", "redriveCount": 1, "output": '{"rows": 3}'}


def test_a_redriven_execution_is_the_same_one_and_is_waited_for_anew(aws, pipeline, failed):
    """Although AWS shows the old failure for a while."""
    described(aws, failed, OLD, OLD, RUNNING, RUNNING, SUCCEEDED)
    assert pipeline.redrive(failed) == failed
    assert redrives(aws) == 1
    assert pipeline.wait(failed, 30) == {"rows": 3}


def test_who_waited_without_a_thread_waits_for_the_new_end(aws, pipeline, failed):
    described(aws, failed, RUNNING, RUNNING, SUCCEEDED)

    async def fail_and_redrive():
        with pytest.raises(ExecutionFailed):
            await pipeline.wait_async(failed)
        again = await asyncio.to_thread(pipeline.redrive, failed)
        return again, await pipeline.wait_async(again)

    assert asyncio.run(fail_and_redrive()) == (failed, {"rows": 3})


def test_who_redrives_at_the_moment_of_the_failure_waits_for_the_new_end(aws, pipeline, failed):
    described(aws, failed, RUNNING, SUCCEEDED)
    follower, again = pipeline._aws.follower, queue.SimpleQueue()

    def redrive(_):
        pipeline.redrive(failed)
        again.put(follower.follow(failed))

    follower.follow(failed).add_done_callback(redrive)
    assert again.get(timeout=30).result(30) == {"rows": 3}


def test_one_that_fails_again_before_it_was_seen_running_is_waited_for_anew(aws, pipeline, failed):
    described(aws, failed, {"status": "FAILED", "redriveCount": 1, "error": "Clinops.Again"})
    assert pipeline.redrive(failed) == failed
    with pytest.raises(ExecutionFailed, match=r"Clinops\.Again"):
        pipeline.wait(failed, 30)


def test_what_cannot_be_redriven_is_executed_anew_with_the_same_input(aws, pipeline, failed):
    def refuse(request):
        raise RefusedError("ExecutionNotRedrivable")

    aws.answers["RedriveExecution"] = refuse
    check_new(aws, failed, pipeline.redrive(failed))


def check_new(aws, failed, again):
    name = again.rpartition(":")[2]
    assert name.startswith("ONC-301-run-0-")
    assert len(name) <= 80
    assert machine_of(again) == machine_of(failed)
    client = aws.moto.client("stepfunctions")
    assert (
        client.describe_execution(executionArn=again)["input"]
        == (client.describe_execution(executionArn=failed)["input"])
    )


def test_one_that_is_known_not_to_be_redrivable_is_not_even_asked_for(aws, pipeline, failed):
    """Older than 14 days, for example."""
    described(aws, failed, redriveStatus="NOT_REDRIVABLE")
    assert pipeline.redrive(failed) != failed
    assert redrives(aws) == 0


def test_a_server_without_redriving_executes_anew(aws, pipeline, failed):
    """That is moto itself: it answers 500."""
    check_new(aws, failed, pipeline.redrive(failed))


def test_by_a_name_it_is_one_new_execution_however_often_it_is_asked_for(pipeline, failed):
    again = pipeline.redrive(failed, "ONC-301-run-1")
    assert again.endswith(":ONC-301-run-1")
    assert pipeline.redrive(failed, "ONC-301-run-1") == again


def test_somebody_elses_redrive_counts(aws, pipeline, failed):
    described(aws, failed, RUNNING)
    redrive = aws.answers["RedriveExecution"]

    def too_late(request):
        redrive(request)
        raise RefusedError("ExecutionNotRedrivable")

    aws.answers["RedriveExecution"] = too_late
    assert pipeline.redrive(failed) == failed


def test_another_definition_since_then_is_executed_anew(aws, make_at_aws, pipeline, failed):
    """A redriven execution would keep the definition that failed."""
    then = json.dumps(pipeline.definition())
    described(aws, failed, RUNNING)
    aws.answers["DescribeStateMachineForExecution"] = lambda request: {
        "stateMachineArn": machine_of(failed), "name": "m", "definition": then, "roleArn": ROLE,
        "updateDate": 0,
    }  # fmt: skip
    repaired = make_at_aws(pipeline.name, Wait("Repaired", 0))
    repaired.deploy()
    again = repaired.redrive(failed)
    del aws.answers["DescribeExecution"]
    assert repaired.wait(again, 30) == {}
    assert redrives(aws) == 0


@pytest.mark.parametrize(("version", "count"), [(1, 1), (2, 0)])
def test_an_alias_that_shows_another_version_now_is_executed_anew(
    aws, pipeline, failed, version, count
):
    machine = machine_of(failed)
    alias = f"{machine}:live"
    described(
        aws, failed, RUNNING, stateMachineAliasArn=alias, stateMachineVersionArn=f"{machine}:1"
    )
    aws.answers["DescribeStateMachineAlias"] = lambda request: {
        "routingConfiguration": [{"stateMachineVersionArn": f"{machine}:{version}", "weight": 100}]
    }
    aws.answers["StartExecution"] = lambda request: {
        "executionArn": request["stateMachineArn"], "startDate": 0,
    }  # fmt: skip
    assert pipeline.redrive(failed) == (failed if count else alias)
    assert redrives(aws) == count


def test_a_version_that_was_asked_for_is_redriven(aws, pipeline, failed):
    described(aws, failed, RUNNING, stateMachineVersionArn=f"{machine_of(failed)}:1")
    assert pipeline.redrive(failed) == failed


@pytest.mark.parametrize("status", ["RUNNING", "PENDING_REDRIVE", "SUCCEEDED"])
def test_one_that_did_not_fail_stays_as_it_is(aws, pipeline, failed, status):
    described(aws, failed, status=status)
    assert pipeline.redrive(failed) == failed
    assert [call for call, _ in aws.asked] == ["DescribeExecution"]


def test_a_stopped_execution_is_executed_anew(make_pipeline, name):
    pipeline = make_pipeline(name).add_step(Wait("Wait", 60))
    pipeline.deploy()
    stopped = pipeline.execute({"a": 1})
    pipeline.stop(stopped)
    again = pipeline.redrive(stopped)
    assert again != stopped
    pipeline.stop(again)


def test_without_permission_it_is_one_clear_error_and_nothing_starts(aws, pipeline, failed):
    def refuse(request):
        raise RefusedError("AccessDeniedException")

    aws.answers |= {"RedriveExecution": refuse, "StartExecution": refuse}
    with pytest.raises(AwsUnavailableError, match=rf"^{failed}: AWS denies access") as caught:
        pipeline.redrive(failed)
    assert "planted" not in str(caught.value)
    assert [call for call, _ in aws.asked] == ["RedriveExecution"]


def test_an_input_that_is_not_handed_out_is_one_clear_error(aws, pipeline, failed):
    described(aws, failed, redriveStatus="NOT_REDRIVABLE")
    describe = aws.answers["DescribeExecution"]
    aws.answers["DescribeExecution"] = lambda request: {
        key: value for key, value in describe(request).items() if key != "input"
    }
    with pytest.raises(ExecutionInputError, match="AWS doesn't return the input of the old"):
        pipeline.redrive(failed)


def test_an_execution_that_was_deleted_is_one_clear_error(pipeline, failed):
    with pytest.raises(
        StateMachineNotFoundError, match=rf"^{failed}x: The execution doesn't exist"
    ):
        pipeline.redrive(f"{failed}x")
