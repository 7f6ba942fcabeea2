"""Build, check, deploy, execute and follow state machines of AWS Step Functions."""

from typing import TYPE_CHECKING

from orch_assets.lazy import attributes_of

if TYPE_CHECKING:
    from orch_assets.step_functions.checks.definition import check_definition
    from orch_assets.step_functions.client import Aws
    from orch_assets.step_functions.diagram import mermaid
    from orch_assets.step_functions.execution_errors import (
        AwsError,
        AwsUnavailableError,
        DefinitionError,
        ExecutionFailed,
        ExecutionInputError,
        ExecutionStillRunningError,
        ForeignStateMachineError,
        StateMachineNotFoundError,
    )
    from orch_assets.step_functions.execution_names import execution_name
    from orch_assets.step_functions.executions.executions import Outcome
    from orch_assets.step_functions.executions.history import HistoryEvent
    from orch_assets.step_functions.executions.poller import ExecutionPoller
    from orch_assets.step_functions.machine_pipeline import StepFunctionsPipeline
    from orch_assets.step_functions.services import (
        ecs_task,
        glue_job,
        lambda_invoke,
        state_machine,
    )
    from orch_assets.step_functions.states import (
        Choice,
        ChoiceRule,
        DistributedMap,
        Fail,
        Map,
        Parallel,
        Wait,
    )
    from orch_assets.step_functions.task import Catch, PipelineStep, Step

_HOMES = {
    "Aws": "client",
    "AwsError": "execution_errors",
    "AwsUnavailableError": "execution_errors",
    "Catch": "task",
    "Choice": "states",
    "DefinitionError": "execution_errors",
    "DistributedMap": "states",
    "ExecutionFailed": "execution_errors",
    "ExecutionInputError": "execution_errors",
    "ExecutionStillRunningError": "execution_errors",
    "Fail": "states",
    "ExecutionPoller": "executions.poller",
    "ForeignStateMachineError": "execution_errors",
    "HistoryEvent": "executions.history",
    "Map": "states",
    "Outcome": "executions.executions",
    "Parallel": "states",
    "PipelineStep": "task",
    "StateMachineNotFoundError": "execution_errors",
    "Step": "task",
    "StepFunctionsPipeline": "machine_pipeline",
    "Wait": "states",
    "ChoiceRule": "states",
    "check_definition": "checks.definition",
    "ecs_task": "services",
    "execution_name": "execution_names",
    "glue_job": "services",
    "lambda_invoke": "services",
    "mermaid": "diagram",
    "state_machine": "services",
}

__all__ = [
    "Aws",
    "AwsError",
    "AwsUnavailableError",
    "Catch",
    "Choice",
    "ChoiceRule",
    "DefinitionError",
    "DistributedMap",
    "ExecutionFailed",
    "ExecutionInputError",
    "ExecutionPoller",
    "ExecutionStillRunningError",
    "Fail",
    "ForeignStateMachineError",
    "HistoryEvent",
    "Map",
    "Outcome",
    "Parallel",
    "PipelineStep",
    "StateMachineNotFoundError",
    "Step",
    "StepFunctionsPipeline",
    "Wait",
    "check_definition",
    "ecs_task",
    "execution_name",
    "glue_job",
    "lambda_invoke",
    "mermaid",
    "state_machine",
]

_FORMER = {"Follower": "ExecutionPoller", "When": "ChoiceRule"}

__getattr__, __dir__ = attributes_of(__name__, _HOMES, _FORMER)
