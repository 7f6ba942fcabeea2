"""What a run needs, tried before its first study: its stores, and the registry's keys."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from orch_assets.defs.io.io_manager import PipelineIOManager, StudyIOManager
from orch_assets.defs.resources import RegistryResource, StoreResource
from orch_assets.errors import (
    ArtifactNameError,
    RegistryError,
    RegistryRefusedError,
    StoreAddressError,
    StoreError,
    StoreUnavailableError,
)
from orch_assets.stores import PipelineStore

T = TypeVar("T")

_KEYS_REFUSED = {401, 403}


def try_stores(resources: Mapping[str, Any]) -> None:
    """Write and read back one small object in each store among the resources.

    Restricted stores come after the others: by default they lie below one of those, whose setting
    is then the one to name. Dagster gives resources in an order that differs from run to run.

    Args:
        resources: by key; those that keep nothing in a store of this package are passed over.

    Raises:
        SettingError: a setting can't be read.
        StoreError: a store can't be used; names the setting and what to do. Where no store can be
            at its address, that is a StoreAddressError.
    """
    found = sorted(_stores(resources), key=lambda each: each[:2])
    stores = {(last, place): (name, resource) for last, place, name, resource in found}
    # Every setting before the first request.
    opened = [(name, _in_setting(name, partial(_opened, each))) for name, each in stores.values()]
    for name, store in opened:
        _in_setting(name, store.try_access)


def _opened(resource: Any) -> PipelineStore:
    if isinstance(resource, StoreResource):
        return resource.store
    store: PipelineStore = resource.pipeline_store()
    return store


def _in_setting(name: str, step: Callable[[], T]) -> T:
    """Do a step; where a store can't be used, say which setting it is."""
    problem: StoreError
    try:
        return step()
    except (StoreAddressError, ArtifactNameError) as error:
        problem = StoreAddressError(f"{name}: {error}")
    except StoreError as error:
        problem = StoreUnavailableError(f"{name}: {error}", artifact=error.artifact)
    raise problem


def try_keys(registry: RegistryResource) -> None:
    """Ask the registry one thing that the keys must allow; the embedded one has its own keys.

    Raises:
        CredentialsError: there are no keys.
        RegistryRefusedError: the registry doesn't take them.
    """
    if registry.is_demo:
        return
    try:
        registry.sdk.studies.check_keys()
    except RegistryRefusedError as error:
        if error.status in _KEYS_REFUSED:
            raise
    except RegistryError:
        pass  # it says nothing about the keys: each study tells what it meets


def _stores(resources: Mapping[str, Any]) -> Iterator[tuple[bool, str, str, Any]]:
    """Yield whether a store is restricted, where it is, what people call it, and its resource."""
    for key, resource in resources.items():
        store = resource.store if isinstance(resource, StudyIOManager) else resource
        if isinstance(store, StoreResource):
            yield store.restricted, store.location(), _setting_of(store, key), store
        elif isinstance(store, PipelineIOManager):
            yield False, key, f"The resource {key}", store


def _setting_of(store: StoreResource, key: str) -> str:
    if store.uri:  # not repeated: a password may be in it
        return f"The resource {key}"
    if store.restricted:
        return "ORCH_RESTRICTED_STORE (by default the folder restricted in ORCH_STORE)"
    return "ORCH_STORE"
