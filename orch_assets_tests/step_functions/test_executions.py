import dataclasses
import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from orch_assets.step_functions import (
    ExecutionFailed,
    ExecutionInputError,
    ExecutionStillRunningError,
    PipelineStep,
    StateMachineNotFoundError,
)
from orch_assets.step_functions.executions.executions import Executions
from orch_assets_tests.step_functions.conftest import ROLE
from orch_assets_tests.step_functions.jsonata_engine import NO_NPM
from orch_assets_tests.support.state_machine_servers import HAS_JSONATA

needs_jsonata = pytest.mark.skipif(not HAS_JSONATA, reason=NO_NPM)


@pytest.fixture
def machine(client, name):
    """Deploys raw states; returns the ARN."""

    def deploy(**states):
        definition = json.dumps({"StartAt": next(iter(states)), "States": states})
        made = client.create_state_machine(name=name, definition=definition, roleArn=ROLE)
        return made["stateMachineArn"]

    return deploy


@pytest.fixture
def pipeline(make_pipeline, name, echo):
    made = make_pipeline(name).add_step(PipelineStep("First", echo))
    return made.add_step(PipelineStep("Second", echo))


FAIL = {"Type": "Fail", "Error": "Clinops.BadDay", "Cause": "planted patient name"}
WAIT = {"Type": "Wait", "Seconds": 60, "End": True}


def test_steps_run_one_after_the_other(pipeline):
    pipeline.deploy()
    execution = pipeline.execute({"day": dt.date(2024, 1, 15)})
    assert pipeline.wait(execution, 30) == {"day": "2024-01-15"}
    states = [e.state for e in pipeline.history(execution) if e.type == "TaskStateEntered"]
    assert states == ["First", "Second"]


@needs_jsonata
def test_the_second_step_gets_the_first_ones_output_and_its_own_parameters(make_pipeline, echo):
    pipeline = make_pipeline("merging")
    pipeline.add_step(PipelineStep("First", echo, {"from_first": [1], "both": "first"}))
    pipeline.add_step(PipelineStep("Second", echo, {"both": "second", "none": None}))
    pipeline.deploy()
    output = pipeline.wait(pipeline.execute({"study_key": "ONC-301"}), 30)
    assert output == {
        "study_key": "ONC-301", "from_first": [1], "both": "second", "none": None,
    }  # fmt: skip


def test_a_failure_names_the_state_and_keeps_its_cause_out_of_the_message(pipeline, machine):
    arn = machine(Start={"Type": "Pass", "Next": "Broken"}, Broken=FAIL)
    execution = pipeline.execute({"a": 1}, state_machine_arn=arn)
    with pytest.raises(ExecutionFailed) as caught:
        pipeline.wait(execution, 30)
    failure = caught.value
    assert (failure.status, failure.state, failure.error, failure.cause) == (
        "FAILED", "Broken", "Clinops.BadDay", "planted patient name",
    )  # fmt: skip
    assert failure.execution_arn == execution
    assert "ended FAILED in state 'Broken' with Clinops.BadDay." in str(failure)
    assert "planted" not in str(failure) + repr(failure)


def test_a_failure_within_a_branch_names_the_state_within(pipeline, machine):
    good = {"StartAt": "Good", "States": {"Good": {"Type": "Pass", "End": True}}}
    bad = {"StartAt": "Bad", "States": {"Bad": FAIL}}
    arn = machine(Both={"Type": "Parallel", "Branches": [good, bad], "End": True})
    with pytest.raises(ExecutionFailed) as caught:
        pipeline.wait(pipeline.execute({}, state_machine_arn=arn), 30)
    assert caught.value.state == "Bad"


def test_a_service_that_fails_is_named_by_its_state(make_pipeline, name):
    arguments = {"Bucket": "no-such-bucket", "Key": "k"}
    step = PipelineStep("Lost", "arn:aws:states:::aws-sdk:s3:getObject", arguments)
    pipeline = make_pipeline(name).add_step(step)
    pipeline.deploy()
    with pytest.raises(ExecutionFailed) as caught:
        pipeline.wait(pipeline.execute({}), 30)
    assert (caught.value.state, caught.value.error) == ("Lost", "s3.NoSuchBucketException")


def test_an_error_whose_name_is_a_sentence_is_not_in_the_message(pipeline, machine):
    arn = machine(Broken={**FAIL, "Error": "no planted subject 001"})
    with pytest.raises(ExecutionFailed) as caught:
        pipeline.wait(pipeline.execute({}, state_machine_arn=arn), 30)
    assert caught.value.error == "no planted subject 001"
    assert "planted" not in str(caught.value)


def test_the_history_holds_what_happened_and_no_values(pipeline):
    pipeline.deploy()
    execution = pipeline.execute({"subject": "planted"})
    pipeline.wait(execution, 30)
    events = list(pipeline.history(execution))
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert "planted" not in repr(events)
    assert any(str(event).endswith(" TaskStateEntered First") for event in events)


def test_a_line_of_the_history_names_the_error_unless_it_is_a_sentence(pipeline, machine):
    arn = machine(Broken=FAIL)
    execution = pipeline.execute({}, state_machine_arn=arn)
    with pytest.raises(ExecutionFailed):
        pipeline.wait(execution, 30)
    *_, last = pipeline.history(execution)
    assert str(last).endswith(f" {last.id} ExecutionFailed Clinops.BadDay")
    prose = dataclasses.replace(last, error="no planted subject 001")
    assert "planted" not in str(prose) + repr(prose)


def test_twenty_at_once_are_twenty_executions(pipeline):
    pipeline.deploy()
    with ThreadPoolExecutor(20) as pool:
        arns = list(pool.map(lambda _: pipeline.execute({"same": "input"}), range(20)))
    assert len(set(arns)) == 20
    assert all(len(arn.rpartition(":")[2]) <= 80 for arn in arns)


def test_the_same_input_in_the_same_second_is_two_executions(pipeline, monkeypatch):
    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime(2024, 1, 15, 12, tzinfo=tz)

    monkeypatch.setattr("orch_assets.step_functions.execution_names.datetime", Clock)
    pipeline.deploy()
    first, second = (pipeline.execute({"study_key": "ONC-301"}) for _ in range(2))
    assert first.rpartition("-")[0] == second.rpartition("-")[0]
    assert first != second
    assert pipeline.wait(first, 30) == pipeline.wait(second, 30) == {"study_key": "ONC-301"}


@pytest.mark.parametrize("seconds", [0, 60])
def test_the_same_name_and_input_is_the_same_execution(pipeline, machine, seconds):
    """Whether it still runs or has ended."""
    arn = machine(Wait={**WAIT, "Seconds": seconds})
    first = pipeline.execute({"a": [1, 2]}, "attempt-1", arn)
    if seconds == 0:
        pipeline.wait(first, 30)
    assert pipeline.execute({"a": (1, 2)}, "attempt-1", arn) == first
    with pytest.raises(ExecutionInputError, match=r"execution_name: .* another input") as caught:
        pipeline.execute({"a": "planted"}, "attempt-1", arn)
    assert "planted" not in str(caught.value)
    pipeline.stop(first)


def test_a_stopped_execution_ends_aborted_and_stopping_again_is_fine(pipeline, machine):
    execution = pipeline.execute({}, state_machine_arn=machine(Wait=WAIT))
    pipeline.stop(execution, "the run was cancelled")
    with pytest.raises(ExecutionFailed) as caught:
        pipeline.wait(execution, 30)
    assert caught.value.status == "ABORTED"
    pipeline.stop(execution)


def test_waiting_ends_at_its_timeout_with_growing_waits(client, pipeline, machine):
    execution = pipeline.execute({}, state_machine_arn=machine(Wait=WAIT))
    now, waits = [0.0], []

    def sleep(seconds):
        waits.append(seconds)
        now[0] += seconds

    executions = Executions(lambda: client, sleep=sleep, clock=lambda: now[0])
    with pytest.raises(ExecutionStillRunningError, match=r"is still running after 200 s"):
        executions.wait(execution, 200)
    assert now[0] == pytest.approx(200)
    assert waits[0] < 1
    assert 10 < max(waits) < 20
    assert len(waits) < 30
    pipeline.stop(execution)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"a": "x" * 300 * 1024}, "input_data: is over 256 KiB"),
        ({"a": "é" * 140 * 1024}, "input_data: is over 256 KiB"),
        pytest.param(
            {"a": [object()]},
            r"input_data.a\[0\]: a value of type object is not JSON",
            id=r"data2-input_data.a\[0\]: JSON can't carry a object",
        ),
        ({"a": float("inf")}, "input_data.a"),
        ({"a": "\ud800"}, "input_data.a: the text holds half a character"),
        ([1, 2], "input_data: is a list"),
        ({"ages": {"ONC-001": float("nan")}}, r"input_data.ages.\(…\): JSON has no NaN"),
    ],
)
def test_an_input_that_cannot_be_sent_starts_nothing(pipeline, client, data, field):
    arn = pipeline.deploy()
    with pytest.raises(ExecutionInputError, match=f"^Execution, {field}"):
        pipeline.execute(data)
    assert client.list_executions(stateMachineArn=arn)["executions"] == []


@pytest.mark.parametrize("wrong", ["", "x" * 81, "with space", "a/b", "a:b", "a\x7f", "a*"])
def test_a_name_that_aws_refuses_starts_nothing(pipeline, wrong):
    pipeline.deploy()
    with pytest.raises(ExecutionInputError, match=r"^Execution, execution_name: "):
        pipeline.execute({}, wrong)


def test_an_execution_that_is_not_there_is_one_clear_error(pipeline):
    arn = pipeline.deploy().replace("stateMachine", "execution") + ":gone"
    for ask in (pipeline.wait, pipeline.stop, lambda gone: list(pipeline.history(gone))):
        with pytest.raises(StateMachineNotFoundError, match=r"The execution doesn't exist"):
            ask(arn)


def test_an_alias_that_is_not_there_is_one_clear_error(pipeline):
    arn = pipeline.deploy()
    with pytest.raises(StateMachineNotFoundError, match=rf"^{arn}:no-such-alias: "):
        pipeline.execute({}, state_machine_arn=f"{arn}:no-such-alias")
