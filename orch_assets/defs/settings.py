"""Settings from the environment, read when they are first used; a blank one is unset."""

import os

from orch_assets.errors import SettingError


def text(name: str) -> str | None:
    """Return a variable's text; None when it is unset or blank."""
    return os.environ.get(name, "").strip() or None


def number(name: str, *, least: int) -> int | None:
    """Return a variable as a whole number; None when it is unset or blank.

    Raises:
        SettingError: it is no whole number, or below the least that makes sense.
    """
    given = text(name)
    if given is None:
        return None
    try:
        value = int(given)
    except ValueError:
        value = least - 1
    if value < least:
        raise SettingError(name, f"is {given!r}; give a whole number from {least}.")
    return value


def keys(name: str) -> list[str] | None:
    """Return a variable's comma-separated study keys; None when it is unset or blank.

    Raises:
        SettingError: it is neither, and holds no key. No filter would be a wrong guess.
    """
    given = text(name)
    if given is None:
        return None
    found = [key.strip() for key in given.split(",") if key.strip()]
    if not found:
        raise SettingError(name, f"is {given!r} and names no study; unset it for no filter.")
    return found
