"""Settings from the environment, read when they are first used; a blank one is unset."""

import os
from pathlib import Path
from typing import Final

from orch_assets.errors import SettingError

# They say whose studies and artifacts are meant: a file must not change them unnoticed.
_WHOSE: Final = ("DAGSTER_HOME", "ORCH_REGISTRY")


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


def read_env_file(file: Path) -> None:
    """Take the variables of an ``.env`` file into the environment, as ``dagster`` commands do.

    The file's values win, as in Dagster. With ``ORCH_REGISTRY=demo`` in the environment the file
    is not read: it is the account's.

    Args:
        file: nothing happens if there is none.

    Raises:
        SettingError: the file can't be read, or contradicts the environment about
            ``DAGSTER_HOME`` or ``ORCH_REGISTRY``.
    """
    from dotenv import dotenv_values

    if text("ORCH_REGISTRY") == "demo":
        return
    try:
        values = {name: value for name, value in dotenv_values(file).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(str(file), f"can't be read ({type(error).__name__}).") from None
    for name in _WHOSE:
        given, in_file = text(name), values.get(name, "").strip()
        if given and in_file and given != in_file:
            raise SettingError(
                name, f"is {given} in the environment and {in_file} in .env. Remove one of them."
            )
    for name, value in values.items():
        try:
            os.environ[name] = value
        except (ValueError, OSError):  # a NUL, half of a surrogate pair, "=" in a name
            raise SettingError(name, "in .env holds what no environment variable can.") from None
