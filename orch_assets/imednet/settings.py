"""The settings of an API client: keys, base URL, timeouts and limits, all checked."""

import math
import os
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

import httpx

from orch_assets.errors import CredentialsError, SettingError
from orch_assets.http_rules import is_loopback

DEFAULT_BASE_URL = "https://edc.prod.imednetapi.com"
DEFAULT_TIMEOUT = 30.0
DEFAULT_MAX_REQUESTS = 8
DEFAULT_MAX_ANSWER_MB = 256
_TIMEOUTS_OF_AN_ANSWER = 10

API_KEY = "IMEDNET_API_KEY"
SECURITY_KEY = "IMEDNET_SECURITY_KEY"
BASE_URL = "IMEDNET_BASE_URL"
TIMEOUT = "IMEDNET_TIMEOUT"
ANSWER_TIMEOUT = "IMEDNET_ANSWER_TIMEOUT"
MAX_ANSWER_MB = "IMEDNET_MAX_ANSWER_MB"
MAX_REQUESTS = "IMEDNET_MAX_REQUESTS"


@dataclass(frozen=True)
class RegistrySettings:
    """Checked settings of one client; no repr shows the keys.

    Attributes:
        base_url: Scheme, host and any path before ``/api``, without a trailing slash.
        timeout: Seconds for a connection, and for a pause between two pieces of an answer.
        max_requests: Requests in flight; None doesn't change an existing limiter.
        answer_timeout: Seconds for a whole answer, from the connection to its last byte.
        max_answer_mb: The largest decompressed answer, in millions of bytes.
    """

    api_key: str = field(repr=False)
    security_key: str = field(repr=False)
    base_url: str
    timeout: float
    max_requests: int | None
    answer_timeout: float = DEFAULT_TIMEOUT * _TIMEOUTS_OF_AN_ANSWER
    max_answer_mb: int = DEFAULT_MAX_ANSWER_MB

    @classmethod
    def read(
        cls,
        api_key: str | None = None,
        security_key: str | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        max_requests: int | None = None,
        answer_timeout: float | None = None,
        max_answer_mb: int | None = None,
    ) -> "RegistrySettings":
        """Read each setting from its argument, else from the environment; blank means unset.

        Raises:
            CredentialsError: A key is missing.
            SettingError: A setting is invalid.
        """
        keys = {API_KEY: _text(api_key, API_KEY), SECURITY_KEY: _text(security_key, SECURITY_KEY)}
        missing = [name for name, key in keys.items() if key is None]
        if missing:
            raise CredentialsError(missing)
        pause = _seconds(timeout, TIMEOUT, DEFAULT_TIMEOUT)
        return cls(
            api_key=_header_safe(keys[API_KEY], API_KEY),
            security_key=_header_safe(keys[SECURITY_KEY], SECURITY_KEY),
            base_url=_checked_url(_text(base_url, BASE_URL) or DEFAULT_BASE_URL),
            timeout=pause,
            max_requests=_count(max_requests, MAX_REQUESTS, "requests"),
            answer_timeout=_seconds(answer_timeout, ANSWER_TIMEOUT, pause * _TIMEOUTS_OF_AN_ANSWER),
            max_answer_mb=_count(max_answer_mb, MAX_ANSWER_MB, "megabytes")
            or DEFAULT_MAX_ANSWER_MB,
        )


def _text(value: object, variable: str) -> str | None:
    """Return the value, else the variable's, as stripped text; None if both are blank."""
    for candidate in (value, os.environ.get(variable)):
        stripped = "" if candidate is None else str(candidate).strip()
        if stripped:
            return stripped
    return None


def _header_safe(key: str | None, variable: str) -> str:
    # httpx's own error would quote the offending bytes, and so the key.
    if key is None or not re.fullmatch(r"[\x21-\x7e]+", key):
        raise SettingError(variable, "contains characters that are not allowed in an HTTP header.")
    return key


def _seconds(value: float | None, variable: str, default: float) -> float:
    text = _text(value, variable)
    try:
        seconds = default if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise SettingError(variable, "must be a number of seconds greater than 0.")
    return seconds


def _count(value: int | None, variable: str, unit: str) -> int | None:
    text = _text(value, variable)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) == 0:
        raise SettingError(variable, f"must be a whole number of {unit}, 1 or more.")
    return int(text)


def _checked_url(text: str) -> str:
    """Return the URL without a trailing slash, ``/api`` or ``/api/v1/edc``.

    The public ``imednet`` package accepts ``…/api`` too. No message repeats the URL, which may
    contain a password.
    """
    try:
        httpx.URL(text)  # the client's parser, which is stricter
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except (ValueError, httpx.InvalidURL):
        raise SettingError(BASE_URL, "is not a URL.") from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise SettingError(BASE_URL, f"must be a URL such as {DEFAULT_BASE_URL}.")
    _refuse_unsafe(parts, host)
    path = re.sub(r"(/api(/v1/edc)?)?/*\Z", "", parts.path.rstrip("/"))
    return f"{parts.scheme}://{parts.netloc}{path}"


def _refuse_unsafe(parts: SplitResult, host: str) -> None:
    if "@" in parts.netloc:
        raise SettingError(
            BASE_URL,
            "contains credentials, and URLs are logged. "
            f"Set the keys in {API_KEY} and {SECURITY_KEY}.",
        )
    if parts.query or parts.fragment:
        raise SettingError(BASE_URL, "must not have a query or a fragment.")
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingError(BASE_URL, "must be https: plain http is allowed for loopback only.")
