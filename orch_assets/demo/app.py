"""The routes: answer a request with a page of rows or with an error envelope."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
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
    ValidationError,
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
    """The two keys that every request must send."""

    api_key: str
    security_key: str

    def check(self, request: Request) -> None:
        """Refuse a request that does not send both keys.

        Raises:
            RefusedError: A key is missing or wrong (status 401).
        """
        expected = (("x-api-key", self.api_key), ("x-imn-security-key", self.security_key))
        for header, key in expected:
            value = request.headers.get(header, "")
            if not hmac.compare_digest(value.encode(), key.encode()):
                raise RefusedError(
                    f"Header {header} is missing or wrong.", status=401, code=UNAUTHORIZED
                )


def create_app(registry: DemoRegistry, keys: Keys) -> Starlette:
    """Return the application that serves the read API."""
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
    route.methods = {"GET"}  # Starlette adds HEAD, which the API does not have
    return route


def _list(registry: DemoRegistry, keys: Keys, endpoint: Endpoint) -> Handler:
    async def answer(request: Request) -> Response:
        keys.check(request)
        study_key = request.path_params.get("study_key")
        table = await _table(registry, endpoint, study_key)
        requested = page_request(request.query_params, endpoint)
        fault: Fault | None = request.scope["state"].get("fault")
        rows = table.select(_selection(request, endpoint, requested, fault))
        body = _page(request, requested, rows, fault)
        registry.page_served(endpoint.name, study_key, requested.page)
        return json_response(body)

    return answer


def _job(registry: DemoRegistry, keys: Keys) -> Handler:
    async def answer(request: Request) -> Response:
        keys.check(request)
        table = await _table(registry, JOBS, request.path_params["study_key"])
        job = table.get(request.path_params["batch_id"])
        if job is None:
            raise RefusedError("Batch not found.", status=404, code=UNKNOWN, attribute="batchId")
        return json_response(msgspec.json.encode(job))

    return answer


async def _table(registry: DemoRegistry, endpoint: Endpoint, study_key: str | None) -> Table:
    if study_key is None:
        return registry.table(endpoint.name, None)
    access = registry.access(study_key)
    if access == "unknown":
        raise RefusedError("Study not found.", status=404, code=UNKNOWN, attribute="studyKey")
    if access == "forbidden":
        raise RefusedError(
            "These keys have no access to the study.",
            status=403,
            code=UNAUTHORIZED,
            attribute="studyKey",
        )
    # The first request for a study creates its rows, which can take a second. A thread does so,
    # and the server answers other requests meanwhile.
    if not registry.made_up(study_key):
        await asyncio.to_thread(registry.table, endpoint.name, study_key)
    return registry.table(endpoint.name, study_key)


def _selection(
    request: Request, endpoint: Endpoint, requested: PageRequest, fault: Fault | None
) -> RowSelection:
    params = request.query_params
    conditions: list[Callable[[Row], bool]] = []
    key: list[object] = []
    for name, text in _filters(params, endpoint, fault):
        hours = fault.hours if fault and fault.kind == "other_zone" else 0.0
        conditions.append(
            row_filter(text, endpoint.scalars, hours)
            if name == "filter"
            else record_data_filter(text)
        )
        key.append((name, text, hours))
    if "includeInactive" in endpoint.parameters and not flag(params, "includeInactive"):
        conditions.append(lambda user: bool(user["userActiveInStudy"]))
        key.append("active")
    return RowSelection(requested.sort, tuple(key), _all_of(conditions))


def _all_of(conditions: list[Callable[[Row], bool]]) -> Callable[[Row], bool] | None:
    if len(conditions) <= 1:
        return conditions[0] if conditions else None
    return lambda row: all(condition(row) for condition in conditions)


def _filters(
    params: QueryParams, endpoint: Endpoint, fault: Fault | None
) -> Iterator[tuple[str, str]]:
    """Yield the filters of a request that count: their parameters and texts."""
    for name in ("filter", "recordDataFilter"):
        text = single(params, name) if name in endpoint.parameters else None
        if text is None or (fault and fault.kind == "ignored_filter"):
            continue
        if fault and fault.kind == "refused_filter":
            raise ValidationError("Simulated fault.", attribute=name, value=text)
        yield name, text


def _page(
    request: Request, requested: PageRequest, rows: Sequence[bytes], fault: Fault | None
) -> bytes:
    kind = fault.kind if fault else None
    if kind == "other_order":
        rows = rows[::-1]
    last = max(0, -(-len(rows) // requested.size) - 1)
    if kind == "wrong_page":
        number = requested.page + 1 if requested.page < last else requested.page - 1
        requested = replace(requested, page=number)
    start = requested.start - requested.size if kind == "repeated_page" else requested.start
    data = [] if kind == "empty" else rows[max(start, 0) : max(start, 0) + requested.size]
    total = len(rows) // 2 if kind == "shrunk" else len(rows)
    pagination = Pagination(requested.page, requested.size, total, requested.sort)
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
