"""The catalogue describes the shipped tables correctly."""

import re

import dagster as dg
import pytest

from docs.tables import PAGE, page
from orch_assets import pipelines
from orch_assets.definitions import defs
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.imednet.arrow import arrow_schema
from orch_assets.imednet.descriptions import described_columns
from orch_assets.imednet.models import RegistryRow
from orch_assets.imednet.refresh.endpoint_rules import RULES

SHIPPED = {each.name: each for each in discover_pipelines(pipelines)}
DESCRIBED = {name: each for name, each in SHIPPED.items() if each.columns}
OF_THE_API = {name: each for name, each in DESCRIBED.items() if each.group == "registry"}


@pytest.mark.parametrize("model", RegistryRow.__subclasses__(), ids=lambda model: model.__name__)
def test_each_column_is_described_with_its_type(model):
    schema = arrow_schema(model)
    assert [(field.name, str(field.type)) for field in schema] == [
        (column.name, column.type) for column in described_columns(model)
    ]


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_table_says_grain_key_endpoint_refresh_and_what_is_withheld(name):
    lines = DESCRIBED[name].description.splitlines()
    terms = [match[1] for line in lines if (match := re.match(r"- (\w+): ", line))]
    assert terms == ["Grain", "Key", "Endpoint", "Refresh", "Withheld"]
    (line,) = re.findall(r"- Key: (.*)", DESCRIBED[name].description)
    keys = re.findall(r"``(\w+)``", line)
    assert keys
    assert {*keys} <= {column.name for column in DESCRIBED[name].columns}


@pytest.mark.parametrize("name", OF_THE_API)
def test_a_table_is_refreshed_as_its_rule_says(name):
    rule = RULES.get(name)
    by_date = rule is not None and rule.by_date
    said = f"what has a new ``{rule.date}``; merged with the stored table." if by_date else "whole."
    assert f"- Refresh: {said}\n" in OF_THE_API[name].description
    assert OF_THE_API[name].incremental or not by_date


def test_twelve_tables_are_of_the_api():
    assert len(OF_THE_API) == 12


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_definition_shows_the_columns_where_the_ui_looks_for_them(name):
    spec = defs.resolve_asset_graph().get(dg.AssetKey(name))
    schema = spec.metadata["dagster/column_schema"]
    shown = [(column.name, column.type, column.description) for column in schema.columns]
    assert shown == [(c.name, c.type, c.description) for c in DESCRIBED[name].columns]


def test_the_page_of_the_tables_is_what_the_catalogue_shows():
    """``python -m docs.tables`` writes the page."""
    assert PAGE.read_text(encoding="utf-8") == page()
