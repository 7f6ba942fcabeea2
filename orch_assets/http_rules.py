"""Rules of HTTP that every client of this package follows."""

import email.utils
import ipaddress
import math
import time
from datetime import UTC


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback address or ``localhost``.

    Names are not resolved, and other forms of an address (``127.1``) are not accepted: they could
    lead to another computer.
    """
    if host.lower() == "localhost":
        return True
    if not is_ip_address(host):
        return False
    address = ipaddress.ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_ip_address(host: str) -> bool:
    """Return whether a host is an IP address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def seconds_to_wait(retry_after: str) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks to wait, from 0.

    Args:
        retry_after: The header: a number of seconds, or a date. Empty if it is missing.

    Returns:
        None if the header is missing or can't be read.
    """
    text = retry_after.strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _seconds_until(text: str) -> float:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):  # overflow: a zone offset that no int holds
        return math.nan
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() - time.time()
