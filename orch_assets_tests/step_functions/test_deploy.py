import json
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from orch_assets.step_functions import (
    AwsUnavailableError,
    DefinitionError,
    ForeignStateMachineError,
    PipelineStep,
    StateMachineNotFoundError,
    StepFunctionsPipeline,
)
from orch_assets_tests.step_functions.conftest import FUNCTION, ROLE

MINIMAL = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})


@pytest.fixture
def calls(client):
    """The changes that the client asked AWS for, in order."""
    asked = []
    for call in ("CreateStateMachine", "UpdateStateMachine", "TagResource", "DeleteStateMachine",
                 "ListStateMachines"):  # fmt: skip
        client.meta.events.register(
            f"before-call.stepfunctions.{call}", lambda model, **_: asked.append(model.name)
        )
    return asked


def two_steps(pipeline):
    return pipeline.add_step(PipelineStep("A", FUNCTION + "a")).add_step(
        PipelineStep("B", FUNCTION + "b", {"p": 1})
    )


def tags_of(client, arn):
    return {t["key"]: t["value"] for t in client.list_tags_for_resource(resourceArn=arn)["tags"]}


SETTINGS = {
    "tags": {"team": "clinops"},
    "tracing": True,
    "log_group_arn": "arn:aws:logs:us-east-1:123456789012:log-group:machines",
    "kms_key": "arn:aws:kms:us-east-1:123456789012:key/5e0bd2b7-0000-4000-8000-000000000000",
}


@pytest.mark.parametrize("settings", [{}, SETTINGS])
def test_deploying_ten_times_is_one_create_and_no_update(make_pipeline, name, calls, settings):
    arns = {two_steps(make_pipeline(name, **settings)).deploy() for _ in range(10)}
    assert arns == {f"arn:aws:states:us-east-1:123456789012:stateMachine:{name}"}
    assert calls == ["CreateStateMachine"]


def test_what_is_deployed_is_what_was_asked_for(make_pipeline, name, client):
    pipeline = two_steps(make_pipeline(name, **SETTINGS))
    found = client.describe_state_machine(stateMachineArn=pipeline.deploy())
    assert json.loads(found["definition"]) == pipeline.definition()
    assert found["roleArn"] == ROLE
    assert found["tracingConfiguration"] == {"enabled": True}
    assert found["loggingConfiguration"]["includeExecutionData"] is False
    assert found["loggingConfiguration"]["level"] == "ERROR"
    assert found["encryptionConfiguration"]["kmsKeyId"] == SETTINGS["kms_key"]
    assert tags_of(client, pipeline.arn()) == {
        "team": "clinops",
        "orch-assets:owner": "orch-assets",
    }


def test_a_changed_step_is_one_update_and_its_difference_is_shown(
    make_pipeline, name, client, calls, caplog
):
    two_steps(make_pipeline(name)).deploy()
    changed = two_steps(make_pipeline(name)).add_step(PipelineStep("C", FUNCTION + "c"))
    difference = changed.difference()
    assert '+    "Next": "C",' in difference.replace("        ", "    ")
    with caplog.at_level(logging.INFO, "orch_assets.step_functions"):
        changed.deploy()
    assert difference in caplog.text
    assert changed.difference() == ""
    assert calls == ["CreateStateMachine", "UpdateStateMachine"]
    assert json.loads(client.describe_state_machine(stateMachineArn=changed.arn())["definition"])[
        "States"
    ]["C"]["End"]


@pytest.mark.parametrize("setting", ["tracing", "log_group_arn", "kms_key"])
def test_a_changed_setting_is_one_update(make_pipeline, name, calls, setting):
    two_steps(make_pipeline(name)).deploy()
    for _ in range(2):
        two_steps(make_pipeline(name, **{setting: SETTINGS[setting]})).deploy()
    assert calls == ["CreateStateMachine", "UpdateStateMachine"]


def test_a_changed_role_is_one_update(make_pipeline, name, client, server, calls):
    two_steps(make_pipeline(name)).deploy()
    other = StepFunctionsPipeline(name, ROLE + "2", client=client, sts=server.client("sts"))
    two_steps(other).deploy()
    assert calls == ["CreateStateMachine", "UpdateStateMachine"]


def test_a_changed_tag_is_set_and_those_of_others_stay(make_pipeline, name, client, calls):
    arn = two_steps(make_pipeline(name, tags={"team": "a"})).deploy()
    client.tag_resource(resourceArn=arn, tags=[{"key": "cost", "value": "1"}])
    calls.clear()
    changed = two_steps(make_pipeline(name, tags={"team": "b"}))
    assert changed.difference().splitlines()[-2:] == ["-team=a", "+team=b"]
    assert changed.deploy() == arn
    assert changed.difference() == ""
    assert calls == ["TagResource"]
    assert tags_of(client, arn) == {
        "team": "b", "cost": "1", "orch-assets:owner": "orch-assets",
    }  # fmt: skip


def test_a_foreign_machine_stays_as_it_is_until_it_is_adopted(make_pipeline, name, client, calls):
    arn = client.create_state_machine(name=name, definition=MINIMAL, roleArn=ROLE)[
        "stateMachineArn"
    ]
    calls.clear()
    pipeline = two_steps(make_pipeline(name))
    with pytest.raises(ForeignStateMachineError, match="adopt=True") as caught:
        pipeline.deploy()
    with pytest.raises(ForeignStateMachineError):
        pipeline.destroy()
    assert caught.value.place == arn
    assert calls == []
    assert client.describe_state_machine(stateMachineArn=arn)["definition"] == MINIMAL
    assert pipeline.deploy(adopt=True) == arn
    assert pipeline.deploy() == arn
    assert calls == ["UpdateStateMachine", "TagResource"]


def test_eight_that_deploy_at_once_leave_one_machine(make_pipeline, name, client):
    pipelines = [two_steps(make_pipeline(name)) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        arns = set(pool.map(lambda pipeline: pipeline.deploy(), pipelines))
    assert len(arns) == 1
    pages = client.get_paginator("list_state_machines").paginate()
    machines = [machine["name"] for page in pages for machine in page["stateMachines"]]
    assert machines.count(name) == 1
    assert pipelines[0].difference() == ""


def test_destroying_deletes_it_and_once_more_does_nothing(make_pipeline, name, client, calls):
    pipeline = two_steps(make_pipeline(name))
    arn = pipeline.deploy()
    pipeline.destroy()
    pipeline.destroy()
    assert calls == ["CreateStateMachine", "DeleteStateMachine"]
    with pytest.raises(client.exceptions.StateMachineDoesNotExist):
        client.describe_state_machine(stateMachineArn=arn)


def test_a_machine_that_is_not_deployed_cannot_be_executed(make_pipeline, name):
    with pytest.raises(StateMachineNotFoundError, match=rf"{name}: .* Deploy it"):
        two_steps(make_pipeline(name)).execute({})


def test_a_role_of_another_account_is_refused(client, server, name):
    role = "arn:aws:iam::999999999999:role/R"
    pipeline = StepFunctionsPipeline(name, role, client=client, sts=server.client("sts"))
    with pytest.raises(DefinitionError, match="role_arn: is a role of another account"):
        two_steps(pipeline).deploy()


def test_no_server_is_one_clear_error(monkeypatch):
    for variable, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "planted-secret"),
        ("AWS_MAX_ATTEMPTS", "1"),
    ):
        monkeypatch.setenv(variable, value)
    pipeline = StepFunctionsPipeline("m", ROLE, endpoint="http://127.0.0.1:9")
    with pytest.raises(AwsUnavailableError, match=r"No answer from AWS \(EndpointConn") as caught:
        two_steps(pipeline).deploy()
    assert caught.value.__suppress_context__
    assert "planted" not in str(caught.value)


def test_an_unknown_profile_is_one_clear_error():
    pipeline = StepFunctionsPipeline("m", ROLE, profile="no-such-profile")
    with pytest.raises(AwsUnavailableError, match="credentials are missing"):
        two_steps(pipeline).deploy()
