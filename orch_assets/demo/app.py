"""The routes: from a request to a page of rows, or to an error's envelope."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orch_assets.demo.demo_registry import DemoRegistry
from orch_assets.demo.envelope import (
    UNAUTHORIZED,
    UNKNOWN,
    Pagination,
    RefusedError,
    error_response,
    json_response,
    metadata,
    page_body,
)
from orch_assets.demo.faults import Fault
from orch_assets.demo.filter_query import record_data_filter, row_filter
from orch_assets.demo.openapi import describe
from orch_assets.demo.page_request import PageRequest, flag, page_request, single
from orch_assets.demo.read_api import ENDPOINTS, JOBS, Endpoint
from orch_assets.demo.row_tables import Row, RowSelection, Table

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, repr=False)
class Keys:
    """The two keys that a request must bring."""

    api_key: str
    security_key: str

    def check(self, request: Request) -> None:
        """Refuse a request that doesn't bring both.

        Raises:
            RefusedError: 401.
        """
        given = (("x-api-key", self.api_key), ("x-imn-security-key", self.security_key))
        for header, key in given:
            value = request.headers.get(header, "")
            if not hmac.compare_digest(value.encode(), key.encode()):
                raise RefusedError(
                    f"Header {header} is missing or wrong.", status=401, code=UNAUTHORIZED
                )


def create_app(registry: DemoRegistry, keys: Keys) -> Starlette:
    """Return the application that answers the read API."""
    routes = [
        _route(
            endpoint, _job(registry, keys) if endpoint is JOBS else _list(registry, keys, endpoint)
        )
        for endpoint in ENDPOINTS.values()
    ]

    async def description(_request: Request) -> Response:
        return json_response(msgspec.json.encode(describe()))

    app = Starlette(
        routes=[*routes, _get("/openapi.json", description)],
        exception_handlers={RefusedError: _refused, HTTPException: _not_served},
    )
    app.router.redirect_slashes = False
    return app


def _route(endpoint: Endpoint, handler: Handler) -> Route:
    path = f"{endpoint.path}/{{batch_id}}" if endpoint is JOBS else endpoint.path
    return _get(path, handler)


def _get(path: str, handler: Handler) -> Route:
    route = Route(path, handler)
    route.methods = {"GET"}  # Starlette adds HEAD, which the API doesn't have
    return route


def _list(registry: DemoRegistry, keys: Keys, endpoint: Endpoint) -> Handler:
    async def answer(request: Request) -> Response:
        keys.check(request)
        study_key = request.path_params.get("study_key")
        table = await _table(registry, endpoint, study_key)
        asked = page_request(request.query_params, endpoint)
        rows = table.select(_selection(request, endpoint, asked))
        body = _page(request, asked, rows, request.scope.get("state", {}).get("fault"))
        registry.page_served(endpoint.name, study_key, asked.page)
        return json_response(body)

    return answer


def _job(registry: DemoRegistry, keys: Keys) -> Handler:
    async def answer(request: Request) -> Response:
        keys.check(request)
        table = await _table(registry, JOBS, request.path_params["study_key"])
        job = table.get(request.path_params["batch_id"])
        if job is None:
            raise RefusedError("No such batch.", status=404, code=UNKNOWN, attribute="batchId")
        return json_response(msgspec.json.encode(job))

    return answer


async def _table(registry: DemoRegistry, endpoint: Endpoint, study_key: str | None) -> Table:
    if study_key is None:
        return registry.table(endpoint.name, None)
    access = registry.access(study_key)
    if access == "unknown":
        raise RefusedError("No such study.", status=404, code=UNKNOWN, attribute="studyKey")
    if access == "forbidden":
        raise RefusedError(
            "Not a study of these keys.", status=403, code=UNAUTHORIZED, attribute="studyKey"
        )
    # The first question to a study makes it up, which can take a second; others go on meanwhile.
    if not registry.made_up(study_key):
        await asyncio.to_thread(registry.table, endpoint.name, study_key)
    return registry.table(endpoint.name, study_key)


def _selection(request: Request, endpoint: Endpoint, asked: PageRequest) -> RowSelection:
    params = request.query_params
    tests: list[Callable[[Row], bool]] = []
    key: list[object] = []
    if "filter" in endpoint.parameters and (text := single(params, "filter")) is not None:
        tests.append(row_filter(text, endpoint.scalars))
        key.append(("filter", text))
    if (
        "recordDataFilter" in endpoint.parameters
        and (text := single(params, "recordDataFilter")) is not None
    ):
        tests.append(record_data_filter(text))
        key.append(("recordDataFilter", text))
    if "includeInactive" in endpoint.parameters and not flag(params, "includeInactive"):
        tests.append(lambda user: bool(user["userActiveInStudy"]))
        key.append("active")
    holds = (lambda row: all(test(row) for test in tests)) if tests else None
    return RowSelection(asked.sort, tuple(key), holds)


def _page(
    request: Request, asked: PageRequest, rows: Sequence[bytes], fault: Fault | None
) -> bytes:
    kind = fault.kind if fault else None
    last = max(0, -(-len(rows) // asked.size) - 1)
    if kind == "wrong_page":
        asked = replace(asked, page=asked.page + 1 if asked.page < last else asked.page - 1)
    start = asked.start - asked.size if kind == "repeated_page" else asked.start
    data = [] if kind == "empty" else rows[max(start, 0) : max(start, 0) + asked.size]
    total = len(rows) // 2 if kind == "shrunk" else len(rows)
    pagination = Pagination(asked.page, asked.size, total, asked.sort)
    if kind == "missing":
        head = {"metadata": metadata(request), "pagination": pagination.as_json()}
        return msgspec.json.encode(head)
    if kind == "other_study":
        data = [_of_other_study(row) for row in data]
    return page_body(request, pagination, data)


def _of_other_study(row: bytes) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(row), "studyKey": "OTHER-STUDY"})


async def _refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, RefusedError)  # noqa: S101 - Starlette's signature is wider
    return error_response(request, refused)


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette's signature is wider
    refused = RefusedError(error.detail, status=error.status_code, code=UNKNOWN)
    return error_response(request, refused, error.headers)
