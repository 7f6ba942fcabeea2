"""The description of the read API (OpenAPI 3.1), built from the table of endpoints.

It describes the simulator so exactly that a tool that generates requests finds no difference.
"""

from typing import Any

from orch_assets.demo.api_fields import SCALARS, ApiField, Kind
from orch_assets.demo.filter_query import BARE, QUOTED, VALUES
from orch_assets.demo.page_request import DEFAULT_SIZE, MAX_PAGE, MAX_SIZE
from orch_assets.demo.read_api import (
    ENDPOINTS,
    JOBS,
    STUDIES,
    Endpoint,
)

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_STAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"

_SCHEMAS: dict[Kind, Schema] = {
    "text": _TEXT,
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "date_time": {"type": "string", "pattern": rf"{_STAMP} [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}$"},
    "date": {"type": "string", "pattern": rf"{_STAMP}$"},
    "integers": {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 7},
    "object": {"type": "object", "additionalProperties": True},
}

_ERRORS = {
    "400": "A parameter is invalid",
    "401": "A key is missing or wrong",
    "403": "The keys have no access to the study",
    "404": "Study or batch not found",
    "429": "Too many requests in flight",
    "500": "Internal error",
}

_STUDY_KEY: Schema = {"name": "studyKey", "in": "path", "required": True, "schema": _TEXT}
_BATCH_ID: Schema = {"name": "batchId", "in": "path", "required": True, "schema": _TEXT}


def describe() -> Schema:
    """Return the description as an object that can be encoded as JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "iMednet EDC, read API (simulator)",
            "version": "1.0.14",
            "description": "The part of the iMednet API that orch-assets reads.",
        },
        "paths": {
            _path(endpoint): {"get": _operation(endpoint)} for endpoint in ENDPOINTS.values()
        },
        "components": {
            "schemas": {
                "Metadata": _METADATA,
                "Error": _object({"metadata": _ref("Metadata")}),
                "Pagination": _PAGINATION,
                **{each.item: _row(each.fields) for each in ENDPOINTS.values()},
            },
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "securityKey": {"type": "apiKey", "in": "header", "name": "x-imn-security-key"},
            },
        },
    }


def _path(endpoint: Endpoint) -> str:
    path = endpoint.path.replace("{study_key}", "{studyKey}")
    return f"{path}/{{batchId}}" if endpoint is JOBS else path


def _operation(endpoint: Endpoint) -> Schema:
    single = endpoint is JOBS
    body = _ref(endpoint.item) if single else _list_of(endpoint)
    return {
        "operationId": f"get{endpoint.item}" if single else f"list_{endpoint.name}",
        "security": [{"apiKey": [], "securityKey": []}],
        "parameters": _parameters(endpoint),
        "responses": {
            "200": _response("The batch" if single else "A page of rows", body),
            **{status: _response(text, _ref("Error")) for status, text in _ERRORS.items()},
        },
    }


def _parameters(endpoint: Endpoint) -> list[Schema]:
    if endpoint is JOBS:
        return [_STUDY_KEY, _BATCH_ID]
    paging: list[Schema] = [
        _query("page", {"type": "integer", "minimum": 0, "maximum": MAX_PAGE, "default": 0}),
        _query(
            "size", {"type": "integer", "minimum": 1, "maximum": MAX_SIZE, "default": DEFAULT_SIZE}
        ),
        _query("sort", {"type": "array", "items": {"enum": _sorts(endpoint)}}),
    ]
    own: dict[str, Schema] = {
        "filter": {"type": "string", "pattern": _filter_pattern(endpoint), "not": _REPEATED},
        "recordDataFilter": {"type": "string", "pattern": _DATA_PATTERN, "not": _REPEATED},
        "includeInactive": {"type": "boolean", "default": False},
    }
    study = [] if endpoint is STUDIES else [_STUDY_KEY]
    return study + paging + [_query(name, own[name]) for name in endpoint.parameters]


def _query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


def _sorts(endpoint: Endpoint) -> list[str]:
    return [f"{name},{direction}" for name in endpoint.scalars for direction in ("ASC", "DESC")]


_VALUE = f"(?:{BARE}|{QUOTED})"


def _conditions(condition: str) -> str:
    return f"^{condition}(?:(?:;|,| and | or ){condition})*$"


_DATA_PATTERN = _conditions(f"[A-Za-z_][A-Za-z0-9_]*(?:==|!=|<=|>=|=~|~=|<|>){_VALUE}")

# Conditions joined by AND must have different attributes: none occurs again before the next OR.
_REPEATED: Schema = {
    "pattern": r"(?:^|[; ,])([A-Za-z_][A-Za-z0-9_]*)(?:[=!<>~]{1,2})"
    f"{_VALUE}(?:(?:;| and )[A-Za-z_][A-Za-z0-9_]*[=!<>~]{{1,2}}{_VALUE})*"
    r"(?:;| and )\1[=!<>~]"
}


def _filter_pattern(endpoint: Endpoint) -> str:
    return _conditions(f"(?:{'|'.join(map(_condition, endpoint.scalars.values()))})")


def _condition(field: ApiField) -> str:
    operators = "(?:==|!=)" if field.kind == "boolean" else "(?:==|!=|<=|>=|<|>)"
    return f"{field.name}{operators}{VALUES.get(field.kind, _VALUE)}"


def _list_of(endpoint: Endpoint) -> Schema:
    return _object(
        {
            "metadata": _ref("Metadata"),
            "pagination": _ref("Pagination"),
            "data": {"type": "array", "items": _ref(endpoint.item), "maxItems": MAX_SIZE},
        }
    )


def _response(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _row(fields: tuple[ApiField, ...]) -> Schema:
    return _object(
        {field.name: _value(field) for field in fields},
        optional={field.name for field in fields if field.optional},
    )


def _value(field: ApiField) -> Schema:
    if field.kind == "list":
        return {"type": "array", "items": _row(field.fields)}
    schema = _SCHEMAS[field.kind]
    if field.nullable and field.kind in SCALARS:
        return {**schema, "type": [schema["type"], "null"]}
    return schema


def _object(properties: dict[str, Schema], optional: set[str] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in (optional or set())],
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_METADATA = _object(
    {
        "status": {"enum": ["OK", "ERROR"]},
        "method": _TEXT,
        "path": _TEXT,
        "timestamp": _SCHEMAS["date_time"],
        "error": _object(
            {
                "code": {"enum": ["1000", "9000", "9001"]},
                "description": _TEXT,
                "message": _TEXT,
                "field": _object({"attribute": _TEXT, "value": _TEXT}),
            },
            optional={"code", "description", "message", "field"},
        ),
    }
)

_PAGINATION = _object(
    {
        "currentPage": {"type": "integer", "minimum": 0},
        "size": {"type": "integer", "minimum": 1, "maximum": MAX_SIZE},
        "totalPages": {"type": "integer", "minimum": 0},
        "totalElements": {"type": "integer", "minimum": 0},
        "sort": {
            "type": "array",
            "items": _object({"property": _TEXT, "direction": {"enum": ["ASC", "DESC"]}}),
        },
    }
)
