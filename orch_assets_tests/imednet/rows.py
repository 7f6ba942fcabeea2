"""Builds pages and record batches from a test's rows, as from the API's."""

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from orch_assets.imednet import RegistryRow
from orch_assets.imednet.arrow import record_batch
from orch_assets.imednet.connections.retries import FailedAttempt
from orch_assets.imednet.http import Answer
from orch_assets.imednet.pages import Page
from orch_assets.imednet.rows import decode_rows, wire_rows


def batch_of(model: type[RegistryRow], rows: Sequence[Any]) -> pa.RecordBatch:
    """Return the record batch of rows that are sent as JSON."""
    body = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    return record_batch(model, wire_rows(model, *decode_rows(model, _as_list, body)))


def _as_list(row: Any) -> Any:
    return list[row]


class PagesOfATest:
    """A source whose pages are made by a function when fetched; all can be decoded.

    Args:
        page: makes a page.
        retries: attempts that failed before a page's answer arrived, by its number.
    """

    def __init__(
        self,
        page: Callable[[int, threading.Event], Page[Any]],
        retries: Callable[[int], int] = lambda _: 0,
    ) -> None:
        self._page = page
        self._retries = retries
        self._pages: dict[bytes, Page[Any]] = {}

    def fetch(self, number: int, abandoned: threading.Event) -> Answer:
        page = self._page(number, abandoned)
        body = f"{id(page)}".encode()
        self._pages[body] = page
        return Answer(body, self._retries(number))

    def decode(self, number: int, answer: Answer) -> Page[Any] | FailedAttempt:
        return self._pages[answer.content]

    def fetch_again(self, number: int, answer: Answer, failure: FailedAttempt) -> Answer:
        raise AssertionError("Every page of this test can be decoded.")
