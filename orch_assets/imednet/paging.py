"""Reads a table page by page, and reconciles it with the totals that the API reports.

Rows are sorted by their ID. A page must be the one asked for, hold as many rows as its own totals
say, and its IDs must follow those of the page before. A page that can't be decoded, or contradicts
itself, is read again. If a page contradicts the one before, in its IDs or in its totals (the study
is being edited), the page before is read again. Only if it still holds the same IDs, with the same
total, are the two known to be adjacent. Otherwise rows have moved, and every page that hasn't been
yielded yet is read again. When none of this helps, the reading raises an error; it never returns a
short table.

One change can't be detected: a row of a page already read is deleted permanently while another row
is added, so that the total stays the same. (iMednet marks rows as deleted, and keeps them.)
"""

import functools
import operator
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from orch_assets.errors import IncompleteTableError, TableChangedError
from orch_assets.imednet.api_request import ApiRequest, is_known_study
from orch_assets.imednet.connections.retries import FailedAttempt
from orch_assets.imednet.http import Answer
from orch_assets.imednet.pages import Page
from orch_assets.imednet.prefetch import Prefetcher
from orch_assets.imednet.progress import ReadingCounts, ReadingProgress, under_way

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

PAGE_SIZE = 500
_PATIENCE = 3


class PageSource(Protocol[T_co]):
    """Where a table's pages come from."""

    def fetch(self, number: int, abandoned: threading.Event) -> Answer:
        """Return the answer for a page. Called on any thread."""
        ...

    def decode(self, number: int, answer: Answer) -> Page[T_co] | FailedAttempt:
        """Return a page, or why the answer isn't one. Called on the reader's thread."""
        ...

    def fetch_again(self, number: int, answer: Answer, failure: FailedAttempt) -> Answer:
        """Return another answer instead of one that couldn't be decoded, or raise its error."""
        ...


@dataclass
class _Mark:
    """What is remembered of an accepted page, whose rows may have been yielded already."""

    total: int
    rows: int
    last_id: Any
    digest: bytes
    text_ids: frozenset[str]
    replaced: int


class TableRead(Generic[T]):
    """One reading of one table.

    Args:
        request: The table's request, without a page; names the table in errors.
        source: The table's pages.
        size: Rows of a full page.
        window: Returns how many pages this reading may have in progress now.
        hold: Whether all pages are held back until the whole table has arrived, so that any of
            them can still be read again. Otherwise only the newest is held back.
        counts: Counts the progress; None for counts of its own.

    Attributes:
        request: The request of this reading.
        counts: The progress of the reading.
        began: When the API sent the first page, by its own clock; None before, or if it doesn't
            say so.
    """

    def __init__(
        self,
        request: ApiRequest,
        source: PageSource[T],
        *,
        size: int = PAGE_SIZE,
        window: Callable[[ReadingProgress], int],
        hold: bool = False,
        counts: ReadingCounts | None = None,
    ) -> None:
        self.counts = ReadingCounts() if counts is None else counts
        self.request = request
        self.began: datetime | None = None
        endpoint = request.endpoint.rpartition("/")[2]
        study = request.study_key
        shown = study if study is None or is_known_study(study) else "another study"
        self._progress = ReadingProgress(shown, endpoint, size, self.counts)
        self._source = source
        self._ahead = Prefetcher(source.fetch, functools.partial(window, self._progress))
        self._size = size
        self._hold = hold
        self._marks: list[_Mark] = []
        self._held: deque[T] = deque()
        self._setbacks = 0
        self._furthest = 0
        self._ended = False

    def contents(self) -> Generator[T, None, None]:
        """Yield each page's content in order; at least one, which may have no rows.

        Raises:
            IncompleteTableError: The pages don't reconcile.
            RegistryError: A page couldn't be fetched or decoded.
        """
        with under_way(self._progress):
            yield from self._contents()

    def total(self) -> int:
        """Return the number of rows in the table by its first page; read nothing else.

        Raises:
            IncompleteTableError: The page contradicts itself.
            RegistryError: The page couldn't be fetched or decoded.
        """
        return self._sound_page(0).total

    def _contents(self) -> Generator[T, None, None]:
        try:
            while not self._ended:
                self._advance()
                self._progress.log()
                while len(self._held) > 1 and not self._hold:
                    yield self._held.popleft()
            if self.counts.arrived != self.counts.expected:
                raise self._incomplete("the rows don't add up", page=len(self._marks) - 1)
            while self._held:
                yield self._held.popleft()
        finally:
            self._ahead.abandon()

    def _advance(self) -> None:
        """Accept the next page, or step back."""
        page = self._sound_page(len(self._marks))
        if not self._meets_the_one_before(page):
            self._step_back()
            return
        # A full last page is followed by an empty one. Asking for it costs one more request for one
        # table in five hundred, and detects totals that are too low.
        self._ended = len(page.ids) < self._size
        if page.ids or not self._marks:
            self._accept(page)
        self.counts.expected = page.total

    def _sound_page(self, number: int, *, fresh: bool = False) -> Page[T]:
        """Return a page that can be decoded and doesn't contradict itself.

        An answer that can't be decoded counts as a failed attempt of its request, with the
        attempts and waits of `RegistryHttp`. A page that contradicts itself is fetched at once,
        by a new request.
        """
        pages = self._marks[-1].total // self._size + 1 if self._marks else 0
        answer = self._ahead.fetch(number) if fresh else self._ahead.take(number, pages)
        contradictions = 0
        while True:
            page = self._source.decode(number, answer)
            if isinstance(page, FailedAttempt):
                answer = self._source.fetch_again(number, answer, page)
                continue
            self.counts.retries += answer.retries
            fault = _fault_of(page, self._size)
            if fault is None:
                if not self._marks:
                    self.began = self.began or page.sent_at
                return page
            self.counts.retries += 1
            contradictions += 1
            if contradictions == _PATIENCE:
                self.counts.expected = page.total
                raise self._incomplete(fault, page=number)
            answer = self._ahead.fetch(number)

    def _meets_the_one_before(self, page: Page[T]) -> bool:
        if not self._marks:
            return True
        if page.total < self.counts.arrived or not self._follows(page):
            return False
        before = self._marks[-1]
        if page.total == before.total:
            return True
        return self._is_unchanged(page.number - 1) and page.total == before.total

    def _follows(self, page: Page[T]) -> bool:
        if page.ids and isinstance(page.ids[0], int):
            return bool(page.ids[0] > self._marks[-1].last_id)
        # The collation by which the API sorts text isn't documented.
        return all(mark.text_ids.isdisjoint(page.ids) for mark in self._marks)

    def _is_unchanged(self, number: int) -> bool:
        """Return whether a page still holds the same IDs; if so, store its new total."""
        self.counts.retries += 1
        again = self._sound_page(number, fresh=True)
        if again.digest != self._marks[number].digest:
            return False
        self._marks[number].total = again.total
        return True

    def _step_back(self) -> None:
        """Continue after the last page that is known to be unchanged."""
        self._setbacks += 1
        self.counts.retries += 1
        self._ahead.abandon()
        yielded = len(self._marks) - len(self._held)
        last = len(self._marks) - 1
        if self._setbacks > _PATIENCE:
            raise self._incomplete("pages contradict each other at every attempt", page=last + 1)
        for number in range(last, max(last - 2, yielded - 2, -1), -1):
            if self._is_unchanged(number):
                self._drop_pages_after(number + 1)
                return
        if yielded:
            raise self._incomplete(
                "rows moved in pages that were already passed on",
                page=last,
                error=TableChangedError,
            )
        self._drop_pages_after(0)

    def _drop_pages_after(self, pages: int) -> None:
        while len(self._marks) > pages:
            mark = self._marks.pop()
            self.counts.arrived -= mark.rows
            self.counts.replaced_surrogates -= mark.replaced
            self._held.pop()
        self.counts.pages = pages

    def _accept(self, page: Page[T]) -> None:
        texts = frozenset(row_id for row_id in page.ids if isinstance(row_id, str))
        last_id = page.ids[-1] if page.ids else None
        self._marks.append(
            _Mark(page.total, len(page.ids), last_id, page.digest, texts, page.replaced)
        )
        self._held.append(page.content)
        self.counts.pages += 1
        self.counts.arrived += len(page.ids)
        self.counts.replaced_surrogates += page.replaced
        if len(self._marks) > self._furthest:
            # In a study that is being edited, a long table has more setbacks, but makes progress.
            self._furthest = len(self._marks)
            self._setbacks = 0

    def _incomplete(
        self, problem: str, *, page: int, error: type[IncompleteTableError] = IncompleteTableError
    ) -> IncompleteTableError:
        expected, arrived = self.counts.expected, self.counts.arrived
        return error(
            f"{problem}. Read {arrived} of {expected} rows consistently, so no table was written. "
            "The study is probably being edited; retry later.",
            expected=expected,
            arrived=arrived,
            endpoint=self.request.endpoint,
            study_key=self.request.study_key,
            page=page,
        )


def _fault_of(page: Page[Any], size: int) -> str | None:
    """Return how a page contradicts itself; None if it doesn't."""
    if page.current != page.number:
        return f"received page {page.current} instead"
    rows = len(page.ids)
    expected = min(max(page.total - page.number * size, 0), size)
    if rows != expected:
        return f"received {rows} rows; a total of {page.total} implies {expected}"
    pages = -(-page.total // size)
    if page.total_pages is not None and max(page.total_pages, 1) != max(pages, 1):
        return f"received a total of {page.total} rows in {page.total_pages} pages"
    if not _in_order(page.ids):
        return "received IDs twice or out of order"
    return None


def _in_order(ids: Sequence[Any]) -> bool:
    if ids and isinstance(ids[0], int):
        return all(map(operator.lt, ids, ids[1:]))
    return len(set(ids)) == len(ids)
