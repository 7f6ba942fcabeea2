"""The Dagster instance of the environment, for commands that a person types."""

from pathlib import Path

import dagster as dg

from orch_assets.defs import environment as settings
from orch_assets.errors import SettingError


def home_instance() -> dg.DagsterInstance:
    """Return the instance in ``DAGSTER_HOME``.

    Raises:
        SettingError: the variable is unset, or names no folder by an absolute path.
    """
    home = settings.text("DAGSTER_HOME")
    if home is None:
        raise SettingError(
            "DAGSTER_HOME", "is not set; give an existing folder for Dagster's state."
        )
    if not Path(home).is_absolute() or not Path(home).is_dir():
        raise SettingError("DAGSTER_HOME", f"is {home!r}; give an existing folder, from its root.")
    return dg.DagsterInstance.get()
