import httpx

from orch_assets.demo import DemoServer
from orch_assets.demo.api_fields import ApiField
from orch_assets.demo.openapi import describe
from orch_assets.demo.read_api import ENDPOINTS, Endpoint

_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "date": (str,),
    "date_time": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "integers": (list,),
    "list": (list,),
    "object": (dict,),
}


def _differences(row: dict[str, object], fields: tuple[ApiField, ...], where: str) -> list[str]:
    known = {field.name: field for field in fields}
    wrong = [f"{where}.{name} is not described" for name in row if name not in known]
    for name, field in known.items():
        if name not in row:
            wrong += [] if field.optional else [f"{where}.{name} is missing"]
        elif row[name] is None:
            wrong += [] if field.nullable else [f"{where}.{name} is null"]
        elif type(row[name]) not in _KINDS[field.kind]:
            wrong.append(f"{where}.{name} is {type(row[name]).__name__}")
        elif field.kind == "list":
            items = row[name]
            assert isinstance(items, list)
            for item in items:
                wrong += _differences(item, field.fields, f"{where}.{name}")
    return wrong


def _rows(server: DemoServer, endpoint: Endpoint) -> list[dict[str, object]]:
    if endpoint.name == "studies":
        return list(server.registry.rows("studies"))
    return [
        row
        for key in server.registry.study_keys()[:3]
        for row in server.registry.rows(endpoint.name, key)
    ]


def test_every_row_has_exactly_the_fields_and_types_of_its_endpoint(steady: DemoServer) -> None:
    differences = {
        difference
        for endpoint in ENDPOINTS.values()
        for row in _rows(steady, endpoint)
        for difference in _differences(row, endpoint.fields, endpoint.item)
    }
    assert differences == set()


def test_the_description_is_served_without_keys(steady: DemoServer) -> None:
    assert httpx.get(f"{steady.base_url}/openapi.json").json() == describe()


def test_every_endpoint_is_described() -> None:
    paths = {path.rpartition("/studies")[2] for path in describe()["paths"]}
    assert paths == {"", "/{studyKey}/jobs/{batchId}"} | {
        f"/{{studyKey}}/{name}" for name in ENDPOINTS if name not in {"studies", "jobs"}
    }
