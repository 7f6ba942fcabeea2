"""EXPRESS machines. moto knows no StartSyncExecution: a server of our own before it answers it."""

import json

import pytest

from orch_assets.step_functions import (
    AwsUnavailableError,
    DefinitionError,
    DistributedMap,
    ExecutionFailed,
    ExecutionInputError,
    Parallel,
    PipelineStep,
    StepFunctionsPipeline,
    Wait,
    ecs_task,
    state_machine,
)
from orch_assets_tests.step_functions.answers import RefusedError
from orch_assets_tests.step_functions.conftest import FUNCTION, ROLE

ONE = PipelineStep("One", FUNCTION + "one")
TOKEN = PipelineStep(
    "Ask",
    "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    {"QueueUrl": "q", "MessageBody": "b"},
)
ACTIVITY = PipelineStep("Ask", "arn:aws:states:us-east-1:123456789012:activity:ask")
OTHER = "arn:aws:states:us-east-1:123456789012:stateMachine:other"
ENDED = "arn:aws:states:us-east-1:123456789012:express:machine:name:5e0bd2b7"


@pytest.fixture
def express(make_at_aws, name):
    made = make_at_aws(name, ONE, machine_type="EXPRESS")
    made.deploy()
    return made


def sync(aws, **answer):
    """Let AWS answer this to every synchronous execution."""
    whole = {"executionArn": ENDED, "startDate": 0, "stopDate": 1, **answer}
    aws.answers["StartSyncExecution"] = lambda request: whole


def test_a_synchronous_execution_gives_its_output(aws, express):
    sync(aws, status="SUCCEEDED", output='{"rows": 3}')
    assert express.execute_sync({"study_key": "ONC-301"}, "ONC-301-run-0") == {"rows": 3}
    (asked,) = [request for call, request in aws.asked if call == "StartSyncExecution"]
    assert asked["stateMachineArn"] == express.arn()
    assert asked["name"] == "ONC-301-run-0"
    assert json.loads(asked["input"]) == {"study_key": "ONC-301"}


def test_the_deployed_machine_is_express_and_stays_as_it_is(express, client, make_at_aws):
    assert client.describe_state_machine(stateMachineArn=express.arn())["type"] == "EXPRESS"
    assert express.difference() == ""
    with pytest.raises(
        DefinitionError, match="machine_type: the machine is EXPRESS, and AWS can't change"
    ):
        make_at_aws(express.name, ONE).deploy()


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_a_failure_has_error_and_cause_and_no_state(aws, express, status):
    sync(aws, status=status, error="Clinops.BadDay", cause="planted patient name")
    with pytest.raises(ExecutionFailed) as caught:
        express.execute_sync({})
    failure = caught.value
    assert (failure.execution_arn, failure.status, failure.state, failure.error, failure.cause) == (
        ENDED, status, None, "Clinops.BadDay", "planted patient name",
    )  # fmt: skip
    assert "planted" not in str(failure)


def test_a_call_that_fails_is_not_repeated_as_it_would_be_another_execution(
    aws, express, monkeypatch
):
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "testing")

    def refuse(request):
        raise RefusedError("ThrottlingException")

    aws.answers["StartSyncExecution"] = refuse
    own_clients = StepFunctionsPipeline(
        express.name, ROLE, endpoint=aws.url, machine_type="EXPRESS"
    )
    with pytest.raises(AwsUnavailableError, match="throttles"):
        own_clients.execute_sync({})
    assert [call for call, _ in aws.asked] == ["StartSyncExecution"]


def test_executing_and_waiting_are_refused_with_what_to_call(express):
    with pytest.raises(ExecutionInputError, match=r"machine_type: is EXPRESS: .* execute_sync\(\)"):
        express.execute({})
    for ask in (express.wait, express.stop, express.history, express.redrive):
        with pytest.raises(ExecutionInputError, match=r"AWS doesn't retain .* execute_sync\(\)"):
            ask(ENDED)


def test_a_standard_machine_is_not_executed_synchronously(make_at_aws, name):
    with pytest.raises(ExecutionInputError, match=r"is STANDARD. Call execute\(\)"):
        make_at_aws(name, ONE).execute_sync({})


def test_an_input_of_300_kib_starts_nothing(aws, express):
    sync(aws, status="SUCCEEDED")
    with pytest.raises(ExecutionInputError, match="over 256 KiB"):
        express.execute_sync({"a": "x" * 300 * 1024})
    assert "StartSyncExecution" not in dict(aws.asked)


@pytest.mark.parametrize(
    ("step", "place"),
    [
        (ecs_task("Run", "cluster", "family", {}), r"Step 'Run', Resource: waits \('.sync'\)"),
        (state_machine("Run", OTHER), r"Step 'Run', Resource: waits \('.sync:2'\)"),
        (TOKEN, r"Step 'Ask', Resource: waits \('.waitForTaskToken'\)"),
        (ACTIVITY, "Step 'Ask', Resource: is an activity"),
        (
            DistributedMap("Each", "{% $states.input %}", [ONE], 5),
            "Step 'Each', ItemProcessor.ProcessorConfig.Mode: is DISTRIBUTED",
        ),
        (Wait("Long", 300), "Step 'Long', Seconds: EXPRESS ends after 300 s"),
        (Parallel("Both", [[ACTIVITY]]), "Step 'Ask', Resource: is an activity"),
    ],
)
def test_what_express_forbids_is_refused_by_its_place(make_at_aws, name, step, place):
    make_at_aws(name, step).definition()
    with pytest.raises(DefinitionError, match=f"^{place}"):
        make_at_aws(name, step, machine_type="EXPRESS").definition()


def test_express_children_of_a_distributed_map_are_checked_likewise(make_at_aws, name):
    each = DistributedMap("Each", "{% $states.input %}", [TOKEN], 5, execution_type="EXPRESS")
    with pytest.raises(DefinitionError, match=r"^Step 'Ask', Resource: waits"):
        make_at_aws(name, each).definition()


def test_an_unknown_type_is_refused(make_at_aws, name):
    with pytest.raises(DefinitionError, match="machine_type: must be STANDARD or EXPRESS"):
        make_at_aws(name, ONE, machine_type="FAST").definition()


def test_its_caller_may_execute_it_synchronously_and_nothing_else(express):
    actions = {a for s in express.caller_policy()["Statement"] for a in s["Action"]}
    assert "states:StartSyncExecution" in actions
    assert not actions & {"states:StartExecution", "states:DescribeExecution"}
