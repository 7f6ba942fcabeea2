"""Errors of S3 and of boto3 as our own, without stack traces or keys."""

import contextlib
from collections.abc import Iterator
from typing import Any

from orch_assets.clouds import connecting
from orch_assets.extras import needing
from orch_assets.stores.backends.base import unusable
from orch_assets.stores.spooling import NO_ROOM, has_no_room

_CREDENTIALS = (
    "AWS credentials are missing, or AWS rejects them ({code}). Set AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or use a profile or the machine's role; renew expired credentials."
)
_REGION = "The region is wrong or missing ({code}). Set AWS_REGION to the bucket's region."
_REASONS = {
    "NoSuchBucket": "The bucket doesn't exist. Create it, or correct its name.",
    "InvalidBucketName": "Not a valid bucket name. Correct it.",
    "AccessDenied": "Access is denied ({code}). Allow s3:ListBucket, s3:GetObject, s3:PutObject "
    "and s3:DeleteObject on the bucket, and the use of its KMS key.",
    "NotImplemented": "The service doesn't implement the request ({code}). Publishing needs "
    "conditional writes (If-None-Match).",
    "SlowDown": "S3 is busy ({code}). Try again later.",
    "ParamValidationError": "boto3 rejects a parameter. Check the bucket name and the KMS key.",
    "ValueError": "The endpoint is not a URL. Correct AWS_ENDPOINT_URL, or the parameter endpoint.",
}
_ALIKE = {
    "EndpointResolutionError": "ValueError",
    "403": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "500": "SlowDown",
    "502": "SlowDown",
    "503": "SlowDown",
    "504": "SlowDown",
    "InternalError": "SlowDown",
    "ServiceUnavailable": "SlowDown",
    "RequestTimeout": "SlowDown",
}
_CREDENTIAL_CODES = {
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
_CREDENTIAL_ERRORS = (
    "Credential", "Token", "SSO", "Unauthorized", "Profile", "Config", "LoginRefresh",
)  # fmt: skip
_REGION_CODES = {
    "301",
    "400",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "InvalidRegionError",
    "NoRegionError",
    "PermanentRedirect",
    "TemporaryRedirect",
}


def code_of(error: BaseException) -> str:
    """Return the error code of S3; the name of the error's type if there is none."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


@contextlib.contextmanager
def reporting(uri: str) -> Iterator[None]:
    """Turn the errors of boto3 into our own.

    Raises:
        StoreUnavailableError: Names the address and what to do.
        MissingExtraError: boto3 is not installed.
    """
    with connecting, needing("aws"):
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from s3transfer.exceptions import (  # type: ignore[import-untyped]
            RetriesExceededError,
            S3DownloadFailedError,
        )

    reason = None
    try:
        yield
    except ClientError as error:
        reason = _reason(error)
    except (
        Boto3Error,
        RetriesExceededError,
        S3DownloadFailedError,
    ) as error:  # a transfer wraps another error
        reason = _reason(getattr(error, "last_exception", None) or error.__context__ or error)
    except (BotoCoreError, OSError, ValueError) as error:  # ValueError: the endpoint is not a URL
        reason = NO_ROOM if has_no_room(error) else _reason(error)
    if reason:
        raise unusable(uri, reason) from None


def _reason(error: BaseException) -> str:
    code = code_of(error)
    if code in _REGION_CODES:
        return _REGION.format(code=code)
    if code in _CREDENTIAL_CODES or code.startswith(_CREDENTIAL_ERRORS) or "Credential" in code:
        return _CREDENTIALS.format(code=code)
    known = _REASONS.get("AccessDenied" if code.startswith("KMS.") else _ALIKE.get(code, code))
    if known:
        return known.format(code=code)
    if hasattr(error, "response"):
        return f"S3 refuses the request ({code})."
    return f"No answer from S3 ({code}). Check the network, the endpoint and the proxy."
