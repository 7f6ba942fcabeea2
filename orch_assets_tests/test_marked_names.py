"""Names in errors: in full for the caller, in a log only where they are known."""

import dataclasses
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.errors import OrchAssetsError
from orch_assets.marked_names import (
    in_full,
    named,
    named_column_type,
    named_path,
    named_type,
    named_uri,
    with_known_names,
)

MARKS = "\ufdd0\ufdd1\ufdd2"
NAMES = st.text(min_size=1) | st.text(alphabet=MARKS + "ab'\"/", min_size=1)


def known(*names):
    return lambda name: name in names


NOTHING = known()


@given(NAMES, NAMES)
def test_an_error_has_all_names_and_its_log_the_known_ones(name: str, other: str) -> None:
    """Whatever the names hold, marks of ours among it."""
    error = OrchAssetsError(f"Column {named(name, '7')} of {named(other)} is no date.")
    assert str(error) == f"Column {name!r} of {other!r} is no date."
    assert with_known_names(error.marked, NOTHING) == "Column 7 of … is no date."
    shown = with_known_names(error.marked, known(name))
    if name != other and _without_marks(name) == name and _without_marks(other) != name:
        assert shown == f"Column {name!r} of … is no date."


def _without_marks(text: str) -> str:
    return "".join("?" if each in MARKS else each for each in text)


def test_an_error_that_quotes_another_keeps_its_marks() -> None:
    inner = OrchAssetsError(f"Column {named('a', '0')} is no date.")
    outer = OrchAssetsError(f"{named('t')} can't be stored: {inner.marked}")
    assert str(outer) == "'t' can't be stored: Column 'a' is no date."
    assert with_known_names(outer.marked, known("t")) == "'t' can't be stored: Column 0 is no date."


@given(st.text(alphabet=st.characters(categories=["L"]), min_size=12))
def test_a_field_of_a_nested_type_is_not_told(name: str) -> None:
    told = with_known_names(named_column_type(pa.struct([(name, pa.int64())])), NOTHING)
    assert told == "struct<…: int64>"


@pytest.mark.parametrize(
    "type_",
    [
        pa.int8(),
        pa.decimal128(10, 2),
        pa.timestamp("us", "Europe/Warsaw"),
        pa.timestamp("ms", "+05:30"),
        pa.dictionary(pa.int32(), pa.string()),
        pa.map_(pa.string(), pa.list_(pa.float32())),
        pa.list_(pa.int8(), 3),
        pa.binary(16),
        pa.month_day_nano_interval(),
    ],
    ids=str,
)
def test_a_type_without_names_is_told_whole(type_: pa.DataType) -> None:
    assert with_known_names(named_column_type(type_), NOTHING) == str(type_)


def test_a_zone_that_nobody_knows_and_a_fill_value_are_not_told() -> None:
    assert with_known_names(named_column_type("timestamp[us, tz=Rash]"), NOTHING) == (
        "timestamp[us, tz=…]"
    )
    assert with_known_names(named_column_type("Sparse[object, 'rash']"), NOTHING) == (
        "Sparse[object, …]"
    )


def test_types_are_called_as_a_library_has_them() -> None:
    made = dataclasses.make_dataclass("Decimal", [], namespace={"__module__": "decimal"})
    assert named_type(Decimal) == "Decimal"
    assert with_known_names(named_type(made), NOTHING) == "…"
    assert with_known_names(named_type(made), known("Decimal")) == "Decimal"


def test_parts_of_a_uri_and_of_a_path() -> None:
    """The store's place stays, and what no name is made of; the rest where it is known."""
    sha256 = "a" * 64
    told = named_uri(f"s3://b/visits/.orch/S%201~~7/parquet/versions/{sha256}")
    assert with_known_names(told, known("visits")) == (
        f"s3://b/visits/.orch/…/parquet/versions/{sha256}"
    )
    assert with_known_names(told, known("visits", "S 1")) == in_full(told)
    local = named_uri("file:///data/my%20store/visits/S1.csv", "visits/S1.csv")
    assert with_known_names(local, known("visits")) == "file:///data/my%20store/visits/…"
    assert with_known_names(named_path("/studies/A%20B/jobs/77"), known("A B")) == (
        "/studies/A%20B/jobs/…"
    )
