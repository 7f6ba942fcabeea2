"""Rows of a test, made into pages and record batches as the registry's are."""

import functools
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from orch_assets.imednet import RegistryRow
from orch_assets.imednet.arrow import record_batch
from orch_assets.imednet.paging import Page
from orch_assets.imednet.prefetch import Fetch
from orch_assets.imednet.rows import decode_rows, wire_rows


def batch_of(model: type[RegistryRow], rows: Sequence[Any]) -> pa.RecordBatch:
    """Return the batch of rows that are sent as JSON."""
    body = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    return record_batch(model, wire_rows(model, *decode_rows(model, _as_list, body)))


def _as_list(row: Any) -> Any:
    return list[row]


def as_received(
    page: Callable[[int, threading.Event], Page[Any]],
) -> Fetch[Callable[[], Page[Any]]]:
    """Return what fetches for a reading: a page is made when it is asked for, and called later."""
    return lambda number, abandoned: functools.partial(_same, page(number, abandoned))


def _same(page: Page[Any]) -> Page[Any]:
    return page
