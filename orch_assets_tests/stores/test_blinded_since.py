"""Stored versions made while a variable was open that has been blinded since."""

import pandas as pd
import pytest

from orch_assets.cli import main
from orch_assets.stores import (
    ArtifactKind,
    LocalPipelineStore,
    derived_from,
    noting_inputs,
    published_by,
)
from orch_assets.stores.lineage import CARRIED_OVER

COLUMNS = ["variable_name", "form_key", "form_id", "blinded"]


def dictionary(**blinded):
    rows = [(name, "AE", 1, flag) for name, flag in blinded.items()]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"blinded": "boolean"})


class Study:
    """Artifacts of a study, each made from the current versions of others."""

    def __init__(self, folder):
        self.store = LocalPipelineStore(folder)

    def blind(self, **blinded):
        return self.store.publish(dictionary(**blinded), "variables/S1").sha256

    def make(self, name, n, *inputs):
        with noting_inputs() as noted:
            for each in inputs:
                self.store.download(each)
        with derived_from(noted):
            return self.store.publish(pd.DataFrame({"n": [n]}), name).sha256

    def inputs(self):
        dictionary = self.store.previous("variables/S1")
        return {dictionary.uri: dictionary.version}

    def publish_set(self, n, earlier=None):
        """Publish a set of a table that stays and one that changes."""
        tables = {**(earlier or {"AE": pd.DataFrame({"n": [1]})}), "DM": pd.DataFrame({"n": [n]})}
        return self.store.publish_set(tables, "forms/S1").sha256

    def found(self):
        return {
            (each.artifact, each.version): (each.variables, each.is_current)
            for each in self.store.blinded_since()
        }


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_an_older_version_is_named_with_the_variables_that_were_open(study):
    study.blind(TERM=False, AGE=False, ARM=True)
    old = study.make("records/S1", 1, "variables/S1")
    study.blind(TERM=True, AGE=False, ARM=True)
    new = study.make("records/S1", 2, "variables/S1")
    assert study.found() == {("records/S1", old): (("AE.TERM",), False)}
    assert new != old


def test_nothing_is_named_while_nothing_was_blinded(study):
    study.blind(TERM=False, ARM=True)
    study.make("records/S1", 1, "variables/S1")
    study.blind(TERM=False, ARM=False, NEW=True)
    study.make("records/S1", 2, "variables/S1")
    assert study.found() == {}


def test_a_variable_that_the_dictionary_lost_is_withheld_too(study):
    study.blind(TERM=False, AGE=False)
    old = study.make("records/S1", 1, "variables/S1")
    study.blind(AGE=False)
    assert study.found() == {("records/S1", old): (("AE.TERM",), True)}


def carrying(study, n, previous):
    """Make a version that may still have rows of an earlier one."""
    with published_by({CARRIED_OVER: previous}):
        return study.make("log/S1", n, "variables/S1")


def test_what_carries_rows_of_such_a_version_over_is_named_until_it_is_made_anew(study):
    study.blind(TERM=False)
    first = study.make("log/S1", 1, "variables/S1")
    study.blind(TERM=True)
    named = (("AE.TERM",), False)
    second = carrying(study, 2, first)
    third = carrying(study, 3, second)
    assert carrying(study, 3, third) == third  # the same again, which says nothing new
    current = (("AE.TERM",), True)
    assert study.found() == {
        ("log/S1", first): named, ("log/S1", second): named, ("log/S1", third): current
    }  # fmt: skip
    assert carrying(study, 1, third) == first  # as it was
    assert study.found()["log/S1", first] == current
    assert study.make("log/S1", 3, "variables/S1") == third  # without its earlier rows
    assert study.found() == {("log/S1", first): named, ("log/S1", second): named}


def test_a_version_that_replaces_the_one_it_was_made_from_is_named_until_it_is_made_anew(study):
    study.blind(TERM=False)
    with derived_from(study.inputs()):
        first = study.store.publish_json([1], "log/S1").sha256
    study.blind(TERM=True)
    with derived_from(study.inputs()):
        second = study.store.publish_json([1, 2], "log/S1", replaces=first).sha256
    named = (("AE.TERM",), False)
    assert study.found() == {("log/S1", first): named, ("log/S1", second): (("AE.TERM",), True)}
    with derived_from(study.inputs()):
        assert study.store.publish_json([1, 2], "log/S1").sha256 == second
    assert study.found() == {("log/S1", first): named}


def test_a_set_that_takes_tables_of_such_a_version_is_named_until_it_is_made_anew(study):
    study.blind(TERM=False)
    with derived_from(study.inputs()):
        study.publish_set(1)
        study.publish_set(2, study.store.previous_members("forms/S1"))
    study.blind(TERM=True)
    with derived_from(study.inputs()):
        study.publish_set(3, study.store.previous_members("forms/S1"))
        study.publish_set(4, study.store.previous_members("forms/S1"))
    assert [current for _, current in study.found().values()] == [False, False, False, True]
    with derived_from(study.inputs()):
        study.publish_set(5)
        new = study.publish_set(6, study.store.previous_members("forms/S1"))
    assert len(study.found()) == 4
    assert ("forms/S1", new) not in study.found()


def test_what_is_made_of_such_a_version_is_named_however_far_it_is(study):
    study.blind(TERM=False)
    records = study.make("records/S1", 1, "variables/S1")
    summary = study.make("summary/S1", 1, "records/S1")
    report = study.make("report", 1, "summary/S1")
    study.make("sites/S1", 1)
    study.blind(TERM=True)
    assert {place for place, _ in study.found().items()} == {
        ("records/S1", records), ("summary/S1", summary), ("report", report)
    }  # fmt: skip


def test_the_same_bytes_made_by_the_new_dictionary_hold_nothing_that_it_withholds(study):
    study.blind(TERM=False)
    study.make("records/S1", 1, "variables/S1")
    study.blind(TERM=True)
    study.make("records/S1", 1, "variables/S1")
    assert study.found() == {}


def test_only_the_dictionary_of_the_own_study_counts(study):
    study.blind(TERM=False)
    study.store.upload(dictionary(TERM=False), "variables/S2")
    study.make("records/S2", 1, "variables/S2")
    study.blind(TERM=True)
    assert study.found() == {}


def test_the_restricted_store_below_may_have_what_is_withheld(study):
    study.blind(TERM=False)
    study.make("restricted/records/S1", 1, "variables/S1")
    study.blind(TERM=True)
    assert study.found() == {}


def test_what_is_made_of_dictionaries_alone_holds_no_values(study):
    study.blind(TERM=False)
    study.make("dictionary_changes/S1", 1, "variables/S1")
    study.make("summary/S1", 1, "dictionary_changes/S1")
    study.blind(TERM=True)
    assert study.found() == {}


def test_tombstones_hold_no_values_but_ids(study):
    """So nothing rewrites them, and the next run continues where they end."""
    study.blind(TERM=False)
    records = study.make("records/S1", 1, "variables/S1")
    study.make("tombstones/S1", 1, "records/S1")
    study.blind(TERM=True)
    assert {*study.found()} == {("records/S1", records)}


def test_sets_and_values_are_named_too(study):
    study.blind(TERM=False)
    with noting_inputs() as noted:
        study.store.download("variables/S1")
    with derived_from(noted):
        study.store.publish_set({"AE": pd.DataFrame({"n": [1]})}, "form_tables/S1")
        study.store.publish_json({"n": 1}, "note/S1")
    study.blind(TERM=True)
    kinds = {each.kind for each in study.store.blinded_since()}
    assert kinds == {ArtifactKind.SET, ArtifactKind.JSON}


def test_removed_versions_are_named_no_more(study):
    study.blind(TERM=False)
    study.make("records/S1", 1, "variables/S1")
    study.blind(TERM=True)
    study.make("records/S1", 2, "variables/S1")
    assert len(study.found()) == 1
    study.store.retain(keep_last=1)
    assert study.found() == {}


def test_verify_names_them_and_they_are_no_fault(study, tmp_path, capsys):
    study.blind(TERM=False)
    old = study.make("records/S1", 1, "variables/S1")
    study.blind(TERM=True)
    study.make("records/S1", 2, "variables/S1")
    assert main(["verify", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.startswith("blinded since:")]
    assert old in line
    assert "AE.TERM" in line
    assert "1 version blinded since." in said
