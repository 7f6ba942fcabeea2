"""A table read page by page, and reconciled with what the registry says of it.

Rows come sorted by their ID. A page must be the one asked for, hold as many rows as its own totals
say, and its IDs must follow those of the page before. A page that contradicts itself is read
again. One that contradicts the page before, in its IDs or in its totals (somebody works in the
study while we read), sends us back: the page before is read again, and only if it still holds the
same IDs, of the same total, are the two known to meet. Otherwise rows have moved, and what hasn't
been handed on yet is read anew. When nothing of that helps there is an error, never a short table.

What can't be seen: a row that is deleted for good from a page already read, while another is
added, so that the total stays the same. (The registry marks rows as deleted, and keeps them.)
"""

import functools
import hashlib
import operator
from array import array
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from orch_assets.errors import IncompleteTableError, TableChangedError
from orch_assets.imednet.api_request import ApiRequest, is_known_study
from orch_assets.imednet.prefetch import Fetch, Prefetcher
from orch_assets.imednet.progress import ReadingProgress, under_way

T = TypeVar("T")

PAGE_SIZE = 500
_PATIENCE = 3


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page as it arrived.

    Attributes:
        number: the page asked for.
        current: the page that the registry says it is.
        total: the table's ``totalElements`` at that moment.
        total_pages: the table's ``totalPages``; None where it isn't said.
        ids: the rows' IDs, in order.
        content: what is handed on of its rows.
        retries: tries that failed before it came.
        replaced: surrogates without their other half, for which U+FFFD stands in its text.
    """

    number: int
    current: int
    total: int
    total_pages: int | None
    ids: Sequence[Any]
    content: T
    retries: int = 0
    replaced: int = 0

    @property
    def digest(self) -> bytes:
        """What tells this page's IDs from others, in few bytes."""
        try:
            told = array("q", self.ids).tobytes()
        except (TypeError, OverflowError):  # text, or beyond 64 bits
            told = repr(list(self.ids)).encode()
        return hashlib.blake2b(told, digest_size=16).digest()


@dataclass
class ReadingCounts:
    """How a reading went; complete when its last row was handed on.

    Attributes:
        expected: the registry's ``totalElements``; None before the first page.
        arrived: rows that arrived and agree with their neighbours.
        pages: pages that they came in.
        retries: requests beyond one for each page: failed tries, and pages that were read again.
        replaced_surrogates: halves of surrogate pairs, which no text can hold, and for which
            U+FFFD stands in the rows' text. JSON text (``record_data``, ``extra``) keeps them.
    """

    expected: int | None = None
    arrived: int = 0
    pages: int = 0
    retries: int = 0
    replaced_surrogates: int = 0


@dataclass
class _Mark:
    """What is remembered of a page whose rows may be gone already."""

    total: int
    rows: int
    last_id: Any
    digest: bytes
    text_ids: frozenset[str]
    replaced: int


class TableRead(Generic[T]):
    """One reading of one table.

    Args:
        call: the table's request without a page, for errors.
        fetch: gets a page by its number, on any thread; what it returns is called for the page
            itself, on the reader's.
        size: rows of a full page.
        window: says how many pages this reading may have at work at once, now.
        hold: whether all pages are held back until the whole table has arrived, so that any of
            them can still be read anew. Without it only the newest is.

    Attributes:
        call: as given.
        counts: how it goes.
    """

    def __init__(
        self,
        call: ApiRequest,
        fetch: Fetch[Callable[[], Page[T]]],
        *,
        size: int = PAGE_SIZE,
        window: Callable[[ReadingProgress], int],
        hold: bool = False,
    ) -> None:
        self.counts = ReadingCounts()
        self.call = call
        endpoint = call.endpoint.rpartition("/")[2]
        study = call.study_key
        shown = study if study is None or is_known_study(study) else "another study"
        self._progress = ReadingProgress(shown, endpoint, size, self.counts)
        self._ahead = Prefetcher(fetch, functools.partial(window, self._progress))
        self._size = size
        self._hold = hold
        self._marks: list[_Mark] = []
        self._held: deque[T] = deque()
        self._setbacks = 0
        self._furthest = 0
        self._ended = False

    def contents(self) -> Generator[T, None, None]:
        """Yield each page's content in order; at least one, be it of no rows.

        Raises:
            IncompleteTableError: what arrived doesn't reconcile.
            RegistryError: a page couldn't be had.
        """
        with under_way(self._progress):
            yield from self._contents()

    def _contents(self) -> Generator[T, None, None]:
        try:
            while not self._ended:
                self._advance()
                self._progress.tell()
                while len(self._held) > 1 and not self._hold:
                    yield self._held.popleft()
            if self.counts.arrived != self.counts.expected:
                raise self._incomplete("the rows don't add up", page=len(self._marks) - 1)
            while self._held:
                yield self._held.popleft()
        finally:
            self._ahead.forget()

    def _advance(self) -> None:
        """Accept the next page, or step back."""
        page = self._sound_page(len(self._marks))
        if not self._meets_the_one_before(page):
            self._step_back()
            return
        # A full last page is followed by an empty one. Asking for it costs a request in one of
        # five hundred tables, and finds totals that are too low.
        self._ended = len(page.ids) < self._size
        if page.ids or not self._marks:
            self._accept(page)
        self.counts.expected = page.total

    def _sound_page(self, number: int, *, fresh: bool = False) -> Page[T]:
        """Return a page that doesn't contradict itself."""
        pages = self._marks[-1].total // self._size + 1 if self._marks else 0
        fault: str | None = None
        for _ in range(_PATIENCE):
            received = self._ahead.fresh(number) if fresh else self._ahead.take(number, pages)
            page = received()
            self.counts.retries += page.retries
            fault = _fault_of(page, self._size)
            if fault is None:
                return page
            self.counts.retries += 1
            fresh = True
        self.counts.expected = page.total
        raise self._incomplete(f"{fault}", page=number)

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
        # How the registry sorts text isn't ours to know.
        return all(mark.text_ids.isdisjoint(page.ids) for mark in self._marks)

    def _is_unchanged(self, number: int) -> bool:
        """Return whether a page still holds the IDs that were read; if so, note its new total."""
        self.counts.retries += 1
        again = self._sound_page(number, fresh=True)
        if again.digest != self._marks[number].digest:
            return False
        self._marks[number].total = again.total
        return True

    def _step_back(self) -> None:
        """Go on behind the last page that is known to be as it was read."""
        self._setbacks += 1
        self.counts.retries += 1
        self._ahead.forget()
        handed_on = len(self._marks) - len(self._held)
        last = len(self._marks) - 1
        if self._setbacks > _PATIENCE:
            raise self._incomplete("pages contradict each other at every try", page=last + 1)
        for number in range(last, max(last - 2, handed_on - 2, -1), -1):
            if self._is_unchanged(number):
                self._keep(number + 1)
                return
        if handed_on:
            raise self._incomplete(
                "rows moved in pages that were handed on already",
                page=last,
                error=TableChangedError,
            )
        self._keep(0)

    def _keep(self, pages: int) -> None:
        while len(self._marks) > pages:
            mark = self._marks.pop()
            self.counts.arrived -= mark.rows
            self.counts.replaced_surrogates -= mark.replaced
            self._held.pop()
        self.counts.pages = pages

    def _accept(self, page: Page[T]) -> None:
        texts = frozenset(one for one in page.ids if isinstance(one, str))
        last_id = page.ids[-1] if page.ids else None
        self._marks.append(
            _Mark(page.total, len(page.ids), last_id, page.digest, texts, page.replaced)
        )
        self._held.append(page.content)
        self.counts.pages += 1
        self.counts.arrived += len(page.ids)
        self.counts.replaced_surrogates += page.replaced
        if len(self._marks) > self._furthest:
            # Where people work, a long table is set back more often, but gets on.
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
            endpoint=self.call.endpoint,
            study_key=self.call.study_key,
            page=page,
        )


def _fault_of(page: Page[Any], size: int) -> str | None:
    """Return how a page contradicts itself; None when it doesn't."""
    if page.current != page.number:
        return f"page {page.current} came instead"
    rows = len(page.ids)
    expected = min(max(page.total - page.number * size, 0), size)
    if rows != expected:
        return f"{rows} rows came where a total of {page.total} makes {expected}"
    pages = -(-page.total // size)
    if page.total_pages is not None and max(page.total_pages, 1) != max(pages, 1):
        return f"a total of {page.total} rows in {page.total_pages} pages came"
    if not _in_order(page.ids):
        return "IDs came twice or out of order"
    return None


def _in_order(ids: Sequence[Any]) -> bool:
    if ids and isinstance(ids[0], int):
        return all(map(operator.lt, ids, ids[1:]))
    return len(set(ids)) == len(ids)
