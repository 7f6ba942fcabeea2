"""The code location that a command works on, loaded."""

import importlib
import inspect
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import dagster as dg

from orch_assets.defs.broken_files import cause_of, line_of
from orch_assets.defs.dagster_internals import (
    LazyDefinitions,
    LoadableTargetOrigin,
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from orch_assets.defs.location.graph_assets import broken_of, graph_keys_of
from orch_assets.defs.location.location_targets import OPTION, LocationTarget, location_target
from orch_assets.errors import OrchAssetsError, SettingError
from orch_assets.lazy import cached_property

_REPOSITORY: Final = "__repository__"


@dataclass(frozen=True)
class FoundLocation:
    """A loaded code location.

    Attributes:
        defs: Its definitions.
        target: Where they are.
        attribute: Their name in the module.
    """

    defs: dg.Definitions
    target: LocationTarget
    attribute: str

    @cached_property
    def graph_keys(self) -> set[dg.AssetKey]:
        """Keys of the pipelines' assets."""
        return graph_keys_of(self.defs)

    @cached_property
    def broken(self) -> dict[str, str]:
        """The reasons why pipelines are broken, by name."""
        return broken_of(self.defs)

    def origin(self, job_name: str) -> RemoteJobOrigin:
        """Return a job's origin, by which the UI finds it again."""
        target = LoadableTargetOrigin(
            executable_path=sys.executable,
            module_name=self.target.module,
            working_directory=self.target.folder,
            attribute=self.attribute,
        )
        location = ManagedGrpcPythonEnvCodeLocationOrigin(target, self.target.name)
        return RemoteJobOrigin(RemoteRepositoryOrigin(location, _REPOSITORY), job_name)


def find_location(module: str | None = None) -> FoundLocation:
    """Find and load the code location.

    Args:
        module: Name of the module that has it; None to find it, see :func:`location_target`.

    Raises:
        SettingError: The module can't be imported, or doesn't have exactly one Definitions object
            with study pipelines.
        OrchAssetsError: The module raised it, such as for a setting that can't be read.
    """
    target = location_target(module)
    attribute, made = _definitions_of(_imported(target), target)
    defs = _loaded(made, target) if isinstance(made, LazyDefinitions) else made
    found = FoundLocation(defs, target, attribute)
    if not found.graph_keys:
        raise _wrong(
            target,
            "whose Definitions have no study pipelines. Make them with "
            "orch_assets.build_definitions",
        )
    return found


def _imported(target: LocationTarget) -> ModuleType:
    if target.folder not in sys.path:  # Dagster's commands have it on their path
        sys.path.insert(0, target.folder)
    try:
        return importlib.import_module(target.module)
    except OrchAssetsError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{target.module}.".startswith(f"{error.name}."):
            raise _wrong(target, f"but there is no module {error.name}") from None
        raise _failed(target, error) from error
    except Exception as error:
        raise _failed(target, error) from error


def _definitions_of(module: ModuleType, target: LocationTarget) -> tuple[str, Any]:
    """Return the module's Definitions object, or the function that makes it, and its name."""
    if target.attribute is not None:
        members = [(target.attribute, getattr(module, target.attribute, None))]
    else:
        members = inspect.getmembers(module)
    for kind in (LazyDefinitions, dg.Definitions):  # Dagster, too, prefers what makes them
        found = [(name, each) for name, each in members if isinstance(each, kind)]
        if len(found) > 1:
            names = ", ".join(name for name, _ in found)
            raise _wrong(target, f"which has more than one Definitions object: {names}. Keep one")
        if found:
            return found[0]
    raise _wrong(target, "which has no Definitions object at module level")


def _loaded(made: Any, target: LocationTarget) -> dg.Definitions:
    try:
        defs = made()
    except OrchAssetsError:
        raise
    except Exception as error:
        raise _failed(target, error) from error
    if not isinstance(defs, dg.Definitions):
        raise _wrong(target, "whose function with @definitions doesn't return Definitions")
    return defs


def _failed(target: LocationTarget, error: Exception) -> SettingError:
    """Return the error for a module that raised one. Its text may quote data."""
    frames = [Path(each.filename) for each in traceback.extract_tb(error.__traceback__)]
    inside = [each for each in frames if each.is_relative_to(target.folder)]
    file = inside[-1] if inside else frames[-1]
    where, why = line_of(error, file, file.name), cause_of(error, file).rstrip(".")
    return _wrong(target, f"which can't be loaded: {where}: {why}")


def _wrong(target: LocationTarget, problem: str) -> SettingError:
    return SettingError(
        target.source, f"names the module {target.module}, {problem}. {OPTION} names another one."
    )
