"""Which errors are worth another try: the services' own, never the user's code's."""

from collections.abc import Sequence
from typing import Any

from orch_assets.step_functions.arns import resource_of

# https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
# A handler's own exception comes under its own name, one that ran out of time or memory as
# Lambda.Unknown or Sandbox.Timedout: the same input would fail again.
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
    """Return the errors by which a resource's service says that it is busy or broken."""
    found = resource_of(resource)
    if found is None or found.kind == "activity":
        return ()
    if found.kind == "lambda":
        return _LAMBDA
    return _INTEGRATIONS.get(found.action.partition(":")[0], ())


def retry_of(resource: str, attempts: int, retry_on: Sequence[str]) -> list[dict[str, Any]]:
    """Return a task's ``Retry``: at most one retrier, so that the attempts have one count.

    Args:
        resource: the task's.
        attempts: tries after the first one; 0 is none.
        retry_on: further errors, of the user's own code.
    """
    errors = [*dict.fromkeys([*service_errors(resource), *retry_on])]
    if not errors or attempts == 0:
        return []
    if "States.ALL" in errors:  # it stands for all others, and has to stand alone
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
