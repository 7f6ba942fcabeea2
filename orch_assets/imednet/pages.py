"""The API's answers: from bytes to pages that are checked to be answers of the API."""

import contextlib
import functools
import hashlib
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from orch_assets.errors import RegistryDataError, RegistryRefusedError
from orch_assets.imednet.api_request import ApiRequest, plain_code
from orch_assets.imednet.arrow import record_batch
from orch_assets.imednet.fields import (
    UnreadableFieldError,
    fields_of,
    keys_of,
    naive_utc,
    read_row,
)
from orch_assets.imednet.json_text import (
    deepest_key,
    key_of_no_number,
    lone_surrogates,
    readable,
)
from orch_assets.imednet.models import RegistryRow
from orch_assets.imednet.rows import as_sent, decode_rows, wire_rows

if TYPE_CHECKING:
    import pyarrow as pa

Row = TypeVar("Row", bound=RegistryRow)
R = TypeVar("R")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_SHORT = 4096
UNKNOWN_ERROR = "9000"  # the API's code for an error that it can't explain: worth another attempt


class Metadata(msgspec.Struct):
    """The part of an answer that reports success or an error, and the API's own time."""

    status: Any = None
    error: Any = None
    timestamp: Any = None


class PageCounts(msgspec.Struct, rename="camel"):
    """The position of a page in the table."""

    current_page: int
    total_elements: int
    total_pages: int | None = None


class PageAnswer(msgspec.Struct, Generic[R]):
    """The envelope of a page; that of an error has neither pagination nor data."""

    metadata: Metadata | None = None
    pagination: PageCounts | None = None
    data: list[R] | None = None


@dataclass(frozen=True)
class Page(Generic[T_co]):
    """A decoded page.

    Attributes:
        number: The page asked for.
        current: The page that the API says it is.
        total: The table's ``totalElements`` at that moment.
        total_pages: The table's ``totalPages``; None if missing.
        ids: The rows' IDs, in the order of the answer.
        content: The rows.
        replaced: Lone surrogates that were replaced by U+FFFD in the rows' text.
        sent_at: When the API sent the page, by its own clock; None if it doesn't say so.
    """

    number: int
    current: int
    total: int
    total_pages: int | None
    ids: Sequence[Any]
    content: T_co
    replaced: int = 0
    sent_at: datetime | None = None

    @property
    def digest(self) -> bytes:
        """A hash of the rows' IDs."""
        try:
            encoded = struct.pack(f"{len(self.ids)}q", *self.ids)
        except struct.error:  # text, or beyond 64 bits
            encoded = repr(list(self.ids)).encode()
        return hashlib.blake2b(encoded, digest_size=16).digest()


_PLAIN = msgspec.json.Decoder(PageAnswer[dict[str, Any]])
_ENVELOPE = msgspec.json.Decoder(PageAnswer[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, Any])


def page_of_objects(
    model: type[Row], id_key: str, request: ApiRequest, body: bytes
) -> Page[Sequence[Row]]:
    """Return a page with its rows as objects.

    Args:
        model: The rows' model.
        id_key: The API's name of the rows' ID.
        request: The page's request.
        body: The answer.

    Raises:
        RegistryRefusedError: The answer is an error envelope.
        RegistryDataError: The answer is not a page, or has rows of another study.
        FieldError: A value isn't of its field's type.
    """
    answer: PageAnswer[dict[str, Any]] = _decoded(request, _PLAIN.decode, body)
    counts, rows = _checked(request, answer)
    ids = [row.get(id_key) for row in rows]
    read = [read_row(model, row) for row in rows]
    _check_study(request, [getattr(row, "study_key", None) for row in read])
    return _page(request, answer, counts, ids, read, lone_surrogates(body))


def page_of_columns(
    model: type[RegistryRow], id_key: str, request: ApiRequest, body: bytes
) -> "Page[pa.RecordBatch]":
    """Return a page with its rows as a record batch; see `page_of_objects`."""

    def read(document: bytes) -> "Page[pa.RecordBatch]":
        replaced = lone_surrogates(body)
        answer, raw = decode_rows(model, _page_type, document)
        counts, rows = _checked(request, answer)
        decoded = wire_rows(model, rows, None if raw is None else raw.data)
        if replaced:
            decoded, texts_as_sent = as_sent(model, decoded, body)
            replaced -= sum(lone_surrogates(text.encode()) for text in texts_as_sent)
        _check_study(request, decoded.column("study_key"))
        batch = record_batch(model, decoded)
        id_name = next(field.name for field in fields_of(model) if field.key == id_key)
        ids = list(decoded.column(id_name))
        return _page(request, answer, counts, ids, batch, replaced)

    page: Page[pa.RecordBatch] = _decoded(request, read, body)
    return page


def _page(
    request: ApiRequest,
    answer: PageAnswer[Any],
    counts: PageCounts,
    ids: Sequence[Any],
    content: T,
    replaced: int,
) -> Page[T]:
    number = request.page or 0
    totals = counts.total_elements, counts.total_pages
    sent_at = _time_of(answer.metadata)
    return Page(number, counts.current_page, *totals, ids, content, replaced, sent_at)


def _time_of(metadata: Metadata | None) -> datetime | None:
    """Return when the API sent an answer; None if that can't be read: no row depends on it."""
    text = None if metadata is None else metadata.timestamp
    moment = None
    if isinstance(text, str):
        with contextlib.suppress(ValueError):
            moment = naive_utc(text)
    return None if moment is None else moment.replace(tzinfo=UTC)


def _check_study(request: ApiRequest, study_keys: Sequence[str | None]) -> None:
    """Refuse rows that name another study; not every table's rows name one."""
    if request.study_key is None:
        return
    others = {key for key in {*study_keys} if key is not None} - {request.study_key}
    # Whether the API takes a key in another case isn't documented.
    if {other.casefold() for other in others} - {request.study_key.casefold()}:
        problem = "received rows of another study; does a cache or a gateway mix up the answers?"
        raise request.error(RegistryDataError, problem, status=200)


def check_short_answer(request: ApiRequest, body: bytes) -> None:
    """Raise what decoding an answer would, where that takes no time: for a short one.

    An answer that refuses a request is short. It is retried on the threads that fetch pages, many
    at once, instead of on the reader's, one after the other.
    """
    # A field that no other attempt would make readable is reported where the rows are decoded.
    with contextlib.suppress(UnreadableFieldError):
        if request.page is None:
            decode_object(request, body)
        elif len(body) < _SHORT:
            _checked(request, _decoded(request, _ENVELOPE.decode, body))


def _page_type(row: Any) -> Any:
    return PageAnswer[row]


def _checked(request: ApiRequest, answer: PageAnswer[R]) -> tuple[PageCounts, list[R]]:
    if answer.metadata is not None:
        _raise_refusal(request, answer.metadata)
    if answer.pagination is None or answer.data is None:
        missing = "data" if answer.pagination else "pagination"
        raise request.error(RegistryDataError, f"the answer has no {missing}.", status=200)
    if answer.pagination.total_elements < 0:
        raise request.error(RegistryDataError, "totalElements is negative.", status=200)
    return answer.pagination, answer.data


def decode_object(request: ApiRequest, body: bytes) -> dict[str, Any]:
    """Return an answer that is one object, such as a job.

    Raises:
        RegistryRefusedError: The answer is an error envelope.
        RegistryDataError: The answer is not an object.
        UnreadableFieldError: The answer is valid JSON that Python can't hold.
    """
    answer: dict[str, Any] = _decoded(request, _OBJECT.decode, body)
    metadata = answer.get("metadata")
    if isinstance(metadata, dict):
        _raise_refusal(request, Metadata(metadata.get("status"), metadata.get("error")))
    return answer


def refusal_code(body: bytes) -> str | None:
    """Return the API's error code in the body of an error; None if there is none."""
    try:
        metadata = msgspec.json.decode(readable(body), type=PageAnswer[Any]).metadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if metadata is None else _code_of(metadata)


def _decoded(request: ApiRequest, decode: Callable[[bytes], Any], body: bytes) -> Any:
    """Return what an answer is decoded to.

    Raises:
        RegistryDataError: The body isn't JSON, or not what the API promises; another attempt may
            give a better one.
        UnreadableFieldError: The body is valid JSON that Python can't hold; so will the next be.
    """
    # The decoder's messages name locations and types, never values; the body is not quoted.
    unreadable = None
    try:
        return decode(readable(body))
    except msgspec.ValidationError as error:
        problem = f"the answer isn't what the API promises: {_shape(error)}."
        if "out of range" in str(error):
            unreadable = _unreadable(key_of_no_number, body, "a number that Python has no type for")
    except RecursionError:
        problem = "the answer is nested too deeply to be read."
        unreadable = _unreadable(deepest_key, body, "JSON that is nested too deeply to be read")
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = "the answer holds no whole JSON document; is the base URL iMednet's?"
    if unreadable is not None:
        raise unreadable
    raise request.error(RegistryDataError, problem, status=200)


def _unreadable(
    find: Callable[[bytes], str | None], body: bytes, holds: str
) -> UnreadableFieldError | None:
    """Return the error that names the field; ``extra`` for one that the API doesn't describe."""
    with contextlib.suppress(RecursionError):
        key = find(body)
        if key is not None:
            return UnreadableFieldError(key if key in _attributes() else "extra", holds)
    return None


def _shape(error: msgspec.ValidationError) -> str:
    """Return the type that the decoder expected, and where, if its message says nothing else."""
    text = str(error)
    known = re.fullmatch(r"Expected `[\w |]+`(, got `\w+`)?( - at `[\w$.\[\]]+`)?", text)
    return text if known else "a value has another type"


def _raise_refusal(request: ApiRequest, metadata: Metadata) -> None:
    if metadata.status is None or str(metadata.status).upper() == "OK":
        return
    code = _code_of(metadata)
    raise request.error(
        RegistryRefusedError,
        f"refused with an error envelope{_described(metadata, code)}.",
        status=200,
        code=code,
    )


def _described(metadata: Metadata, code: str | None) -> str:
    """Return code and attribute of a refusal for a message; never its description."""
    field = metadata.error.get("field") if isinstance(metadata.error, dict) else None
    attribute = field.get("attribute") if isinstance(field, dict) else None
    # Any other attribute may be a data value.
    if not isinstance(attribute, str) or attribute not in _attributes():
        attribute = None
    parts = [f"code {code}" if code else "", f"attribute {attribute}" if attribute else ""]
    text = ", ".join(part for part in parts if part)
    return f" ({text})" if text else ""


@functools.cache
def _attributes() -> frozenset[object]:
    """Return the names that a refusal may complain of: the API's fields and parameters."""
    fields = {key for model in RegistryRow.__subclasses__() for key in keys_of(model)}
    return frozenset({*fields, "filter", "recordDataFilter", "sort", "page", "size"})


def _code_of(metadata: Metadata) -> str | None:
    return plain_code(metadata.error.get("code")) if isinstance(metadata.error, dict) else None
