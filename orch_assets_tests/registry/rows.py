"""Rows of a test, made into record batches as a page's rows are."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from orch_assets.registry import RegistryRow
from orch_assets.registry.schemas import record_batch
from orch_assets.registry.wire import decode_rows, wire_rows


def batch_of(model: type[RegistryRow], rows: Sequence[Any]) -> pa.RecordBatch:
    """Return the batch of rows that are sent as JSON."""
    body = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    return record_batch(model, wire_rows(model, *decode_rows(model, _as_list, body)))


def _as_list(row: Any) -> Any:
    return list[row]
