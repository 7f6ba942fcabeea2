"""The envelope of every answer: metadata and pagination around encoded rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

# The API's documented codes: 1000 validation, 9000 unknown, 9001 unauthorized. Which of them comes
# with status 404, 405 or 429 is not documented. The simulator sends "unknown".
VALIDATION, UNKNOWN, UNAUTHORIZED = "1000", "9000", "9001"

_DESCRIPTIONS = {
    VALIDATION: "Validation error",
    UNKNOWN: "Unknown error",
    UNAUTHORIZED: "Unauthorized",
}


class RefusedError(Exception):
    """The request gets an error envelope. The application always handles this error itself.

    Attributes:
        status: The HTTP status.
        code: The API's error code.
        attribute: The invalid parameter or field; empty if there is none.
        value: The invalid value.
    """

    def __init__(
        self, message: str, *, status: int, code: str, attribute: str = "", value: str = ""
    ) -> None:
        self.status = status
        self.code = code
        self.attribute = attribute
        self.value = value
        super().__init__(message)


class ValidationError(RefusedError):
    """A parameter of the request is invalid."""

    def __init__(self, message: str, *, attribute: str, value: str) -> None:
        super().__init__(message, status=400, code=VALIDATION, attribute=attribute, value=value)


@dataclass(frozen=True)
class Pagination:
    """The envelope's description of a page.

    Attributes:
        page: The 0-based page number.
        size: The requested number of rows per page.
        total: The number of rows on all pages together.
        sort: Pairs of field and direction.
    """

    page: int
    size: int
    total: int
    sort: Sequence[tuple[str, str]]

    def as_json(self) -> dict[str, Any]:
        """Return it with the names that the API uses."""
        return {
            "currentPage": self.page,
            "size": self.size,
            "totalPages": -(-self.total // self.size),
            "totalElements": self.total,
            "sort": [{"property": name, "direction": direction} for name, direction in self.sort],
        }


def metadata(request: Request, error: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the envelope's metadata, with the account's time.

    The status is ``ERROR`` if there is an error.
    """
    return {
        "status": "ERROR" if error else "OK",
        "method": request.method,
        "path": request.scope["raw_path"].decode("ascii"),
        "timestamp": request.scope["state"]["clock"].text,
        "error": dict(error or {}),
    }


def page_body(request: Request, pagination: Pagination, rows: Sequence[bytes]) -> bytes:
    """Return a page. The rows are already JSON and are not encoded again."""
    head = msgspec.json.encode({"metadata": metadata(request), "pagination": pagination.as_json()})
    return b'%s,"data":[%s]}' % (head[:-1], b",".join(rows))


def json_response(body: bytes, status: int = 200) -> Response:
    """Return a response with a body that is already JSON."""
    return Response(body, status, media_type="application/json")


def error_response(
    request: Request, refused: RefusedError, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response with an error envelope."""
    error = {
        "code": refused.code,
        "description": _DESCRIPTIONS[refused.code],
        "message": str(refused),
        "field": {"attribute": refused.attribute, "value": refused.value},
    }
    response = json_response(
        msgspec.json.encode({"metadata": metadata(request, error)}), refused.status
    )
    response.headers.update(headers or {})
    return response
