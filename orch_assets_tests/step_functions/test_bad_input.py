"""What can be wrong around a machine: one clear error each, without AWS's own words."""

import asyncio

import pytest

from orch_assets.step_functions import (
    AwsUnavailableError,
    DefinitionError,
    ExecutionFailed,
    Fail,
    StateMachineNotFoundError,
    StepFunctionsPipeline,
    Wait,
)
from orch_assets_tests.step_functions.answers import RefusedError
from orch_assets_tests.step_functions.conftest import ROLE


@pytest.fixture
def credentials(monkeypatch):
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "testing")
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def pipeline(make_at_aws, name):
    made = make_at_aws(name, Fail("Broken", "Clinops.BadDay"))
    made.deploy()
    return made


def refuse(aws, call, code):
    def refusal(request):
        raise RefusedError(code)

    aws.answers[call] = refusal


def test_no_role(make_at_aws, client, server, name):
    machine = StepFunctionsPipeline(name, "", client=client, sts=server.client("sts"))
    with pytest.raises(DefinitionError, match=r"^State machine, role_arn: must be a role's ARN"):
        machine.add_step(Wait("W", 1)).deploy()


@pytest.mark.parametrize(
    ("region", "problem"),
    [
        (None, r"The region is missing or wrong \(NoRegionError\). Give `region`"),
        ("us east 1", r"The region is missing or wrong \(InvalidRegionError\). Give `region`"),
    ],
)
@pytest.mark.usefixtures("credentials")
def test_a_region_that_is_none(name, server, region, problem):
    machine = StepFunctionsPipeline(name, ROLE, region, endpoint=server.url)
    with pytest.raises(AwsUnavailableError, match=problem):
        machine.add_step(Wait("W", 1)).deploy()


@pytest.mark.usefixtures("credentials")
def test_another_region_than_the_machines(server, pipeline):
    elsewhere = StepFunctionsPipeline(pipeline.name, ROLE, "eu-central-1", endpoint=server.url)
    match = rf"^arn:aws:states:eu-central-1:\d+:stateMachine:{pipeline.name}: .* Deploy it"
    with pytest.raises(StateMachineNotFoundError, match=match):
        elsewhere.execute({})


def changed(pipeline):
    pipeline.comment = "Another one"
    return pipeline


def forgetful(pipeline):
    pipeline._version = None
    return pipeline


CALLS = {
    "DescribeStateMachine": lambda pipeline, arn: pipeline.deploy(),
    "UpdateStateMachine": lambda pipeline, arn: changed(pipeline).deploy(),
    "DeleteStateMachine": lambda pipeline, arn: pipeline.destroy(),
    "PublishStateMachineVersion": lambda pipeline, arn: forgetful(pipeline).version(),
    "CreateStateMachineAlias": lambda pipeline, arn: pipeline.point_alias("live"),
    "StartExecution": lambda pipeline, arn: pipeline.execute({}),
    "DescribeExecution": lambda pipeline, arn: pipeline.wait(arn),
    "GetExecutionHistory": lambda pipeline, arn: list(pipeline.history(arn)),
    "StopExecution": lambda pipeline, arn: pipeline.stop(arn),
    "RedriveExecution": lambda pipeline, arn: pipeline.redrive(arn),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_permission(aws, pipeline, call):
    execution = pipeline.execute({})
    refuse(aws, call, "AccessDeniedException")
    with pytest.raises(AwsUnavailableError, match=r"^arn:aws:states:.*caller_policy\(\)") as caught:
        CALLS[call](pipeline, execution)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_what_needs_permission_is_in_the_callers_policy(pipeline, call):
    actions = {a for s in pipeline.caller_policy()["Statement"] for a in s["Action"]}
    assert f"states:{call}" in actions


def test_a_machine_that_is_being_deleted_is_not_deployed(aws, pipeline, client):
    found = client.describe_state_machine(stateMachineArn=pipeline.arn())
    kept = {key: found[key] for key in ("stateMachineArn", "name", "definition", "roleArn", "type")}
    aws.answers["DescribeStateMachine"] = lambda request: {
        **kept, "status": "DELETING", "creationDate": 0,
    }  # fmt: skip
    with pytest.raises(
        AwsUnavailableError, match=r"is being deleted. Deploy again when it is gone"
    ):
        pipeline.deploy()


def test_a_name_whose_machine_is_being_deleted_is_not_deployed(aws, make_at_aws, name):
    refuse(aws, "CreateStateMachine", "StateMachineDeleting")
    with pytest.raises(AwsUnavailableError, match=r"is being deleted. Wait until it is gone"):
        make_at_aws(name, Wait("W", 1)).deploy()


def test_a_machine_that_is_being_deleted_is_not_executed(aws, pipeline):
    refuse(aws, "StartExecution", "StateMachineDeleting")
    with pytest.raises(AwsUnavailableError, match=r"is being deleted. Wait until it is gone"):
        pipeline.execute({})


def test_a_failure_is_one_even_where_its_history_may_not_be_read(aws, pipeline):
    refuse(aws, "GetExecutionHistory", "AccessDeniedException")
    with pytest.raises(ExecutionFailed) as caught:
        pipeline.wait(pipeline.execute({}), 30)
    assert (caught.value.state, caught.value.error) == (None, "Clinops.BadDay")


def test_a_cancelled_wait_is_cancelled_even_where_the_execution_may_not_be_stopped(
    aws, make_at_aws, name, caplog
):
    slow = make_at_aws(name, Wait("W", 60))
    slow.deploy()
    execution = slow.execute({})
    refuse(aws, "StopExecution", "AccessDeniedException")

    async def wait_and_cancel():
        task = asyncio.ensure_future(slow.wait_async(execution))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(wait_and_cancel())
    (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert f"couldn't be stopped: {execution}: AWS denies access" in record.getMessage()
    aws.answers.clear()
    slow.stop(execution)


def test_somebody_elses_change_at_the_same_time_is_waited_for(aws, make_at_aws, pipeline, client):
    refused = []

    def conflict(request):
        if not refused:
            refused.append(request)
            raise RefusedError("ConflictException")

    aws.answers["UpdateStateMachine"] = conflict
    changed = make_at_aws(pipeline.name, Wait("W", 1))
    changed.deploy()
    assert len(refused) == 1
    assert changed.difference() == ""
