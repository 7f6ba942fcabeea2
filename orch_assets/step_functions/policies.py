"""Minimal IAM policies of a machine's role and of its caller, derived from the definition."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from orch_assets.step_functions.arns import resource_of
from orch_assets.step_functions.checks.definition import mode_of, states_of
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
# EventBridge rules through which a machine learns that a task it waits for has ended.
_RULES = {
    "ecs": "StepFunctionsGetEventsForECSTaskRule",
    "states": "StepFunctionsGetEventsForStepFunctionsExecutionRule",
}
# IAM's names of services, where Step Functions uses another one.
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


class MachineLocation(NamedTuple):
    """The parts of a machine's ARN.

    Attributes:
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
        region: of the machine; ``*`` if unknown.
        account: number of the account.
        name: of the machine.
    """

    partition: str
    region: str
    account: str
    name: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in the same account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


def role_policy(
    definition: Mapping[str, Any], location: MachineLocation, configuration: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the IAM policy that a machine's role needs.

    A resource that the definition names by an expression is known in an execution only, so the
    policy allows ``*``. Actions of ``aws-sdk`` keep their names, although IAM has others for a few
    (``s3:listObjectsV2`` is ``s3:ListBucket``).
    """
    statements = [
        statement
        for _, state in states_of(definition)
        for statement in (*_of_task(state, location), *_of_map(state, location))
    ]
    return _policy([*statements, *_of_configuration(configuration, location)])


def caller_policy(
    location: MachineLocation,
    role_arn: str,
    configuration: Mapping[str, Any],
    machine_type: str = "STANDARD",
) -> dict[str, Any]:
    """Return the IAM policy for deploying, executing, following and destroying a machine."""
    machine = location.arn("states", f"stateMachine:{location.name}")
    executions = location.arn("states", f"execution:{location.name}:*")
    express = machine_type == "EXPRESS"  # AWS doesn't retain its executions
    return _policy(
        [
            _allow("states", [*_BUILD, *_START[machine_type]], machine, f"{machine}:*"),
            _allow("states", ["ValidateStateMachineDefinition"], "*"),
            *([] if express else [_allow("states", _FOLLOW, executions)]),
            _allow_passing(role_arn, "states.amazonaws.com"),
            *_of_key(configuration, ["Decrypt", "DescribeKey", "GenerateDataKey"], location),
        ]
    )


def _of_task(state: Mapping[str, Any], location: MachineLocation) -> Iterator[Statement]:
    resource = resource_of(state.get("Resource", ""))
    if resource is None:
        return
    if resource.kind == "lambda":
        yield _allow("lambda", ["InvokeFunction"], state["Resource"])
        return
    if resource.kind == "activity":  # the worker fetches its tasks itself
        return
    service, _, action = resource.action.removeprefix("aws-sdk:").partition(":")
    name, _, pattern = action.partition(".")
    arguments = state.get("Arguments", state.get("Parameters", {}))
    arguments = arguments if isinstance(arguments, Mapping) else {}
    yield from _of_service(service, name, arguments, location)
    if pattern.startswith("sync"):
        yield from _of_waiting(service, arguments, location)


def _of_service(
    service: str, name: str, arguments: Mapping[str, Any], location: MachineLocation
) -> Iterator[Statement]:
    known = {
        "lambda:invoke": ("InvokeFunction", "FunctionName", "function:"),
        "ecs:runTask": ("RunTask", "TaskDefinition", "task-definition/"),
        "glue:startJobRun": ("StartJobRun", "JobName", "job/"),
        "states:startExecution": ("StartExecution", "StateMachineArn", "stateMachine:"),
        "sns:publish": ("Publish", "TopicArn", ""),
    }
    action, argument, kind = known.get(f"{service}:{name}", (name[0].upper() + name[1:], None, ""))
    resource = _resource(service, arguments.get(argument), kind, location) if argument else "*"
    yield _allow(_IAM_NAMES.get(service, service), [action], resource)
    if service == "ecs":
        yield _allow_passing("*", "ecs-tasks.amazonaws.com")


def _of_waiting(
    service: str, arguments: Mapping[str, Any], location: MachineLocation
) -> Iterator[Statement]:
    if service == "glue":
        job = _resource("glue", arguments.get("JobName"), "job/", location)
        yield _allow("glue", ["BatchStopJobRun", "GetJobRun", "GetJobRuns"], job)
    elif service == "ecs":
        yield _allow("ecs", ["DescribeTasks", "StopTask"], "*")
    elif service == "states":
        yield _allow(
            "states", ["DescribeExecution", "StopExecution"], _executions(arguments, location)
        )
    if service in _RULES:
        rule = location.arn("events", f"rule/{_RULES[service]}")
        yield _allow("events", ["DescribeRule", "PutRule", "PutTargets"], rule)


def _of_map(state: Mapping[str, Any], location: MachineLocation) -> Iterator[Statement]:
    if mode_of(state) != "DISTRIBUTED":
        return
    machine = location.arn("states", f"stateMachine:{location.name}")
    # AWS's example allows one form for describing and the other for redriving:
    # https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
    children = [location.arn("states", f"execution:{location.name}{end}") for end in (":*", "/*")]
    yield _allow("states", ["StartExecution"], machine)
    yield _allow("states", ["DescribeExecution", "RedriveExecution", "StopExecution"], *children)


def _of_configuration(
    configuration: Mapping[str, Any], location: MachineLocation
) -> Iterator[Statement]:
    if configuration["loggingConfiguration"]["level"] != "OFF":
        yield _allow("logs", _LOG_DELIVERY, "*")
    if configuration["tracingConfiguration"]["enabled"]:
        yield _allow("xray", _TRACING, "*")
    yield from _of_key(configuration, ["Decrypt", "GenerateDataKey"], location)


def _of_key(
    configuration: Mapping[str, Any], actions: list[str], location: MachineLocation
) -> Iterator[Statement]:
    """Allow a key by its ARN or ID, or every key that has its alias."""
    key = configuration["encryptionConfiguration"].get("kmsKeyId")
    if not key:
        return
    name = key.rpartition(":")[2]
    if name.startswith("alias/"):
        condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": name}}
        yield {**_allow("kms", actions, location.arn("kms", "key/*")), "Condition": condition}
    else:
        yield _allow("kms", actions, key if name != key else location.arn("kms", f"key/{key}"))


def _resource(service: str, value: Any, kind: str, location: MachineLocation) -> str:
    """Return the ARN for an argument of a task; ``*`` if only an execution knows it."""
    if not isinstance(value, str) or is_expression(value):
        return "*"
    if value.startswith("arn:"):
        return value
    # A task family without a revision means the newest revision.
    revision = ":*" if service == "ecs" and ":" not in value else ""
    return location.arn(service, f"{kind}{value}{revision}")


def _executions(arguments: Mapping[str, Any], location: MachineLocation) -> str:
    machine = _resource("states", arguments.get("StateMachineArn"), "stateMachine:", location)
    head, separator, name = machine.partition(":stateMachine:")
    return f"{head}:execution:{name.partition(':')[0]}:*" if separator else "*"


def _allow_passing(role_arn: str, service: str) -> Statement:
    condition = {"StringEquals": {"iam:PassedToService": service}}
    return {**_allow("iam", ["PassRole"], role_arn), "Condition": condition}


def _allow(service: str, actions: Any, *resources: str) -> Statement:
    return {
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in actions],
        "Resource": [*resources],
    }


def _policy(statements: list[Statement]) -> dict[str, Any]:
    """Return a policy without repeated statements."""
    unique: list[Statement] = []
    for statement in statements:
        if statement not in unique:
            unique.append(statement)
    return {"Version": "2012-10-17", "Statement": unique}
