"""The least that a machine's role and its caller need, read off the definition."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from orch_assets.step_functions.arns import resource_of
from orch_assets.step_functions.checks.definition import states_of
from orch_assets.step_functions.merging import is_expression

Statement = dict[str, Any]

_BUILD = (
    "CreateStateMachine",
    "CreateStateMachineAlias",
    "DeleteStateMachine",
    "DescribeStateMachine",
    "DescribeStateMachineAlias",
    "ListTagsForResource",
    "PublishStateMachineVersion",
    "TagResource",
    "UpdateStateMachine",
    "UpdateStateMachineAlias",
)
_START = {
    "EXPRESS": ("StartSyncExecution",),
    "STANDARD": ("ListExecutions", "StartExecution"),
}
_FOLLOW = (
    "DescribeExecution",
    "DescribeStateMachineForExecution",
    "GetExecutionHistory",
    "RedriveExecution",
    "StopExecution",
)
# By which AWS tells a machine that what it waits for has ended.
_RULES = {
    "ecs": "StepFunctionsGetEventsForECSTaskRule",
    "states": "StepFunctionsGetEventsForStepFunctionsExecutionRule",
}
# Services that IAM calls by another name than Step Functions does.
_IAM_NAMES = {
    "cloudwatchlogs": "logs",
    "emr": "elasticmapreduce",
    "eventbridge": "events",
    "sfn": "states",
}
_LOG_DELIVERY = (
    "CreateLogDelivery", "DeleteLogDelivery", "DescribeLogGroups", "DescribeResourcePolicies",
    "GetLogDelivery", "ListLogDeliveries", "PutResourcePolicy", "UpdateLogDelivery",
)  # fmt: skip
_TRACING = (
    "GetSamplingRules", "GetSamplingTargets", "PutTelemetryRecords", "PutTraceSegments",
)  # fmt: skip


class Place(NamedTuple):
    """Where a machine is.

    Attributes:
        partition: ``aws``, ``aws-cn``, ``aws-us-gov``.
        region: of the machine.
        account: its number.
        name: the machine's.
    """

    partition: str
    region: str
    account: str
    name: str

    def arn(self, service: str, rest: str) -> str:
        """Return an ARN of the same account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{rest}"


def role_policy(
    definition: Mapping[str, Any], place: Place, configuration: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the IAM policy that a machine's role needs.

    What a definition names by an expression, only an execution knows: it is allowed as ``*``.
    Actions of ``aws-sdk`` go by their own names; IAM calls a few by others (``s3:listObjectsV2`` is
    ``s3:ListBucket`` to it).
    """
    found = [
        statement
        for _, state in states_of(definition)
        for statement in (*_of_task(state, place), *_of_map(state, place))
    ]
    return _policy([*found, *_of_configuration(configuration, place)])


def caller_policy(
    place: Place,
    role_arn: str,
    configuration: Mapping[str, Any],
    machine_type: str = "STANDARD",
) -> dict[str, Any]:
    """Return the IAM policy of who deploys, executes, follows and destroys a machine."""
    machine = place.arn("states", f"stateMachine:{place.name}")
    executions = place.arn("states", f"execution:{place.name}:*")
    express = machine_type == "EXPRESS"  # whose executions can't be asked about
    return _policy(
        [
            _allow("states", [*_BUILD, *_START[machine_type]], machine, f"{machine}:*"),
            _allow("states", ["ValidateStateMachineDefinition"], "*"),
            *([] if express else [_allow("states", _FOLLOW, executions)]),
            _passing(role_arn, "states.amazonaws.com"),
            *_of_key(configuration, ["Decrypt", "DescribeKey", "GenerateDataKey"], place),
        ]
    )


def _of_task(state: Mapping[str, Any], place: Place) -> Iterator[Statement]:
    found = resource_of(state.get("Resource", ""))
    if found is None:
        return
    if found.kind == "lambda":
        yield _allow("lambda", ["InvokeFunction"], state["Resource"])
        return
    if found.kind == "activity":  # the worker asks for its tasks itself
        return
    service, _, action = found.action.removeprefix("aws-sdk:").partition(":")
    name, _, pattern = action.partition(".")
    given = state.get("Arguments", state.get("Parameters", {}))
    given = given if isinstance(given, Mapping) else {}
    yield from _of_service(service, name, given, place)
    if pattern.startswith("sync"):
        yield from _of_waiting(service, given, place)


def _of_service(
    service: str, name: str, given: Mapping[str, Any], place: Place
) -> Iterator[Statement]:
    known = {
        "lambda:invoke": ("InvokeFunction", "FunctionName", "function:"),
        "ecs:runTask": ("RunTask", "TaskDefinition", "task-definition/"),
        "glue:startJobRun": ("StartJobRun", "JobName", "job/"),
        "states:startExecution": ("StartExecution", "StateMachineArn", "stateMachine:"),
        "sns:publish": ("Publish", "TopicArn", ""),
    }
    action, argument, kind = known.get(f"{service}:{name}", (name[0].upper() + name[1:], None, ""))
    named = _named(service, given.get(argument), kind, place) if argument else "*"
    yield _allow(_IAM_NAMES.get(service, service), [action], named)
    if service == "ecs":
        yield _passing("*", "ecs-tasks.amazonaws.com")


def _of_waiting(service: str, given: Mapping[str, Any], place: Place) -> Iterator[Statement]:
    if service == "glue":
        job = _named("glue", given.get("JobName"), "job/", place)
        yield _allow("glue", ["BatchStopJobRun", "GetJobRun", "GetJobRuns"], job)
    elif service == "ecs":
        yield _allow("ecs", ["DescribeTasks", "StopTask"], "*")
    elif service == "states":
        yield _allow("states", ["DescribeExecution", "StopExecution"], _executions(given, place))
    if service in _RULES:
        rule = place.arn("events", f"rule/{_RULES[service]}")
        yield _allow("events", ["DescribeRule", "PutRule", "PutTargets"], rule)


def _of_map(state: Mapping[str, Any], place: Place) -> Iterator[Statement]:
    mode = state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode")
    if mode != "DISTRIBUTED":
        return
    machine = place.arn("states", f"stateMachine:{place.name}")
    # AWS's own example allows the one form for describing and the other for redriving:
    # https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
    children = [place.arn("states", f"execution:{place.name}{end}") for end in (":*", "/*")]
    yield _allow("states", ["StartExecution"], machine)
    yield _allow("states", ["DescribeExecution", "RedriveExecution", "StopExecution"], *children)


def _of_configuration(configuration: Mapping[str, Any], place: Place) -> Iterator[Statement]:
    if configuration["loggingConfiguration"]["level"] != "OFF":
        yield _allow("logs", _LOG_DELIVERY, "*")
    if configuration["tracingConfiguration"]["enabled"]:
        yield _allow("xray", _TRACING, "*")
    yield from _of_key(configuration, ["Decrypt", "GenerateDataKey"], place)


def _of_key(
    configuration: Mapping[str, Any], actions: list[str], place: Place
) -> Iterator[Statement]:
    """Allow a key by its ARN or ID; one that is given by an alias by that, whichever it is."""
    key = configuration["encryptionConfiguration"].get("kmsKeyId")
    if not key:
        return
    name = key.rpartition(":")[2]
    if name.startswith("alias/"):
        condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": name}}
        yield {**_allow("kms", actions, place.arn("kms", "key/*")), "Condition": condition}
    else:
        yield _allow("kms", actions, key if name != key else place.arn("kms", f"key/{key}"))


def _named(service: str, value: Any, kind: str, place: Place) -> str:
    if not isinstance(value, str) or is_expression(value):
        return "*"
    if value.startswith("arn:"):
        return value
    # A family of tasks without its revision means the newest one.
    revision = ":*" if service == "ecs" and ":" not in value else ""
    return place.arn(service, f"{kind}{value}{revision}")


def _executions(given: Mapping[str, Any], place: Place) -> str:
    machine = _named("states", given.get("StateMachineArn"), "stateMachine:", place)
    head, found, name = machine.partition(":stateMachine:")
    return f"{head}:execution:{name.partition(':')[0]}:*" if found else "*"


def _passing(role_arn: str, service: str) -> Statement:
    condition = {"StringEquals": {"iam:PassedToService": service}}
    return {**_allow("iam", ["PassRole"], role_arn), "Condition": condition}


def _allow(service: str, actions: Any, *resources: str) -> Statement:
    return {
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in actions],
        "Resource": [*resources],
    }


def _policy(statements: list[Statement]) -> dict[str, Any]:
    """Return a policy; each statement once."""
    once: list[Statement] = []
    for statement in statements:
        if statement not in once:
            once.append(statement)
    return {"Version": "2012-10-17", "Statement": once}
