"""The Dagster resource, through assets that are really materialized."""

import threading
import uuid

import dagster as dg
import pytest

from orch_assets.defs.step_functions import StepFunctionsResource
from orch_assets.errors import SettingError
from orch_assets.step_functions import PipelineStep, Wait
from orch_assets_tests.step_functions.conftest import ROLE


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for variable, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_REGION", "eu-central-1"),
        ("ORCH_STEP_FUNCTIONS_ROLE", ROLE),
    ):
        monkeypatch.setenv(variable, value)


def test_an_asset_deploys_a_machine_executes_it_and_waits(server, echo):
    echo_there = echo.replace("us-east-1", "eu-central-1")

    @dg.asset
    def nightly(step_functions: StepFunctionsResource):
        name = f"nightly-{uuid.uuid4().hex[:8]}"
        machine = step_functions.pipeline(name, PipelineStep("Echo", echo_there))
        arn = machine.deploy()
        output = machine.wait(machine.execute({"study_key": "ONC-301"}), 30)
        return dg.MaterializeResult(metadata={"arn": arn, "output": output})

    resource = StepFunctionsResource(endpoint=server.url)
    result = dg.materialize([nightly], resources={"step_functions": resource})
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["arn"].value.startswith("arn:aws:states:eu-central-1:123456789012:stateMach")
    assert metadata["output"].value == {"study_key": "ONC-301"}


def test_the_role_is_the_variables_unless_one_is_given(monkeypatch):
    assert StepFunctionsResource().pipeline("m", Wait("W", 1)).role_arn == ROLE
    given = StepFunctionsResource(role_arn=ROLE + "2").pipeline("m", Wait("W", 1))
    assert given.role_arn == ROLE + "2"
    monkeypatch.setenv("ORCH_STEP_FUNCTIONS_ROLE", " ")
    with pytest.raises(SettingError, match=r"^ORCH_STEP_FUNCTIONS_ROLE is unset"):
        StepFunctionsResource().pipeline("m", Wait("W", 1))


def test_all_pipelines_of_a_resource_are_followed_by_one_thread(server):
    resource = StepFunctionsResource(endpoint=server.url)
    futures = []
    for number in range(3):
        machine = resource.pipeline(f"m-{number}-{uuid.uuid4().hex[:8]}", Wait("W", 1))
        machine.deploy()
        futures.append(resource.aws.follower.follow(machine.execute({"number": number})))
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("step-functions-follower") == 1
    assert [future.result(30) for future in futures] == [{"number": n} for n in range(3)]


def test_a_resource_asks_nothing_of_aws_before_it_must():
    resource = StepFunctionsResource(endpoint="http://127.0.0.1:9", profile="no-such-profile")
    assert resource.pipeline("m", Wait("W", 1)).definition()["StartAt"] == "W"
