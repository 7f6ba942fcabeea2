"""Rows read as objects and as columns follow the same strict rules."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.errors import RegistryDataError
from orch_assets.imednet import (
    Keyword,
    Record,
    RegistryRow,
    Role,
    Site,
    Subject,
    User,
    Visit,
    arrow_schema,
    models,
)
from orch_assets.imednet.api_request import ApiRequest
from orch_assets.imednet.fields import FieldError, fields_of, read_row
from orch_assets.imednet.pages import page_of_columns, page_of_objects
from orch_assets_tests.imednet.rows import batch_of

MODELS = [
    model
    for model in vars(models).values()
    if isinstance(model, type) and issubclass(model, RegistryRow) and model is not RegistryRow
]
MOMENT = datetime(2025, 6, 5, 21, 12, 9, tzinfo=UTC)

SUBJECT = {
    "studyKey": "PHARMADEMO",
    "subjectId": 1,
    "subjectOid": "001",
    "subjectKey": "01-001",
    "deleted": False,
    "enrollmentStartDate": "2025-06-05 21:12:09",
    "dateCreated": "",
    "dateModified": None,
    "keywords": [
        {"keywordKey": "DEE", "keywordId": 15362, "dateAdded": "2025-06-05 21:12:09", "new": [1]}
    ],
    "arm": {"code": "ä"},
}


def test_a_row_becomes_an_object() -> None:
    assert read_row(Subject, SUBJECT) == Subject(
        study_key="PHARMADEMO",
        subject_id=1,
        subject_oid="001",
        subject_key="01-001",
        deleted=False,
        enrollment_start_date=MOMENT,
        keywords=[
            Keyword(keyword_key="DEE", keyword_id=15362, date_added=MOMENT, extra={"new": [1]})
        ],
        extra={"arm": {"code": "ä"}},
    )


def test_a_row_becomes_columns() -> None:
    (row,) = batch_of(Subject, [SUBJECT]).to_pylist()
    assert row == {
        "study_key": "PHARMADEMO",
        "subject_id": 1,
        "subject_oid": "001",
        "subject_key": "01-001",
        "subject_status": None,
        "site_id": None,
        "site_name": None,
        "deleted": False,
        "enrollment_start_date": MOMENT,
        "date_created": None,
        "date_modified": None,
        "keywords": [
            {
                "keyword_name": None,
                "keyword_key": "DEE",
                "keyword_id": 15362,
                "date_added": MOMENT,
                "extra": '{"new":[1]}',
            }
        ],
        "extra": '{"arm":{"code":"ä"}}',
    }


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rows", [[], [{}], [{}, {}, {}]])
def test_the_schema_is_the_same_without_values(
    model: type[RegistryRow], rows: list[dict[str, Any]]
) -> None:
    batch = batch_of(model, rows)
    assert batch.schema == arrow_schema(model)
    assert batch.to_pylist() == [dict.fromkeys(batch.schema.names)] * len(rows)


def test_missing_lists_and_empty_lists_differ() -> None:
    rows: list[dict[str, Any]] = [{}, {"keywords": []}, {"keywords": [{"keywordId": 1}]}, {}]
    column = batch_of(Subject, rows).column("keywords").to_pylist()
    assert [one if one is None else len(one) for one in column] == [None, 0, 1, None]
    assert [read_row(Subject, row).keywords for row in rows] == [
        None,
        [],
        [Keyword(keyword_id=1)],
        None,
    ]


WRONG = {
    pa.int64(): [True, 1.0, 1.5, "1", "", [], {}, 2**63],
    pa.string(): [1, 1.5, True, ["a"], {}],
    pa.bool_(): [0, 1, "true", ""],
    pa.timestamp("us", "UTC"): [
        1,
        True,
        "yesterday",
        "2025-13-01 00:00:00",
        "2025-06-05 25:00:00",
        [2025, 6],
        [2025, 6, 31],
        [2025, 6, 5, 1, 1, 1, 1, 1],
        ["2025", 6, 5],
        [2025, 6, 5.0],
        [10**30, 1, 1],
        {},
    ],
    pa.date32(): [
        20250605,
        "2025-06-05 00:00:00",
        "05.06.2025",
        "2025-6-5",
        "2025-W01-1",
        [2025, 6, 5],
    ],
}


@pytest.mark.parametrize("model", [Subject, Visit, User, Record])
def test_a_value_of_another_type_is_refused_and_not_repeated(model: type[RegistryRow]) -> None:
    for field, column in zip(fields_of(model), arrow_schema(model), strict=False):
        for value in WRONG.get(column.type, ["text", 1, {} if field.kind.row else []]):
            if (field.key, value) == ("recordData", {}):
                continue
            with pytest.raises(FieldError) as caught:
                batch_of(model, [{}, {field.key: value}])
            assert caught.value.field == field.key
            if value == 2**63:
                continue  # a Python int holds it
            with pytest.raises(FieldError) as same:
                read_row(model, {field.key: value})
            assert str(same.value) == str(caught.value)
            assert repr(value) not in str(caught.value) or value in ([], {}, 1, "", "text")


def test_a_wrong_value_inside_a_list_is_named_with_its_list() -> None:
    for keywords in ([{"dateAdded": "never"}], [{}, {"dateAdded": 5}]):
        for read in (lambda row: read_row(Subject, row), lambda row: batch_of(Subject, [row])):
            with pytest.raises(FieldError, match=r"keywords\.dateAdded isn't a date and time"):
                read({"keywords": keywords})
    with pytest.raises(FieldError, match="keywords isn't a list of objects"):
        batch_of(Subject, [{"keywords": [None]}])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("2025-06-05 21:12:09", MOMENT),
        ("2025-06-05T21:12:09Z", MOMENT),
        ("2025-06-05 23:12:09+02:00", MOMENT),
        ("2025-06-05 21:12:09.625", MOMENT.replace(microsecond=625000)),
        ("2025-06-05", datetime(2025, 6, 5, tzinfo=UTC)),
        (" ", None),
        ([2025, 6, 5, 21, 12, 9, 625000000], MOMENT.replace(microsecond=625000)),
        ([2025, 6, 5, 21, 12, 9], MOMENT),
        ([2025, 6, 5, 21, 12], MOMENT.replace(second=0)),
        ([2025, 6, 5], datetime(2025, 6, 5, tzinfo=UTC)),
    ],
)
def test_moments_are_utc(raw: Any, expected: datetime | None) -> None:
    assert read_row(Role, {"dateCreated": raw}).date_created == expected
    assert batch_of(Role, [{"dateCreated": raw}]).column("date_created").to_pylist() == [expected]


def test_visits_have_days() -> None:
    row = {"startDate": "2025-06-05", "endDate": ""}
    visit = read_row(Visit, row)
    assert (visit.start_date, visit.end_date, visit.due_date) == (date(2025, 6, 5), None, None)
    columns = batch_of(Visit, [row])
    assert columns.column("start_date").to_pylist() == [date(2025, 6, 5)]
    assert columns.column("end_date").to_pylist() == [None]


@pytest.mark.parametrize("modified", ["2025-06-06 00:00:09", "2025-06-06", "", None])
@pytest.mark.parametrize("form_id", [7, -(2**63), None])
def test_columns_of_one_type_keep_their_own_values(
    modified: str | None, form_id: int | None
) -> None:
    """They are made together, unless one has nulls or a date in an unusual form."""
    rows = [
        {
            "recordId": number,
            "intervalId": 2**63 - number,
            "formId": form_id if number == 2 else 100 + number,
            "recordOid": "é" * number,
            "recordStatus": "" if form_id else None,
            "dateCreated": f"2025-06-05 21:12:0{number}",
            "dateModified": modified if number == 2 else f"2024-02-29 01:02:0{number}",
        }
        for number in (1, 2, 3)
    ]
    columns = batch_of(Record, rows)
    columns.validate(full=True)
    objects = [read_row(Record, row) for row in rows]
    for name in set(columns.schema.names) - {"extra", "keywords"}:
        assert columns.column(name).to_pylist() == [getattr(each, name) for each in objects]


def page(rows: str) -> bytes:
    head = '{"metadata":{"status":"OK"},"pagination":{"currentPage":0,"totalElements":1},"data":'
    return f"{head}{rows}}}".encode()


def columns_of(body: bytes) -> pa.RecordBatch:
    return page_of_columns(Record, "recordId", ApiRequest("/records"), body).content


def test_record_data_keeps_its_digits_and_characters_in_columns() -> None:
    data = (
        '{"dose":1.10,"big":123456789012345678901234567890,"zero":-0.0,"text":"007 é 漢","n":null}'
    )
    body = page(f'[{{"recordData": {data}}}]')
    assert columns_of(body).column("record_data").to_pylist() == [data]


def test_record_data_is_plain_python_in_objects() -> None:
    body = page('[{"recordData":{"dose":1.10,"list":[1,{"a":null}]}}]')
    (row,) = page_of_objects(Record, "recordId", ApiRequest("/records"), body).content
    assert row.record_data == {"dose": 1.1, "list": [1, {"a": None}]}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values, max_size=6))
def test_any_record_data_and_any_unknown_key_survive(data: dict[str, Any]) -> None:
    known = {field.key for field in fields_of(Record)}
    unknown = {key: value for key, value in data.items() if key not in known}
    body = page(json.dumps([{"recordData": data, **unknown}], ensure_ascii=False))
    (record,) = page_of_objects(Record, "recordId", ApiRequest("/records"), body).content
    assert (record.record_data, record.extra) == (data, unknown)
    (columns,) = columns_of(body).to_pylist()
    assert json.loads(columns["record_data"]) == data
    assert json.loads(columns["extra"] or "{}") == unknown


some_texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
some_dates = st.sampled_from([None, "", "2025-06-05 21:12:09", "2025-06-05", [2025, 6, 5]])
some_subjects = st.fixed_dictionaries(
    {},
    optional={
        "subjectId": st.none() | st.integers(-(2**63), 2**63 - 1),
        "subjectKey": some_texts,
        "siteName": st.sampled_from(["", "\0", "Ä\0", "plain"]),
        "deleted": st.none() | st.booleans(),
        "dateCreated": st.just("2025-06-05 21:12:09"),
        "dateModified": some_dates,
    },
)


@given(st.lists(some_subjects, max_size=5))
def test_any_scalars_are_the_same_in_objects_and_in_columns(rows: list[dict[str, Any]]) -> None:
    objects = [read_row(Subject, row) for row in rows]
    for name, column in zip(arrow_schema(Subject).names, batch_of(Subject, rows), strict=True):
        column.validate(full=True)
        if name != "extra":
            assert column.to_pylist() == [getattr(row, name) for row in objects]


def test_an_unknown_key_named_like_our_own_is_kept() -> None:
    assert read_row(Site, {"extra": 1, "site_id": 2}).extra == {"extra": 1, "site_id": 2}


def test_no_repr_shows_a_value() -> None:
    row = read_row(Subject, SUBJECT)
    assert repr(row) == "<Subject>"
    assert repr([row.keywords]) == "[[<Keyword>]]"
    assert not list(row.__rich_repr__())


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "no whole JSON"),
        (b"<html>planted</html>", "no whole JSON"),
        (b'{"metadata":', "no whole JSON"),
        (b'{"extra":' + b"[" * 100_000, "nested too deeply"),
        (page("[{}]").replace(b"{}", b'{"a":"\xff"}'), "no whole JSON"),
        (page("[{}]").replace(b"{}", b'{"siteName":"\xff"}'), "no whole JSON"),
        (b'["planted"]', "Expected `object`, got `array`"),
        (b"{}", "no pagination"),
        (b'{"pagination":{"currentPage":0,"totalElements":0}}', "no data"),
        (
            b'{"pagination":{"currentPage":0,"totalElements":-1},"data":[]}',
            "totalElements is negative",
        ),
        (b'{"pagination":{"currentPage":0,"totalElements":"planted"},"data":[]}', "Expected `int`"),
        (b'{"pagination":{"currentPage":0},"data":[]}', "another type"),
        (b'{"pagination":{"currentPage":0,"totalElements":1},"data":["planted"]}', "got `str`"),
    ],
)
@pytest.mark.parametrize("decode", [page_of_columns, page_of_objects])
def test_what_is_no_page_is_a_data_error_without_its_content(
    decode: Any, body: bytes, problem: str
) -> None:
    with pytest.raises(RegistryDataError, match=problem) as caught:
        decode(Site, "siteId", ApiRequest("/studies/A/sites", "A", 3), body)
    error = caught.value
    assert (error.endpoint, error.study_key, error.page) == ("/studies/A/sites", "A", 3)
    assert "planted" not in str(error)
    assert error.__context__ is None


@pytest.mark.parametrize("decode", [page_of_columns, page_of_objects])
def test_rows_of_another_study_are_refused_without_saying_which(decode: Any) -> None:
    call = ApiRequest("/studies/ONC-1/sites", "ONC-1", 3)
    for own in ('{"studyKey":"ONC-1"}', '{"studyKey":"onc-1"}', '{"studyKey":null}', "{}"):
        assert len(decode(Site, "siteId", call, page(f"[{own}]")).ids) == 1
    body = page('[{"studyKey":"ONC-1"},{"studyKey":"planted"}]')
    with pytest.raises(RegistryDataError, match="page 3: received rows of another study") as caught:
        decode(Site, "siteId", call, body)
    assert "planted" not in str(caught.value)
    assert len(decode(Site, "siteId", ApiRequest("/sites"), body).ids) == 2
    assert len(decode(User, "userId", call, page('[{"studyKey":"other"}]')).ids) == 1
