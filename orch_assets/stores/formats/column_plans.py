"""How one column is stored: its Arrow type, its note and its conversion."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from orch_assets.marked_names import named, named_column_type
from orch_assets.stores.formats.refusing import storable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

# The key of our notes in an Arrow schema's metadata. Other tools read the key "pandas".
NOTES = b"orch_assets"

Note = dict[str, Any]
Objects: TypeAlias = "np.ndarray[Any, Any]"


@dataclass(frozen=True)
class ColumnPlan:
    """How one column is stored.

    Attributes:
        type: the Arrow type.
        note: what the type doesn't express.
        convert: returns an Arrow array of the rows from a start to a stop.
    """

    type: "pa.DataType"
    note: Note
    convert: "Callable[[int, int], pa.Array]"


def column_label(name: str, position: int) -> str:
    """Return how errors name a column."""
    return f"Column {named(name, str(position))}"


def slicer(
    series: "pd.Series[Any]", arrow_type: "pa.DataType", label: str
) -> "Callable[[int, int], pa.Array]":
    """Return the conversion of a column by Arrow itself, for :class:`ColumnPlan`."""
    import numpy as np
    import pyarrow as pa

    # A bare array converts many times faster than a series of a few thousand rows.
    values: Any = series.to_numpy() if isinstance(series.dtype, np.dtype) else series.iloc

    def convert(start: int, stop: int) -> "pa.Array":
        with storable(label, named_column_type(arrow_type)):
            array = pa.array(values[start:stop], type=arrow_type, from_pandas=True)
        return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array

    return convert
