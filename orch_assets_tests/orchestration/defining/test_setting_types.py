"""The types of settings: which values each takes, from Python, YAML and the command line."""

import fnmatch
import math
from datetime import date, datetime
from enum import Enum
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.orchestration.defining.setting_types import annotated_type, type_of_default
from orch_assets.orchestration.defining.study_patterns import is_for


class Colour(Enum):
    """An enum whose values differ from its names."""

    RED = 1
    GREEN = "green"


VALUES = {
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(),
    date: st.dates(),
    list[str]: st.lists(st.text()),
    Colour: st.sampled_from(Colour),
    Literal["a", "b"]: st.sampled_from(["a", "b"]),
}
ANY = st.one_of(
    *VALUES.values(),
    st.none(),
    st.datetimes(),
    st.lists(st.integers()),
    st.dictionaries(st.text(), st.integers()),
    st.binary(),
    st.just(math.nan),
    st.just(math.inf),
)


IS_OF = {
    bool: lambda value: value is True or value is False,
    int: lambda value: type(value) is int,
    float: lambda value: type(value) in {int, float} and abs(value) < 2**1023,
    str: lambda value: type(value) is str,
    date: lambda value: type(value) is date or (type(value) is str and is_date(value)),
    list[str]: lambda value: type(value) is list and all(type(each) is str for each in value),
    Colour: lambda value: isinstance(value, Colour) or value in ("RED", "GREEN"),
    Literal["a", "b"]: lambda value: value in ("a", "b"),
}


def is_date(text):
    try:
        return datetime.strptime(text, "%Y-%m-%d").date().isoformat() == text  # noqa: DTZ007
    except ValueError:
        return False


@pytest.mark.parametrize("annotation", VALUES, ids=str)
@given(value=ANY)
def test_a_type_reads_exactly_its_values(annotation, value):
    setting_type = annotated_type(annotation)
    if IS_OF[annotation](value):
        assert setting_type.read(value) is not None
    elif not (annotation is float and isinstance(value, (int, float))):
        with pytest.raises(ValueError, match="must be"):
            setting_type.read(value)


@pytest.mark.parametrize("annotation", VALUES, ids=str)
@given(data=st.data())
def test_a_value_comes_back_from_json_and_from_yaml(annotation, data):
    value = data.draw(VALUES[annotation])
    setting_type = annotated_type(annotation)
    plain = setting_type.plain(value)
    assert setting_type.read(plain) == value
    assert setting_type.read(yaml.safe_load(yaml.safe_dump(plain))) == value
    assert setting_type.read(value) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, True])
def test_a_number_is_finite(value):
    with pytest.raises(ValueError, match="must be a number"):
        annotated_type(float).read(value)


def test_none_is_a_value_only_of_an_optional_type():
    assert annotated_type(int | None).read(None) is None
    with pytest.raises(ValueError, match=r"must be a whole number\.$"):
        annotated_type(int).read(None)


@pytest.mark.parametrize(
    "annotation",
    [dict, list, list[int], tuple, object, datetime, Literal[1, 2], int | str, None, bytes, "int"],
    ids=str,
)
def test_other_annotations_are_no_types_of_settings(annotation):
    assert annotated_type(annotation) is None


@pytest.mark.parametrize(
    ("default", "kind"),
    [(1, int), (True, bool), (0.5, float), ("", str), (date(2026, 1, 1), date), ((), list)],
)
def test_without_an_annotation_the_default_has_the_type(default, kind):
    assert type_of_default(default).kind is kind
    assert type_of_default(Colour.RED).choices == {"RED": Colour.RED, "GREEN": Colour.GREEN}


@pytest.mark.parametrize(
    "default",
    [{}, [1], object(), datetime(2026, 1, 1), 1j],  # noqa: DTZ001
    ids=lambda default: type(default).__name__,
)
def test_other_defaults_have_no_type(default):
    assert type_of_default(default) is None


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "14", 14),
        (float, "0.5", 0.5),
        (bool, "True", True),
        (str, "007", "007"),
        (str, "", ""),
        (date, "2026-01-31", date(2026, 1, 31)),
        (Colour, "RED", Colour.RED),
        (list[str], "LB, VS", ["LB", "VS"]),
        (list[str], "", []),
        (int | None, "null", None),
    ],
)
def test_a_text_of_the_command_line_is_read_by_its_type(annotation, text, value):
    assert annotated_type(annotation).read_text(text) == value


@pytest.mark.parametrize(
    ("annotation", "text"),
    [(int, "x"), (int, "1.5"), (int, ""), (float, "nan"), (bool, "yes"), (date, "1 May")],
)
def test_another_text_is_refused_without_being_shown(annotation, text):
    with pytest.raises(ValueError, match="must be") as raised:
        annotated_type(annotation).read_text(text)
    assert not text or f" {text}" not in str(raised.value)


KEYS = st.text(st.sampled_from("aAbB-[]!*?\n.1"), max_size=8)


@given(key=KEYS, pattern=KEYS)
def test_patterns_match_as_globs_do_except_that_brackets_are_themselves(key, pattern):
    expected = fnmatch.fnmatchcase(key, pattern.replace("[", "[[]"))
    assert is_for(key, [pattern]) == expected


@given(key=KEYS)
def test_without_patterns_a_pipeline_is_for_every_study_and_a_star_is_for_all(key):
    assert is_for(key, ())
    assert is_for(key, ["nothing", "*"])


def test_many_stars_match_quickly():
    """A pattern can't hold up a run, whatever it is."""
    assert not is_for("a" * 100, ["*" * 60 + "b"])
