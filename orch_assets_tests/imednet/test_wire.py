"""Rows decoded by type: undescribed fields of a page do not change its described fields."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orch_assets.imednet import RegistryRow, User, Visit, models
from orch_assets.imednet.fields import (
    BOOL,
    DAY,
    MOMENT,
    NUMBER,
    OBJECT,
    TEXT,
    FieldError,
    FieldType,
    fields_of,
    keys_of,
    read_row,
)
from orch_assets.imednet.rows import decode_rows
from orch_assets_tests.imednet.rows import batch_of

MODELS = [
    model
    for model in vars(models).values()
    if isinstance(model, type) and issubclass(model, RegistryRow) and model is not RegistryRow
]
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
numbers = st.integers(-(2**63), 2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=4,
)
days = st.dates().map(lambda day: f"{day:%Y-%m-%d}".rjust(10, "0"))
moments = st.datetimes().map(lambda moment: f"{moment.replace(microsecond=0)}")
PLAIN = {
    TEXT: text,
    NUMBER: numbers,
    BOOL: st.booleans(),
    MOMENT: moments | st.just("") | st.just([2025, 6, 5, 21, 12, 9]),
    DAY: days | st.just(""),
    OBJECT: st.dictionaries(text, json_values, max_size=3),
}


def values(kind: FieldType) -> st.SearchStrategy[Any]:
    made = PLAIN[kind] if kind.row is None else st.lists(rows_of(kind.row), max_size=2)
    return st.none() | made


def rows_of(model: type[RegistryRow]) -> st.SearchStrategy[dict[str, Any]]:
    known = {field.key: values(field.kind) for field in fields_of(model)}
    return st.fixed_dictionaries({}, optional=known)


def unknown(model: type[RegistryRow]) -> st.SearchStrategy[dict[str, Any]]:
    strange = text.filter(lambda key: key not in keys_of(model))
    return st.dictionaries(strange, json_values, min_size=1, max_size=2)


def without_extra(value: Any) -> Any:
    if isinstance(value, list):
        return [without_extra(one) for one in value]
    if isinstance(value, dict):
        return {name: without_extra(one) for name, one in value.items() if name != "extra"}
    return value


@settings(max_examples=30)  # for each model
@given(st.data())
@pytest.mark.parametrize("model", MODELS)
def test_unknown_fields_anywhere_change_no_known_one(
    model: type[RegistryRow], data: st.DataObject
) -> None:
    """Rows without unknown fields are decoded once, others twice: both must agree."""
    rows = data.draw(st.lists(rows_of(model), max_size=4))
    plain = batch_of(model, rows)
    assert plain["extra"].null_count == len(rows)
    more = [data.draw(unknown(model) | st.just({})) for _ in rows]
    beside = [
        {**row, **added} if data.draw(st.booleans()) else {**added, **row}
        for row, added in zip(rows, more, strict=True)
    ]
    batch = batch_of(model, [_nested(data, model, row) for row in beside])
    assert batch.schema == plain.schema
    assert without_extra(batch.to_pylist()) == without_extra(plain.to_pylist())
    extra = [None if one is None else json.loads(one) for one in batch["extra"].to_pylist()]
    assert extra == [added or None for added in more]


def _nested(data: st.DataObject, model: type[RegistryRow], row: dict[str, Any]) -> dict[str, Any]:
    """Add unknown fields to the elements of the row's lists as well."""
    lists = [f for f in fields_of(model) if f.kind.row and row.get(f.key)]
    changed = {
        f.key: [
            {**element, **data.draw(unknown(f.kind.row) | st.just({}))} for element in row[f.key]
        ]
        for f in lists
        if f.kind.row
    }
    return {**row, **changed}


@settings(max_examples=30)  # for each model
@given(st.data())
@pytest.mark.parametrize("model", MODELS)
def test_objects_and_columns_read_alike(model: type[RegistryRow], data: st.DataObject) -> None:
    rows = data.draw(st.lists(rows_of(model), max_size=3))
    for row, columns in zip(rows, batch_of(model, rows).to_pylist(), strict=True):
        assert_alike(read_row(model, row), columns)


def assert_alike(row: Any, columns: dict[str, Any]) -> None:
    for field in fields_of(type(row)):
        one, other = getattr(row, field.name), columns[field.name]
        if field.kind.row is not None and one is not None:
            for element, cells in zip(one, other, strict=True):
                assert_alike(element, cells)
        elif field.kind is OBJECT:
            assert one == (None if other is None else json.loads(other))
        else:
            assert one == other


@pytest.mark.parametrize("strange", [{}, {"newlyAdded": "planted"}])
@pytest.mark.parametrize(
    ("model", "row", "problem"),
    [
        (Visit, {"visitId": "planted"}, "visitId isn't a whole number"),
        (Visit, {"startDate": "planted"}, "startDate isn't a"),
        (User, {"roles": ["planted"]}, "roles isn't a list of objects"),
        (User, {"roles": [{"dateCreated": "planted"}]}, r"roles\.dateCreated isn't a date"),
    ],
)
def test_a_wrong_value_is_refused_on_both_ways(
    model: type[RegistryRow], row: dict[str, Any], problem: str, strange: dict[str, Any]
) -> None:
    with pytest.raises(FieldError, match=problem) as caught:
        batch_of(model, [{}, {**row, **strange}])
    assert "planted" not in str(caught.value)


def test_the_last_of_two_equal_keys_counts_on_both_ways() -> None:
    for strange in ("", ',"new":1'):
        body = f'[{{"visitId":1,"visitId":2{strange}}}]'.encode()
        document, raw = decode_rows(Visit, lambda row: list[row], body)
        assert document[0].visit_id == 2
        assert (raw is None) == (not strange)
