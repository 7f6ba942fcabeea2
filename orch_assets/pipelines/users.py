"""The table ``users``."""

from typing import TYPE_CHECKING, Any

from orch_assets import study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@study_pipeline(
    group="registry", kinds=("table",), on_request=True, io_manager_key="restricted_io_manager"
)
def users(study_key: str, sdk: Any, study_logger: Any) -> "pa.Table":
    """Users of a study, inactive ones too, and their roles.

    It holds names and e-mail addresses: it runs only when somebody selects it, and is kept in the
    restricted store.
    """
    table = sdk.users.table(study_key, include_inactive=True)
    study_logger.info("%d users", table.num_rows)
    return table
