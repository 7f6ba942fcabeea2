import asyncio
import json
import threading
import time
import uuid
from collections import Counter

import pytest

from orch_assets.step_functions import (
    AwsUnavailableError,
    ExecutionFailed,
    ExecutionPoller,
    StateMachineNotFoundError,
)
from orch_assets_tests.step_functions.conftest import ROLE


@pytest.fixture
def machine(client):
    """Deploys one state; returns the ARN."""

    def deploy(state):
        definition = json.dumps({"StartAt": "Only", "States": {"Only": state}})
        name = f"machine-{uuid.uuid4().hex[:8]}"
        made = client.create_state_machine(name=name, definition=definition, roleArn=ROLE)
        return made["stateMachineArn"]

    return deploy


@pytest.fixture
def calls(server):
    """A client, and how often it was asked for what."""
    counted, asked = server.client("stepfunctions"), Counter()
    counted.meta.events.register(
        "before-call.stepfunctions", lambda model, **_: asked.update([model.name])
    )
    return counted, asked


def waiting_threads():
    return [t for t in threading.enumerate() if t.name == "step-functions-follower"]


SLOW = {"Type": "Wait", "Seconds": 60, "End": True}
SHORT = {"Type": "Wait", "Seconds": 2, "End": True}


def test_thirty_executions_are_followed_by_one_thread_and_few_calls(make_pipeline, calls, machine):
    client, asked = calls
    pipeline, arn = make_pipeline("followed"), machine(SHORT)
    follower = ExecutionPoller(lambda: client)
    futures = [
        follower.follow(pipeline.execute({"number": n}, state_machine_arn=arn)) for n in range(30)
    ]
    assert len(waiting_threads()) == 1
    assert [future.result(30) for future in futures] == [{"number": n} for n in range(30)]
    assert asked["DescribeExecution"] <= 35
    assert asked["ListExecutions"] <= 10


def test_at_most_ten_calls_a_second_also_for_executions_that_fail(make_pipeline, server, machine):
    """Each of which is a call more, for the state that failed."""
    client, at = server.client("stepfunctions"), []
    client.meta.events.register(
        "before-call.stepfunctions", lambda **_: at.append(time.monotonic())
    )
    pipeline, arn = make_pipeline("followed"), machine({"Type": "Fail", "Error": "Bad"})
    executions = [pipeline.execute({}, state_machine_arn=arn) for _ in range(10)]
    follower = ExecutionPoller(lambda: client)
    for future in [follower.follow(execution) for execution in executions]:
        with pytest.raises(ExecutionFailed):
            future.result(30)
    assert len(at) >= 20
    assert min(later - earlier for earlier, later in zip(at, at[10:], strict=False)) > 0.95


def test_the_thread_ends_when_nothing_is_left_and_starts_again(make_pipeline, client, machine):
    pipeline, arn = make_pipeline("followed"), machine({"Type": "Pass", "End": True})
    follower = ExecutionPoller(lambda: client)
    for number in range(2):
        execution = pipeline.execute({"number": number}, state_machine_arn=arn)
        assert follower.follow(execution).result(30) == {"number": number}
        end = time.monotonic() + 5
        while waiting_threads() and time.monotonic() < end:
            time.sleep(0.05)
        assert waiting_threads() == []


def test_one_that_fails_is_its_own_error_and_hurts_no_other(make_pipeline, client, machine):
    pipeline = make_pipeline("followed")
    bad = pipeline.execute({}, state_machine_arn=machine({"Type": "Fail", "Error": "Bad"}))
    good = pipeline.execute({}, state_machine_arn=machine(SHORT))
    gone = bad.replace(bad.rpartition(":")[2], "gone")
    follower = ExecutionPoller(lambda: client)
    futures = [follower.follow(arn) for arn in (bad, good, gone)]
    with pytest.raises(ExecutionFailed, match="in state 'Only' with Bad"):
        futures[0].result(30)
    assert futures[1].result(30) == {}
    with pytest.raises(StateMachineNotFoundError):
        futures[2].result(30)


def test_waiting_holds_no_thread_and_cancelling_stops_the_execution(make_pipeline, client, machine):
    pipeline, arn = make_pipeline("followed"), machine(SLOW)
    executions = [pipeline.execute({"n": n}, state_machine_arn=arn) for n in range(10)]

    async def wait_and_cancel():
        before = threading.active_count()
        tasks = [asyncio.ensure_future(pipeline.wait_async(e)) for e in executions]
        await asyncio.sleep(1)
        assert threading.active_count() - before <= 1
        for task in tasks:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    ended = asyncio.run(wait_and_cancel())
    assert {type(error) for error in ended} == {asyncio.CancelledError}
    found = {client.describe_execution(executionArn=e)["status"] for e in executions}
    assert found == {"ABORTED"}


def unreachable(server):
    from botocore.config import Config

    session = server.client("stepfunctions").meta
    import boto3

    return boto3.session.Session("testing", "testing", region_name=session.region_name).client(
        "stepfunctions",
        endpoint_url="http://127.0.0.1:9",
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_a_network_that_fails_for_a_while_is_waited_for(make_pipeline, server, client, machine):
    pipeline = make_pipeline("followed")
    execution = pipeline.execute({}, state_machine_arn=machine({"Type": "Pass", "End": True}))
    clients = iter([unreachable(server)] * 3)
    follower = ExecutionPoller(lambda: next(clients, client), sleep=lambda _: time.sleep(0.01))
    assert follower.follow(execution).result(30) == {}


def test_a_network_that_fails_for_longer_than_the_patience_is_an_error(server):
    lost = unreachable(server)
    follower = ExecutionPoller(lambda: lost, patience=0.2, sleep=lambda _: time.sleep(0.05))
    arn = "arn:aws:states:us-east-1:123456789012:execution:machine:name"
    futures = [follower.follow(f"{arn}-{n}") for n in range(10)]
    for future in futures:
        with pytest.raises(AwsUnavailableError, match="No answer from AWS"):
            future.result(30)
