"""The studies that a filter or a user selects; unknown ones are named."""

import shlex

from hypothesis import given
from hypothesis import strategies as st

from orch_assets.orchestration.defining.similar_names import closest_key
from orch_assets.orchestration.selection import StudyFilter, choose_studies, select_studies
from orch_assets.orchestration.study_sync import plan_study_sync

KEYS = st.sampled_from(["A", "B", "a", "ONC-301", "X/Y", "AB,CD", " A", "R&D 118", ".."])
LISTS = st.lists(KEYS, unique=True)


def test_a_refused_key_is_a_failure_unless_the_filter_keeps_it_out():
    registry = ["OK-1", "AB,CD", "X/Y"]
    assert list(select_studies(registry, StudyFilter()).refused) == ["AB,CD", "X/Y"]
    blacklisted = select_studies(registry, StudyFilter(blacklist=["AB", "CD", "X/Y"]))
    assert (blacklisted.refused, blacklisted.not_runnable, blacklisted.warnings) == ({}, [], [])
    assert blacklisted.excluded == ["AB,CD", "X/Y"]
    assert select_studies(registry, StudyFilter(whitelist=["OK-1"])).not_runnable == []
    named = select_studies(registry, StudyFilter(whitelist=["OK-1", "AB,CD", "OK-2"]))
    refused, unknown = named.not_runnable
    assert refused.startswith("Study key 'AB,CD' holds ',', which no partition key can carry.")
    assert (
        unknown
        == "The whitelist names study OK-2, which is not in the registry. Did you mean OK-1?"
    )


def test_an_unknown_key_of_a_blacklist_is_a_warning_with_the_closest_known_key():
    selection = select_studies(["ONC-301", "ONC-302"], StudyFilter(blacklist=["onc-301 "]))
    assert selection.not_runnable == []
    assert selection.warnings == [
        "The blacklist names study onc-301 , which is not in the registry. Did you mean ONC-301?"
    ]


@given(LISTS, st.one_of(st.none(), LISTS), st.booleans())
def test_every_key_is_selected_or_excluded_or_refused_and_every_named_one_is_accounted_for(
    registry, named, whitelist
):
    study_filter = StudyFilter(named, None) if whitelist else StudyFilter(None, named)
    selection = select_studies(registry, study_filter)
    parts = [*selection.selected, *selection.excluded, *selection.refused]
    assert sorted(parts) == sorted(registry)
    assert set(selection.unknown) <= set(named or ()) - set(registry)
    said = " ".join([*selection.not_runnable, *selection.warnings])
    for key in selection.unknown:
        assert f"names study {key}, which is not" in said
    for key in selection.refused:
        assert repr(key) in said
    assert len(selection.not_runnable) == len(selection.refused) + (
        len(selection.unknown) if study_filter.whitelist is not None else 0
    )


@given(LISTS, LISTS, LISTS)
def test_of_the_keys_that_a_person_names_each_is_run_or_explained(registry, blacklist, named):
    selection = select_studies(registry, StudyFilter(blacklist=blacklist))
    choice = choose_studies(selection, named)
    assert choice.chosen == [key for key in selection.selected if key in named]
    assert len(choice.not_runnable) == len(named) - len(choice.chosen)
    for sentence in choice.not_runnable:
        assert any(key in sentence for key in set(named) - set(choice.chosen))


@given(st.text(min_size=1), st.lists(st.text(min_size=1)))
def test_the_closest_key_is_one_of_the_keys(key, keys):
    assert closest_key(key, keys) in {None, *keys}
    assert closest_key(key, [*keys, key.strip()]) is not None or not key.strip()


@given(st.sets(st.sampled_from(["S1", "R&D-118", "ONC 302 EU", "PAIN#5%A", "$(x)", "it's"])))
def test_the_command_that_a_sentence_advises_names_its_study_in_any_shell(retired):
    known = [*sorted(retired), "STAYS"]
    study_filter = StudyFilter(whitelist=["STAYS"])
    change = plan_study_sync(select_studies(known, study_filter), study_filter, known, {})
    commands = [sentence.split("`")[1] for sentence in change.left_to_sensor]
    assert [shlex.split(command) for command in commands] == [
        ["orch-assets", "studies", "retire", key] for key in known[:-1]
    ]
