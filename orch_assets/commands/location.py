"""Settings and resources of the code location, for commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    import dagster as dg

    from orch_assets.defs.location.found_location import FoundLocation
    from orch_assets.stores.store import PipelineStore

# Resource keys that commands need; study graphs use the same keys.
_RESOURCES: Final = frozenset({"registry", "orchestration", "io_manager", "restricted_io_manager"})


def read_settings() -> None:
    """Read .env in the working folder, as Dagster does.

    Raises:
        SettingError: The file contradicts the environment.
    """
    from orch_assets.defs.environment import read_env_file

    read_env_file(Path.cwd() / ".env")


def code_location() -> "FoundLocation":
    """Return the code location that the command works on, loaded once.

    Call it after :func:`read_settings`.

    Raises:
        OrchAssetsError: It can't be found or loaded.
    """
    from orch_assets.defs.location.found_location import find_location

    command = click.get_current_context().find_root()
    if command.obj is None:
        command.obj = find_location(command.params.get("module"))
    found: FoundLocation = command.obj
    return found


@contextmanager
def settled_instance() -> "Iterator[dg.DagsterInstance]":
    """Read the settings and yield the instance in ``DAGSTER_HOME``.

    Raises:
        SettingError: A setting can't be read, or ``DAGSTER_HOME`` is not an existing folder.
    """
    from orch_assets.defs.runs.home import home_instance

    read_settings()
    with home_instance() as instance:
        yield instance


def any_instance() -> "dg.DagsterInstance":
    """Return the instance in ``DAGSTER_HOME``; without one, an empty instance in memory."""
    import dagster as dg

    from orch_assets.defs.environment import text
    from orch_assets.defs.runs.home import home_instance

    return home_instance() if text("DAGSTER_HOME") else dg.DagsterInstance.ephemeral()


def store_of(resources: Any, key: str) -> "PipelineStore":
    """Return the store in which an IO manager keeps tables.

    Args:
        resources: The resources of the code location.
        key: The IO manager's key.

    Raises:
        SettingError: A user's IO manager has no store of this package.
    """
    from orch_assets.defs.io.io_manager import PipelineIOManager
    from orch_assets.errors import SettingError

    io_manager = getattr(resources, key)
    if not isinstance(io_manager, PipelineIOManager):
        raise SettingError(key, "is an IO manager of your own, so this command can't read it.")
    return io_manager.pipeline_store()


@contextmanager
def location_resources(instance: "dg.DagsterInstance") -> "Iterator[Any]":
    """Yield the resources of the code location by key, built as for a run."""
    import dagster as dg

    from orch_assets.defs.set_in_code import SetInCode

    definitions = {
        key: resource
        for key, resource in (code_location().defs.resources or {}).items()
        if key in _RESOURCES or isinstance(resource, SetInCode)
    }
    try:
        with dg.build_resources(definitions, instance=instance) as resources:
            yield resources
    except dg.DagsterExecutionInterruptedError as interruption:
        # Raised while a resource is built or closed.
        raise KeyboardInterrupt from interruption
