"""State machines of AWS Step Functions: built, checked, deployed, executed and followed."""

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
from orch_assets.step_functions.executions.poller import Follower
from orch_assets.step_functions.machine_pipeline import StepFunctionsPipeline
from orch_assets.step_functions.services import (
    ecs_task,
    glue_job,
    lambda_invoke,
    state_machine,
)
from orch_assets.step_functions.states import (
    Choice,
    DistributedMap,
    Fail,
    Map,
    Parallel,
    Wait,
    When,
)
from orch_assets.step_functions.task import Catch, PipelineStep, Step

__all__ = [
    "Aws",
    "AwsError",
    "AwsUnavailableError",
    "Catch",
    "Choice",
    "DefinitionError",
    "DistributedMap",
    "ExecutionFailed",
    "ExecutionInputError",
    "ExecutionStillRunningError",
    "Fail",
    "Follower",
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
    "When",
    "check_definition",
    "ecs_task",
    "execution_name",
    "glue_job",
    "lambda_invoke",
    "mermaid",
    "state_machine",
]
