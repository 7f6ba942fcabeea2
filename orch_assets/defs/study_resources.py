"""The resources that study graphs and their state machines require."""

from typing import Any

from orch_assets.defs.io.io_manager import StudyIOManager
from orch_assets.defs.resources import OrchestrationResource, RegistryResource, StoreResource
from orch_assets.defs.state_machines.resource import StepFunctionsResource
from orch_assets.errors import SettingError


def study_resources(
    store: StoreResource | None = None, restricted: StoreResource | None = None, **others: Any
) -> dict[str, Any]:
    """Return the resources of a code location with study graphs, by resource key.

    Args:
        store: The open store; by default the one that ``ORCH_STORE`` selects.
        restricted: The store for withheld values and failure reports; by default the one that
            ``ORCH_RESTRICTED_STORE`` selects. If ``store`` has a ``uri``, it must have one, too.
        others: Additional resources, or replacements for the default ones.

    Raises:
        SettingError: The restricted store isn't declared as one, so that it would have the
            permissions and the settings of an open store; or only the open store has a ``uri``.

    Example:
        >>> sorted(study_resources(orchestration=OrchestrationResource(max_workers=8)))[0]
        'io_manager'
    """
    restricted = restricted or StoreResource(restricted=True)
    if not restricted.restricted:
        raise SettingError("restricted", "must be a StoreResource(…, restricted=True).")
    if store is not None and store.uri and not restricted.uri:
        raise SettingError(
            "restricted_store",
            "must have an address, because the open store has one. Otherwise withheld values would "
            "go elsewhere, below the store that the environment names.",
        )
    return {
        "registry": RegistryResource(),
        "orchestration": OrchestrationResource(),
        "io_manager": StudyIOManager(store=store or StoreResource()),
        "restricted_io_manager": StudyIOManager(store=restricted),
        "restricted_store": restricted,
        "step_functions": StepFunctionsResource(),
        **others,
    }
