"""The process's limiters: one for each base URL and keys."""

import hashlib
import os
import threading

from orch_assets.imednet.request_limits.limiter import RequestLimiter
from orch_assets.imednet.request_limits.slot_division import SlotDivision
from orch_assets.imednet.request_limits.slot_places import SlotPlace
from orch_assets.imednet.settings import DEFAULT_MAX_REQUESTS, RegistrySettings

_ROUNDS = 100_000
_NAME_BYTES = 8

_limiters: dict[bytes, RequestLimiter] = {}
_divisions: dict[RequestLimiter, SlotDivision] = {}
_lock = threading.Lock()


def limiter_for(settings: RegistrySettings) -> RequestLimiter:
    """Return the process's only limiter for this base URL and keys.

    A client with a ``max_requests`` sets the maximum for all that share the limiter; the last wins.
    """
    # Hashed, so that a dump of this dictionary shows no key.
    digest = hashlib.sha256(_identity(settings)).digest()
    with _lock:
        limiter = _limiters.get(digest)
        if limiter is None:
            limiter = _limiters[digest] = RequestLimiter(
                settings.max_requests or DEFAULT_MAX_REQUESTS
            )
        elif settings.max_requests is not None:
            limiter.maximum = settings.max_requests
        return limiter


def share_limiter(limiter: RequestLimiter, place: SlotPlace, settings: RegistrySettings) -> None:
    """Let a limiter use only its share of the account's slots; the place named last counts."""
    with _lock:
        division = _divisions.get(limiter)
        if division is None:
            _divisions[limiter] = SlotDivision(limiter, place, _account_name(settings))
        elif division.place != place:
            division.place = place


def _account_name(settings: RegistrySettings) -> str:
    """Return a name that others may read: slow to guess, and too short to contain a key."""
    salt = b"orch-assets request slots"
    digest = hashlib.pbkdf2_hmac("sha256", _identity(settings), salt, _ROUNDS, _NAME_BYTES)
    return digest.hex()


def _identity(settings: RegistrySettings) -> bytes:
    return f"{settings.base_url}\0{settings.api_key}\0{settings.security_key}".encode()


def _forget_all() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()
    for limiter in _limiters.values():
        limiter.forget()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_all)
