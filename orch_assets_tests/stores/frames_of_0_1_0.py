"""The tables in ``stored_by_0.1.0.zip``: release 0.1.0 stored them, as Parquet and as CSV."""

import datetime as dt
import zoneinfo
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa


def frames() -> dict[str, pd.DataFrame]:
    """Return each frame by the name that it is stored under."""
    days = pd.date_range("2024-01-01", periods=3)
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
        "text": ["x", None, ""],
        "bytes": [b"x", None, b""],
        "decimal": [Decimal("1.10"), None, Decimal("2.00")],
        "date": [dt.date(2024, 1, 1), None, dt.date(2024, 1, 2)],
        "large": pd.Series([2**60, None, 1], dtype=object),
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "nullable_bool": pd.array([True, None, False], dtype="boolean"),
        "string": pd.array(["x", None, "z"], dtype="string"),
        "arrow": pd.array([1, None, 3], dtype=pd.ArrowDtype(pa.int32())),
        "day": days,
        "span": pd.to_timedelta([1, None, 3], unit="s"),
        "category": pd.Categorical(["x", "y", None], categories=["y", "x", "z"], ordered=True),
        "category_of_numbers": pd.Categorical([3, 1, None], categories=[3, 2, 1]),
        **{name: days.tz_localize("UTC").tz_convert(zone) for name, zone in zones.items()},
    }
    value = {"value": [1, 2, 3]}
    letters, numbers = ["x", "y", "y"], [1, 2, None]
    return {
        "columns": pd.DataFrame(columns),
        "no_rows": pd.DataFrame(columns).iloc[:0],
        "no_columns": pd.DataFrame(index=pd.RangeIndex(3)),
        "range": pd.DataFrame(value, index=pd.RangeIndex(4, 10, 2, name="row")),
        "text_index": pd.DataFrame(value, index=pd.Index(["p", "q", None], name="key")),
        "frequency": pd.DataFrame(value, index=pd.date_range("2024-01-01", periods=3, freq="W")),
        "levels": pd.DataFrame(
            value, index=pd.MultiIndex.from_arrays([letters, numbers], names=["letter", None])
        ),
        "named_columns": pd.DataFrame(value).rename_axis(columns="measure"),
    }


def arrow_table() -> pa.Table:
    """Return the Arrow table that is stored as ``arrow``."""
    return pa.table({"key": pa.array([1, None], pa.int64()), "text": ["x", None]})
