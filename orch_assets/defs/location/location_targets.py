"""Which module has the code location, as Dagster's own commands decide it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orch_assets.defs import environment as settings
from orch_assets.defs.dagster_internals import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    configured_origins,
)
from orch_assets.errors import SettingError

OPTION: Final = "--module"
VARIABLE: Final = "ORCH_DEFINITIONS"

_OURS: Final = "orch_assets.definitions"
# Also the name in workspace.yaml and pyproject.toml, and the one that `dagster -m orch_assets`
# derives.
_OUR_NAME: Final = "orch_assets"
_CONFIGURED: Final = "pyproject.toml or workspace.yaml"


@dataclass(frozen=True)
class LocationTarget:
    """Where the definitions of a code location are.

    Attributes:
        module: The module that has them.
        name: Name of the code location.
        source: The setting that names the module.
        attribute: Their name in the module; None if it is to be found.
        folder: The folder that contains the module, if it isn't installed.
    """

    module: str
    name: str
    source: str
    attribute: str | None
    folder: str


def location_target(module: str | None = None) -> LocationTarget:
    """Return where the code location is.

    The first of these decides: the argument, ``ORCH_DEFINITIONS``, and, in the working folder,
    ``pyproject.toml`` and ``workspace.yaml``. Otherwise, it is that of the shipped pipelines.

    Args:
        module: Name of a module; None if the user gave none.

    Raises:
        SettingError: A file in the working folder can't be read, or names no module, or several.
    """
    named = module or settings.text(VARIABLE)
    configured = _configured()
    if named is None and len(configured) > 1:
        names = ", ".join(each.module for each in configured)
        raise SettingError(
            _CONFIGURED, f"names several code locations ({names}). Choose one with {OPTION}."
        )
    for each in configured:
        if named in {None, each.module}:
            return _with_module(each)
    # Dagster, too, names a code location after the module if nothing else is said.
    name = named if named not in {None, _OURS} else None
    source = OPTION if module else VARIABLE
    return LocationTarget(named or _OURS, name or _OUR_NAME, source, None, str(Path.cwd()))


def _with_module(target: LocationTarget) -> LocationTarget:
    if not target.module:
        raise SettingError(
            _CONFIGURED,
            f"names the code location {target.name} without a Python module, which the command "
            f"needs. Name its module with {OPTION}.",
        )
    return target


def _configured() -> list[LocationTarget]:
    """Return what Dagster's commands find in the working folder; the module may be empty."""
    try:
        origins = configured_origins(Path.cwd())
    except Exception as error:
        raise SettingError(
            _CONFIGURED, f"in {Path.cwd()} can't be read by Dagster ({type(error).__name__})."
        ) from error
    return [_target(origin) for origin in origins]


def _target(origin: Any) -> LocationTarget:
    working_folder, name = str(Path.cwd()), str(origin.location_name)
    if not isinstance(origin, ManagedGrpcPythonEnvCodeLocationOrigin):  # such as a server
        return LocationTarget("", name, _CONFIGURED, None, working_folder)
    loadable = origin.loadable_target_origin
    return LocationTarget(
        loadable.module_name or loadable.package_name or "",
        name,
        _CONFIGURED,
        loadable.attribute,
        loadable.working_directory or working_folder,
    )
