"""How one column is stored: what every kind of column says of itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch_assets.marked_names import named_column_type
from orch_assets.stores.refusing import storable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# The key in the Arrow schema's metadata, beside "pandas", which other tools go by.
NOTES = b"orch_assets"

Note = dict[str, Any]


@dataclass(frozen=True)
class ColumnPlan:
    """How one column is stored.

    Attributes:
        type: the Arrow type.
        note: what the type doesn't say.
        convert: makes an Arrow array of the rows from, to.
    """

    type: "pa.DataType"
    note: Note
    convert: "Callable[[int, int], pa.Array]"


def slicer(
    series: "pd.Series[Any]", arrow_type: "pa.DataType", label: str
) -> "Callable[[int, int], pa.Array]":
    """Return what converts rows of a column as Arrow itself does it."""
    import numpy as np
    import pyarrow as pa

    # A bare array converts many times faster than a series of a few thousand rows.
    values: Any = series.to_numpy() if isinstance(series.dtype, np.dtype) else series.iloc

    def convert(start: int, stop: int) -> "pa.Array":
        with storable(label, named_column_type(arrow_type)):
            array = pa.array(values[start:stop], type=arrow_type, from_pandas=True)
        return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array

    return convert
