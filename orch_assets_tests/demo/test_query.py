"""The filter language: what it accepts, what it means, and how HTTP requests use it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.demo import DemoServer
from orch_assets.demo.api_fields import ApiField
from orch_assets.demo.envelope import ValidationError
from orch_assets.demo.filter_query import (
    Condition,
    parse,
    quote,
    record_data_filter,
    row_filter,
)
from orch_assets_tests.demo.conftest import Client

FIELDS = {
    field.name: field
    for field in (
        ApiField("id", "integer"),
        ApiField("name", "text"),
        ApiField("on", "boolean"),
        ApiField("when", "date_time"),
        ApiField("day", "date"),
    )
}
ROW = {"id": 12, "name": "Köln", "on": True, "when": "2025-06-05 21:12:08", "day": "2025-06-05"}

names = st.from_regex("[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
conditions = st.builds(
    Condition, names, st.sampled_from(["==", "!=", "<=", ">=", "=~", "~=", "<", ">"]), st.text()
)
groups = st.lists(conditions, min_size=1, max_size=4, unique_by=lambda each: each.attribute)


@given(
    st.lists(groups, min_size=1, max_size=4),
    st.sampled_from([";", " and "]),
    st.sampled_from([",", " or "]),
)
def test_what_is_written_is_what_is_read(
    alternatives: list[list[Condition]], and_: str, or_: str
) -> None:
    text = or_.join(
        and_.join(f"{each.attribute}{each.operator}{quote(each.value)}" for each in group)
        for group in alternatives
    )
    assert parse(text, "filter") == alternatives


@given(st.text())
def test_any_text_is_a_filter_or_a_validation_error(text: str) -> None:
    try:
        parse(text, "filter")
    except ValidationError as error:
        assert (error.status, error.attribute, error.value) == (400, "filter", text)  # noqa: PT017


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name=Köln",
        "name==",
        "==Köln",
        "name== Köln",
        "name ==Köln",
        " name==Köln",
        "name==Köln ",
        "name==Köln;",
        ",name==Köln",
        "name==Köln  and id==1",
        "name==Köln and",
        "(name==Köln)",
        "name==Bad Ems",
        'name=="Köln',
        'name=="Kö"ln',
        "name=='Köln'",
        "id>1;id<5",
        "id>1 and name==a;id<5",
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        parse(text, "filter")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("id==12", True),
        ("id!=12", False),
        ("id>9", True),  # a number, not text: "12" < "9"
        ("id<=11", False),
        ('id=="12"', True),
        ("name==Köln", True),
        ("name==köln", False),
        ('name=="K\\öln"', True),
        ("name<L", True),
        ("on==true", True),
        ("on!=true", False),
        ("day>=2025-06-05", True),
        ("when>2000-11-05T14:00:00Z", True),
        ("when>2025-06-05T21:12:08Z", False),
        ("when>=2025-06-05T21:12:08Z", True),
        ("when>2025-06-05", True),
        ("when<2025-06-05", False),
        ("id==1,id==12", True),
        ("id==1 or id==12", True),
        ("id==12;name==Bonn", False),
        ("id==12 and name==Köln", True),
        ("name==Bonn;id==1,id==12", True),  # (Bonn and 1) or 12
        ("id==12,id==1;name==Bonn", True),  # 12 or (1 and Bonn)
        ("id==1;name==Köln,on==false", False),
    ],
)
def test_a_filter_holds_for_a_row(text: str, holds: bool) -> None:
    assert row_filter(text, FIELDS)(ROW) is holds


@given(st.integers(-(10**17), 10**17), st.integers(-(10**17), 10**17))
def test_integers_compare_as_integers(value: int, wanted: int) -> None:
    for symbol, expected in {
        "==": value == wanted,
        "!=": value != wanted,
        "<": value < wanted,
        ">=": value >= wanted,
    }.items():
        assert row_filter(f"id{symbol}{wanted}", FIELDS)({"id": value}) is expected


@pytest.mark.parametrize("row", [{}, {"name": None}])
def test_a_row_without_the_value_satisfies_only_unequal(row: dict[str, None]) -> None:
    assert row_filter("name!=a", FIELDS)(row) is True
    assert row_filter("name==a", FIELDS)(row) is False
    assert row_filter("name<a", FIELDS)(row) is False


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        ("nothing==1", "nothing"),
        ("Name==a", "Name"),
        ("id==twelve", "id"),
        ("id==1.5", "id"),
        ("on==yes", "on"),
        ("on>true", "on"),
        ("when>yesterday", "when"),
        ("day>2025-13-01", "day"),
        ("name=~a", "name"),
        ("name~=a", "name"),
    ],
)
def test_a_wrong_attribute_operator_or_type_is_named(text: str, attribute: str) -> None:
    with pytest.raises(ValidationError) as caught:
        row_filter(text, FIELDS)
    assert caught.value.attribute == attribute


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("AESER==Yes", True),
        ("AETERM=~ache", True),
        ("AETERM~=ache", True),
        ("AETERM=~Ache", False),
        ("DOSE>9", True),
        ("DOSE==80.0", True),
        ("NUMBER==0012", True),
        ("RACE=~Asian", True),
        ("EMPTY==1", False),
        ("EMPTY!=1", True),
        ('EMPTY==""', True),
        ("GONE=~a", False),
        ("GONE!=a", True),
    ],
)
def test_a_record_data_filter_holds_for_a_record(text: str, holds: bool) -> None:
    data: dict[str, Any] = {
        "AESER": "Yes",
        "AETERM": "Headache",
        "DOSE": "80",
        "NUMBER": "0012",
        "RACE": ["Asian"],
        "EMPTY": "",
    }
    assert record_data_filter(text)({"recordData": data}) is holds


def test_filters_meet_over_http(steady: DemoServer, client: Client) -> None:
    """Rows must match both ``filter`` and ``recordDataFilter``; the totals count those rows."""
    expected = [
        row["recordId"]
        for row in steady.registry.rows("records", "ONC-301")
        if row["formKey"] == "AE" and not row["deleted"] and row["recordData"]["AESER"] == "No"
    ]
    params = {"filter": "formKey==AE;deleted==false", "recordDataFilter": 'AESER=="No"'}
    answer = client.get("/studies/ONC-301/records", size=500, **params).json()
    assert [row["recordId"] for row in answer["data"]] == expected
    assert answer["pagination"]["totalElements"] == len(expected) > 0


def test_a_wrong_filter_is_an_envelope(client: Client) -> None:
    records = "/studies/ONC-301/records"
    assert client.error(records, filter="recordId") == (400, "1000", "filter")
    assert client.error(records, filter="recordData==1") == (400, "1000", "recordData")
    assert client.error(records, recordDataFilter="=") == (400, "1000", "recordDataFilter")
    assert client.error("/studies", filter="studyid==1") == (400, "1000", "studyid")


def test_a_study_is_found_by_its_awkward_key(client: Client) -> None:
    assert client.ids("/studies", "studyKey", filter='studyKey=="ONC 302 EU"') == ["ONC 302 EU"]
