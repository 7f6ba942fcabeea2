"""The code location as a command finds it: its settings and its resources."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import dagster as dg

# By these keys study graphs know what a command needs, too.
_RESOURCES: Final = frozenset({"registry", "orchestration", "io_manager"})


def read_settings() -> None:
    """Read .env in the working folder, as Dagster does.

    Raises:
        SettingError: the file and the environment disagree.
    """
    from orch_assets.defs.environment import read_env_file

    read_env_file(Path.cwd() / ".env")


@contextmanager
def settled_instance() -> "Iterator[dg.DagsterInstance]":
    """Read the settings, and lend the instance in DAGSTER_HOME.

    Raises:
        SettingError: a setting can't be read, or DAGSTER_HOME names no folder.
    """
    from orch_assets.defs.runs.home import home_instance

    read_settings()
    with home_instance() as instance:
        yield instance


@contextmanager
def location_resources(instance: "dg.DagsterInstance") -> "Iterator[Any]":
    """Lend the resources of the code location, made as for a run, by their keys."""
    import dagster as dg

    from orch_assets.definitions import defs
    from orch_assets.defs.set_in_code import SetInCode

    chosen = {
        key: resource
        for key, resource in (defs.resources or {}).items()
        if key in _RESOURCES or isinstance(resource, SetInCode)
    }
    try:
        with dg.build_resources(chosen, instance=instance) as resources:
            yield resources
    except dg.DagsterExecutionInterruptedError as interruption:  # of making or closing one
        raise KeyboardInterrupt from interruption
