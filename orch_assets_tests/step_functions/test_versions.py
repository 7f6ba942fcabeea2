"""Versions and aliases.

moto publishes versions with a create or an update and keeps aliases, but can't publish by itself,
nor execute by an alias: a server of our own before it answers these.
"""

import json

import pytest

from orch_assets.step_functions import (
    AwsUnavailableError,
    DefinitionError,
    PipelineStep,
    StateMachineNotFoundError,
    Wait,
)
from orch_assets_tests.step_functions.answers import RefusedError
from orch_assets_tests.step_functions.conftest import FUNCTION

ONE = PipelineStep("One", FUNCTION + "one")
TWO = PipelineStep("Two", FUNCTION + "two")


@pytest.fixture
def first(make_at_aws, name):
    made = make_at_aws(name, ONE)
    made.deploy()
    return made


@pytest.fixture
def second(first, make_at_aws, name):
    made = make_at_aws(name, ONE, TWO)
    made.deploy()
    return made


def routes_of(client, alias):
    found = client.describe_state_machine_alias(stateMachineAliasArn=alias)
    return {r["stateMachineVersionArn"]: r["weight"] for r in found["routingConfiguration"]}


def states_of(client, version):
    found = client.describe_state_machine(stateMachineArn=version)
    return [*json.loads(found["definition"])["States"]]


def test_each_change_is_a_version_and_the_earlier_one_stays(first, second, client):
    assert first.version() == first.arn(1)
    assert second.version() == second.arn(2)
    assert states_of(client, first.version()) == ["One"]
    assert states_of(client, second.version()) == ["One", "Two"]


def test_deploying_nothing_new_is_no_version(first, aws, make_at_aws):
    aws.answers["PublishStateMachineVersion"] = lambda request: {
        "creationDate": 0, "stateMachineVersionArn": f"{request['stateMachineArn']}:1",
    }  # fmt: skip
    again = make_at_aws(first.name, ONE)
    again.deploy()
    assert again.version() == again.version() == first.arn(1)
    assert [call for call, _ in aws.asked] == ["PublishStateMachineVersion"]


def test_a_server_without_versions_has_none(first, make_at_aws):
    """That is moto itself: it answers 500."""
    assert make_at_aws(first.name, ONE).version() is None
    with pytest.raises(DefinitionError, match="alias: this server has no versions"):
        make_at_aws(first.name, ONE).point_alias("live")


def test_an_alias_is_made_once_and_then_moved(first, make_at_aws, client, aws):
    calls = []
    for call in ("CreateStateMachineAlias", "UpdateStateMachineAlias"):
        aws.answers[call] = lambda request, call=call: calls.append(call)
    live = first.point_alias("live")
    assert live == first.arn("live")
    assert routes_of(client, live) == {first.arn(1): 100}
    first.point_alias("live")
    second = make_at_aws(first.name, ONE, TWO)
    second.deploy()
    assert routes_of(client, live) == {first.arn(1): 100}
    assert second.point_alias("live") == live
    assert routes_of(client, live) == {second.arn(2): 100}
    assert calls == ["CreateStateMachineAlias", "UpdateStateMachineAlias"]


def test_an_alias_may_show_two_versions_by_percentage(second, client):
    routes = {second.arn(1): 90, second.arn(2): 10}
    assert routes_of(client, second.point_alias("live", routes)) == routes


def test_two_that_make_an_alias_at_once_leave_the_later_ones(first, aws, client):
    def too_late(request):
        first._aws.states  # noqa: B018 - whoever was faster, made it
        client.create_state_machine_alias(
            name="live",
            routingConfiguration=[{"stateMachineVersionArn": first.arn(1), "weight": 100}],
        )
        raise RefusedError("ConflictException")

    aws.answers["CreateStateMachineAlias"] = too_late
    assert routes_of(client, first.point_alias("live")) == {first.arn(1): 100}


def test_an_alias_is_what_is_executed(first, aws):
    """The alias is in the request; moto would answer that no such machine exists."""
    aws.answers["StartExecution"] = lambda request: {
        "executionArn": f"{request['stateMachineArn']}!{request['name']}", "startDate": 0,
    }  # fmt: skip
    live = first.point_alias("live")
    started = first.execute({}, state_machine_arn=live)
    assert started.startswith(f"{live}!{first.name}-")


def test_an_execution_by_an_alias_is_known_by_its_machines_arn(first, aws):
    """Starting it again by the same name finds it, whether by the alias or not."""

    def taken(request):
        if request["stateMachineArn"].endswith(":live"):
            raise RefusedError("ExecutionAlreadyExists")

    aws.answers["StartExecution"] = taken
    started = first.execute({"a": 1}, "attempt-1")
    assert first.execute({"a": 1}, "attempt-1", first.arn("live")) == started


@pytest.mark.parametrize(
    ("alias", "routes", "problem"),
    [
        ("", None, "must be letters"),
        pytest.param("12", None, "not only digits", id="12-None-no mere number"),
        ("a b", None, "must be letters"),
        ("x" * 81, None, "at most 80"),
        ("live", {}, "one version, or two"),
        ("live", {1: 50}, "make 100"),
        ("live", {1: 50, 2: 25, 3: 25}, "one version, or two"),
        ("live", {1: 120, 2: -20}, "from 0 to 100"),
        ("live", {1: 50.5, 2: 49.5}, "whole number"),
    ],
)
def test_an_alias_that_aws_refuses_is_refused_before(first, alias, routes, problem):
    wanted = routes and {first.arn(n): percent for n, percent in routes.items()}
    with pytest.raises(DefinitionError, match=f"alias: .*{problem}"):
        first.point_alias(alias, {first.arn(1): 100} if routes is None else wanted)


def test_a_version_of_another_machine_is_refused(first):
    with pytest.raises(DefinitionError, match="other:1 is not a version of this machine"):
        first.point_alias("live", {first.arn().replace(first.name, "other") + ":1": 100})


def test_a_version_that_is_not_there_is_one_clear_error(first):
    with pytest.raises(StateMachineNotFoundError, match=r":live: .* version or its alias doesn't"):
        first.point_alias("live", {first.arn(9): 100})


def test_an_alias_that_is_not_there_is_one_clear_error(first):
    arn = first.arn("no-such-alias")
    with pytest.raises(
        StateMachineNotFoundError, match=rf"^{arn}: The machine, its version or its alias doesn't"
    ):
        first.execute({}, state_machine_arn=arn)


def test_a_version_more_than_aws_allows_is_one_clear_error(aws, first, make_at_aws):
    def refuse(request):
        raise RefusedError("ServiceQuotaExceededException")

    aws.answers["UpdateStateMachine"] = refuse
    with pytest.raises(AwsUnavailableError, match="the maximum number of versions or aliases"):
        make_at_aws(first.name, Wait("W", 1)).deploy()
