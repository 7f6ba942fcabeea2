"""The tables in ``stored_by_0.1.0.zip``: release 0.1.0 stored them, as Parquet and as CSV.

It ran on pandas 2. Where pandas 3 would choose another type, the type is given here.
"""

import datetime as dt
import zoneinfo
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa


def frames() -> dict[str, pd.DataFrame]:
    """Return each frame by the name that it is stored under."""
    days = pd.date_range("2024-01-01", periods=3, unit="ns")
    zones = {
        "zone_named": zoneinfo.ZoneInfo("Europe/Berlin"),
        "zone_offset": dt.timezone(dt.timedelta(hours=-3, minutes=-30)),
        "zone_utc": dt.UTC,
    }
    columns = {
        "int": [1, 2, 3],
        "int8": np.array([1, 2, 3], dtype="int8"),
        "float": [1.5, np.nan, 2.0],
        "bool": [True, False, True],
        "text": pd.Series(["x", None, ""], dtype=object),
        "bytes": pd.Series([b"x", None, b""], dtype=object),
        "decimal": [Decimal("1.10"), None, Decimal("2.00")],
        "date": [dt.date(2024, 1, 1), None, dt.date(2024, 1, 2)],
        "large": pd.Series([2**60, None, 1], dtype=object),
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "nullable_bool": pd.array([True, None, False], dtype="boolean"),
        "string": pd.array(["x", None, "z"], dtype=pd.StringDtype("python")),
        "arrow": pd.array([1, None, 3], dtype=pd.ArrowDtype(pa.int32())),
        "day": days,
        "span": pd.to_timedelta([1, None, 3], unit="s").as_unit("ns"),
        "category": pd.Categorical(["x", "y", None], _objects("y", "x", "z"), ordered=True),
        "category_of_numbers": pd.Categorical([3, 1, None], categories=[3, 2, 1]),
        **{name: days.tz_localize("UTC").tz_convert(zone) for name, zone in zones.items()},
    }
    value = {"value": [1, 2, 3]}
    letters, numbers = _objects("x", "y", "y"), [1, 2, None]
    stored = {
        "columns": pd.DataFrame(columns),
        "no_rows": pd.DataFrame(columns).iloc[:0],
        "no_columns": pd.DataFrame(index=pd.RangeIndex(3)),
        "range": pd.DataFrame(value, index=pd.RangeIndex(4, 10, 2, name="row")),
        "text_index": pd.DataFrame(value, index=_objects("p", "q", None).rename("key")),
        "frequency": pd.DataFrame(
            value, index=pd.date_range("2024-01-01", periods=3, freq="W", unit="ns")
        ),
        "levels": pd.DataFrame(
            value, index=pd.MultiIndex.from_arrays([letters, numbers], names=["letter", None])
        ),
        "named_columns": pd.DataFrame(value).rename_axis(columns="measure"),
    }
    for frame in stored.values():
        if len(frame.columns):
            frame.columns = frame.columns.astype(object)
    return stored


def _objects(*labels: str | None) -> pd.Index:
    return pd.Index(labels, dtype=object)


def arrow_table() -> pa.Table:
    """Return the Arrow table that is stored as ``arrow``."""
    return pa.table({"key": pa.array([1, None], pa.int64()), "text": ["x", None]})
