"""The Dagster resource, through assets that are really materialized."""

import threading
import uuid

import dagster as dg
import pytest

from orch_assets.defs.state_machines.aws_console import execution_url, machine_url
from orch_assets.defs.state_machines.resource import StepFunctionsResource
from orch_assets.errors import SettingError
from orch_assets.step_functions import (
    Catch,
    Choice,
    ChoiceRule,
    DefinitionError,
    Fail,
    Parallel,
    PipelineStep,
    StepFunctionsPipeline,
    Wait,
)
from orch_assets.step_functions.each_study import EachStudy
from orch_assets_tests.step_functions.conftest import FUNCTION, ROLE
from orch_assets_tests.step_functions.jsonata_engine import NO_NPM
from orch_assets_tests.support.state_machine_servers import HAS_JSONATA


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


# --- one execution for all studies ---

BROKEN = Fail("Broken", "Clinops.BadDay", "planted patient name")
STEPS = [
    PipelineStep("Extract", FUNCTION + "extract", {"since": 2020}, catch=[Catch([BROKEN])]),
    Choice("Any rows?", [ChoiceRule("{% $states.input.rows = 0 %}", [Fail("Empty")])]),
    PipelineStep("Try", FUNCTION + "try", catch=[Catch([BROKEN], ["Clinops.Other"])]),
    Parallel("Both", [[Wait("One", 1)], [PipelineStep("Two", FUNCTION + "two")]]),
    PipelineStep("Score", FUNCTION + "score"),
]


def map_of(*steps):
    made = StepFunctionsPipeline("all-studies", ROLE)
    return made.add_step(EachStudy(steps, 5)).definition()["States"]["Each study"]


def test_a_map_over_studies_is_valid_and_every_state_in_it_tells_its_name():
    """It is shown to the independent validator, as every definition here."""
    each = map_of(*STEPS)
    assert (each["ItemsPath"], each["MaxConcurrency"]) == ("$.studies", 5)
    one = each["ItemProcessor"]["States"]["One study"]
    states = one["Branches"][0]["States"]
    assert {n for n in states if n.endswith(" failed")} == {
        "Try failed",
        "Both failed",
        "Score failed",
    }
    assert states["Score failed"] == {"Type": "Fail", "ErrorPath": "$.Error", "Cause": "Score"}
    caught = {n: [r["Next"] for r in s["Catch"]] for n, s in states.items() if "Catch" in s}
    assert caught == {
        "Extract": ["Broken"],
        "Try": ["Broken", "Try failed"],
        "Both": ["Both failed"],
        "Score": ["Score failed"],
    }
    assert states["Broken"] == {"Type": "Fail", "Error": "Clinops.BadDay", "Cause": "Broken"}
    assert states["Empty"]["Cause"] == "Empty"
    assert one["Catch"] == [{"ErrorEquals": ["States.ALL"], "Next": "Failed study"}]


def test_a_state_called_as_one_of_the_maps_own_is_refused():
    with pytest.raises(DefinitionError, match=r"^Step 'One study', name"):
        map_of(PipelineStep("One study", FUNCTION + "score"))


def test_a_state_called_as_the_failure_of_another_is_refused():
    """It would replace the state that gives the failure its name."""
    with pytest.raises(
        DefinitionError, match=r"^Step 'Score failed', name: two steps have this name"
    ):
        map_of(PipelineStep("Score", FUNCTION + "score"), Wait("Score failed", 1))


@pytest.mark.skipif(not HAS_JSONATA, reason=NO_NPM)
def test_steps_with_parameters_tell_of_their_failures_too(make_pipeline, name):
    key = "{% $states.input.study_key %}"
    arguments = {"Bucket": "no-such-bucket", "Key": key}
    lost = PipelineStep("Lost", "arn:aws:states:::aws-sdk:s3:getObject", arguments)
    ways = [ChoiceRule("{% $states.input.study_key = 'S1' %}", [lost])]
    pipeline = make_pipeline(name).add_step(EachStudy([Choice("Which?", ways)], 2))
    pipeline.deploy()
    studies = [{"study_key": study} for study in ("S0", "S1", "S2")]
    assert pipeline.wait(pipeline.execute({"studies": studies}), 60) == [
        {"output": {"study_key": "S0"}},
        {"failed": {"Error": "s3.NoSuchBucketException", "Cause": "Lost"}},
        {"output": {"study_key": "S2"}},
    ]


# --- the console ---


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_the_consoles_pages_are_those_of_the_arns_region(partition, region, host):
    head, home = f"arn:{partition}:states:{region}:123456789012", f"https://{host}/states/home"
    execution, machine = f"{head}:execution:m:e", f"{head}:stateMachine:m"
    assert execution_url(execution) == f"{home}?region={region}#/v2/executions/details/{execution}"
    assert machine_url(machine) == f"{home}?region={region}#/statemachines/view/{machine}"
