"""Turn errors of AWS and of the connection to it into ours, without values or keys."""

import contextlib
from collections.abc import Iterator
from typing import Any

from orch_assets.clouds import connecting
from orch_assets.extras import needing
from orch_assets.step_functions.arns import is_qualified
from orch_assets.step_functions.execution_errors import (
    AwsError,
    AwsUnavailableError,
    StateMachineNotFoundError,
)

_MISSING = {
    "ExecutionDoesNotExist": "The execution doesn't exist: it was deleted, or ended over 90 "
    "days ago. Start another one.",
    "ResourceNotFound": "The machine, its version or its alias doesn't exist. Deploy it, or "
    "correct the ARN.",
    "StateMachineDoesNotExist": "The state machine doesn't exist. Deploy it, or correct the ARN.",
}
_REFUSED = {
    "AccessDeniedException": "AWS denies access to the caller or to the machine's role. "
    "caller_policy() and role_policy() return the policies that they need; Step Functions must be "
    "allowed to assume the role.",
    "ConflictException": "It is being changed by somebody else. Try again.",
    "InvalidArn": "This is not a valid ARN. Correct it.",
    "InvalidDefinition": "AWS refuses the definition. To see why, paste definition_json() into the "
    "editor of the AWS console.",
    "InvalidName": "AWS refuses the name. Use at most 80 letters, digits, - and _.",
    "KmsAccessDeniedException": "AWS denies the use of the KMS key. Allow the caller to use it.",
    "ExecutionLimitExceeded": "The account has too many open executions. Try again later.",
    "StateMachineDeleting": "The state machine is being deleted. Wait until it is gone.",
    "ServiceQuotaExceededException": "The machine has the maximum number of versions or aliases. "
    "Delete some.",
    "StateMachineLimitExceeded": "The account has too many state machines. Delete some.",
    "ThrottlingException": "Step Functions throttles the account. Try again later.",
    "TooManyTags": "Too many tags: AWS allows 50, of which one is ours.",
}
# Codes of servers that are compatible with Step Functions but lack a call. AWS's own failures have
# other names.
_UNSUPPORTED_CALL = {
    "500", "501", "InvalidAction", "NotImplemented", "UnknownOperationException",
    "UnsupportedOperation",
}  # fmt: skip
_CREDENTIAL_CODES = {
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "UnrecognizedClientException",
}
_CREDENTIAL_ERRORS = ("Credential", "NoCredentials", "Token", "SSO", "Unauthorized", "Profile")


def code_of(error: BaseException) -> str:
    """Return AWS's code of an error, or else the error's type."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


def is_unsupported_call(error: AwsError) -> bool:
    """Return whether the server doesn't offer the call."""
    return error.code in _UNSUPPORTED_CALL


@contextlib.contextmanager
def reporting(place: str) -> Iterator[None]:
    """Turn AWS's errors into ours.

    Args:
        place: ARN or name that the calls are about; begins the message.

    Raises:
        AwsError: names the place and what to do.
        MissingExtraError: boto3 is not installed.
    """
    with connecting, needing("aws"):
        from botocore.exceptions import BotoCoreError, ClientError

    failure: AwsError | None = None
    try:
        yield
    except (ClientError, BotoCoreError, OSError) as error:
        failure = error_of(error, place)
    if failure:
        raise failure from None  # AWS's message may hold the input


def error_of(error: BaseException, place: str) -> AwsError:
    """Return our error for one of AWS or of the connection."""
    code = code_of(error)
    if code == "StateMachineDoesNotExist" and is_qualified(place):
        return StateMachineNotFoundError(_MISSING["ResourceNotFound"], place=place, code=code)
    if code in _MISSING:
        return StateMachineNotFoundError(_MISSING[code], place=place, code=code)
    return AwsUnavailableError(_problem(error, code), place=place, code=code)


def _problem(error: BaseException, code: str) -> str:
    if code in _REFUSED:
        return _REFUSED[code]
    if code in _CREDENTIAL_CODES or code.startswith(_CREDENTIAL_ERRORS):
        return (
            f"AWS credentials are missing, or AWS refuses them ({code}). Give a profile, an "
            "instance role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if code in {"NoRegionError", "InvalidRegionError"}:
        return f"The region is missing or wrong ({code}). Give `region`."
    if code == "ParamValidationError":
        return "boto3 refuses a parameter. Check the name, role, tags and configuration."
    if hasattr(error, "response"):
        return f"AWS refuses it ({code})."
    return f"No answer from AWS ({code}). Check the region, the network and the endpoint."
