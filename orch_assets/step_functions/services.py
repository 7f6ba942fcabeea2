"""Short ways to the services that Step Functions calls itself."""

from collections.abc import Mapping
from typing import Any

from orch_assets.step_functions.execution_errors import DefinitionError
from orch_assets.step_functions.merging import merged
from orch_assets.step_functions.plain_json import plain
from orch_assets.step_functions.task import PipelineStep

_WHOLE_INPUT = "{% $states.input %}"


def lambda_invoke(
    name: str, function: str, parameters: Mapping[str, Any] | None = None, **settings: Any
) -> PipelineStep:
    """Return a step that invokes a function by name, ARN or alias; puts out what it returns.

    Args:
        name: the step's.
        function: name or ARN, with a version or an alias if wanted.
        parameters: merged over the previous step's output.
        settings: further ones of :class:`PipelineStep`.
    """
    arguments = {"FunctionName": function, "Payload": _over_input(name, parameters)}
    settings = {"output": "{% $states.result.Payload %}", **settings}
    return PipelineStep(name, "arn:aws:states:::lambda:invoke", arguments, **settings)


def ecs_task(
    name: str, cluster: str, task_definition: str, arguments: Mapping[str, Any], **settings: Any
) -> PipelineStep:
    """Return a step that runs a container to its end; puts out what came in.

    Args:
        name: the step's.
        cluster: name or ARN.
        task_definition: family, or ARN with a revision.
        arguments: further ones of ``RunTask``: ``LaunchType``, ``NetworkConfiguration``,
            ``Overrides``.
        settings: further ones of :class:`PipelineStep`.
    """
    whole = {**arguments, "Cluster": cluster, "TaskDefinition": task_definition}
    settings = {"output": _WHOLE_INPUT, **settings}
    return PipelineStep(name, "arn:aws:states:::ecs:runTask.sync", whole, **settings)


def glue_job(
    name: str, job: str, arguments: Mapping[str, str] | None = None, **settings: Any
) -> PipelineStep:
    """Return a step that runs a Glue job to its end; puts out what came in.

    Args:
        name: the step's.
        job: the job's name.
        arguments: of the job, such as ``{"--study": "{% $states.input.study_key %}"}``.
        settings: further ones of :class:`PipelineStep`.
    """
    whole: dict[str, Any] = {"JobName": job}
    if arguments:
        whole["Arguments"] = arguments
    settings = {"output": _WHOLE_INPUT, **settings}
    return PipelineStep(name, "arn:aws:states:::glue:startJobRun.sync", whole, **settings)


def state_machine(
    name: str, arn: str, parameters: Mapping[str, Any] | None = None, **settings: Any
) -> PipelineStep:
    """Return a step that executes another state machine to its end; puts out its output.

    Args:
        name: the step's.
        arn: the other machine's, its version's or its alias's.
        parameters: merged over the previous step's output.
        settings: further ones of :class:`PipelineStep`.
    """
    arguments = {"StateMachineArn": arn, "Input": _over_input(name, parameters)}
    settings = {"output": "{% $states.result.Output %}", **settings}
    resource = "arn:aws:states:::states:startExecution.sync:2"
    return PipelineStep(name, resource, arguments, **settings)


def _over_input(name: str, parameters: Mapping[str, Any] | None) -> str:
    if not parameters:
        return _WHOLE_INPUT
    return merged(
        plain(parameters, "parameters", lambda place, text: DefinitionError(name, place, text))
    )
