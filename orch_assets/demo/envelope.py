"""The answers' envelope: metadata and pagination around rows that are JSON already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

# Known codes of the API: 1000 validation, 9000 unknown, 9001 unauthorized. Which of them goes with
# a 404, 405 or 429 isn't documented; here it is "unknown".
VALIDATION, UNKNOWN, UNAUTHORIZED = "1000", "9000", "9001"

_DESCRIPTIONS = {
    VALIDATION: "Validation error",
    UNKNOWN: "Unknown error",
    UNAUTHORIZED: "Unauthorized",
}


class RefusedError(Exception):
    """A request that is answered with an error envelope; never leaves the application.

    Attributes:
        status: HTTP status.
        code: the API's error code.
        attribute: the parameter or field that is wrong; empty where there is none.
        value: what it was.
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
    """A parameter that can't be read."""

    def __init__(self, message: str, *, attribute: str, value: str) -> None:
        super().__init__(message, status=400, code=VALIDATION, attribute=attribute, value=value)


@dataclass(frozen=True)
class Pagination:
    """Where a page is in its table, as the envelope says it.

    Attributes:
        page: 0-based.
        size: rows asked for.
        total: rows of the whole answer, over all pages.
        sort: fields and directions.
    """

    page: int
    size: int
    total: int
    sort: Sequence[tuple[str, str]]

    def as_json(self) -> dict[str, Any]:
        """Return it as the API spells it."""
        return {
            "currentPage": self.page,
            "size": self.size,
            "totalPages": -(-self.total // self.size),
            "totalElements": self.total,
            "sort": [{"property": name, "direction": way} for name, way in self.sort],
        }


def metadata(request: Request, error: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the envelope's metadata; with an error, its status is ``ERROR``."""
    return {
        "status": "ERROR" if error else "OK",
        "method": request.method,
        "path": request.scope["raw_path"].decode("ascii"),
        "timestamp": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        "error": dict(error or {}),
    }


def page_body(request: Request, pagination: Pagination, rows: Sequence[bytes]) -> bytes:
    """Return a page: its rows are joined as they are, not encoded again."""
    head = msgspec.json.encode({"metadata": metadata(request), "pagination": pagination.as_json()})
    return b'%s,"data":[%s]}' % (head[:-1], b",".join(rows))


def json_response(body: bytes, status: int = 200) -> Response:
    """Return JSON that is encoded already."""
    return Response(body, status, media_type="application/json")


def error_response(
    request: Request, refused: RefusedError, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an error's envelope."""
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
