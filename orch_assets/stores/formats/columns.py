"""One pandas column, or one index level, as an Arrow column and back.

Arrow's own conversion loses some of what a pandas column means: an ``object`` column of integers
comes back as ``int64``, ``NaN`` in text as ``None``, categories in another order. So every column
has a *note*: a small JSON object with what its Arrow type doesn't express. The rows are converted
in slices; type and note apply to the whole column.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orch_assets.errors import UnstorableTableError
from orch_assets.marked_names import named_column_type, named_type
from orch_assets.stores.formats.column_plans import ColumnPlan, Note, Objects, slicer
from orch_assets.stores.formats.object_columns import plan_objects, restore_objects
from orch_assets.stores.formats.refusing import storable
from orch_assets.stores.formats.zones import arrow_zone, zone_note, zone_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# 80 bits or more: no Arrow type holds them.
_LONG_FLOATS = {"float96", "float128"}


def plan_column(series: "pd.Series[Any]", label: str, rows: "Objects | None" = None) -> ColumnPlan:
    """Decide how a column is stored.

    Args:
        series: the column, or the items of its lists or dicts.
        label: how errors name the column.
        rows: for each value, its row in the table. By default, each value has a row of its own.

    Raises:
        UnstorableTableError: the column would not come back unchanged.
    """
    import pandas as pd
    import pyarrow as pa

    dtype: Any = series.dtype
    # Without the index: Arrow searches it for names, which fails if labels can't be compared.
    with storable(label, named_column_type(dtype)):  # pandas 2 looks for missing values
        series = pd.Series(series.array, dtype=dtype, copy=False)
    if isinstance(dtype, pd.CategoricalDtype):
        return _plan_categories(series, label)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _plan_zoned(series, label)
    if pd.api.types.is_object_dtype(dtype):
        return plan_objects(series, label, rows, plan_column)
    note = _note(dtype)
    if note is None:
        raise UnstorableTableError(
            f"{label} is of type {named_column_type(dtype)}, which can't be stored; "
            "convert it to text, numbers or timestamps."
        )
    # All text has one Arrow type: other studies' tables may come from another pandas version.
    text = isinstance(dtype, pd.StringDtype)
    arrow_type = pa.string() if text else _arrow_type(series, label)
    return ColumnPlan(arrow_type, note, slicer(series, arrow_type, label))


def plan_labels(series: "pd.Series[Any]", label: str) -> ColumnPlan:
    """Decide how labels are stored: categories, or an index level.

    Raises:
        UnstorableTableError: the labels would not come back unchanged.
    """
    plan = plan_column(series, label)
    if plan.type.num_fields:
        raise UnstorableTableError(
            f"{label} holds labels that are tuples, lists or dicts; convert them to text, or make "
            "a column of them."
        )
    return plan


def restore_column(column: "pa.ChunkedArray", note: Note) -> Any:
    """Return the original pandas array from a stored column and its note."""
    import pandas as pd

    restorers: dict[str, Callable[[], Any]] = {
        "arrow": lambda: pd.arrays.ArrowExtensionArray(column),
        "category": lambda: _restore_categories(column, note),
        "masked": lambda: _restore_masked(column, note["dtype"]),
        "numpy": lambda: _restore_numpy(column, note["dtype"]),
        "object": lambda: restore_objects(column, note, restore_column),
        "string": lambda: _restore_text(column, note),
        "zoned": lambda: _restore_zoned(column, note),
    }
    return restorers[note["kind"]]()


def _note(dtype: Any) -> Note | None:
    """Return the note of a type that needs no look at the values; None for an unknown type."""
    import numpy as np
    import pandas as pd

    if isinstance(dtype, np.dtype):
        known = dtype.kind in "iufbmM" and str(dtype) not in _LONG_FLOATS and dtype.isnative
        return {"kind": "numpy", "dtype": str(dtype)} if known else None
    if isinstance(dtype, pd.StringDtype):
        nan = getattr(dtype, "na_value", pd.NA) is not pd.NA
        return {"kind": "string", "storage": dtype.storage, "nan": nan}
    if isinstance(dtype, pd.ArrowDtype):
        return {"kind": "arrow"}
    if isinstance(dtype, pd.BooleanDtype) or str(dtype).startswith(("Int", "UInt", "Float")):
        return {"kind": "masked", "dtype": str(dtype)}
    return None


def _arrow_type(series: "pd.Series[Any]", label: str) -> "pa.DataType":
    import pyarrow as pa

    with storable(label, named_column_type(series.dtype)):
        return pa.array(series.iloc[:0], from_pandas=True).type


def _restore_masked(column: "pa.ChunkedArray", name: str) -> Any:
    import pandas as pd

    dtype: Any = pd.api.types.pandas_dtype(name)
    return dtype.__from_arrow__(column)


def _restore_numpy(column: "pa.ChunkedArray", dtype: str) -> Any:
    values = column.to_pandas().to_numpy().astype(dtype, copy=False)
    return values if values.flags.writeable else values.copy()  # Arrow's memory is read-only


def _restore_text(column: "pa.ChunkedArray", note: Note) -> Any:
    import pandas as pd

    nan = {"na_value": float("nan")} if note["nan"] else {}
    dtype: Any = pd.StringDtype(note["storage"], **nan)
    if dtype.storage == "python":
        # In pandas 2.3, __from_arrow__ returns another class, which never equals this type.
        return pd.array(column.to_numpy(zero_copy_only=False), dtype=dtype)
    return dtype.__from_arrow__(column)


# Categories


def _plan_categories(series: "pd.Series[Any]", label: str) -> ColumnPlan:
    import pyarrow as pa

    dtype: Any = series.dtype
    packed, categories = pack_values(dtype.categories, f"{label} (its categories)")
    note = {"kind": "category", "ordered": bool(dtype.ordered), "categories": packed}
    codes: Any = series.cat.codes.to_numpy()
    # Parquet keeps dictionaries of text only; there, other tools see categories too.
    as_dictionary = pa.types.is_string(categories.type)
    column_type = (
        pa.dictionary(pa.int32(), categories.type, dtype.ordered)
        if as_dictionary
        else categories.type
    )

    def convert(start: int, stop: int) -> "pa.Array":
        part = codes[start:stop]
        indices = pa.array(part, type=pa.int32(), mask=part < 0)
        if as_dictionary:
            return pa.DictionaryArray.from_arrays(indices, categories, ordered=dtype.ordered)
        return categories.take(indices)

    return ColumnPlan(column_type, note, convert)


def _restore_categories(column: "pa.ChunkedArray", note: Note) -> Any:
    import pandas as pd

    dtype = pd.CategoricalDtype(unpack_values(note["categories"]), ordered=note["ordered"])
    return pd.Categorical.from_codes(packed_codes(column, note["categories"]), dtype=dtype)


# Values beside a column: categories, index levels, column labels


def pack_values(values: "pd.Index[Any]", label: str) -> "tuple[Note, pa.Array]":
    """Return a note that holds an index exactly, such as categories, and the index in Arrow."""
    import pandas as pd
    import pyarrow as pa

    plan = plan_labels(pd.Series(values, dtype=values.dtype), label)
    array = plan.convert(0, len(values))
    batch = pa.record_batch([array], names=["values"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    note: Note = {"values": b64encode(sink.getvalue().to_pybytes()).decode(), "of": plan.note}
    if (freq := frequency_note(values, label)) is not None:
        note["freq"] = freq
    return note, array


def unpack_values(note: Note) -> "pd.Index[Any]":
    """Return the index from a note of :func:`pack_values`."""
    import pandas as pd

    array = restore_column(_unpacked(note), note["of"])
    index: pd.Index[Any] = with_frequency(pd.Index(array, dtype=array.dtype), note.get("freq"))
    return index


def packed_codes(column: "pa.ChunkedArray", note: Note) -> "Objects":
    """Return each value's position in the index that a note holds; -1 for a missing value.

    The lookup is Arrow's, because pandas rounds large numbers beside missing ones.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = _decoded(_unpacked(note)).combine_chunks()
    positions = pc.index_in(_decoded(column).cast(values.type), value_set=values)
    codes: Objects = positions.fill_null(-1).cast(pa.int64()).to_numpy()
    return codes


def _unpacked(note: Note) -> "pa.ChunkedArray":
    import pyarrow as pa

    return pa.ipc.open_stream(b64decode(note["values"])).read_all().column(0)


def _decoded(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return column
    return pa.chunked_array(
        [chunk.dictionary_decode() for chunk in column.chunks], column.type.value_type
    )


# Frequencies of indexes


def frequency_note(index: Any, label: str) -> str | Note | None:
    """Return an index's frequency as JSON, for :func:`with_frequency`; None if it has none.

    Raises:
        UnstorableTableError: the frequency can't be restored in another process.
    """
    import pandas as pd

    freq = getattr(index, "freq", None)
    if freq is None:
        return None
    steps = {"n": freq.n, "normalize": freq.normalize, **freq.kwds}
    if type(freq) is pd.DateOffset and all(type(each) in {int, bool} for each in steps.values()):
        return steps
    try:
        same = pd.tseries.frequencies.to_offset(freq.freqstr) == freq
    except ValueError:
        same = False
    if not same:
        raise UnstorableTableError(
            f"{label} has a frequency of the type {named_type(type(freq))} that can't be stored; "
            "set its freq to None."
        )
    return str(freq.freqstr)


def with_frequency(index: Any, note: str | Note | None) -> Any:
    """Return an index with the frequency from a note."""
    import pandas as pd

    if note is None:
        return index
    freq = pd.DateOffset(**note) if isinstance(note, dict) else note
    return type(index)(index, freq=freq)


# Time zones


def _plan_zoned(series: "pd.Series[Any]", label: str) -> ColumnPlan:
    import pyarrow as pa

    dtype: Any = series.dtype
    try:
        zone = zone_note(dtype.tz)
    except ValueError as error:
        raise UnstorableTableError(
            f"{label} has times in {error}, which can't be stored; "
            'convert it by tz_convert("UTC"), or to a zone with a name.'
        ) from None
    convert_naive = slicer(
        series.dt.tz_convert("UTC").dt.tz_localize(None), pa.timestamp(dtype.unit), label
    )
    arrow_type = pa.timestamp(dtype.unit, arrow_zone(zone))

    def convert(start: int, stop: int) -> "pa.Array":
        return convert_naive(start, stop).view(arrow_type)

    return ColumnPlan(arrow_type, {"kind": "zoned", "unit": dtype.unit, "zone": zone}, convert)


def _restore_zoned(column: "pa.ChunkedArray", note: Note) -> Any:
    import pandas as pd
    import pyarrow as pa

    column = column.cast(pa.timestamp(note["unit"], "UTC"))
    series = pd.Series(column.to_pandas()).dt.as_unit(note["unit"])
    return series.dt.tz_convert(zone_of(note["zone"])).array
