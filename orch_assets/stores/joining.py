"""Joining the tables of many studies without changing any value."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orch_assets.errors import StoreError, UnstorableTableError
from orch_assets.marked_names import named, named_column_type
from orch_assets.stores.formats.arrow_types import cast_column, common_type

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def join_tables(tables: "Mapping[str, pa.Table]") -> "pa.Table":
    """Return the rows of all tables, in their order; columns that a table lacks are null.

    Args:
        tables: The tables by name. Names are used in error messages.

    Raises:
        StoreError: No type can hold every value of a column.
    """
    import pyarrow as pa

    columns: dict[str, list[pa.Field]] = {}
    for table in tables.values():
        for field in table.schema:
            columns.setdefault(field.name, []).append(field)
    fields, joined = [], []
    for position, (column_name, column_fields) in enumerate(columns.items()):
        label = f"column {named(column_name, str(position))}"
        parts = {name: _column(table, column_name) for name, table in tables.items()}
        type_ = _joint_type(
            {n: (c.type, c.null_count < len(c)) for n, c in parts.items() if c is not None},
            label,
        )
        chunks = [
            chunk
            for name, column in parts.items()
            for chunk in (
                [pa.nulls(tables[name].num_rows, type_)]
                if column is None
                else _cast(column, type_, name, label).chunks
            )
        ]
        fields.append(column_fields[0].with_type(type_).with_nullable(True))
        joined.append(pa.chunked_array(chunks, type_))
    metadata = next(iter(tables.values())).schema.metadata
    return pa.table(joined, schema=pa.schema(fields, metadata=metadata))


def join_frames(frames: "Mapping[str, pd.DataFrame]") -> "pd.DataFrame":
    """Return the rows of all frames, in their order; values of columns that one lacks are missing.

    Whole numbers and booleans become pandas' nullable types if some are missing. If every frame
    with rows has a ``RangeIndex``, the result has one that counts all rows from 0.

    Args:
        frames: The frames by name. Names are used in error messages.

    Raises:
        StoreError: No type can hold every value of a column, or the indexes have different
            numbers of levels.
    """
    import pandas as pd

    sizes = {name: len(frame) for name, frame in frames.items()}
    labels = dict.fromkeys(label for frame in frames.values() for label in frame.columns)
    columns = {
        label: _joined(
            {n: frame[label] for n, frame in frames.items() if label in frame.columns},
            sizes,
            f"column {named(label, str(position))}",
        )
        for position, label in enumerate(labels)
    }
    index = _joined_index(frames, sizes)
    joined: pd.DataFrame = pd.DataFrame(columns, index=None if columns else index, copy=False)
    joined.index = index
    first, *others = frames.values()
    if all(frame.columns.equals(first.columns) for frame in others):
        joined.columns = first.columns
    if all(frame.attrs == first.attrs for frame in others):
        joined.attrs = first.attrs
    return joined


# Types


def _joint_type(parts: "Mapping[str, tuple[pa.DataType, bool]]", label: str) -> "pa.DataType":
    """Return a type for a column of several tables; tables without values in it don't count."""
    valued = {name: type_ for name, (type_, has_values) in parts.items() if has_values}
    # If no table has a value, any of the types will do.
    types = valued or {name: type_ for name, (type_, _) in list(parts.items())[:1]}
    usual = Counter(types.values()).most_common(1)[0][0]
    joint, source = usual, next(name for name, type_ in types.items() if type_ == usual)
    for name, type_ in types.items():
        common = common_type(joint, type_)
        if common is None:
            raise _unfit(name, label, type_, source, types[source])
        if common != joint and type_ != usual:
            source = name
        joint = common
    return joint


def _unfit(
    name: str, label: str, type_: "pa.DataType", other: str, other_type: "pa.DataType"
) -> StoreError:
    return StoreError(
        f"The table {_named(name)} doesn't fit together with {_named(other)}: its {label} is "
        f"{named_column_type(type_)} here and {named_column_type(other_type)} there. Ask for a "
        "dict of tables, or convert the column where it is produced.",
        artifact=name,
    )


def _lossy(name: str, label: str, type_: object, wanted: object) -> StoreError:
    return StoreError(
        f"The table {_named(name)} doesn't fit together with the others: its {label} is "
        f"{named_column_type(type_)} here, and its values can't be converted without loss to "
        f"{named_column_type(wanted)}, the type that the tables have in common. Ask for a dict of "
        "tables, or convert the column where it is produced.",
        artifact=name,
    )


def _named(table: str) -> str:
    return named(table, shown=table)


# Arrow


def _column(table: "pa.Table", label: str) -> "pa.ChunkedArray | None":
    return table[label] if label in table.column_names else None


def _cast(column: "pa.ChunkedArray", type_: "pa.DataType", name: str, label: str) -> Any:
    import pyarrow as pa

    if column.type.equals(type_):
        return column
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), type_)])
    try:
        return cast_column(column, type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _lossy(name, label, column.type, type_) from None


# pandas


def _joined(
    parts: "Mapping[str, pd.Series[Any]]", sizes: Mapping[str, int], label: str
) -> "pd.Series[Any]":
    import pandas as pd

    plans = {name: _arrow_type(part, label) for name, part in parts.items()}
    filled = {name: bool(part.notna().any()) for name, part in parts.items()}
    joint = _joint_type({name: (plans[name], filled[name]) for name in parts}, label)
    valued = [part.dtype for name, part in parts.items() if filled[name]]
    dtypes = valued or [next(iter(parts.values())).dtype]
    gaps = any(name not in parts or not filled[name] for name, rows in sizes.items() if rows)
    dtype = _joint_dtype(dtypes, joint, gaps=gaps)
    pieces = [
        _fitted(parts[name], dtype, name, label)
        if name in parts and (filled[name] or parts[name].dtype == dtype)
        else _missing(sizes[name], dtype)
        for name in sizes
    ]
    joined: pd.Series[Any] = pd.concat(pieces, ignore_index=True)
    return joined


def _arrow_type(series: "pd.Series[Any]", label: str) -> "pa.DataType":
    import pyarrow as pa

    from orch_assets.stores.formats.columns import plan_column

    try:
        return plan_column(series, label).type
    except UnstorableTableError:  # types of frames that other tools stored, such as intervals
        return pa.array(series, from_pandas=True).type


def _joint_dtype(dtypes: "Sequence[Any]", joint: "pa.DataType", *, gaps: bool) -> Any:
    """Return the pandas type for a column of these pandas types.

    Args:
        dtypes: Types of the parts that hold values.
        joint: The Arrow type that holds all their values.
        gaps: Whether values are missing in some frame.
    """
    import pandas as pd
    import pyarrow.types as t

    first, nullable = dtypes[0], any(map(pd.api.types.is_extension_array_dtype, dtypes))
    if all(dtype == first for dtype in dtypes) and not (gaps and first.kind in "iub"):
        return first
    if all(isinstance(dtype, pd.ArrowDtype) for dtype in dtypes):
        return pd.ArrowDtype(joint)
    if t.is_boolean(joint):
        return pd.BooleanDtype()
    if t.is_integer(joint) or t.is_floating(joint):
        name = {"halffloat": "float32", "float": "float32", "double": "float64"}.get(
            str(joint), str(joint)
        )
        if nullable or (gaps and t.is_integer(joint)):
            name = name.replace("i", "I").replace("f", "F").replace("u", "U")
        return pd.api.types.pandas_dtype(name)
    if all(getattr(dtype, "kind", "") in "mM" for dtype in dtypes):
        zone = getattr(first, "tz", None)
        kind = "datetime64" if t.is_timestamp(joint) else "timedelta64"
        return pd.DatetimeTZDtype(joint.unit, zone) if zone else f"{kind}[{joint.unit}]"
    return pd.api.types.pandas_dtype(object)


def _fitted(series: "pd.Series[Any]", dtype: Any, name: str, label: str) -> "pd.Series[Any]":
    """Return a column as another type; raise if a value would change."""
    import pandas as pd

    if series.dtype == dtype:
        return series
    if isinstance(dtype, pd.ArrowDtype):
        return _cast_series(series, dtype.pyarrow_dtype, name, label)
    try:
        fitted = series.astype(dtype)
    except (ValueError, TypeError, OverflowError, pd.errors.OutOfBoundsDatetime):
        raise _lossy(name, label, series.dtype, dtype) from None
    if not _same_numbers(series, fitted):
        raise _lossy(name, label, series.dtype, dtype)
    return fitted


def _cast_series(
    series: "pd.Series[Any]", type_: "pa.DataType", name: str, label: str
) -> "pd.Series[Any]":
    """Return a column of Arrow's types as another one; pandas' cast shortens nested nulls."""
    import pandas as pd
    import pyarrow as pa

    column = pa.chunked_array([pa.array(series.array)])
    array = pd.arrays.ArrowExtensionArray(_cast(column, type_, name, label))
    fitted: pd.Series[Any] = pd.Series(array)
    return fitted


def _same_numbers(series: "pd.Series[Any]", fitted: "pd.Series[Any]") -> bool:
    """Return whether whole numbers are unchanged: a float rounds them beyond 2**53."""
    before, after = getattr(series.dtype, "kind", "O"), getattr(fitted.dtype, "kind", "O")
    if before not in "iu" or after == before:
        return True
    pairs = zip(series.dropna().tolist(), fitted.dropna().tolist(), strict=True)
    return all(one == other for one, other in pairs)  # Python compares numbers exactly


def _missing(rows: int, dtype: Any) -> "pd.Series[Any]":
    import pandas as pd

    missing: pd.Series[Any] = pd.Series([None] * rows, dtype=dtype)
    return missing


def _joined_index(frames: "Mapping[str, pd.DataFrame]", sizes: Mapping[str, int]) -> Any:
    import pandas as pd

    from orch_assets.stores.formats.frames import level_values

    indexes = {name: frame.index for name, frame in frames.items() if sizes[name]}
    if all(isinstance(index, pd.RangeIndex) for index in indexes.values()):
        return pd.RangeIndex(sum(sizes.values()))
    first = next(iter(indexes))
    for name, index in indexes.items():
        if index.nlevels != indexes[first].nlevels:
            raise StoreError(
                f"The table {_named(name)} doesn't fit together with {_named(first)}: its index "
                f"has {index.nlevels} levels here and {indexes[first].nlevels} there. Reset the "
                "index, or ask for a dict of tables.",
                artifact=name,
            )
    levels = []
    for level in range(indexes[first].nlevels):
        parts = {name: _as_series(level_values(index, level)) for name, index in indexes.items()}
        joined = _joined(parts, {name: sizes[name] for name in indexes}, f"index level {level}")
        levels.append(pd.Index(joined.array, dtype=joined.dtype))
    names = list(_common_names(indexes.values()))
    if len(levels) == 1:
        return levels[0].rename(names[0])
    return pd.MultiIndex.from_arrays(levels, names=names)


def _as_series(values: "pd.Index[Any]") -> "pd.Series[Any]":
    import pandas as pd

    series: pd.Series[Any] = pd.Series(values.array, dtype=values.dtype)
    return series


def _common_names(indexes: Any) -> "Iterator[Any]":
    for names in zip(*(index.names for index in indexes), strict=True):
        yield names[0] if all(name == names[0] for name in names) else None
