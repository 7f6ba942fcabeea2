"""The registry's own rows as a table should have them, worked out apart from the client."""

import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from orch_assets import SplitTable, make_study_logger
from orch_assets.demo import DemoRegistry
from orch_assets.imednet.streams import BatchStream

SYSTEM_KEYS = {"dateCreated", "dateModified", "unvnum"}


def run(pipeline: Any, sdk: Any, study_key: str, **upstreams: Any) -> Any:
    """Return the table that a pipeline makes for a study, and of a split one both parts."""
    result = pipeline(study_key, sdk, make_study_logger(study_key), **upstreams)
    if not isinstance(result, SplitTable):
        return _whole(result)
    with ThreadPoolExecutor(1) as beside:
        withheld = beside.submit(_whole, result.withheld)
        return _whole(result.table), withheld.result()


def _whole(table: Any) -> Any:
    if not isinstance(table, BatchStream):
        return table
    return pa.Table.from_batches(list(table), table.schema)


def expected(rows: Any, schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the API's rows with the columns and types of a table."""
    return [{field.name: _value(row, field) for field in schema} for row in rows]


def _value(row: Mapping[str, Any], field: pa.Field) -> Any:
    value = row.get(_api_name(field.name))
    if value is None:
        return None
    if pa.types.is_list(field.type):
        return expected(value, pa.schema(list(field.type.value_type)))
    if pa.types.is_timestamp(field.type):
        return _moment(value)
    if pa.types.is_date(field.type):
        return date.fromisoformat(value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def _moment(value: str | list[int]) -> datetime:
    if isinstance(value, list):  # down to the nanosecond
        return datetime(*value[:6], value[6] // 1000, tzinfo=UTC)
    return datetime(*map(int, re.findall(r"\d+", value)), tzinfo=UTC)


def _api_name(column: str) -> str:
    first, *others = column.split("_")
    return first + "".join(word.title() for word in others)


def withheld_variables(registry: DemoRegistry, study_key: str) -> set[tuple[str, str]]:
    """Return form key and name of each variable whose flag is true, null or missing.

    In the simulator no other variable of a form shares such a name.
    """
    return {
        (row["formKey"], row["variableName"])
        for row in registry.rows("variables", study_key)
        if row.get("blinded") is not False
    }
