"""Parameters merged over an input, evaluated by JSONata's own engine."""

import datetime as dt
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orch_assets.step_functions import DefinitionError, PipelineStep
from orch_assets.step_functions.merging import literal, merged
from orch_assets_tests.step_functions.jsonata_engine import NO_NPM, Engine
from orch_assets_tests.support.state_machine_servers import HAS_JSONATA

needs_jsonata = pytest.mark.skipif(not HAS_JSONATA, reason=NO_NPM)
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-1e9, 1e9, allow_nan=False).map(lambda number: round(number, 6))
    | TEXT.filter(lambda text: not text.startswith("{%")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "__proto__" not in json.dumps(value))


@pytest.fixture(scope="module")
def evaluate():
    engine = Engine()
    yield engine
    engine.close()


def merge(evaluate, given_input, parameters):
    expression = merged(parameters)[2:-2]
    return evaluate(f"($states := {{'input': {json.dumps(given_input)}}}; {expression})")


@needs_jsonata
@settings(deadline=None, max_examples=200)
@given(value=VALUES)
def test_whatever_json_can_carry_arrives_as_it_is(evaluate, value):
    assert evaluate(literal({"value": value})) == {"value": value}


@given(value=VALUES)
def test_no_value_can_end_the_expression(value):
    assert "%" not in literal({"value": value})


@needs_jsonata
@pytest.mark.parametrize(
    ("given_input", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 0, "c": [1]}),
        ({}, {"b": 0, "c": [1]}),
        ([{"a": 1}], {"input": [{"a": 1}], "b": 0, "c": [1]}),
        ("text", {"input": "text", "b": 0, "c": [1]}),
        (None, {"input": None, "b": 0, "c": [1]}),
        (0, {"input": 0, "b": 0, "c": [1]}),
    ],
)
def test_parameters_win_and_what_is_no_object_arrives_under_input(evaluate, given_input, expected):
    assert merge(evaluate, given_input, {"b": 0, "c": [1]}) == expected


@needs_jsonata
def test_an_expression_among_the_parameters_is_evaluated(evaluate):
    found = merge(evaluate, {"study_key": "ONC-301"}, {"name": "{% $states.input.study_key %}"})
    assert found == {"study_key": "ONC-301", "name": "ONC-301"}


@needs_jsonata
@pytest.mark.parametrize("value", [[1, 2], [7], [], [[1], 2], 5, "text", None, {"a": [1]}, False])
def test_what_an_expression_in_a_list_gives_stays_one_item(evaluate, value):
    """As in a state's own arguments; in JSONata a list in a list would be dissolved."""
    found = merge(evaluate, {"v": value}, {"in": ["a", "{% $states.input.v %}", [0]]})
    assert found["in"] == ["a", value, [0]]


def test_dates_become_iso_8601():
    when = dt.datetime(2024, 1, 15, 12, tzinfo=dt.UTC)
    step = PipelineStep("A", LAMBDA, {"day": dt.date(2024, 1, 15), "at": [when]})
    arguments = step.states(None)["A"]["Arguments"]
    assert '{"day": "2024-01-15", "at": ["2024-01-15T12:00:00+00:00"]}' in arguments


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"a": {"b": {1, 2}}}, "parameters.a.b"),
        ({"a": [float("nan")]}, r"parameters.a\[0\]"),
        ({"a": dt.datetime(2024, 1, 1)}, "parameters.a"),  # noqa: DTZ001 - that is the point
        ({"a": b"planted"}, "parameters.a"),
        ({"a": 2**53 + 1}, "parameters.a"),
        ({1: 2}, "parameters"),
        ({"a.$": "$.planted"}, r"parameters.a.\$"),
    ],
)
def test_what_json_cannot_carry_is_refused_by_its_place_and_not_its_value(parameters, field):
    with pytest.raises(DefinitionError, match=f"^Step 'A', {field}: ") as caught:
        PipelineStep("A", LAMBDA, parameters).states(None)
    assert "planted" not in str(caught.value)


def test_a_step_shows_no_parameter_in_its_repr():
    assert "planted" not in repr(PipelineStep("A", LAMBDA, {"a": "planted"}))
