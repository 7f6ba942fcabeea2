"""The registry's answers, from bytes to rows that can be trusted to be an answer at all."""

import contextlib
import functools
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from orch_assets.errors import RegistryDataError, RegistryError, RegistryRefusedError
from orch_assets.imednet.api_request import ApiRequest, plain_code
from orch_assets.imednet.arrow import record_batch
from orch_assets.imednet.fields import UnreadableFieldError, fields_of, keys_of, read_row
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
T_co = TypeVar("T_co", covariant=True)

_SHORT = 4096
_STUDY_KEY = operator.attrgetter("study_key")
UNKNOWN_ERROR = "9000"  # the API's own word for what it can't explain: worth another try


class Metadata(msgspec.Struct):
    """The part of an answer that says how the request went."""

    status: Any = None
    error: Any = None


class PageCounts(msgspec.Struct, rename="camel"):
    """Where in the table a page is."""

    current_page: int
    total_elements: int
    total_pages: int | None = None


class PageAnswer(msgspec.Struct, Generic[R]):
    """A page as it came; an error's envelope has neither pagination nor data."""

    metadata: Metadata | None = None
    pagination: PageCounts | None = None
    data: list[R] | None = None


@dataclass(frozen=True)
class PageContent(Generic[T_co]):
    """What a page holds.

    Attributes:
        pagination: what the registry says of the whole table.
        ids: the rows' IDs, as they came.
        content: the rows.
        replaced: surrogates without their other half, for which U+FFFD stands in the rows' text.
    """

    pagination: PageCounts
    ids: Sequence[Any]
    content: T_co
    replaced: int = 0


_PLAIN = msgspec.json.Decoder(PageAnswer[dict[str, Any]])
_ENVELOPE = msgspec.json.Decoder(PageAnswer[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, Any])


def page_of_objects(
    model: type[Row], id_key: str, call: ApiRequest, body: bytes
) -> PageContent[Sequence[Row]]:
    """Return a page with its rows as objects.

    Args:
        model: the rows' model.
        id_key: the API's name of their ID.
        call: the request, for errors.
        body: the answer.

    Raises:
        RegistryRefusedError: it is an error's envelope.
        RegistryDataError: it is no page, or one of another study.
        FieldError: a value isn't what its field must be.
    """
    answer: PageAnswer[dict[str, Any]] = _decoded(call, _PLAIN.decode, body)
    pagination, rows = _checked(call, answer)
    ids = [row.get(id_key) for row in rows]
    read = [read_row(model, row) for row in rows]
    _check_study(call, model, read)
    return PageContent(pagination, ids, read, lone_surrogates(body))


def page_of_columns(
    model: type[RegistryRow], id_key: str, call: ApiRequest, body: bytes
) -> "PageContent[pa.RecordBatch]":
    """Return a page with its rows as a record batch; takes and raises what objects do."""

    def read(document: bytes) -> "PageContent[pa.RecordBatch]":
        replaced = lone_surrogates(body)
        answer, raw = decode_rows(model, _page_type, document)
        pagination, rows = _checked(call, answer)
        decoded = wire_rows(model, rows, None if raw is None else raw.data)
        if replaced:
            decoded, kept = as_sent(model, decoded, body)
            replaced -= sum(lone_surrogates(text.encode()) for text in kept)
        _check_study(call, model, decoded.rows)
        batch = record_batch(model, decoded)
        id_name = next(field.name for field in fields_of(model) if field.key == id_key)
        return PageContent(pagination, decoded.column(id_name), batch, replaced)

    content: PageContent[pa.RecordBatch] = _decoded(call, read, body)
    return content


def _check_study(call: ApiRequest, model: type[RegistryRow], rows: Sequence[Any]) -> None:
    """Refuse rows that say they are another study's; not all tables' rows say whose they are."""
    if call.study_key is None or "studyKey" not in keys_of(model):
        return
    others = set(map(_STUDY_KEY, rows)) - {call.study_key, None}
    # Nothing says whether the registry takes a key in another case.
    if {other.casefold() for other in others} - {call.study_key.casefold()}:
        problem = "rows of another study came; does a cache or a gateway mix up the answers?"
        raise call.error(RegistryDataError, problem, status=200)


def plausible(call: ApiRequest, body: bytes) -> bytes:
    """Return the body of a page; raise what decoding it would, where that takes no time to see.

    What refuses a page is short. It is asked for again where pages are fetched, many at once, and
    not where they are decoded, one after the other.
    """
    if len(body) < _SHORT:
        # What no other try would make readable is told where the rows are read.
        with contextlib.suppress(UnreadableFieldError):
            _checked(call, _decoded(call, _ENVELOPE.decode, body))
    return body


def _page_type(row: Any) -> Any:
    return PageAnswer[row]


def _checked(call: ApiRequest, answer: PageAnswer[R]) -> tuple[PageCounts, list[R]]:
    if answer.metadata is not None:
        _raise_refusal(call, answer.metadata)
    if answer.pagination is None or answer.data is None:
        lack = "data" if answer.pagination else "pagination"
        raise call.error(RegistryDataError, f"the answer has no {lack}.", status=200)
    if answer.pagination.total_elements < 0:
        raise call.error(RegistryDataError, "totalElements is negative.", status=200)
    return answer.pagination, answer.data


def decode_object(call: ApiRequest, body: bytes) -> dict[str, Any]:
    """Return an answer that is one object, such as a job.

    Raises:
        RegistryRefusedError: it is an error's envelope.
        RegistryDataError: it is no object.
        UnreadableFieldError: it holds valid JSON that can't be read.
    """
    answer: dict[str, Any] = _decoded(call, _OBJECT.decode, body)
    metadata = answer.get("metadata")
    if isinstance(metadata, dict):
        _raise_refusal(call, Metadata(metadata.get("status"), metadata.get("error")))
    return answer


def refusal_code(body: bytes) -> str | None:
    """Return the API's own code in the body of an error; None when there is none to read."""
    try:
        metadata = msgspec.json.decode(readable(body), type=PageAnswer[Any]).metadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if metadata is None else _code_of(metadata)


def _decoded(call: ApiRequest, decode: Callable[[bytes], Any], body: bytes) -> Any:
    """Return what an answer is decoded to.

    Raises:
        RegistryDataError: it is no JSON, or not what the API promises; may be better next time.
        UnreadableFieldError: it is valid JSON that can't be read, and will be the next time.
    """
    # The decoder's own words name places and types, never values; the body is not quoted.
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
        problem = "the answer is no whole JSON document; is the base URL the registry's?"
    if unreadable is not None:
        raise unreadable
    raise call.error(RegistryDataError, problem, status=200)


def _unreadable(
    find: Callable[[bytes], str | None], body: bytes, holds: str
) -> UnreadableFieldError | None:
    """Return the error that names the field, ``extra`` for one that the API doesn't describe."""
    with contextlib.suppress(RecursionError):
        key = find(body)
        if key is not None:
            return UnreadableFieldError(key if key in _attributes() else "extra", holds)
    return None


def _shape(error: msgspec.ValidationError) -> str:
    """Return what the decoder wanted and where, if it says just that."""
    text = str(error)
    known = re.fullmatch(r"Expected `[\w |]+`(, got `\w+`)?( - at `[\w$.\[\]]+`)?", text)
    return text if known else "a value has another type"


def _raise_refusal(call: ApiRequest, metadata: Metadata) -> None:
    if metadata.status is None or str(metadata.status).upper() == "OK":
        return
    code = _code_of(metadata)
    error: RegistryError = call.error(
        RegistryRefusedError,
        f"refused with an error's envelope{described(metadata, code)}.",
        status=200,
        code=code,
    )
    raise error


def described(metadata: Metadata, code: str | None) -> str:
    """Return code and attribute of a refusal, for a message; never its description."""
    field = metadata.error.get("field") if isinstance(metadata.error, dict) else None
    attribute = field.get("attribute") if isinstance(field, dict) else None
    if not isinstance(attribute, str) or attribute not in _attributes():  # a data value, perhaps
        attribute = None
    parts = [f"code {code}" if code else "", f"attribute {attribute}" if attribute else ""]
    told = ", ".join(part for part in parts if part)
    return f" ({told})" if told else ""


@functools.cache
def _attributes() -> frozenset[object]:
    """Return the names that a refusal may complain of: the API's fields and parameters."""
    fields = {key for model in RegistryRow.__subclasses__() for key in keys_of(model)}
    return frozenset({*fields, "filter", "recordDataFilter", "sort", "page", "size"})


def _code_of(metadata: Metadata) -> str | None:
    return plain_code(metadata.error.get("code")) if isinstance(metadata.error, dict) else None
