"""What AWS, and the way to it, say: in our own words, without values or keys."""

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
    "ExecutionDoesNotExist": "The execution isn't there: it was deleted, or ended over 90 days ago."
    " Start another one.",
    "ResourceNotFound": "The machine, its version or its alias isn't there. Deploy it, or correct "
    "the ARN.",
    "StateMachineDoesNotExist": "The state machine isn't there. Deploy it, or correct the ARN.",
}
_REFUSED = {
    "AccessDeniedException": "AWS denies access, to the caller or to the machine's role. Print the "
    "policies that they need: caller_policy(), role_policy(); Step Functions must be allowed to "
    "assume the role.",
    "ConflictException": "Somebody else changes it just now. Try again.",
    "InvalidArn": "That is no ARN. Correct it.",
    "InvalidDefinition": "AWS refuses the definition. Its own words are in the AWS console's "
    "editor: paste definition_json() there.",
    "InvalidName": "AWS refuses the name. Use letters, digits, - and _, at most 80.",
    "KmsAccessDeniedException": "AWS denies the use of the KMS key. Allow it to the caller.",
    "ExecutionLimitExceeded": "The account has too many open executions. Try again later.",
    "StateMachineDeleting": "The state machine is being deleted. Wait until it is gone.",
    "ServiceQuotaExceededException": "The machine has as many versions or aliases as AWS allows. "
    "Delete some.",
    "StateMachineLimitExceeded": "The account has too many state machines. Destroy some.",
    "ThrottlingException": "Step Functions is busy. Try again later.",
    "TooManyTags": "Too many tags: 50 are allowed, one of them is ours.",
}
# What servers say that speak Step Functions but for this call. AWS's own failures have names.
_UNKNOWN_CALL = {
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
    """Return AWS's own code of an error, or the error's type."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


def knows_no_such_call(error: AwsError) -> bool:
    """Tell whether a server answered that it doesn't offer what it was asked for."""
    return error.code in _UNKNOWN_CALL


@contextlib.contextmanager
def reporting(place: str) -> Iterator[None]:
    """Turn AWS's errors into ours.

    Args:
        place: the ARN or name that is asked for.

    Raises:
        AwsError: naming the place and what to do.
        MissingExtraError: boto3 is not installed.
    """
    with connecting, needing("aws"):
        from botocore.exceptions import BotoCoreError, ClientError

    found: AwsError | None = None
    try:
        yield
    except (ClientError, BotoCoreError, OSError) as error:
        found = error_of(error, place)
    if found:
        raise found from None  # the vendor's own words may hold the input


def error_of(error: BaseException, place: str) -> AwsError:
    """Return our error of AWS's."""
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
            f"AWS credentials are missing, or AWS refuses them ({code}). Give a profile, a role "
            "of the machine, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if code in {"NoRegionError", "InvalidRegionError"}:
        return f"The region is missing or wrong ({code}). Give `region`."
    if code == "ParamValidationError":
        return "boto3 refuses a parameter: check the name, role, tags and configuration."
    if hasattr(error, "response"):
        return f"AWS refuses it ({code})."
    return f"No answer from AWS ({code}). Check the region, the network and the endpoint."
