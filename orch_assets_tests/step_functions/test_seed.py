"""What the seed's state machine becomes; account numbers of 12 digits, so that it deploys."""

import pytest

from orch_assets.step_functions import (
    DefinitionError,
    PipelineStep,
    StepFunctionsPipeline,
    execution_name,
    glue_job,
)
from orch_assets_tests.step_functions.conftest import HAS_VALIDATOR, ROLE
from orch_assets_tests.step_functions.jsonata_engine import NO_NPM

LAMBDA_ERRORS = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
]


def seed_pipeline(**settings):
    pipeline = StepFunctionsPipeline(
        name="clinops-daily-ingest",
        role_arn="arn:aws:iam::123456789012:role/StepFunctionsRole",
        region="us-east-1",
        **settings,
    )
    pipeline.add_step(PipelineStep(
        name="Ingest",
        resource="arn:aws:lambda:us-east-1:123456789012:function:clinops-ingest",
        parameters={"source": "mimic-iv", "date": "2024-01-01"},
        timeout_seconds=1800,
    ))  # fmt: skip
    pipeline.add_step(PipelineStep(
        name="Preprocess",
        resource="arn:aws:lambda:us-east-1:123456789012:function:clinops-preprocess",
        retry_attempts=2,
    ))  # fmt: skip
    pipeline.add_step(PipelineStep(
        name="FeatureExtraction",
        resource="arn:aws:lambda:us-east-1:123456789012:function:clinops-features",
    ))  # fmt: skip
    return pipeline


def test_a_step_without_parameters_is_a_task_that_takes_what_comes():
    assert seed_pipeline().definition()["States"]["Preprocess"] == {
        "Type": "Task",
        "Resource": "arn:aws:lambda:us-east-1:123456789012:function:clinops-preprocess",
        "TimeoutSeconds": 3600,
        "Retry": [
            {
                "ErrorEquals": LAMBDA_ERRORS,
                "IntervalSeconds": 2,
                "MaxAttempts": 2,
                "BackoffRate": 2.0,
                "MaxDelaySeconds": 60,
                "JitterStrategy": "FULL",
            }
        ],
        "Next": "FeatureExtraction",
    }


def test_the_whole_is_a_sequence_from_the_first_step_to_the_last():
    definition = seed_pipeline().definition()
    assert definition["StartAt"] == "Ingest"
    assert list(definition["States"]) == ["Ingest", "Preprocess", "FeatureExtraction"]
    assert definition["States"]["Ingest"]["Next"] == "Preprocess"
    assert definition["States"]["Ingest"]["TimeoutSeconds"] == 1800
    assert definition["States"]["FeatureExtraction"]["End"] is True
    assert "Next" not in definition["States"]["FeatureExtraction"]


def test_the_json_is_the_definition_indented():
    text = seed_pipeline().definition_json()
    assert text.startswith('{\n  "Comment": "clinops-daily-ingest — built by orch-assets",\n')
    assert "\n" not in seed_pipeline().definition_json(indent=None)


def test_the_independent_validator_passes_it(validate):
    assert validate(seed_pipeline().definition()) == []


def test_the_independent_validator_can_fail(validate):
    assert validate({"StartAt": "A", "States": {"B": {"Type": "Task"}}}) != []


def test_it_deploys_and_executes(server, client):
    pipeline = seed_pipeline(client=client, sts=server.client("sts"))
    arn = pipeline.deploy()
    execution_arn = pipeline.execute(
        input_data={"date": "2024-01-15"},
        execution_name="daily-2024-01-15",
    )
    assert arn == "arn:aws:states:us-east-1:123456789012:stateMachine:clinops-daily-ingest"
    assert execution_arn == (
        "arn:aws:states:us-east-1:123456789012:execution:clinops-daily-ingest:daily-2024-01-15"
    )


def test_parameters_that_shadow_the_input_are_warned_about_by_key(server, client, caplog):
    pipeline = seed_pipeline(client=client, sts=server.client("sts"))
    pipeline.deploy()
    pipeline.execute({"date": "planted", "other": 1})
    (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert "'Ingest'" in record.getMessage()
    assert record.getMessage().endswith("of the input: date")
    assert "planted" not in caplog.text


def test_arguments_of_a_service_shadow_no_input(make_pipeline, name, caplog):
    """They are merged over nothing."""
    pipeline = make_pipeline(name).add_step(glue_job("Load", "nightly"))
    pipeline.deploy()
    pipeline.execute({"JobName": "planted"})
    assert [r for r in caplog.records if r.levelname == "WARNING"] == []


def test_add_step_returns_the_pipeline_and_refuses_a_repeated_name():
    pipeline = seed_pipeline()
    step = PipelineStep("Last", "arn:aws:lambda:us-east-1:123456789012:function:last")
    assert pipeline.add_step(step) is pipeline
    with pytest.raises(DefinitionError, match="Step 'Last', name: two steps"):
        pipeline.add_step(step)


def test_an_execution_name_is_the_same_for_the_same_attempt_and_no_other():
    names = {
        execution_name(study, run, attempt)
        for study in ("ONC-301", "onc-301", "ONC 301", "é" * 100)
        for run in ("5e0bd2b7-0000-4000-8000-000000000000", "5e0bd2b7-0000-4000-8000-000000000001")
        for attempt in (0, 1)
    }
    assert len(names) == 16
    assert max(map(len, names)) <= 80
    assert execution_name("ONC-301", "run", 1) == execution_name("ONC-301", "run", 1)


@pytest.mark.skipif(not HAS_VALIDATOR, reason=NO_NPM)
def test_what_the_independent_validator_refuses_cannot_be_deployed_by_a_test(client):
    """So that all definitions of these tests are shown to it."""
    definition = '{"StartAt": "A", "States": {"B": {"Type": "Task"}}}'
    with pytest.raises(AssertionError):
        client.create_state_machine(name="invalid", definition=definition, roleArn=ROLE)
