"""What Google Cloud Storage, and the way to it, say: without the vendor's stack or any key."""

import contextlib
from collections.abc import Iterator

from orch_assets.clouds import connecting
from orch_assets.errors import StoreUnavailableError
from orch_assets.extras import needing
from orch_assets.marked_names import named_uri
from orch_assets.stores.temporary import NO_ROOM, has_no_room

_CREDENTIALS = (
    "Google credentials are missing, or Google refuses them ({code}). Give credentials_path, set "
    "GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login."
)
_DENIED = (
    "Access is denied ({code}). Allow storage.objects.list, get, create and delete on it, and the "
    "use of its KMS key."
)
_NO_URL = (
    "The endpoint is no URL ({code}). Correct STORAGE_EMULATOR_HOST, or the parameter endpoint."
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
    """Turn the vendor's errors into ours.

    Raises:
        StoreUnavailableError: naming the address and what to do.
        MissingExtraError: google-cloud-storage is not installed.
    """
    with connecting, needing("gcp"):
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
        from google.resumable_media import DataCorruption, InvalidResponse

    reason = None
    try:
        yield
    # OSError: what requests makes of a network that fails; ValueError: an endpoint that is no URL
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
        raise StoreUnavailableError(
            f"The store at {named_uri(uri)} can't be used. {reason}", artifact=uri
        ) from None


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
        return _BUSY.format(code=code) if busy else f"Google refuses it ({code})."
    return f"No answer from Google ({code}). Check the network, the endpoint and the proxy."
