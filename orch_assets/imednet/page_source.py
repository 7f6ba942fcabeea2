"""The pages of one table: fetched on any thread, decoded on the reader's."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from orch_assets.imednet.api_request import ApiRequest
from orch_assets.imednet.connections.retries import FailedAttempt, attempted
from orch_assets.imednet.fields import fields_of
from orch_assets.imednet.http import Answer, RegistryHttp
from orch_assets.imednet.models import RegistryRow
from orch_assets.imednet.pages import Page

T = TypeVar("T")

# One page at a time is decoded in the whole process: threads that decode at once switch at every
# call into Arrow, and evict each other's pages from the processor's caches. Without this, reading
# takes 4 to 10 % more CPU (5 studies × 20,000 records).
_decoding: Final = threading.Lock()


@dataclass(frozen=True)
class TablePages(Generic[T]):
    """The pages of a table's request.

    Attributes:
        http: Sends the requests.
        request: The table's request, without a page.
        model: The rows' model.
        id_key: The API's name of the rows' ID.
        read: ``page_of_objects`` or ``page_of_columns``.
    """

    http: RegistryHttp
    request: ApiRequest
    model: type[RegistryRow]
    id_key: str
    read: Callable[[type[Any], str, ApiRequest, bytes], Page[T]]

    def fetch(self, number: int, abandoned: threading.Event) -> Answer:
        """Return the answer for a page; see `RegistryHttp.fetch`."""
        return self.http.fetch(self.request.at(number), abandoned)

    def fetch_again(self, number: int, answer: Answer, failure: FailedAttempt) -> Answer:
        """Return another answer for a page; see `RegistryHttp.fetch_again`."""
        return self.http.fetch_again(self.request.at(number), answer, failure)

    def decode(self, number: int, answer: Answer) -> Page[T] | FailedAttempt:
        """Return a page, or why the answer isn't one."""
        request = self.request.at(number)
        with _decoding:
            return attempted(request, lambda: self._page(request, answer.content))

    def _page(self, request: ApiRequest, body: bytes) -> Page[T]:
        page = self.read(self.model, self.id_key, request, body)
        id_field = next(field for field in fields_of(self.model) if field.key == self.id_key)
        if not {*map(type, page.ids)} <= id_field.kind.accepts:  # null, which other fields may be
            raise id_field.error()
        return page
