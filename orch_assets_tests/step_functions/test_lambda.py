"""Definitions executed for real: moto's interpreter, and handlers in AWS's own runtime client."""

import uuid

import pytest

from orch_assets.step_functions import (
    Catch,
    ExecutionFailed,
    Fail,
    Map,
    PipelineStep,
    lambda_invoke,
)
from orch_assets_tests.step_functions.jsonata_engine import NO_NPM
from orch_assets_tests.support.state_machine_servers import HAS_JSONATA, HAS_LAMBDA

pytestmark = pytest.mark.skipif(
    not (HAS_LAMBDA and HAS_JSONATA),
    reason=NO_NPM if HAS_LAMBDA else "awslambdaric is not here: it is for Linux alone",
)

INGEST = """
def handler(event, context):
    assert context.function_name.startswith("ingest")
    return {"study_key": event["study_key"], "rows": len(event["source"]), "both": "first"}
"""
PREPROCESS = """
def handler(event, context):
    return {**event, "seen": sorted(event), "kept": event["rows"] - event["dropped"]}
"""
BUSY = """
class Busy(Exception):
    pass

tries = {}

def handler(event, context):
    key = event["study_key"]
    tries[key] = tries.get(key, 0) + 1
    if tries[key] <= event["busy_times"]:
        raise Busy("planted patient name")
    return {"tries": tries[key]}
"""
BROKEN = """
def handler(event, context):
    raise ValueError("planted patient name")
"""
CRASH = """
import os

def handler(event, context):
    os._exit(7)
"""
SLOW = """
import time

def handler(event, context):
    time.sleep(60)
"""
STUDY = """
def handler(event, context):
    if event["study_key"] == "ONC-302":
        raise LookupError("planted patient name")
    return {"study_key": event["study_key"], "rows": 10 * len(event["study_key"])}
"""


@pytest.fixture
def function(make_function):
    """Makes a function of its own of a source; returns the ARN."""

    def make(source, timeout=30, prefix="f"):
        return make_function(f"{prefix}-{uuid.uuid4().hex[:8]}", source, timeout)

    return make


@pytest.fixture
def run(make_pipeline, name, validate):
    """Deploys the steps, executes them and waits; returns the output and the pipeline."""

    def run(data, *steps):
        made = make_pipeline(name)
        for step in steps:
            made.add_step(step)
        assert validate(made.definition()) == []
        made.deploy()
        run.execution = made.execute(data)
        run.history = lambda: list(made.history(run.execution))
        return made.wait(run.execution, 60)

    return run


def invocations(run):
    return [event.type for event in run.history()].count("LambdaFunctionScheduled")


def test_the_second_step_receives_the_first_ones_output_and_its_own_parameters(run, function):
    ingest = PipelineStep("Ingest", function(INGEST, prefix="ingest"), {"source": "edc"})
    preprocess = PipelineStep("Preprocess", function(PREPROCESS), {"dropped": 1, "both": "second"})
    assert run({"study_key": "ONC-301"}, ingest, preprocess) == {
        "study_key": "ONC-301",
        "rows": 3,
        "both": "second",
        "dropped": 1,
        "kept": 2,
        "seen": ["both", "dropped", "rows", "study_key"],
    }


def test_an_error_that_is_worth_it_is_tried_again_until_it_succeeds(run, function):
    step = PipelineStep("Load", function(BUSY), {"busy_times": 2}, retry_on=["Busy"])
    assert run({"study_key": "ONC-301"}, step) == {"tries": 3}
    assert invocations(run) == 3


def test_an_error_of_the_handler_is_not_tried_again_and_its_state_is_named(run, function):
    with pytest.raises(ExecutionFailed) as caught:
        run({}, PipelineStep("Load", function(BROKEN)))
    failure = caught.value
    assert (failure.status, failure.state, failure.error) == ("FAILED", "Load", "ValueError")
    assert "planted patient name" in failure.cause
    assert "planted" not in str(failure) + repr(failure) + "".join(map(str, run.history()))
    assert "in state 'Load' with ValueError." in str(failure)
    assert invocations(run) == 1


def test_tries_come_to_an_end(run, function):
    step = PipelineStep("Load", function(BUSY), {"busy_times": 9}, 1, retry_on=["Busy"])
    with pytest.raises(ExecutionFailed, match="in state 'Load' with Busy"):
        run({"study_key": "ONC-301"}, step)
    assert invocations(run) == 2


def test_a_failure_is_caught_and_handled_with_its_error_and_cause(run, function, echo):
    handled = PipelineStep("Handle", echo, {"handled": True})
    load = PipelineStep("Load", function(BROKEN), catch=[Catch([handled], ["ValueError"])])
    output = run({"study_key": "ONC-301"}, load, PipelineStep("After", echo, {"after": True}))
    assert (output["Error"], output["handled"], output["after"]) == ("ValueError", True, True)
    assert "planted patient name" in output["Cause"]


def test_a_failure_can_end_in_a_failure_state_of_ones_own(run, function):
    load = PipelineStep(
        "Load", function(BROKEN), catch=[Catch([Fail("Broken", "Clinops.BadDay", "See logs.")])]
    )
    with pytest.raises(ExecutionFailed) as caught:
        run({}, load)
    assert (caught.value.state, caught.value.error) == ("Broken", "Clinops.BadDay")


def test_a_map_takes_each_study_through_its_steps(run, function, echo):
    studies = [{"study_key": key} for key in ("ONC-301", "CARD-1", "NEURO-12")]
    each = Map("Each study", "{% $states.input.studies %}", [PipelineStep("Load", function(STUDY))])
    assert run({"studies": studies}, each) == [
        {"study_key": "ONC-301", "rows": 70},
        {"study_key": "CARD-1", "rows": 60},
        {"study_key": "NEURO-12", "rows": 80},
    ]


def test_a_study_that_fails_in_a_map_hurts_no_other_when_it_is_caught_there(run, function, echo):
    failed = PipelineStep("Failed", echo, {"status": "FAILED"})
    load = PipelineStep("Load", function(STUDY), catch=[Catch([failed])])
    each = Map("Each study", "{% $states.input.studies %}", [load])
    output = run({"studies": [{"study_key": key} for key in ("ONC-301", "ONC-302")]}, each)
    assert output[0] == {"study_key": "ONC-301", "rows": 70}
    assert (output[1]["Error"], output[1]["status"]) == ("LookupError", "FAILED")


def test_a_study_that_fails_in_a_map_fails_it_and_its_state_is_named(run, function):
    each = Map("Each study", "{% $states.input.studies %}", [PipelineStep("Load", function(STUDY))])
    with pytest.raises(ExecutionFailed) as caught:
        run({"studies": [{"study_key": "ONC-302"}]}, each)
    assert (caught.value.state, caught.value.error) == ("Load", "LookupError")


@pytest.mark.parametrize(
    ("source", "timeout", "error"),
    [(CRASH, 30, "Runtime.ExitError"), (SLOW, 1, "Sandbox.Timedout"), ("1 +", 30, "Runtime.Exit")],
)
def test_a_process_that_crashes_or_takes_too_long_is_a_failure(
    run, function, source, timeout, error
):
    with pytest.raises(ExecutionFailed) as caught:
        run({}, PipelineStep("Load", function(source, timeout)))
    assert caught.value.state == "Load"
    assert caught.value.error.startswith(error)


def test_a_function_by_its_name_gets_parameters_and_hands_on_what_it_returns(run, function):
    arn = function(PREPROCESS)
    step = lambda_invoke("Load", arn, {"rows": 5, "dropped": 2})
    assert run({"study_key": "ONC-301"}, step)["kept"] == 3
