"""pandas frames as Arrow tables and back, exactly: columns, index, missing values."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from orch_assets.errors import UnstorableTableError
from orch_assets.stores.batches import block_rows
from orch_assets.stores.columns import ColumnPlan, plan_column, restore_column

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# The key in the Arrow schema's metadata, beside "pandas", which other tools go by.
NOTES = b"orch_assets"


def frame_to_arrow(frame: "pd.DataFrame") -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
    """Return a frame's schema and its rows in blocks, converted as they are asked for.

    What isn't kept: ``attrs`` and ``flags``. They may differ from run to run, and the same table
    must be the same bytes.

    Raises:
        UnstorableTableError: a column, or an index level, would not come back as it is.
    """
    import pyarrow as pa

    _check_column_names(frame)
    plans = {
        name: plan_column(frame.iloc[:, position], f"Column {name!r}")
        for position, name in enumerate(frame.columns)
    }
    levels = _index_levels(frame)
    for name, level in levels.items():
        plans[name] = plan_column(level, f"Index level {name!r}")
    notes = {
        "rows": len(frame),
        "index": _index_note(frame, list(levels)),
        "columns": _columns_note(frame),
        "notes": [plan.note for plan in plans.values()],
    }
    metadata = {b"pandas": _pandas_metadata(frame), NOTES: json.dumps(notes).encode()}
    fields = [pa.field(name, plan.type) for name, plan in plans.items()]
    schema = pa.schema(fields, metadata=metadata)
    return schema, _batches(list(plans.values()), schema, len(frame))


def arrow_to_frame(table: "pa.Table") -> "pd.DataFrame":
    """Return the frame that a table was; for one that never was a frame, a faithful one.

    There whole numbers and booleans become pandas' nullable types, whatever the rows hold: a
    missing value must neither change a column's type nor round its large numbers.
    """
    import pandas as pd

    notes = json.loads((table.schema.metadata or {}).get(NOTES, b"null"))
    if notes is None:
        plain: pd.DataFrame = _plain_frame(table)
        return plain
    arrays = [
        restore_column(column, note)
        for column, note in zip(table.columns, notes["notes"], strict=True)
    ]
    names = table.column_names
    levels = notes["index"].get("levels", [])
    count = len(names) - len(levels)
    index = _restore_index(notes["index"], arrays[count:])
    columns = dict(zip(names[:count], arrays, strict=False))
    frame: pd.DataFrame = pd.DataFrame(columns, index=None if columns else index, copy=False)
    frame.index = index
    frame.columns = _restore_columns(notes["columns"], names[:count])
    return frame


def _batches(plans: list[ColumnPlan], schema: "pa.Schema", rows: int) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    step = block_rows(len(plans))
    for start in range(0, rows if plans else 0, step):
        stop = min(start + step, rows)
        yield pa.record_batch([plan.convert(start, stop) for plan in plans], schema=schema)


def _check_column_names(frame: "pd.DataFrame") -> None:
    if frame.columns.nlevels > 1:
        raise UnstorableTableError(
            "The table has several levels of column names; flatten them to text."
        )
    for position, name in enumerate(frame.columns):
        if not isinstance(name, str):
            raise UnstorableTableError(
                f"The name of column {position} is {type(name).__name__}, not text; rename it."
            )
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise UnstorableTableError(f"Column {repeated[0]!r} is there more than once; rename it.")
    _check_label(frame.columns.name, "of the columns")


def _check_label(name: object, of: str) -> None:
    if name is not None and not isinstance(name, str):
        raise UnstorableTableError(f"The name {of} is {type(name).__name__}, not text; rename it.")


# The index


def _index_levels(frame: "pd.DataFrame") -> "dict[str, pd.Series[Any]]":
    """Return the levels that have to be stored, by the names that their columns get."""
    import pandas as pd

    index = frame.index
    levels: dict[str, pd.Series[Any]] = {}
    for name in index.names:
        _check_label(name, "of an index level")
    if isinstance(index, pd.RangeIndex):
        return levels
    for position, name in enumerate(index.names):
        values = _level_values(index, position)
        # As pandas itself names them, so that its own reader finds them.
        taken = name is None or name in frame.columns or name in levels
        column = f"__index_level_{position}__" if taken else str(name)
        if column in levels or column in frame.columns:
            raise UnstorableTableError(
                f"Index level {position} needs the name {column!r}, which a column has; rename it."
            )
        levels[column] = pd.Series(values.array, dtype=values.dtype)
    return levels


def _level_values(index: Any, position: int) -> Any:
    """Return a level's values; numbers beside missing ones, which pandas rounds, as nullable."""
    import pandas as pd

    dtype = _rounded_type(index, position)
    if dtype is None:
        return index.get_level_values(position)
    nullable = "boolean" if dtype == "bool" else dtype.replace("i", "I").replace("u", "U")
    level: Any = pd.array(index.levels[position], dtype=nullable)
    return pd.Index(level.take(index.codes[position], allow_fill=True))


def _rounded_type(index: Any, position: int) -> str | None:
    """Return the type of a level of whole numbers or booleans that has missing values."""
    import pandas as pd

    if not isinstance(index, pd.MultiIndex):
        return None
    dtype = index.levels[position].dtype
    rounded = getattr(dtype, "kind", "") in "iub" and (index.codes[position] < 0).any()
    return str(dtype) if rounded and not pd.api.types.is_extension_array_dtype(dtype) else None


def _index_note(frame: "pd.DataFrame", columns: list[str]) -> dict[str, Any]:
    import pandas as pd

    index: Any = frame.index
    note: dict[str, Any] = {"names": list(index.names)}
    if isinstance(index, pd.RangeIndex):
        return {**note, "range": [index.start, index.stop, index.step]}
    note["levels"] = columns
    note["multi"] = isinstance(index, pd.MultiIndex)
    rounded = {str(n): _rounded_type(index, n) for n in range(index.nlevels)}
    if any(rounded.values()):
        note["rounded"] = {position: dtype for position, dtype in rounded.items() if dtype}
    freq = getattr(index, "freq", None)
    if freq is not None and pd.tseries.frequencies.to_offset(freq.freqstr) == freq:
        note["freq"] = freq.freqstr
    return note


def _restore_index(note: dict[str, Any], arrays: list[Any]) -> Any:
    import pandas as pd

    if "range" in note:
        start, stop, step = note["range"]
        return pd.RangeIndex(start, stop, step, name=note["names"][0])
    levels = [pd.Index(array, dtype=array.dtype) for array in arrays]
    if note["multi"]:
        multi = pd.MultiIndex.from_arrays(levels, names=note["names"])
        for position, dtype in note.get("rounded", {}).items():
            level = multi.levels[int(position)].astype(dtype)
            multi = multi.set_levels(level, level=int(position), verify_integrity=False)
        return multi
    index: Any = levels[0].rename(note["names"][0])
    return type(index)(index, freq=note["freq"]) if "freq" in note else index


# The names of the columns


def _columns_note(frame: "pd.DataFrame") -> dict[str, Any]:
    import pandas as pd

    ranged = isinstance(frame.columns, pd.RangeIndex)  # only where there are no columns
    return {"name": frame.columns.name, "dtype": None if ranged else str(frame.columns.dtype)}


def _restore_columns(note: dict[str, Any], names: list[str]) -> Any:
    import pandas as pd

    if note["dtype"] is None:
        return pd.RangeIndex(0, name=note["name"])
    return pd.Index(names, dtype=note["dtype"], name=note["name"])


# Other tools


def _pandas_metadata(frame: "pd.DataFrame") -> bytes:
    """Return what pandas' own readers go by, made without looking at a row."""
    import pandas as pd
    import pyarrow as pa

    skeleton = frame.iloc[:0].copy()
    skeleton.attrs = {}
    metadata = json.loads(pa.Schema.from_pandas(skeleton).metadata[b"pandas"])
    if isinstance(frame.index, pd.RangeIndex):
        index = frame.index
        metadata["index_columns"] = [
            {
                "kind": "range",
                "name": index.name,
                "start": index.start,
                "stop": index.stop,
                "step": index.step,
            }
        ]
    return json.dumps(metadata).encode()


def _plain_frame(table: "pa.Table") -> Any:
    import pandas as pd
    import pyarrow as pa

    if b"pandas" in (table.schema.metadata or {}):
        return table.to_pandas()
    nullable = {pa.bool_(): pd.BooleanDtype()}
    for bits in (8, 16, 32, 64):
        nullable[getattr(pa, f"int{bits}")()] = getattr(pd, f"Int{bits}Dtype")()
        nullable[getattr(pa, f"uint{bits}")()] = getattr(pd, f"UInt{bits}Dtype")()
    return table.to_pandas(types_mapper=nullable.get)
