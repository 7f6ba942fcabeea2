"""Checks before the first study of a run that the stores can be used and the keys are accepted."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

import dagster as dg

from orch_assets.charts.small_cells import min_cell
from orch_assets.defs.io.io_manager import (
    LocalPipelineIOManager,
    PipelineIOManager,
    StudyIOManager,
)
from orch_assets.defs.location.location_settings import LocationSettings
from orch_assets.defs.resources import RegistryResource, StoreResource
from orch_assets.defs.settings.launchers import folder_warning, remote_launcher
from orch_assets.defs.settings.request_slots import slot_warnings
from orch_assets.defs.settings.studies_file import read_studies_file
from orch_assets.errors import (
    ArtifactNameError,
    RegistryError,
    RegistryRefusedError,
    StoreAddressError,
    StoreError,
    StoreUnavailableError,
)
from orch_assets.stores import PipelineStore
from orch_assets.stores.opening import scheme_of

T = TypeVar("T")

_KEYS_REFUSED = {401, 403}


def try_stores(resources: Mapping[str, Any]) -> None:
    """Write and read back one small object in each store among the resources.

    Restricted stores are checked last. By default they are inside another store, whose setting is
    then the one to report. The stores are sorted, because the order in which Dagster provides
    resources differs from run to run.

    Args:
        resources: Resources by key. Those without a store of this package are skipped.

    Raises:
        SettingError: A setting can't be read.
        StoreError: A store can't be used. The message names the setting and what to do. It is a
            StoreAddressError if no store can exist at the address.
    """
    ordered = sorted(_stores(resources), key=lambda each: each[:2])
    stores = {
        (restricted, location): (name, resource) for restricted, location, name, resource in ordered
    }
    # All settings are read before the first request.
    opened = [(name, _in_setting(name, partial(_opened, each))) for name, each in stores.values()]
    for name, store in opened:
        _in_setting(name, store.try_access)


def launcher_warnings(
    resources: Mapping[str, Any], registry: RegistryResource, instance: dg.DagsterInstance
) -> list[str]:
    """Return what to say of stores and the request limit, if runs are on other machines.

    Raises:
        SettingError: The place of the request limit that somebody chose doesn't suit the launcher.
    """
    slots = registry.request_slots()
    return [*store_warnings(resources, instance), *slot_warnings(slots, instance)]


def store_warnings(resources: Mapping[str, Any], instance: dg.DagsterInstance) -> list[str]:
    """Return what to say of stores in folders, if runs are launched on other machines."""
    launcher = remote_launcher(instance)
    if launcher is None:
        return []
    names = [
        name
        for _, location, name, store in sorted(_stores(resources), key=lambda each: each[:2])
        if _is_folder(location, store)
    ]
    return [folder_warning(name, launcher) for name in dict.fromkeys(names)]


def _is_folder(location: str, store: Any) -> bool:
    """Return whether a store is a folder; False for a restricted one that is below another."""
    if isinstance(store, StoreResource):
        return scheme_of(location) is None and (not store.restricted or store.has_own_address)
    return isinstance(store, LocalPipelineIOManager)


def _opened(resource: Any) -> PipelineStore:
    if isinstance(resource, StoreResource):
        return resource.store
    store: PipelineStore = resource.pipeline_store()
    return store


def _in_setting(name: str, step: Callable[[], T]) -> T:
    """Run a step; if a store can't be used, name its setting in the error."""
    problem: StoreError
    try:
        return step()
    except (StoreAddressError, ArtifactNameError) as error:
        problem = StoreAddressError(f"{name}: {error}")
    except StoreError as error:
        problem = StoreUnavailableError(f"{name}: {error}", artifact=error.artifact)
    raise problem


def try_keys(registry: RegistryResource) -> None:
    """Make one API request that the keys must allow, except with the simulator.

    The simulator has its own keys.

    Raises:
        CredentialsError: There are no keys.
        RegistryRefusedError: The API refuses the keys.
    """
    if registry.is_demo:
        return
    try:
        registry.sdk.studies.check_keys()
    except RegistryRefusedError as error:
        if error.status in _KEYS_REFUSED:
            raise
    except RegistryError:
        pass  # this says nothing about the keys; each study reports the errors that it meets


def _stores(resources: Mapping[str, Any]) -> Iterator[tuple[bool, str, str, Any]]:
    """Yield whether a store is restricted, its location, its name in errors, and its resource."""
    for key, resource in resources.items():
        store = resource.store if isinstance(resource, StudyIOManager) else resource
        if isinstance(store, StoreResource):
            yield store.restricted, store.location(), _setting_of(store, key), store
        elif isinstance(store, PipelineIOManager):
            yield False, key, f"The resource {key}", store


def _setting_of(store: StoreResource, key: str) -> str:
    if store.uri:  # not included, because it may contain a password
        return f"The resource {key}"
    if store.restricted:
        return "ORCH_RESTRICTED_STORE (by default the folder restricted in ORCH_STORE)"
    return "ORCH_STORE"


def read_settings_of_pipelines() -> None:
    """Read what pipelines read when a run begins, or when they are called.

    Raises:
        SettingError: The studies file can't be read, or ``ORCH_MIN_CELL`` is wrong.
    """
    min_cell()
    file = LocationSettings.from_environment().studies_file
    if file is not None:
        read_studies_file(file)
