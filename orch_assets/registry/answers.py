"""The registry's answers, from bytes to rows that can be trusted to be an answer at all."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from orch_assets.errors import RegistryDataError, RegistryError, RegistryRefusedError
from orch_assets.registry.calls import Call, plain_word
from orch_assets.registry.schemas import exact_number

UNKNOWN_ERROR = "9000"  # the API's own word for what it can't explain: worth another try


class Metadata(msgspec.Struct):
    """The part of an answer that says how the request went."""

    status: Any = None
    error: Any = None


class Pagination(msgspec.Struct, rename="camel"):
    """Where in the table a page is."""

    current_page: int
    total_elements: int
    total_pages: int | None = None


class PageAnswer(msgspec.Struct):
    """A page as it came; an error's envelope has neither pagination nor data."""

    metadata: Metadata | None = None
    pagination: Pagination | None = None
    data: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class PageRows:
    """A page of rows and what the registry says of the whole table."""

    pagination: Pagination
    rows: list[dict[str, Any]]


# Objects keep the API's numbers as Python has them; JSON text must keep their digits.
_AS_PYTHON = msgspec.json.Decoder(PageAnswer)
_EXACT = msgspec.json.Decoder(PageAnswer, float_hook=exact_number)
_OBJECT = msgspec.json.Decoder(dict[str, Any])


def decode_page(call: Call, body: bytes, *, exact: bool) -> PageRows:
    """Return the rows of a page.

    Args:
        call: the request, for errors.
        body: the answer.
        exact: whether fractions become decimals, which keep the digits that were sent.

    Raises:
        RegistryRefusedError: it is an error's envelope.
        RegistryDataError: it is no page.
    """
    answer = _decoded(call, (_EXACT if exact else _AS_PYTHON).decode, body)
    if answer.metadata is not None:
        _raise_refusal(call, answer.metadata)
    if answer.pagination is None or answer.data is None:
        lack = "data" if answer.pagination else "pagination"
        raise call.error(RegistryDataError, f"the answer has no {lack}.", status=200)
    if answer.pagination.total_elements < 0:
        raise call.error(RegistryDataError, "the answer counts fewer than no rows.", status=200)
    return PageRows(answer.pagination, answer.data)


def decode_object(call: Call, body: bytes) -> dict[str, Any]:
    """Return an answer that is one object, such as a job.

    Raises:
        RegistryRefusedError: it is an error's envelope.
        RegistryDataError: it is no object.
    """
    answer: dict[str, Any] = _decoded(call, _OBJECT.decode, body)
    metadata = answer.get("metadata")
    if isinstance(metadata, dict):
        _raise_refusal(call, Metadata(metadata.get("status"), metadata.get("error")))
    return answer


def refusal_code(body: bytes) -> str | None:
    """Return the API's own code in the body of an error; None when there is none to read."""
    try:
        metadata = msgspec.json.decode(body, type=PageAnswer).metadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if metadata is None else _code_of(metadata)


def _decoded(call: Call, decode: Callable[[bytes], Any], body: bytes) -> Any:
    # The decoder's own words name places and types, never values; the body is not quoted.
    problem = None
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        problem = f"the answer isn't what the API promises: {_shape(error)}."
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problem = "the answer is no whole JSON document; is the base URL the registry's?"
    raise call.error(RegistryDataError, problem, status=200)


def _shape(error: msgspec.ValidationError) -> str:
    """Return what the decoder wanted and where, if it says just that."""
    text = str(error)
    known = re.fullmatch(r"Expected `[\w |]+`(, got `\w+`)?( - at `[\w$.\[\]]+`)?", text)
    return text if known else "a value has another type"


def _raise_refusal(call: Call, metadata: Metadata) -> None:
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
    attribute = plain_word(field.get("attribute")) if isinstance(field, dict) else None
    parts = [f"code {code}" if code else "", f"attribute {attribute}" if attribute else ""]
    told = ", ".join(part for part in parts if part)
    return f" ({told})" if told else ""


def _code_of(metadata: Metadata) -> str | None:
    return plain_word(metadata.error.get("code")) if isinstance(metadata.error, dict) else None
