"""The types in which a parameter receives an upstream's table, by its annotation."""

from types import NoneType, UnionType
from typing import Any, Final

PANDAS: Final = "pandas.DataFrame"
ARROW: Final = "pyarrow.Table"
READER: Final = "pyarrow.RecordBatchReader"
SPLIT: Final = "orch_assets.SplitTable"
HISTORY: Final = "orch_assets.TableHistory"
STORED: Final = "orch_assets.StoredTables"
_TABLE_TYPES: Final = {
    "pa.Table": ARROW,
    ARROW: ARROW,
    "pa.RecordBatchReader": READER,
    READER: READER,
    "SplitTable": SPLIT,
    SPLIT: SPLIT,
    "TableHistory": HISTORY,
    HISTORY: HISTORY,
    "StoredTables": STORED,
    STORED: STORED,
}

_OR_NONE: Final = " | None"


def received_type(annotation: Any) -> str:
    """Return the type that an annotation asks for, such as ``PANDAS``, ``ARROW`` or ``HISTORY``.

    It may be a class or its name as text, so that a module can name a pandas type without importing
    pandas. Any other annotation means pandas.
    """
    if isinstance(annotation, UnionType):  # of an optional upstream
        annotation = next(each for each in annotation.__args__ if each is not NoneType)
    if isinstance(annotation, type):
        annotation = f"{annotation.__module__.partition('.')[0]}.{annotation.__name__}"
    return _TABLE_TYPES.get(str(annotation).removesuffix(_OR_NONE), PANDAS)
