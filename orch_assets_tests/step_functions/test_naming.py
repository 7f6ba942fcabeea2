"""Names of executions, for whatever a study and a run are called."""

from hypothesis import given
from hypothesis import strategies as st

from orch_assets.step_functions import execution_name
from orch_assets.step_functions.execution_names import check_execution_name, fresh_name

TEXT = st.text(st.characters(exclude_characters="\0"), max_size=120)
ATTEMPTS = st.tuples(TEXT, TEXT, st.integers(0, 10**12))


@given(attempt=ATTEMPTS)
def test_every_attempt_has_one_name_that_step_functions_takes(attempt):
    name = execution_name(*attempt)
    assert check_execution_name(name) == execution_name(*attempt)
    assert len(name) <= 80


@given(one=ATTEMPTS, other=ATTEMPTS)
def test_another_attempt_has_another_name(one, other):
    assert (execution_name(*one) == execution_name(*other)) == (one == other)


@given(study=st.from_regex(r"[A-Za-z0-9-]{1,30}", fullmatch=True).map(lambda s: s.strip("-")))
def test_study_run_and_attempt_can_be_read_in_it(study):
    name = execution_name(study, "5e0bd2b7-0000-4000-8000-000000000000", 3)
    assert name.startswith("-".join(p for p in (study, "5e0bd2b7-0000-4000-8", "3") if p))


@given(origin=TEXT)
def test_a_fresh_name_is_another_one_each_time(origin):
    first, second = fresh_name(origin), fresh_name(origin)
    assert check_execution_name(first) != check_execution_name(second)
