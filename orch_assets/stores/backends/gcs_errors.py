"""Errors of Google Cloud Storage and of its client as our own, without stack traces or keys."""

import contextlib
from collections.abc import Iterator

from orch_assets.clouds import connecting
from orch_assets.extras import needing
from orch_assets.stores.backends.base import unusable
from orch_assets.stores.spooling import NO_ROOM, has_no_room

_CREDENTIALS = (
    "Google credentials are missing, or Google rejects them ({code}). Pass credentials_path, set "
    "GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login."
)
_DENIED = (
    "Access is denied ({code}). Allow storage.objects.list, get, create and delete on the bucket, "
    "and the use of its KMS key."
)
_NO_URL = (
    "The endpoint is not a URL ({code}). Correct STORAGE_EMULATOR_HOST, or the parameter endpoint."
)
_REASONS = {
    "NotFound": "The bucket doesn't exist. Create it, or correct its name.",
    "Forbidden": _DENIED,
    "InvalidSchema": _NO_URL,
    "InvalidURL": _NO_URL,
    "MissingSchema": _NO_URL,
    "ValueError": _NO_URL,
}
_BUSY = "Google Cloud Storage is busy ({code}). Try again later."
_CREDENTIAL_CODES = {
    "ClientCertError",
    "DefaultCredentialsError",
    "GoogleAuthError",
    "InvalidValue",
    "MalformedError",
    "RefreshError",
    "Unauthorized",
}


@contextlib.contextmanager
def reporting(uri: str) -> Iterator[None]:
    """Turn Google's errors into our own.

    Raises:
        StoreUnavailableError: Names the address and what to do.
        MissingExtraError: google-cloud-storage is not installed.
    """
    with connecting, needing("gcp"):
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
        from google.resumable_media import DataCorruption, InvalidResponse

    reason = None
    try:
        yield
    # OSError: what requests raises if the network fails; ValueError: an endpoint that is not a URL
    except (
        GoogleAPIError,
        GoogleAuthError,
        DataCorruption,
        InvalidResponse,
        OSError,
        ValueError,
    ) as error:
        reason = _reason(error)
    if reason:
        raise unusable(uri, reason) from None


def _reason(error: BaseException) -> str:
    from google.api_core.exceptions import GoogleAPICallError, RetryError

    if isinstance(error, RetryError) and error.cause is not None:
        error = error.cause
    if has_no_room(error):
        return NO_ROOM
    code = type(error).__name__
    if code in _CREDENTIAL_CODES:
        return _CREDENTIALS.format(code=code)
    if code in _REASONS:
        return _REASONS[code].format(code=code)
    if isinstance(error, GoogleAPICallError):
        busy = (error.code or 0) >= 500 or code == "TooManyRequests"  # noqa: PLR2004 - HTTP's
        return _BUSY.format(code=code) if busy else f"Google refuses the request ({code})."
    return f"No answer from Google ({code}). Check the network, the endpoint and the proxy."
