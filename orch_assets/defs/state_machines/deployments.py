"""Build and check the state machines that study pipelines declare; assets that deploy them."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from orch_assets.defs.runs.interrupts import cancelled_by_ctrl_c
from orch_assets.defs.set_in_code import NOTHING
from orch_assets.defs.state_machines.aws_console import machine_url
from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.orchestration.study_machine import StudyMachine

if TYPE_CHECKING:
    from orch_assets.step_functions import StepFunctionsPipeline


def deployment_key(pipeline: StudyPipeline) -> dg.AssetKey:
    """Return the key of the asset that deploys a pipeline's state machine."""
    return dg.AssetKey(f"{pipeline.name}_machine")


def build_deployments(pipelines: Iterable[StudyPipeline]) -> list[dg.AssetsDefinition]:
    """Return an asset for each pipeline that declares a state machine; it deploys the machine.

    Raises:
        PipelineDefinitionError: AWS would refuse a definition (the message names step and field),
            a machine isn't STANDARD, its pipeline has retries that can't work, or two machines
            have the same name.
    """
    with_machine = [pipeline for pipeline in pipelines if pipeline.machine is not None]
    _check_names(with_machine)
    return [_deployment(pipeline) for pipeline in with_machine]


def takes_all(pipeline: StudyPipeline) -> bool:
    """Return whether a pipeline has one execution for all studies of a run."""
    return pipeline.machine is not None and pipeline.machine.studies_at_once is not None


def machine_of(
    pipeline: StudyPipeline,
    build: "Callable[..., StepFunctionsPipeline]",
) -> "StepFunctionsPipeline":
    """Return the state machine that a pipeline declares.

    Args:
        pipeline: declares a machine.
        build: makes a machine of name, steps and settings; ``StepFunctionsResource.pipeline``.
    """
    from orch_assets.step_functions.each_study import EachStudy

    declared, steps = _declared(pipeline), _declared(pipeline).steps
    if declared.studies_at_once is not None:
        steps = [EachStudy(steps, declared.studies_at_once)]
    return build(_name_of(pipeline), *steps, comment=declared.comment, **declared.settings)


def check_deployed(
    machine: "StepFunctionsPipeline", client: Any, pipeline: StudyPipeline
) -> dict[str, Any]:
    """Check that the deployed definition is the declared one, and return it.

    Otherwise the results would come from other code than the version in their events.

    Raises:
        StateMachineNotFoundError: the machine isn't deployed.
        DefinitionError: another definition is deployed.
    """
    from orch_assets.step_functions import DefinitionError, StateMachineNotFoundError
    from orch_assets.step_functions.aws_errors import reporting

    arn, asset = machine.arn(), deployment_key(pipeline).to_user_string()
    try:
        with reporting(arn):
            deployed = client.describe_state_machine(stateMachineArn=arn)
    except StateMachineNotFoundError as error:
        raise StateMachineNotFoundError(
            f"It isn't deployed. Materialize the asset {asset}.", place=arn, code=error.code
        ) from None
    definition = machine.definition()
    if json.loads(deployed["definition"]) != definition:
        raise DefinitionError(
            None,
            "definition",
            f"the deployed machine {machine.name} differs from what {pipeline.name} declares. "
            f"Materialize the asset {asset}.",
        )
    return definition


def _deployment(pipeline: StudyPipeline) -> dg.AssetsDefinition:
    definition = _checked_definition(pipeline)

    @dg.asset(
        key=deployment_key(pipeline),
        group_name=pipeline.group,
        kinds={"stepfunctions"},
        owners=list(pipeline.owners),
        code_version=pipeline.code_version,
        description=f"Deploys the state machine of `{pipeline.name}` if it differs from the code.",
        required_resource_keys={"step_functions"},
        config_schema=NOTHING,
    )
    @cancelled_by_ctrl_c
    def deployed_machine(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        machine = machine_of(pipeline, context.resources.step_functions.pipeline)
        deployment = machine.deployment(definition)
        difference = deployment.difference()
        version = deployment.apply(adopt=False) or machine.version()
        arn = machine.arn()
        context.log.info("%s %s", arn, "was deployed." if difference else "is up to date.")
        return dg.MaterializeResult(metadata=_metadata(arn, version, definition, difference))

    return deployed_machine


def _declared(pipeline: StudyPipeline) -> StudyMachine:
    if pipeline.machine is None:  # callers pass pipelines with a machine only
        raise TypeError(f"{pipeline.name} declares no state machine")
    return pipeline.machine


def _check_names(pipelines: Sequence[StudyPipeline]) -> None:
    """Refuse two machines of the same name: each deployment would undo the other one."""
    owners: dict[str, str] = {}
    for pipeline in pipelines:
        name = _name_of(pipeline)
        if name in owners:
            raise PipelineDefinitionError(
                f"Pipelines {owners[name]} and {pipeline.name} both declare the state machine "
                f"{name}. Give one of them another name: StudyMachine(…, name=…)."
            )
        owners[name] = pipeline.name


def _name_of(pipeline: StudyPipeline) -> str:
    return _declared(pipeline).name or pipeline.name


def _checked_definition(pipeline: StudyPipeline) -> dict[str, Any]:
    """Build and check a machine's definition, without role, region or other settings."""
    from orch_assets.step_functions import DefinitionError, StepFunctionsPipeline

    def build(name: str, *steps: Any, comment: str, **settings: Any) -> StepFunctionsPipeline:
        machine = StepFunctionsPipeline(name, "", None, comment, **settings)
        for step in steps:
            machine.add_step(step)
        return machine

    try:
        machine = machine_of(pipeline, build)
        definition = machine.definition()
    except (DefinitionError, TypeError) as error:  # TypeError: an unknown setting
        raise PipelineDefinitionError(f"Pipeline {pipeline.name}, its machine: {error}") from error
    if machine.machine_type != "STANDARD":
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name}: its machine is {machine.machine_type}; make it STANDARD. "
            "EXPRESS executions can't be followed, stopped or shown afterwards."
        )
    if takes_all(pipeline) and pipeline.retries:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name}: retries can't repeat one study of an execution for all "
            "studies. Leave out retries; set retry_on of the steps."
        )
    return definition


def _metadata(
    arn: str, version: str | None, definition: dict[str, Any], difference: str
) -> dict[str, Any]:
    from orch_assets.step_functions import mermaid

    diff = f"```diff\n{difference}\n```" if difference else "No difference."
    return {
        "arn": dg.MetadataValue.text(arn),
        "console": dg.MetadataValue.url(machine_url(arn)),
        "changed": dg.MetadataValue.bool(bool(difference)),
        "version": dg.MetadataValue.text(version or "none"),
        "definition": dg.MetadataValue.json(definition),
        "drawing": dg.MetadataValue.md(f"```mermaid\n{mermaid(definition)}\n```"),
        "difference": dg.MetadataValue.md(diff),
    }
