"""Settings from environment variables. A blank variable counts as unset."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Final

from orch_assets.errors import SettingError
from orch_assets.orchestration.durations import parse_duration

STALE_AFTER: Final = "ORCH_STALE_AFTER"

# They select the account and the instance, so a file must not change them unnoticed.
_NOT_OVERRIDDEN: Final = ("DAGSTER_HOME", "ORCH_REGISTRY")

_SWITCHES: Final = {"on": True, "off": False, "true": True, "false": False}


def text(name: str) -> str | None:
    """Return a variable's text; None if it is unset or blank."""
    return os.environ.get(name, "").strip() or None


def number(name: str, *, least: int) -> int | None:
    """Return a variable as a whole number; None if it is unset or blank.

    Raises:
        SettingError: It isn't a whole number, or is less than ``least``.
    """
    setting = text(name)
    if setting is None:
        return None
    try:
        value = int(setting)
    except ValueError:
        value = least - 1
    if value < least:
        raise SettingError(name, f"must be a whole number of at least {least}, not {setting!r}.")
    return value


def switch(name: str) -> bool:
    """Return whether a variable is on; a blank or unset one is off.

    Raises:
        SettingError: It is something else than ``on`` or ``off``.
    """
    setting = text(name)
    if setting is not None and setting.lower() not in _SWITCHES:
        raise SettingError(name, f"must be on or off, not {setting!r}.")
    return setting is not None and _SWITCHES[setting.lower()]


def duration(name: str) -> timedelta | None:
    """Return a variable as a length of time, such as ``36h``; None if it is unset or blank.

    Raises:
        SettingError: It isn't a length of time.
    """
    setting = text(name)
    if setting is None:
        return None
    try:
        return parse_duration(setting)
    except ValueError as error:
        raise SettingError(name, f"is {setting!r}: {error}.") from None


def stale_after() -> timedelta | None:
    """Return how long a study may be without a success; None if ``ORCH_STALE_AFTER`` is unset.

    Raises:
        SettingError: It can't be read.
    """
    return duration(STALE_AFTER)


def keys(name: str) -> list[str] | None:
    """Return a variable's comma-separated study keys; None if it is unset or blank.

    Raises:
        SettingError: It contains only commas. Treating it as no filter would be a wrong guess.
    """
    setting = text(name)
    if setting is None:
        return None
    study_keys = [key.strip() for key in setting.split(",") if key.strip()]
    if not study_keys:
        raise SettingError(name, f"is {setting!r} and names no study; unset it for no filter.")
    return study_keys


def read_env_file(file: Path) -> None:
    """Load the variables of an ``.env`` file into the environment, as ``dagster`` commands do.

    The file's values take precedence, as in Dagster. If ``ORCH_REGISTRY=demo`` is set in the
    environment, the file isn't read, because its settings are those of the account.

    Args:
        file: The file. If it doesn't exist, nothing happens.

    Raises:
        SettingError: The file can't be read, it contradicts the environment about
            ``DAGSTER_HOME`` or ``ORCH_REGISTRY``, or an environment variable can't hold one of its
            values.
    """
    from dotenv import dotenv_values

    if text("ORCH_REGISTRY") == "demo":
        return
    try:
        values = {name: value for name, value in dotenv_values(file).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(str(file), f"can't be read ({type(error).__name__}).") from None
    for name in _NOT_OVERRIDDEN:
        setting, in_file = text(name), values.get(name, "").strip()
        if setting and in_file and setting != in_file:
            raise SettingError(
                name, f"is {setting} in the environment and {in_file} in .env. Remove one of them."
            )
    for name, value in values.items():
        try:
            os.environ[name] = value
        except (ValueError, OSError):  # a NUL, half of a surrogate pair, "=" in a name
            raise SettingError(name, "in .env isn't a valid environment variable.") from None
