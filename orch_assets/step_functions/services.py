"""Steps for services that Step Functions calls itself."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from orch_assets.step_functions.execution_errors import DefinitionError
from orch_assets.step_functions.merging import merged
from orch_assets.step_functions.plain_json import plain
from orch_assets.step_functions.task import PipelineStep

_WHOLE_INPUT = "{% $states.input %}"


def lambda_invoke(
    name: str, function: str, parameters: Mapping[str, Any] | None = None, **settings: Any
) -> PipelineStep:
    """Return a step that invokes a Lambda function; its output is what the function returns.

    Args:
        name: of the step.
        function: name or ARN, optionally with a version or an alias.
        parameters: merged over the previous step's output.
        settings: further arguments of :class:`PipelineStep`.
    """
    arguments = {"FunctionName": function, "Payload": _over_input(name, parameters)}
    settings = {"output": "{% $states.result.Payload %}", **settings}
    return PipelineStep(name, "arn:aws:states:::lambda:invoke", arguments, **settings)


def ecs_task(
    name: str, cluster: str, task_definition: str, arguments: Mapping[str, Any], **settings: Any
) -> PipelineStep:
    """Return a step that runs an ECS task until it ends; its output is its input.

    Args:
        name: of the step.
        cluster: name or ARN.
        task_definition: family, or ARN with a revision.
        arguments: further ones of ``RunTask``: ``LaunchType``, ``NetworkConfiguration``,
            ``Overrides``.
        settings: further arguments of :class:`PipelineStep`.
    """
    task = {**arguments, "Cluster": cluster, "TaskDefinition": task_definition}
    settings = {"output": _WHOLE_INPUT, **settings}
    return PipelineStep(name, "arn:aws:states:::ecs:runTask.sync", task, **settings)


def glue_job(
    name: str, job: str, arguments: Mapping[str, str] | None = None, **settings: Any
) -> PipelineStep:
    """Return a step that runs a Glue job until it ends; its output is its input.

    Args:
        name: of the step.
        job: name of the job.
        arguments: of the job, such as ``{"--study": "{% $states.input.study_key %}"}``.
        settings: further arguments of :class:`PipelineStep`.
    """
    run: dict[str, Any] = {"JobName": job}
    if arguments:
        run["Arguments"] = arguments
    settings = {"output": _WHOLE_INPUT, **settings}
    return PipelineStep(name, "arn:aws:states:::glue:startJobRun.sync", run, **settings)


def state_machine(
    name: str, arn: str, parameters: Mapping[str, Any] | None = None, **settings: Any
) -> PipelineStep:
    """Return a step that executes another state machine; its output is that machine's output.

    Args:
        name: of the step.
        arn: of the machine, or of one of its versions or aliases.
        parameters: merged over the previous step's output.
        settings: further arguments of :class:`PipelineStep`.
    """
    arguments = {"StateMachineArn": arn, "Input": _over_input(name, parameters)}
    settings = {"output": "{% $states.result.Output %}", **settings}
    resource = "arn:aws:states:::states:startExecution.sync:2"
    return PipelineStep(name, resource, arguments, **settings)


def _over_input(name: str, parameters: Mapping[str, Any] | None) -> str:
    if not parameters:
        return _WHOLE_INPUT
    return merged(plain(parameters, "parameters", partial(DefinitionError, name)))
