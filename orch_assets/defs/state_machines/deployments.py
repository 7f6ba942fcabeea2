"""The state machines that study pipelines declare: built, deployed by assets, and checked."""

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
    """Return the asset that deploys a pipeline's state machine."""
    return dg.AssetKey(f"{pipeline.name}_machine")


def build_deployments(pipelines: Iterable[StudyPipeline]) -> list[dg.AssetsDefinition]:
    """Return an asset for each state machine that the pipelines declare; it deploys the machine.

    Raises:
        PipelineDefinitionError: a machine that AWS would refuse, with the step and the field; one
            that is no STANDARD one, or that retries can't be for; two of one name.
    """
    declaring = [pipeline for pipeline in pipelines if pipeline.machine is not None]
    _check_names(declaring)
    return [_deployment(pipeline) for pipeline in declaring]


def takes_all(pipeline: StudyPipeline) -> bool:
    """Tell whether one execution is for all studies of a run."""
    return pipeline.machine is not None and pipeline.machine.studies_at_once is not None


def steps_of(pipeline: StudyPipeline) -> Sequence[Any]:
    """Return the steps of a pipeline's state machine."""
    declared = _declared(pipeline)
    if declared.studies_at_once is None:
        return declared.steps
    from orch_assets.step_functions.each_study import EachStudy

    return [EachStudy(declared.steps, declared.studies_at_once)]


def machine_of(
    pipeline: StudyPipeline,
    build: "Callable[..., StepFunctionsPipeline]",
) -> "StepFunctionsPipeline":
    """Return the state machine that a pipeline declares.

    Args:
        pipeline: declares one.
        build: such as ``StepFunctionsResource.pipeline``.
    """
    declared = _declared(pipeline)
    return build(
        _name_of(pipeline),
        *steps_of(pipeline),
        comment=declared.comment,
        **declared.settings,
    )


def check_deployed(
    machine: "StepFunctionsPipeline", client: Any, pipeline: StudyPipeline
) -> dict[str, Any]:
    """Check that the deployed definition is the declared one, and return it.

    Otherwise results would come from other code than their events name.

    Raises:
        StateMachineNotFoundError: it isn't deployed.
        DefinitionError: another definition is.
    """
    from orch_assets.step_functions import DefinitionError, StateMachineNotFoundError
    from orch_assets.step_functions.aws_errors import reporting

    arn, asset = machine.arn(), deployment_key(pipeline).to_user_string()
    try:
        with reporting(arn):
            found = client.describe_state_machine(stateMachineArn=arn)
    except StateMachineNotFoundError as error:
        raise StateMachineNotFoundError(
            f"It isn't deployed. Materialize the asset {asset}.", place=arn, code=error.code
        ) from None
    definition = machine.definition()
    if json.loads(found["definition"]) != definition:
        raise DefinitionError(
            None,
            "definition",
            f"what is deployed as {machine.name} isn't what {pipeline.name} declares. "
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
        description=f"Deploys the state machine of `{pipeline.name}`, if it differs.",
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
    if pipeline.machine is None:  # the caller asked for pipelines with one only
        raise TypeError(f"{pipeline.name} declares no state machine")
    return pipeline.machine


def _check_names(pipelines: Sequence[StudyPipeline]) -> None:
    """Refuse two machines of one name: each deployment would undo the other's."""
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
    """Build and check a machine's definition when definitions load, without any setting."""
    from orch_assets.step_functions import DefinitionError, StepFunctionsPipeline

    def build(name: str, *steps: Any, comment: str, **settings: Any) -> StepFunctionsPipeline:
        made = StepFunctionsPipeline(name, "", None, comment, **settings)
        for step in steps:
            made.add_step(step)
        return made

    try:
        machine = machine_of(pipeline, build)
        definition = machine.definition()
    except (DefinitionError, TypeError) as error:  # a TypeError is of a setting that isn't there
        raise PipelineDefinitionError(f"Pipeline {pipeline.name}, its machine: {error}") from error
    if machine.machine_type != "STANDARD":
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name}: its machine is {machine.machine_type}; make it STANDARD. "
            "Other executions can't be followed, stopped or looked at afterwards."
        )
    if takes_all(pipeline) and pipeline.retries:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name}: its one execution for all studies can't be tried again for "
            "one of them. Leave out retries; give the steps retry_on."
        )
    return definition


def _metadata(
    arn: str, version: str | None, definition: dict[str, Any], difference: str
) -> dict[str, Any]:
    from orch_assets.step_functions import mermaid

    told = f"```diff\n{difference}\n```" if difference else "Nothing: it is what it was."
    return {
        "arn": dg.MetadataValue.text(arn),
        "console": dg.MetadataValue.url(machine_url(arn)),
        "changed": dg.MetadataValue.bool(bool(difference)),
        "version": dg.MetadataValue.text(version or "none"),
        "definition": dg.MetadataValue.json(definition),
        "drawing": dg.MetadataValue.md(f"```mermaid\n{mermaid(definition)}\n```"),
        "difference": dg.MetadataValue.md(told),
    }
