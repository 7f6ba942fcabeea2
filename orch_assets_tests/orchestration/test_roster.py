"""Which studies are added and retired, and when the registry's response is not trusted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.errors import NoStudiesError, StudyLossError
from orch_assets.orchestration.selection import StudyFilter, select_studies
from orch_assets.orchestration.study_sync import plan_study_sync


def look(listed, known, *, absences=None, whitelist=None, blacklist=None, accepted_loss=0):
    study_filter = StudyFilter(whitelist, blacklist)
    selection = select_studies(listed, study_filter)
    return plan_study_sync(selection, study_filter, known, absences or {}, accepted_loss)


TEN = [f"S{n}" for n in range(10)]


def test_new_studies_are_added_in_registry_order():
    assert look(["C", "A", "B"], ["A"]).add == ["C", "B"]


def test_a_study_that_left_is_retired_at_the_third_look():
    absences = {}
    for number in (1, 2, 3):
        change = look(TEN[1:], TEN, absences=absences)
        absences = change.absences
        assert absences == {"S0": number}
        assert list(change.retire) == (["S0"] if number == 3 else [])


def test_a_study_that_comes_back_in_between_is_counted_anew():
    assert look(TEN, TEN, absences={"S0": 2}).absences == {}


def test_a_study_that_only_the_filter_excludes_is_retired_at_once():
    change = look(TEN, TEN, blacklist={"S3"})
    assert change.retire == {"S3": "the filter excludes it"}


@pytest.mark.parametrize(
    ("listed", "known", "lost"),
    [([], ["A"], 1), ([], TEN, 10), (TEN[2:], TEN, 2), (["S0"], TEN, 9)],
)
def test_a_registry_that_lost_too_much_is_not_believed(listed, known, lost):
    with pytest.raises(StudyLossError, match=f"ORCH_ACCEPT_STUDY_LOSS={lost}") as caught:
        look(listed, known)
    assert len(caught.value.lost) == lost
    assert len(look(listed, known, accepted_loss=lost).absences) == lost


def test_one_study_of_few_may_leave():
    assert look(["A"], ["A", "B"]).absences == {"B": 1}


@pytest.mark.parametrize("filters", [{"whitelist": ["Z"]}, {"blacklist": TEN}])
def test_a_filter_that_leaves_nobody_changes_nothing(filters):
    with pytest.raises(NoStudiesError, match="Nothing was changed"):
        look(TEN, TEN, **filters)


def test_impossible_and_unknown_keys_are_said_and_the_others_go_on():
    change = look(["A", "B/C"], [], blacklist=["Z"])
    assert change.add == ["A"]
    assert any("'B/C' holds '/'" in sentence for sentence in change.sentences)
    assert any("blacklist names study Z, which" in sentence for sentence in change.sentences)


@given(
    listed=st.lists(st.sampled_from(TEN), unique=True),
    known=st.lists(st.sampled_from(TEN), unique=True),
    absences=st.dictionaries(st.sampled_from(TEN), st.integers(0, 4)),
)
def test_nothing_is_both_added_and_retired_and_nothing_known_is_added(listed, known, absences):
    change = look(listed, known, absences=absences, accepted_loss=len(TEN))
    assert not set(change.add) & (set(known) | set(change.retire))
    assert set(change.retire) <= set(known) - set(listed)
    assert set(change.absences) == set(known) - set(listed)


def test_a_registry_whose_keys_are_all_impossible_is_said_with_the_reasons():
    with pytest.raises(NoStudiesError, match=r"'a/b' holds '/'"):
        look(["a/b"], TEN)
