"""The table ``users``."""

from typing import Any

from orch_assets import study_pipeline


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    on_request=True,
    io_manager_key="restricted_io_manager",
)
def users(study_key: str, sdk: Any, study_logger: Any) -> Any:
    """Users of a study, inactive ones too, and their roles.

    It holds names and e-mail addresses: it runs only when somebody selects it, and is kept in the
    restricted store.
    """
    return sdk.users.batches(study_key, include_inactive=True)
