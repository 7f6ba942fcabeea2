from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.demo.filter_query import parse
from orch_assets.imednet import Record, Study
from orch_assets.imednet.endpoints import TableKind
from orch_assets.imednet.filters import build_filter

RECORD = TableKind("records", "records", Record, "recordId").filterable
STUDY = TableKind("studies", "studies", Study, "studyId").filterable

text = st.text(st.characters(exclude_categories=["Cc", "Cs"]))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, None),
        ({"record_status": "Complete"}, "recordStatus==Complete"),
        ({"record_status": "Record Complete"}, 'recordStatus=="Record Complete"'),
        ({"form_key": ""}, 'formKey==""'),
        ({"form_key": 'a"b\\c'}, 'formKey=="a\\"b\\\\c"'),
        ({"form_key": "A;deleted==true"}, 'formKey=="A;deleted==true"'),
        ({"site_id": ("!=", 12)}, "siteId!=12"),
        ({"form_key": ["AE", "CM 1"]}, 'formKey==AE,formKey=="CM 1"'),
        ({"site_id": 1, "deleted": False}, "siteId==1;deleted==false"),
        ({"date_modified": (">", "2000-11-05T14:00:00Z")}, "dateModified>2000-11-05T14:00:00Z"),
        ({"date_modified": (">=", date(2000, 11, 5))}, "dateModified>=2000-11-05T00:00:00Z"),
        (
            {"date_modified": ("<", datetime(2000, 11, 5, 14))},  # noqa: DTZ001
            "dateModified<2000-11-05T14:00:00Z",
        ),
        (
            {"date_modified": ("<", datetime(2000, 11, 5, 1, tzinfo=timezone(timedelta(hours=2))))},
            "dateModified<2000-11-04T23:00:00Z",
        ),
    ],
)
def test_keywords_become_the_registrys_language(
    filters: dict[str, Any], expected: str | None
) -> None:
    assert build_filter(filters, RECORD) == expected


@pytest.mark.parametrize(
    "filters",
    [
        {"form_key": []},
        {"form_key": ["AE"], "site_id": 1},
        {"form_key": None},
        {"form_key": {"AE"}},
        {"form_key": ("~", "AE")},
        {"form_key": ("==", "AE", "CM")},
        {"form_key": ("==", ["AE"])},
        {"form_key": "a\nb"},
        {"form_key": "\udc80"},
        {"date_modified": "yesterday"},
    ],
)
def test_what_the_language_cannot_say_is_refused(filters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"form_key|date_modified"):
        build_filter(filters, RECORD)


@given(text)
def test_any_text_arrives_as_it_was(value: str) -> None:
    """The simulator's parser reads back the same criteria."""
    built = build_filter({"study_name": value}, STUDY)
    assert built is not None
    ((condition,),) = parse(built, "filter")
    assert (condition.attribute, condition.operator, condition.value) == ("studyName", "==", value)


@given(st.lists(text, min_size=1, max_size=4))
def test_any_list_is_alternatives(values: list[str]) -> None:
    built = build_filter({"study_name": values}, STUDY)
    assert built is not None
    assert [group[0].value for group in parse(built, "filter")] == values
