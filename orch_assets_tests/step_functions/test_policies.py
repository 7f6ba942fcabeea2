import pytest

from orch_assets.step_functions import (
    DefinitionError,
    DistributedMap,
    PipelineStep,
    StepFunctionsPipeline,
    ecs_task,
    glue_job,
    lambda_invoke,
    state_machine,
)
from orch_assets_tests.step_functions.conftest import FUNCTION, ROLE

HERE = "us-east-1:123456789012"
KMS = f"arn:aws:kms:{HERE}:key/5e0bd2b7-0000-4000-8000-000000000000"
NESTED = f"arn:aws:states:{HERE}:stateMachine:other"
NESTED_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"


def pipeline(*steps, **settings):
    made = StepFunctionsPipeline("machine", ROLE, **settings)
    for step in steps:
        made.add_step(step)
    return made


def allowed(policy):
    """Return pairs of action and resource."""
    return {
        (action, resource)
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def test_a_sequence_of_functions_needs_to_invoke_these_and_nothing_else():
    steps = [PipelineStep("A", FUNCTION + "a"), PipelineStep("B", FUNCTION + "b")]
    again = PipelineStep("C", FUNCTION + "a")
    policy = pipeline(*steps, again).role_policy()
    assert allowed(policy) == {
        ("lambda:InvokeFunction", FUNCTION + "a"),
        ("lambda:InvokeFunction", FUNCTION + "b"),
    }
    assert len(policy["Statement"]) == 2


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda_invoke("A", "f"), {("lambda:InvokeFunction", FUNCTION + "f")}),
        (lambda_invoke("A", "{% $states.input.f %}"), {("lambda:InvokeFunction", "*")}),
        (
            glue_job("A", "job"),
            {
                (f"glue:{action}", f"arn:aws:glue:{HERE}:job/job")
                for action in ("StartJobRun", "BatchStopJobRun", "GetJobRun", "GetJobRuns")
            },
        ),
        (
            state_machine("A", NESTED),
            {
                ("states:StartExecution", NESTED),
                ("states:DescribeExecution", f"arn:aws:states:{HERE}:execution:other:*"),
                ("states:StopExecution", f"arn:aws:states:{HERE}:execution:other:*"),
            }
            | {
                (
                    f"events:{action}",
                    f"arn:aws:events:{HERE}:rule/{NESTED_RULE}",
                )
                for action in ("DescribeRule", "PutRule", "PutTargets")
            },
        ),
        (
            ecs_task("A", "cluster", "family", {"LaunchType": "FARGATE"}),
            {
                ("ecs:RunTask", f"arn:aws:ecs:{HERE}:task-definition/family:*"),
                ("ecs:DescribeTasks", "*"),
                ("ecs:StopTask", "*"),
                ("iam:PassRole", "*"),
            }
            | {
                (
                    f"events:{action}",
                    f"arn:aws:events:{HERE}:rule/StepFunctionsGetEventsForECSTaskRule",
                )
                for action in ("DescribeRule", "PutRule", "PutTargets")
            },
        ),
        (
            PipelineStep("A", "arn:aws:states:::aws-sdk:s3:getObject", {"Bucket": "b", "Key": "k"}),
            {("s3:GetObject", "*")},
        ),
    ],
)
def test_a_service_needs_its_own_actions_on_its_own_resources(step, expected, validate):
    made = pipeline(step)
    assert allowed(made.role_policy()) == expected
    assert validate(made.definition()) == []


def test_a_distributed_map_needs_to_start_and_stop_its_own_children():
    inner = PipelineStep("One", FUNCTION + "one")
    made = pipeline(DistributedMap("Each", "{% $states.input.studies %}", [inner], 5))
    children = [f"arn:aws:states:{HERE}:execution:machine{end}" for end in (":*", "/*")]
    assert allowed(made.role_policy()) == {
        ("lambda:InvokeFunction", FUNCTION + "one"),
        ("states:StartExecution", f"arn:aws:states:{HERE}:stateMachine:machine"),
        *(("states:DescribeExecution", child) for child in children),
        *(("states:RedriveExecution", child) for child in children),
        *(("states:StopExecution", child) for child in children),
    }


def test_logs_traces_and_keys_are_allowed_where_they_are_configured():
    made = pipeline(
        PipelineStep("A", FUNCTION + "a"),
        log_group_arn=f"arn:aws:logs:{HERE}:log-group:machines",
        tracing=True,
        kms_key=KMS,
    )
    found = allowed(made.role_policy())
    assert {("logs:CreateLogDelivery", "*"), ("xray:PutTraceSegments", "*")} < found
    assert {("kms:Decrypt", KMS), ("kms:GenerateDataKey", KMS)} < found
    assert {("kms:Decrypt", KMS), ("kms:DescribeKey", KMS)} < allowed(made.caller_policy())


def test_a_key_is_allowed_by_its_arn_or_by_its_alias():
    """IAM knows no other resources of KMS."""
    step = PipelineStep("A", FUNCTION + "a")
    by_id = pipeline(step, kms_key=KMS.rpartition("/")[2])
    assert ("kms:Decrypt", KMS) in allowed(by_id.role_policy())
    for alias in ("alias/studies", f"arn:aws:kms:{HERE}:alias/studies"):
        statement = pipeline(step, kms_key=alias).role_policy()["Statement"][-1]
        assert statement["Resource"] == [f"arn:aws:kms:{HERE}:key/*"]
        condition = {"kms:ResourceAliases": "alias/studies"}
        assert statement["Condition"] == {"ForAnyValue:StringEquals": condition}


def test_the_caller_may_touch_this_machine_and_pass_this_role_to_step_functions_only():
    policy = pipeline(PipelineStep("A", FUNCTION + "a")).caller_policy()
    machine = f"arn:aws:states:{HERE}:stateMachine:machine"
    found = allowed(policy)
    assert {resource for _, resource in found} == {
        machine, f"{machine}:*", f"arn:aws:states:{HERE}:execution:machine:*", ROLE, "*",
    }  # fmt: skip
    assert {action for action, resource in found if resource == "*"} == {
        "states:ValidateStateMachineDefinition",  # which has no resource
    }
    assert ("states:ListExecutions", machine) in found
    assert ("states:ListStateMachines", "*") not in found
    (passing,) = [s for s in policy["Statement"] if s["Action"] == ["iam:PassRole"]]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "states.amazonaws.com"}}


def test_no_role_is_no_policy():
    made = StepFunctionsPipeline("m", "").add_step(PipelineStep("A", FUNCTION + "a"))
    with pytest.raises(DefinitionError, match="role_arn"):
        made.caller_policy()


def test_the_short_ways_put_their_parameters_over_the_input_and_hand_on_the_result():
    (state,) = lambda_invoke("A", "f", {"a": 1}, timeout_seconds=9).states(None).values()
    assert state["Arguments"]["FunctionName"] == "f"
    assert state["Arguments"]["Payload"].endswith(', {"a": 1}]) %}')
    assert state["Output"] == "{% $states.result.Payload %}"
    assert state["TimeoutSeconds"] == 9
    assert "Lambda.TooManyRequestsException" in state["Retry"][0]["ErrorEquals"]
    (glue,) = (
        glue_job("A", "job", {"--study": "{% $states.input.study_key %}"}).states("B").values()
    )
    assert glue["Arguments"] == {
        "JobName": "job", "Arguments": {"--study": "{% $states.input.study_key %}"},
    }  # fmt: skip
    assert glue["Next"] == "B"
