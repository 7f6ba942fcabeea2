"""The table ``users``."""

from typing import Any

from orch_assets import PreviousResult, study_pipeline
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import User


@study_pipeline(
    group="registry",
    kinds=("table",),
    reconciled=True,
    incremental=True,
    columns=described_columns(User),
    on_request=True,
    io_manager_key="restricted_io_manager",
)
def users(
    study_key: str, sdk: Any, study_logger: Any, *, previous: PreviousResult | None = None
) -> Any:
    """Users of a study, inactive ones too, and their roles.

    - Grain: one row for each user.
    - Key: ``user_id``; rows are sorted by it.
    - Endpoint: ``/studies/{studyKey}/users``.
    - Refresh: whole.
    - Withheld: the whole table. It holds names and e-mail addresses: it runs only when somebody
      selects it, and is stored in the restricted store.
    """
    return sdk.users.refresh(study_key, previous, include_inactive=True)
