"""The Dagster instance that the environment configures, for commands."""

from pathlib import Path

import dagster as dg

from orch_assets.defs import environment as settings
from orch_assets.errors import SettingError


def home_instance() -> dg.DagsterInstance:
    """Return the instance in ``DAGSTER_HOME``.

    Raises:
        SettingError: The variable is unset, or isn't the absolute path of an existing folder.
    """
    home = settings.text("DAGSTER_HOME")
    if home is None:
        raise SettingError(
            "DAGSTER_HOME", "is not set; give an existing folder for Dagster's state."
        )
    if not Path(home).is_absolute() or not Path(home).is_dir():
        raise SettingError(
            "DAGSTER_HOME", f"is {home!r}; give the absolute path of an existing folder."
        )
    return dg.DagsterInstance.get()
