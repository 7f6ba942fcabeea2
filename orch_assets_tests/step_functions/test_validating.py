"""Step Functions' own opinion. moto has none: a server of our own before it answers that call."""

import json

import pytest

from orch_assets.step_functions import DefinitionError, PipelineStep, StateMachineNotFoundError
from orch_assets_tests.step_functions.answers import RefusedError
from orch_assets_tests.step_functions.conftest import FUNCTION

ONE = PipelineStep("One", FUNCTION + "one")


def opinion(aws, result, *diagnostics):
    aws.answers["ValidateStateMachineDefinition"] = lambda request: {
        "result": result, "diagnostics": list(diagnostics),
    }  # fmt: skip


def error(location=None):
    found = {"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": "planted words"}
    return found if location is None else {**found, "location": location}


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("/States/One/Resource", "Step 'One', Resource"),
        ("/States/One/Retry[0]/MaxAttempts", r"Step 'One', Retry\[0\].MaxAttempts"),
        ("/States/Each/ItemProcessor/States/One/Next", "Step 'One', Next"),
        ("/States/One", "Step 'One', definition"),
        ("/StartAt", "State machine, StartAt"),
        ("/", "State machine, definition"),
        (None, "State machine, definition"),
    ],
)
def test_what_aws_refuses_is_an_error_that_names_the_place_and_nothing_is_made(
    aws, make_at_aws, name, location, place
):
    opinion(aws, "FAIL", error(location))
    pipeline = make_at_aws(name, ONE)
    match = rf"^{place}: AWS refuses it \(SCHEMA_VALIDATION_FAILED\)"
    with pytest.raises(DefinitionError, match=match) as caught:
        pipeline.deploy()
    assert caught.value.words == "planted words"
    assert "planted" not in str(caught.value)
    with pytest.raises(StateMachineNotFoundError):
        pipeline.execute({})


def test_a_refusal_without_a_reason_is_an_error_too(aws, make_at_aws, name):
    opinion(aws, "FAIL")
    with pytest.raises(DefinitionError, match="State machine, definition: AWS refuses it"):
        make_at_aws(name, ONE).deploy()


def test_an_update_is_asked_about_and_the_deployed_machine_stays(aws, make_at_aws, name, client):
    arn = make_at_aws(name, ONE).deploy()
    opinion(aws, "FAIL", error("/States/Two/Resource"))
    changed = make_at_aws(name, ONE, PipelineStep("Two", FUNCTION + "two"))
    with pytest.raises(DefinitionError, match="Step 'Two', Resource"):
        changed.deploy()
    found = client.describe_state_machine(stateMachineArn=arn)
    assert [*json.loads(found["definition"])["States"]] == ["One"]


def test_what_aws_has_no_objections_to_is_asked_about_once_and_deployed(aws, make_at_aws, name):
    opinion(aws, "OK", {"severity": "WARNING", "code": "C", "message": "m"})
    pipeline = make_at_aws(name, ONE, machine_type="EXPRESS")
    for _ in range(3):
        pipeline.deploy()
    ((_, asked),) = aws.asked
    assert json.loads(asked["definition"]) == pipeline.definition()
    assert (asked["type"], asked["severity"]) == ("EXPRESS", "ERROR")


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "UnknownOperationException", "ThrottlingException"]
)
def test_a_service_that_has_no_opinion_is_no_obstacle(aws, make_at_aws, name, code):
    """Nor is moto, which answers 500: all other tests deploy to it."""

    def refuse(request):
        raise RefusedError(code)

    aws.answers["ValidateStateMachineDefinition"] = refuse
    assert make_at_aws(name, ONE).deploy().endswith(name)
