"""Errors of libraries that quote what they were given."""

import csv
import dataclasses
import decimal
import enum
import io
import json
import os
import re
import sqlite3
import struct
import subprocess
import uuid
from datetime import datetime
from pathlib import Path

from orch_assets_tests.scenarios.ways_to_fail.ways import way

# --- Python's own ---


@way("ValueError (at ")
def whole_number(text):
    int(text)


@way("InvalidOperation (at ", reported=False)
def decimal_number(text):
    decimal.Decimal(text)


@way("ValueError (at ")
def iso_date(text):
    datetime.fromisoformat(text)


@way("ValueError (at ")
def date_by_format(text):
    datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007


@way("ValueError (at ")
def member_of_an_enumeration(text):
    enum.Enum("Arm", ["A", "B"])(text)


@way("ValueError (at ", reported=False)
def identifier(text):
    uuid.UUID(text)


@way("JSONDecodeError (at ", reported=False)
def json_document(text):
    json.loads(f'{{"subject": {text}}}')


@way("TypeError (at ")
def json_of_an_object(text):
    json.dumps(type(text, (), {})())


@way("Error (at ", reported=False)
def csv_line(text):
    list(csv.reader([f'"{text}" x,1'], strict=True))


@way("error (at ", reported=False)
def pattern(text):
    re.compile(f"({text}")


@way("error (at ", reported=False)
def packed(text):
    struct.pack("i", text)


@way("UnicodeDecodeError (at ", reported=False)
def no_utf8(text):
    (text.encode() + b"\xff").decode()


@way("UnicodeEncodeError (at ", reported=False)
def no_ascii(text):
    f"{text}ü".encode("ascii")


@way("FileNotFoundError (at ")
def missing_file(text):
    Path("/nowhere", text).read_text()


@way("KeyError (at ")
def missing_variable(text):
    return os.environ[text]


@way("CalledProcessError (at ")
def failed_command(text):
    subprocess.run(["/bin/sh", "-c", "exit 1", text], check=True, capture_output=True)


@way("OperationalError (at ")
def sql(text):
    sqlite3.connect(":memory:").execute(f"select {text}")


# --- tables ---


def _frame(text):
    import pandas as pd

    return pd.DataFrame({"subject": [text, "x"], "age": [41, 52]})


@way("KeyError (at ")
def pandas_column(text):
    return _frame(text)[text]


@way("KeyError (at ")
def pandas_columns(text):
    return _frame(text)[["age", text]]


@way("KeyError (at ")
def pandas_label(text):
    return _frame("other").set_index("subject").loc[text]


@way("ValueError (at ")
def pandas_type(text):
    _frame(text)["subject"].astype(float)


@way("ValueError (at ")
def pandas_number(text):
    import pandas as pd

    pd.to_numeric(_frame(text)["subject"])


@way("DateParseError (at ")
def pandas_date(text):
    import pandas as pd

    pd.Timestamp(text)


@way("ValueError (at ")
def pandas_dates(text):
    import pandas as pd

    pd.to_datetime(_frame(text)["subject"], format="%Y-%m-%d")


@way("UndefinedVariableError (at ")
def pandas_query(text):
    _frame(text).query(f"age > {text}")


@way("MergeError (at ", reported=False)
def pandas_merge(text):
    twice = _frame(text).replace("x", text)
    twice.merge(twice, on="subject", validate="one_to_one")


@way("AssertionError (at ")
def pandas_comparison(text):
    import pandas as pd

    pd.testing.assert_frame_equal(_frame(text), _frame("other"))


@way("ParserError (at ", reported=False)
def pandas_csv(text):
    import pandas as pd

    pd.read_csv(io.StringIO(f"a,b\n1,2\n{text},2,3\n"))


@way("TypeError (at ")
def pandas_mean(text):
    _frame(text)["subject"].mean()


@way("ValueError (at ")
def numpy_type(text):
    import numpy as np

    np.array([text]).astype(float)


@way("ArrowInvalid (at ")
def arrow_cast(text):
    import pyarrow as pa
    import pyarrow.compute as pc

    pc.cast(pa.array([text]), pa.int64())


@way("ArrowInvalid (at ")
def arrow_array(text):
    import pyarrow as pa

    pa.array([1, text])


@way("ArrowInvalid (at ")
def arrow_csv(text):
    import pyarrow.csv

    pyarrow.csv.read_csv(io.BytesIO(f"a,b\n1,2\n{text},2,3\n".encode()))


@way("KeyError (at ")
def arrow_column(text):
    import pyarrow as pa

    return pa.table({"a": [1]})[text]


@way("InvalidOperationError (at ")
def polars_cast(text):
    import polars as pl

    pl.Series([text]).cast(pl.Int64)


@way("ColumnNotFoundError (at ")
def polars_column(text):
    import polars as pl

    pl.DataFrame({"a": [1]}).lazy().select(text).collect()


@way("ComputeError (at ")
def polars_csv(text):
    import polars as pl

    pl.read_csv(io.BytesIO(f"a\n1\n{text}\n".encode()), schema={"a": pl.Int64})


@way("ValueError (at ")
def polars_function(text):
    import polars as pl

    def fail(_):
        raise ValueError(text)

    pl.DataFrame({"a": [1]}).select(pl.col("a").map_elements(fail, return_dtype=pl.Int64))


@way("ConversionException (at ")
def duckdb_cast(text):
    import duckdb

    duckdb.execute("select cast(? as integer)", [text]).fetchall()


# --- models ---


@way("ValidationError (at ")
def pydantic_model(text):
    from pydantic import BaseModel

    class Subject(BaseModel):
        age: int

    Subject(age=text)


@way("ValidationError (at ")
def msgspec_model(text):
    import msgspec

    msgspec.convert({"arm": text}, dict[str, enum.Enum("Arm", {"A": "a"})])


@way("ValueError (at ")
def dataclass(text):
    subject = dataclasses.make_dataclass("Subject", ["name"])(text)
    raise ValueError(subject)


# --- the network ---


@way("HTTPStatusError (at ")
def http_status(text):
    import httpx

    request = httpx.Request("GET", f"https://edc.example.com/subjects/{text}")
    httpx.Response(404, request=request).raise_for_status()


@way("UnsupportedProtocol (at ", reported=False)
def http_address(text):
    import httpx

    httpx.get(f"{text}/subjects")


@way("ParamValidationError (at ")
def aws_parameter(text):
    import boto3

    boto3.client("s3", region_name="us-east-1").get_object(Bucket=f"{text}/", Key="x")


@way("ClientError (at ")
def aws_answer(text):
    from botocore.exceptions import ClientError

    raise ClientError({"Error": {"Code": text, "Message": text}}, "GetObject")
