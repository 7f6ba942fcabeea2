"""Forms of the CDISC pilot's shape, made up: 9 forms, 160 variables, 16,000 records.

Most cells are ordinary. One in fifty is one that some format can't hold.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import cycle
from typing import Any

import pyarrow as pa

from orch_assets.exports.exported_table import ExportedTable
from orch_assets_tests.exports.exporting import PUBLISHED_AT

# Records and variables by form.
SHAPES: Mapping[str, tuple[int, int]] = {
    "DM": (306, 18),
    "AE": (1_191, 25),
    "CM": (2_000, 20),
    "EX": (591, 14),
    "LB": (7_000, 22),
    "MH": (800, 16),
    "QS": (2_000, 15),
    "VS": (2_000, 18),
    "DS": (112, 12),
}

_TEXTS = ["Headache", "001", "NA", "MILD", "2013-01", 'said "no"', "=1+1", "a, b", "Y", "N"]
_ODD: Mapping[str, Sequence[Any]] = {
    "TERM": ["", "näusea", "blank ", "two\nlines", "x" * 250, "日本", " "],
    "SEQUENCE": [2**53 + 1, -(2**63), 2**63 - 1],
    "RES": [-0.0, 1e-80, 1e80, float("nan"), float("inf"), 1 / 3],
    "STDAT": [date(1, 1, 1), date(1500, 2, 28), date(1899, 12, 31), date(9999, 12, 31)],
    "DATETIME": [
        datetime(1500, 1, 1),  # noqa: DTZ001 - a clock's time has no zone
        datetime(2013, 1, 1, 23, 59, 59, 999_999),  # noqa: DTZ001
        datetime(9999, 12, 31, 23, 59, 59),  # noqa: DTZ001
    ],
    "YN": [None],
}
_TYPES = {
    "TERM": pa.string(),
    "SEQUENCE": pa.int64(),
    "RES": pa.float64(),
    "STDAT": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "YN": pa.bool_(),
}


def _ordinary(chance: random.Random) -> Mapping[str, Callable[[], Any]]:
    clock = datetime(2013, 1, 1)  # noqa: DTZ001
    return {
        "TERM": lambda: chance.choice(_TEXTS),
        "SEQUENCE": lambda: chance.randrange(1_000),
        "RES": lambda: chance.randrange(10_000) / 100,
        "STDAT": lambda: clock.date() + timedelta(chance.randrange(1_000)),
        "DATETIME": lambda: clock + timedelta(minutes=chance.randrange(1_000_000)),
        "YN": lambda: chance.random() < 0.5,
    }


def _form(name: str, records: int, variables: int, first_record: int) -> pa.Table:
    chance = random.Random(name)
    ordinary = _ordinary(chance)
    columns = [pa.array(range(first_record, first_record + records), pa.int64())]
    fields = [pa.field("record_id", pa.int64(), metadata={"label": "Record"})]
    for number, kind in zip(range(variables), cycle(_TYPES), strict=False):
        cells = [
            None
            if (drawn := chance.random()) < 0.1
            else chance.choice(_ODD[kind])
            if drawn < 0.12
            else ordinary[kind]()
            for _ in range(records)
        ]
        columns.append(pa.array(cells, _TYPES[kind]))
        metadata = {"label": f"Question {number + 1} of {name}"}
        fields.append(pa.field(f"{name}{kind}{number:02}", _TYPES[kind], metadata=metadata))
    return pa.table(columns, pa.schema(fields, {"form_name": f"Form {name}"}))


def pilot_tables() -> list[tuple[ExportedTable, pa.Table]]:
    """Return the forms of study PILOT-01, each with its rows in memory."""
    found, first_record = [], 1
    for number, (name, (records, variables)) in enumerate(SHAPES.items()):
        rows = _form(name, records, variables, first_record)
        first_record += records
        table = ExportedTable(
            study_key="PILOT-01",
            name=name,
            schema=rows.schema,
            num_rows=rows.num_rows,
            open_batches=lambda rows=rows: iter(rows.to_batches(1_000)),  # type: ignore[misc]
            uri="file:///artifacts/form_tables/PILOT-01",
            version=f"{number:064x}",
            published_at=PUBLISHED_AT,
        )
        found.append((table, rows))
    return found
