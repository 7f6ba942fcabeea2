"""The errors that a task retries: those of services, and of the user's code only on request."""

from collections.abc import Sequence
from typing import Any

from orch_assets.step_functions.arns import resource_of

# https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
# Not included: a handler's exception (reported by its own name), and lack of time or memory
# (Lambda.Unknown, Sandbox.Timedout). The same input would fail again.
_LAMBDA = (
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
)
_INTEGRATIONS = {
    "ecs": ("ECS.ServerException", "ECS.ThrottlingException", "ECS.AmazonECSException"),
    "glue": (
        "Glue.ConcurrentRunsExceededException",
        "Glue.InternalServiceException",
        "Glue.OperationTimeoutException",
        "Glue.ThrottlingException",
    ),
    "lambda": _LAMBDA,
    "states": ("StepFunctions.ExecutionLimitExceeded", "StepFunctions.ThrottlingException"),
}

FIRST_WAIT = 2
LONGEST_WAIT = 60
BACKOFF_RATE = 2.0


def service_errors(resource: str) -> tuple[str, ...]:
    """Return the errors by which a resource's service reports throttling or its own failure."""
    parsed = resource_of(resource)
    if parsed is None or parsed.kind == "activity":
        return ()
    if parsed.kind == "lambda":
        return _LAMBDA
    return _INTEGRATIONS.get(parsed.action.partition(":")[0], ())


def retry_of(resource: str, attempts: int, retry_on: Sequence[str]) -> list[dict[str, Any]]:
    """Return a task's ``Retry``: at most one retrier, so that all errors share one count.

    Args:
        resource: ARN of the task's resource.
        attempts: number of attempts after the first one.
        retry_on: names of further errors, of the user's own code.
    """
    errors = [*dict.fromkeys([*service_errors(resource), *retry_on])]
    if not errors or attempts == 0:
        return []
    if "States.ALL" in errors:  # includes all others, and must be the only one
        errors = ["States.ALL"]
    return [
        {
            "ErrorEquals": errors,
            "IntervalSeconds": FIRST_WAIT,
            "MaxAttempts": attempts,
            "BackoffRate": BACKOFF_RATE,
            "MaxDelaySeconds": LONGEST_WAIT,
            "JitterStrategy": "FULL",
        }
    ]
