"""The columns of iMednet's tables, as the catalogue and the documentation show them.

Nothing here imports pyarrow, because the pipelines use it while definitions load.
"""

from dataclasses import dataclass

from orch_assets.imednet.fields import columns_of
from orch_assets.imednet.models import RegistryRow


@dataclass(frozen=True)
class DescribedColumn:
    """A column of a table.

    Attributes:
        name: The name in the table.
        type: The Arrow type, as Arrow prints it.
        description: What the column means.
    """

    name: str
    type: str
    description: str


def described_columns(model: type[RegistryRow]) -> tuple[DescribedColumn, ...]:
    """Return the columns of a model's table, which are the same in every study."""
    return tuple(
        DescribedColumn(each.name, each.kind.arrow, each.description) for each in columns_of(model)
    )
