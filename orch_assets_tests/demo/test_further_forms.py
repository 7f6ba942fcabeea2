"""Studies with many forms: the requested numbers of them, with untidy names."""

from collections import Counter

import pytest

from orch_assets.demo import DemoRegistry


@pytest.fixture(scope="module")
def registry() -> DemoRegistry:
    registry = DemoRegistry(studies=1, subjects=3)
    registry.add_study("WIDE", subjects=3, forms=100, variables=2000)
    return registry


def test_a_study_has_as_many_forms_and_variables_as_asked_for(registry: DemoRegistry) -> None:
    forms, variables = registry.rows("forms", "WIDE"), registry.rows("variables", "WIDE")
    assert (len(forms), len({row["formKey"] for row in forms})) == (100, 100)
    named = {(row["formKey"], row["variableName"]) for row in variables}
    assert (len(variables), len(named)) == (2000, 2000)
    assert {row["formId"] for row in variables} == {row["formId"] for row in forms}


def test_its_records_answer_its_variables(registry: DemoRegistry) -> None:
    asked = {(row["formId"], row["variableName"]) for row in registry.rows("variables", "WIDE")}
    answered = {
        (row["formId"], name)
        for row in registry.rows("records", "WIDE")
        for name in row["recordData"].keys() - {"dateCreated", "dateModified", "unvnum"}
    }
    assert answered <= asked
    assert len(answered) > 1500


def test_forms_repeat_have_children_and_one_is_empty(registry: DemoRegistry) -> None:
    records = registry.rows("records", "WIDE")
    times = Counter((row["subjectId"], row["formKey"]) for row in records)
    assert max(times.values()) > 2
    assert sum("parentRecordId" in row for row in records) > 10
    assert {row["formKey"] for row in registry.rows("forms", "WIDE")} - {key for _, key in times}


def test_names_differ_in_case_alone(registry: DemoRegistry) -> None:
    keys = [row["formKey"] for row in registry.rows("forms", "WIDE")]
    assert len({key.lower() for key in keys}) < len(keys)
    names = {(row["formKey"], row["variableName"]) for row in registry.rows("variables", "WIDE")}
    assert len({(key, name.lower()) for key, name in names}) < len(names)


@pytest.mark.parametrize(("forms", "variables"), [(12, 2000), (100, 100)])
def test_numbers_that_no_study_can_have_are_refused(forms: int, variables: int) -> None:
    registry = DemoRegistry(studies=0)
    registry.add_study("NONE", subjects=1, forms=forms, variables=variables)
    with pytest.raises(ValueError, match="can't have"):
        registry.rows("forms", "NONE")
