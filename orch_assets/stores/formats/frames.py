"""pandas frames as Arrow tables and back, unchanged: columns, index, missing values."""

import json
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

from orch_assets.errors import UnstorableTableError
from orch_assets.json_values import exact_json
from orch_assets.marked_names import named, named_type
from orch_assets.stores.formats.arrow_types import contains_null
from orch_assets.stores.formats.column_plans import NOTES, ColumnPlan, Note, column_label
from orch_assets.stores.formats.columns import (
    frequency_note,
    pack_values,
    packed_codes,
    plan_column,
    plan_labels,
    restore_column,
    unpack_values,
    with_frequency,
)
from orch_assets.stores.formats.refusing import storable
from orch_assets.table_blocks import block_rows

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_RELEASED_BYTES = 1 << 22  # less is not worth a call


def frame_to_arrow(frame: "pd.DataFrame") -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
    """Return a frame's schema and its rows in blocks, each converted on demand.

    Entries of ``attrs`` that JSON represents exactly are stored; the others are dropped.

    Raises:
        UnstorableTableError: a column or an index level would not come back unchanged.
    """
    import pyarrow as pa

    _check_column_names(frame)
    plans = {
        name: plan_column(frame.iloc[:, position], column_label(name, position))
        for position, name in enumerate(frame.columns)
    }
    with storable("The index", "labels"):
        levels = _index_levels(frame)
    for position, (name, level) in enumerate(levels.items()):
        plans[name] = plan_labels(level, f"Index level {named(name, str(position))}")
    for position, name in enumerate(plans):
        with storable(f"The name of column {position}", "UTF-8"):
            name.encode()
    notes = {
        "rows": len(frame),
        "index": _index_note(frame, list(levels)),
        "columns": _columns_note(frame),
        "notes": [plan.note for plan in plans.values()],
    }
    if attributes := _attributes(frame):
        notes["attrs"] = attributes
    if not frame.flags.allows_duplicate_labels:
        notes["unique_labels"] = True
    metadata = {b"pandas": _pandas_metadata(frame, levels), NOTES: json.dumps(notes).encode()}
    fields = [pa.field(name, plan.type) for name, plan in plans.items()]
    schema = pa.schema(fields, metadata=metadata)
    return schema, _batches(list(plans.values()), schema, len(frame))


def arrow_to_frame(table: "pa.Table") -> "pd.DataFrame":
    """Return the original frame from a table, or a frame with the values of any other table.

    In the latter, integers and booleans have pandas' nullable types, and lists, structs and maps
    ``pandas.ArrowDtype``, whatever the rows hold: a missing value must neither change a column's
    type nor round its large numbers.

    Each column is freed once it is restored, unless the caller keeps the table.
    """
    import pandas as pd

    from orch_assets.stores.formats.earlier_notes import current_notes, is_earlier

    notes = json.loads((table.schema.metadata or {}).get(NOTES, b"null"))
    if notes is None:
        converted: pd.DataFrame = _plain_frame(table)
        return converted
    if is_earlier(notes):
        notes = current_notes(notes, table)
    names, stored = table.column_names, table.columns
    del table  # it would keep the columns
    levels = stored[(count := len(names) - len(notes["index"]["levels"])) :]
    arrays = _restore_arrays(stored, notes["notes"])
    index = _restore_index(notes["index"], levels, arrays[count:])
    columns = dict(zip(names[:count], arrays, strict=False))
    frame: pd.DataFrame = pd.DataFrame(columns, index=None if columns else index, copy=False)
    frame.index = index
    frame.columns = _restore_columns(notes["columns"], names[:count])
    frame.attrs = notes.get("attrs", {})
    if notes.get("unique_labels"):
        frame = frame.set_flags(allows_duplicate_labels=False)
    return frame


def _restore_arrays(stored: "list[pa.ChunkedArray]", notes: list[Note]) -> list[Any]:
    """Return the pandas arrays of stored columns; empties the list, to free each column."""
    import pyarrow as pa

    arrays, freed = [], 0
    for _, note in zip(range(len(stored)), notes, strict=True):
        freed += stored[0].nbytes
        arrays.append(restore_column(stored.pop(0), note))
        if freed >= _RELEASED_BYTES:  # numpy can't use freed memory that Arrow's allocator keeps
            pa.default_memory_pool().release_unused()
            freed = 0
    return arrays


def _batches(plans: list[ColumnPlan], schema: "pa.Schema", rows: int) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    step = block_rows(len(plans))
    for start in range(0, rows, step):
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
                f"The name of column {position} is {named_type(type(name))}, not text; rename it."
            )
    repeated = frame.columns.duplicated()
    if repeated.any():
        position = int(repeated.argmax())
        raise UnstorableTableError(
            f"{column_label(frame.columns[position], position)} is there more than once; rename it."
        )
    _check_label(frame.columns.name, "the columns")


def _check_label(name: object, labelled: str) -> None:
    if name is not None and not isinstance(name, str):
        raise UnstorableTableError(
            f"The name of {labelled} is {named_type(type(name))}, not text; rename it."
        )


# The index


def _index_levels(frame: "pd.DataFrame") -> "dict[str, pd.Series[Any]]":
    """Return the levels that must be stored, by the names of their columns."""
    import pandas as pd

    index = frame.index
    levels: dict[str, pd.Series[Any]] = {}
    for name in index.names:
        _check_label(name, "an index level")
    # A range needs no column, but some tools can't read a file without one.
    if isinstance(index, pd.RangeIndex) and len(frame.columns):
        return levels
    for position, name in enumerate(index.names):
        values = level_values(index, position)
        # The names are pandas' own, so that its reader finds them.
        taken = name is None or name in frame.columns or name in levels
        column = f"__index_level_{position}__" if taken else str(name)
        if column in levels or column in frame.columns:
            raise UnstorableTableError(
                f"Index level {position} needs the name {named(column)}, which a column already "
                "has; rename it."
            )
        levels[column] = pd.Series(values.array, dtype=values.dtype)
    return levels


def level_values(index: Any, position: int) -> Any:
    """Return a level's values; nullable where pandas would round numbers beside missing ones."""
    import pandas as pd

    dtype = _rounded_type(index, position)
    if dtype is None:
        return index.get_level_values(position)
    nullable = "boolean" if dtype == "bool" else dtype.replace("i", "I").replace("u", "U")
    level: Any = pd.array(index.levels[position], dtype=nullable)
    return pd.Index(level.take(index.codes[position], allow_fill=True))


def _rounded_type(index: Any, position: int) -> str | None:
    """Return the type of a level of integers or booleans with missing values; None for others."""
    import pandas as pd

    if not isinstance(index, pd.MultiIndex):
        return None
    dtype = index.levels[position].dtype
    rounded = getattr(dtype, "kind", "") in "iub" and (index.codes[position] < 0).any()
    return str(dtype) if rounded and not pd.api.types.is_extension_array_dtype(dtype) else None


def _index_note(frame: "pd.DataFrame", columns: list[str]) -> dict[str, Any]:
    import pandas as pd

    index: Any = frame.index
    note: dict[str, Any] = {"names": list(index.names), "levels": columns}
    if isinstance(index, pd.RangeIndex):
        return {**note, "range": [index.start, index.stop, index.step]}
    if isinstance(index, pd.MultiIndex):
        return {**note, "multi": [_level_note(index, n) for n in range(index.nlevels)]}
    return {**note, "freq": frequency_note(index, "The index")}


def _level_note(index: Any, position: int) -> dict[str, Any] | None:
    """Return a level that its values alone don't restore: it has unused values, or another order.

    Returns:
        None for a level of exactly its values, in ascending order, as most are.
    """
    import numpy as np
    import pandas as pd

    level, codes = index.levels[position], index.codes[position]
    category_codes = level.codes if isinstance(level, pd.CategoricalIndex) else None
    ordered = (
        level.is_monotonic_increasing
        if category_codes is None
        else len(level) == len(level.categories) and (np.diff(category_codes) == 1).all()
    )
    used = category_codes is not None or np.bincount(codes[codes >= 0], minlength=len(level)).all()
    rounded = _rounded_type(index, position) is not None
    if ordered and used and not rounded and getattr(level, "freq", None) is None:
        return None
    return pack_values(level, f"Index level {position}")[0]


def _restore_index(note: dict[str, Any], columns: list[Any], arrays: list[Any]) -> Any:
    import pandas as pd

    if "range" in note:
        start, stop, step = note["range"]
        return pd.RangeIndex(start, stop, step, name=note["names"][0])
    if "multi" not in note:
        index = pd.Index(arrays[0], dtype=arrays[0].dtype, name=note["names"][0])
        return with_frequency(index, note["freq"])
    levels: list[Any] = []
    codes: list[Any] = []
    for packed, column, array in zip(note["multi"], columns, arrays, strict=True):
        if packed is None:
            single = pd.MultiIndex.from_arrays([pd.Index(array, dtype=array.dtype)])
            levels.append(single.levels[0])
            codes.append(single.codes[0])
        else:
            levels.append(unpack_values(packed))
            codes.append(packed_codes(column, packed))
    return pd.MultiIndex(levels, codes, names=note["names"], verify_integrity=False)


# Column names


def _columns_note(frame: "pd.DataFrame") -> dict[str, Any]:
    import pandas as pd

    columns = frame.columns
    note: dict[str, Any] = {"name": columns.name}
    if isinstance(columns, pd.RangeIndex):  # only where there are no columns
        return {**note, "range": True}
    if columns.dtype == object:
        return note
    return {**note, "labels": pack_values(columns, "The index of the columns")[0]}


def _restore_columns(note: dict[str, Any], names: list[str]) -> Any:
    import pandas as pd

    if "range" in note:
        return pd.RangeIndex(0, name=note["name"])
    if "labels" in note:
        return unpack_values(note["labels"]).rename(note["name"])
    return pd.Index(names, dtype=object, name=note["name"])


# Metadata


def _attributes(frame: "pd.DataFrame") -> dict[Hashable, Any]:
    """Return the entries of ``attrs`` that JSON restores unchanged."""
    return {
        name: value
        for name, value in frame.attrs.items()
        if type(name) is str and exact_json(value)
    }


def _pandas_metadata(frame: "pd.DataFrame", levels: "dict[str, pd.Series[Any]]") -> bytes:
    """Return the metadata that pandas' own readers use, made without reading a row.

    These readers don't support every label and time zone; they see text and UTC instead.
    """
    import pandas as pd
    import pyarrow as pa

    index = frame.index
    skeleton = frame.iloc[:0].reset_index(drop=True)
    skeleton.attrs = _attributes(frame)
    if isinstance(skeleton.columns, pd.CategoricalIndex):
        skeleton.columns = skeleton.columns.astype(skeleton.columns.categories.dtype)
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.DatetimeTZDtype):
            skeleton[name] = _in_utc(skeleton[name])
        elif isinstance(dtype, pd.ArrowDtype) and dtype.pyarrow_dtype.num_fields:
            skeleton[name] = pd.Series(dtype=object)  # the readers can't parse such a type's name
    if levels:
        empty = [_in_utc(level) for level in levels.values()]
        skeleton.index = pd.MultiIndex.from_arrays(empty, names=index.names)
    metadata = json.loads(pa.Schema.from_pandas(skeleton).metadata[b"pandas"])
    metadata["index_columns"] = list(levels)
    if isinstance(index, pd.RangeIndex) and not levels:
        span = {"start": index.start, "stop": index.stop, "step": index.step}
        metadata["index_columns"] = [{"kind": "range", "name": index.name, **span}]
    return json.dumps(metadata).encode()


def _in_utc(series: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd

    zoned = isinstance(series.dtype, pd.DatetimeTZDtype)
    return series.iloc[:0].dt.tz_convert("UTC") if zoned else series.iloc[:0]


def _plain_frame(table: "pa.Table") -> Any:
    import pandas as pd
    import pyarrow as pa

    nullable = {pa.bool_(): pd.BooleanDtype()}
    for bits in (8, 16, 32, 64):
        nullable[getattr(pa, f"int{bits}")()] = getattr(pd, f"Int{bits}Dtype")()
        nullable[getattr(pa, f"uint{bits}")()] = getattr(pd, f"UInt{bits}Dtype")()
    described = b"pandas" in (table.schema.metadata or {})

    def dtype_of(arrow_type: "pa.DataType") -> Any:
        # numpy arrays would lose the type of lists without items, and round large numbers.
        if pa.types.is_nested(arrow_type):
            return pd.ArrowDtype(arrow_type)
        return None if described else nullable.get(arrow_type)

    frame = table.to_pandas(types_mapper=dtype_of)
    for name in frame.columns:
        # pandas casts each column to its own type, which shortens nested nulls.
        if contains_null(table.schema.field(name).type):
            frame[name] = pd.arrays.ArrowExtensionArray(table[name])
    return frame
