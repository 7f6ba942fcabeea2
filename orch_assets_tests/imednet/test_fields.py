"""One line in a model makes a column: its type, its description and how its values are read."""

from typing import Annotated

import pytest

from orch_assets.demo.api_fields import ApiField
from orch_assets.demo.read_api import ENDPOINTS
from orch_assets.imednet import RegistryRow, Site, arrow_schema, models
from orch_assets.imednet.descriptions import DescribedColumn, described_columns
from orch_assets.imednet.fields import columns_of, fields_of, read_row
from orch_assets_tests.imednet.rows import batch_of


# Below a table's own model: the direct subclasses of RegistryRow are the tables of the API.
class Extended(Site, frozen=True, kw_only=True, rename="camel"):
    open_beds: Annotated[int | None, "Number of beds that are free."] = None


class Undescribed(Site, frozen=True, kw_only=True, rename="camel"):
    open_beds: int | None = None


class Untyped(Site, frozen=True, kw_only=True, rename="camel"):
    open_beds: Annotated[float | None, "Number of beds that are free."] = None


def test_one_line_in_a_model_adds_a_column():
    assert described_columns(Extended)[-2] == DescribedColumn(
        "open_beds", "int64", "Number of beds that are free."
    )
    assert str(arrow_schema(Extended).field("open_beds").type) == "int64"
    assert batch_of(Extended, [{"openBeds": 3}, {}])["open_beds"].to_pylist() == [3, None]
    assert read_row(Extended, {"openBeds": 3}) == Extended(open_beds=3)


def test_a_field_without_a_description_is_refused():
    with pytest.raises(TypeError, match=r"Undescribed\.open_beds needs a description"):
        fields_of(Undescribed)
    with pytest.raises(TypeError, match=r"Undescribed\.open_beds needs a description"):
        described_columns(Undescribed)


def test_a_field_of_a_type_that_no_field_type_has_is_refused():
    with pytest.raises(TypeError, match=r"Untyped\.open_beds: no FieldType has the annotation"):
        fields_of(Untyped)


@pytest.mark.parametrize("model", RegistryRow.__subclasses__(), ids=lambda model: model.__name__)
def test_each_description_is_a_phrase_that_fits_a_table_cell(model):
    for column in columns_of(model):
        assert column.description.endswith("."), column.name
        assert "|" not in column.description, column.name
        assert "\n" not in column.description, column.name


# The simulator's kinds of fields, each with the Arrow type that we make of it.
ARROW = {
    "text": "string",
    "integer": "int64",
    "boolean": "bool",
    "date_time": "timestamp[us, tz=UTC]",
    "integers": "timestamp[us, tz=UTC]",
    "date": "date32[day]",
    "object": "string",
}


def assert_agrees(sent: tuple[ApiField, ...], model: type[RegistryRow]):
    fields = {field.key: field.kind for field in fields_of(model)}
    assert [field.name for field in sent if field.name not in fields] == []
    for field in sent:
        kind = fields[field.name]
        if field.kind == "list":
            assert kind.row is not None, field.name
            assert_agrees(field.fields, kind.row)
        else:
            assert kind.arrow == ARROW[field.kind], field.name


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=lambda endpoint: endpoint.name)
def test_the_simulator_agrees_with_the_models(endpoint):
    """Both were written from the API description, neither from the other."""
    assert_agrees(endpoint.fields, getattr(models, endpoint.item))
