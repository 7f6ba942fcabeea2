"""A study's dictionary changes between two runs: the check ``dictionary``, and ``ORCH_DRIFT``."""

import dagster as dg
import pytest

from orch_assets import LocalPipelineStore
from orch_assets.defs.resources import OrchestrationResource
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.pipelines.dictionary_changes import dictionary_changes
from orch_assets.pipelines.form_tables import form_tables
from orch_assets.pipelines.forms import forms
from orch_assets.pipelines.record_changes import record_changes
from orch_assets.pipelines.record_revisions import record_revisions
from orch_assets.pipelines.records import records
from orch_assets.pipelines.sites import sites
from orch_assets.pipelines.variables import variables
from orch_assets.stores import ArtifactKind
from orch_assets_tests.support.harness import (
    definitions,
    everything_logged,
    execute,
    failure_text,
    instance,
    observations,
    resume,
    states,
)
from orch_assets_tests.support.planting import plant_open_terms
from orch_assets_tests.support.runs import small_pages

STUDY, OTHER = "ONC-301", "CARD-202"
PLANTED = "planted"
PIPELINES = (sites, variables, forms, records, form_tables, dictionary_changes)
HISTORY = (record_revisions, record_changes)


@pytest.fixture
def server():
    """Two studies; a value of AETERM is planted, which is open, as all variables are."""
    registry = DemoRegistry(studies=2, subjects=3)
    for study in (STUDY, OTHER):
        with registry.edit(study) as edit:
            plant_open_terms(edit, PLANTED)
    with DemoServer(registry) as running:
        yield running


class Site:
    """Runs the shipped tables of two studies, and says what is stored and logged."""

    def __init__(self, server, folder, real, pipelines):
        self.server, self.folder, self.real = server, folder, real
        self.pipelines = pipelines
        self.store = LocalPipelineStore(folder / "artifacts")
        self.log = ""

    def run(self, drift=None, **options):
        return self._logged(execute(self._location(drift), self.real, STUDY, OTHER, **options))

    def resume(self, run, drift):
        return self._logged(resume(self._location(drift), self.real, run))

    def _location(self, drift):
        return definitions(
            self.folder,
            *self.pipelines,
            registry=small_pages(self.server),
            orchestration=OrchestrationResource(max_workers=2, drift=drift),
        )

    def _logged(self, run):
        self.log += everything_logged(self.real, run)
        return run

    def edit(self, name="AETERM", label="", **fields):
        with self.server.registry.edit(STUDY) as edit:
            row = edit.variables.find(formKey="AE", variableName=name)
            edit.variables.change(row["variableId"], label=label or row["label"], **fields)

    def versions(self, study=STUDY):
        kinds = {"form_tables": ArtifactKind.SET}
        return {
            each.__name__: self.store.manifest(
                f"{each.__name__}/{study}", kind=kinds.get(each.__name__, ArtifactKind.TABLE)
            ).content.sha256
            for each in self.pipelines
        }

    def shows_planted(self, study=STUDY):
        """Return the tables that show the planted value."""
        tables = self.store.download_set_tables(f"form_tables/{study}")
        shown = {"form_tables": [table.to_pylist() for table in tables.values()]}
        names = {each.__name__ for each in self.pipelines} & {"records", "record_changes"}
        for name in names:
            shown[name] = self.store.download_table(f"{name}/{study}").to_pylist()
        return {name for name, rows in shown.items() if PLANTED in str(rows)}

    def rows(self, *columns):
        """Return columns of the table ``dictionary_changes``, row by row."""
        table = self.store.download_table(f"dictionary_changes/{STUDY}")
        return [tuple(row[name] for name in columns) for row in table.to_pylist()]

    def version(self, name="variables"):
        return self.store.manifest(f"{name}/{STUDY}").content.sha256

    def edit_record(self):
        """Change what one record says, but not its form."""
        with self.server.registry.edit(STUDY) as edit:
            row = next(each for each in edit.rows("records").values() if not each["deleted"])
            edit.records.set_status(row["recordId"], "Record Locked")

    def stored(self, name="AETERM"):
        rows = self.store.download_table(f"variables/{STUDY}").to_pylist()
        (row,) = [each for each in rows if each["variable_name"] == name]
        return row

    def check(self, study=STUDY):
        """Return the newest evaluation of the check: passed, severity, metadata."""
        key = dg.AssetCheckKey(dg.AssetKey("variables"), "dictionary")
        history = self.real.event_log_storage.get_asset_check_execution_history(key, limit=100)
        for record in history:
            event = record.event and record.event.dagster_event
            if event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                found = event.asset_check_evaluation_data
                if found.partition == study:
                    metadata = {name: value.value for name, value in found.metadata.items()}
                    return found.passed, found.severity.value, metadata
        return None


@pytest.fixture
def site(server, tmp_path):
    with instance(STUDY, OTHER) as real:
        found = Site(server, tmp_path, real, PIPELINES)
        assert found.run().is_success
        yield found
        # In no event and no log of any test below.
        assert PLANTED not in found.log
        assert "Secret label" not in found.log


@pytest.fixture
def site_with_history(site):
    """The same with the history of records, in which a change holds the planted value, too."""
    site.pipelines = (*PIPELINES, *HISTORY)
    assert site.run().is_success
    with site.server.registry.edit(STUDY) as edit:
        for row in [*edit.rows("records").values()]:
            if row["formKey"] == "AE" and not row["deleted"]:
                edit.records.change(row["recordId"], {"AETERM": f"{PLANTED} again"})
    assert site.run().is_success
    return site


def test_without_a_change_the_check_passes_and_says_so(site):
    assert site.run("warn").is_success
    assert site.check() == (True, "WARN", {"changes": 0, "mode": "warn"})


def test_evolve_applies_and_lists_what_changed(site):
    site.edit(label="Secret label", variableType="MEMO")
    assert site.run().is_success
    passed, _, told = site.check()
    assert passed
    assert told["kinds"] == {"variable relabelled": 1, "variable retyped": 1}
    assert told["changed"] == ["AE.AETERM retyped", "AE.AETERM relabelled"]
    assert site.check(OTHER)[2]["changes"] == 0
    assert site.stored()["label"] == "Secret label"
    assert site.run().is_success
    assert site.check()[2]["changes"] == 0  # it is stored by now


def test_warn_applies_it_and_the_check_fails(site):
    site.edit(label="Secret label")
    assert site.run(f"{STUDY}=warn").is_success
    passed, severity, told = site.check()
    assert (passed, severity, told["changed"]) == (False, "WARN", ["AE.AETERM relabelled"])
    assert site.stored()["label"] == "Secret label"


def test_a_frozen_study_keeps_its_versions_and_fails_naming_the_change(site):
    site.edit(label="Secret label")
    before, others = site.versions(), site.versions(OTHER)
    for _ in range(2):  # it stays so until somebody accepts the change
        site.edit_record()
        run = site.run(f"evolve,{STUDY}=freeze")
        assert not run.is_success
        assert "AE.AETERM relabelled" in failure_text(site.real, run)
        assert f"ORCH_DRIFT={STUDY}=evolve" in failure_text(site.real, run)
        assert site.versions() == before
        assert site.versions(OTHER) == others
        failed = states(site.real, "variables"), states(site.real, "records")
        assert [each[STUDY] for each in failed] == ["FAILED", "FAILED"]
        assert observations(site.real, "records")[STUDY]["error"] == "UpstreamFailed: variables"
        passed, severity, told = site.check()
        assert (passed, severity, told["held"]) == (False, "ERROR", ["AE.AETERM relabelled"])
    assert site.run(f"freeze,{STUDY}=evolve").is_success
    assert site.stored()["label"] == "Secret label"
    assert site.run("freeze").is_success  # the accepted dictionary is the frozen one now
    assert [kind for (kind,) in site.rows("kind")] == ["relabelled"]  # once


def test_a_frozen_study_without_a_change_is_refreshed(site):
    before = site.versions()
    site.edit_record()
    assert site.run("freeze").is_success
    assert site.versions()["records"] != before["records"]


def test_a_frozen_study_does_not_take_over_the_tables_of_another_account(server, tmp_path):
    other = DemoServer(DemoRegistry(studies=2, subjects=3, seed=8))
    with instance(STUDY, OTHER) as real, other:
        site = Site(server, tmp_path, real, PIPELINES)
        assert site.run("freeze").is_success
        assert site.run("freeze").is_success
        before, site.server = site.versions(), other
        assert not site.run("freeze").is_success
        for name in ("sites", "variables", "forms"):
            assert observations(real, name)[STUDY]["error"].startswith("OtherRegistryError")
        assert site.versions() == before


def test_a_frozen_study_begins_anew_with_another_account_that_is_accepted(server, tmp_path):
    """None of its first account's dictionary is kept, although there is blinding to apply."""
    other = DemoServer(DemoRegistry(studies=2, subjects=3, seed=8))
    with instance(STUDY, OTHER) as real, other:
        site = Site(server, tmp_path, real, PIPELINES)
        assert site.run("freeze").is_success
        site.server = other
        site.edit(label="Of the other account", blinded=True)
        assert site.run("freeze", other_registry=True).is_success
        stored = site.store.download_table(f"variables/{STUDY}").to_pylist()
        assert "Of the other account" in {each["label"] for each in stored}
        assert site.rows("kind") == []
        site.edit(label="Changed since")
        assert not site.run("freeze").is_success


def test_blinding_alone_is_applied_in_a_frozen_study(site_with_history):
    site = site_with_history
    site.edit(blinded=True, label="Secret label")
    site.edit(label="Secret label 2")
    with site.server.registry.edit(STUDY) as edit:  # only the blinding is left
        row = edit.variables.find(formKey="AE", variableName="AETERM")
        edit.variables.change(row["variableId"], label=site.stored()["label"])
    assert site.shows_planted() == {"records", "record_changes", "form_tables"}
    assert site.run("freeze").is_success
    assert site.shows_planted() == set()
    passed, severity, told = site.check()
    assert (passed, severity) == (False, "WARN")
    assert told["kinds"] == {"variable blinded": 1}
    assert told["changed"] == ["a variable that is not open blinded"]
    tables = ("form_tables", "record_changes", "record_revisions", "records")
    assert told["artifacts"] == [f"{name}/{STUDY}" for name in tables]
    assert told["current"] == 0
    assert site.run("freeze").is_success


def test_of_a_mixed_change_a_frozen_study_applies_only_the_blinding(site):
    label = site.stored("AESER")["label"]
    site.edit("AESER", label="Secret label")
    assert not site.run("freeze").is_success
    site.edit(blinded=True)
    with site.server.registry.edit(STUDY) as edit:
        edit.forms.change(edit.forms.find(formKey="DM")["formId"], formName="Another name")
    before = site.versions()
    run = site.run("freeze")
    assert site.shows_planted() == set()
    assert site.stored()["blinded"]
    assert site.stored("AESER")["label"] == label
    assert site.versions()["forms"] == before["forms"]
    passed, severity, told = site.check()
    assert (passed, severity) == (False, "ERROR")
    assert told["held"] == ["AE.AESER relabelled", "form DM renamed"]
    assert "AETERM" not in str(told)
    assert "Only what withholds values was applied." in failure_text(site.real, run)
    failed = [name for name in before if states(site.real, name)[STUDY] == "FAILED"]
    assert failed == ["dictionary_changes"]
    again = site.resume(run, "freeze")
    assert not again.is_success
    assert "AE.AESER relabelled, form DM renamed" in failure_text(site.real, again)
    run = site.run("freeze")  # from now on, it is frozen as before
    assert not run.is_success
    assert "AE.AESER relabelled" in failure_text(site.real, run)


def test_a_form_that_changed_keeps_the_form_tables_of_a_frozen_study(site):
    with site.server.registry.edit(STUDY) as edit:
        edit.forms.change(edit.forms.find(formKey="AE")["formId"], formName="Secret label")
    site.edit_record()
    before = site.versions()
    run = site.run("freeze")
    assert "form AE renamed" in failure_text(site.real, run)
    after = site.versions()
    # Variables repeat the name of their form, which is no change of theirs.
    assert {name for name in after if after[name] != before[name]} == {"records", "variables"}
    assert states(site.real, "forms")[STUDY] == "FAILED"


def test_blinding_reaches_tables_that_a_killed_run_left_behind(site):
    """The dictionary was stored, but the tables were not rebuilt by it."""
    site.edit(blinded=True)
    assert site.run(select=["variables"]).is_success
    site.edit("AESER", label="Secret label")
    assert site.shows_planted() == {"records", "form_tables"}
    site.run("freeze")
    assert site.shows_planted() == set()
    assert site.stored("AESER")["label"] != "Secret label"
    assert site.check()[2]["held"] == ["AE.AESER relabelled"]


def test_a_study_that_the_setting_names_but_nobody_knows_is_named_in_the_log(site):
    assert site.run("evolve,ONC-31=freeze").is_success
    assert "ORCH_DRIFT names studies that don't exist: ONC-31" in site.log


def test_each_change_is_a_row_with_the_versions_between_which_it_was_noticed(site):
    assert site.rows("kind") == []
    before, forms_before = site.version(), site.version("forms")
    site.edit(blinded=True, label="Secret label")
    with site.server.registry.edit(STUDY) as edit:
        edit.forms.add("NEW", "A new form")
    assert site.run().is_success
    assert site.run().is_success  # nothing changed: no further row, and no other version
    after, forms_after = site.version(), site.version("forms")
    assert site.rows("what", "form_key", "variable_name", "kind", "version_from", "version_to") == [
        ("variable", "AE", "AETERM", "blinded", before, after),
        ("variable", "AE", "AETERM", "relabelled", before, after),
        ("form", "NEW", None, "added", forms_before, forms_after),
    ]
    unchanged = site.version("dictionary_changes")
    assert site.run().is_success
    assert site.version("dictionary_changes") == unchanged
    site.edit(blinded=False)
    assert site.run().is_success
    assert site.rows("kind", "old", "new")[3:] == [("unblinded", "blinded", "open")]


def test_changes_since_a_version_that_is_gone_are_not_silent(site):
    site.store.delete(f"variables/{STUDY}", history=True)
    site.edit(label="Secret label")
    assert site.run().is_success
    assert site.rows("what", "kind", "version_from") == [("variable", "unknown", None)]
    site.edit(label="Secret label 2")
    assert site.run().is_success
    assert site.rows("kind")[1:] == [("relabelled",)]


@pytest.mark.parametrize("kind", ["rename", "remove", "add"])
def test_what_is_renamed_removed_or_added_is_frozen_too(site, kind):
    before = site.versions()
    with site.server.registry.edit(STUDY) as edit:
        row = edit.variables.find(formKey="AE", variableName="AETERM")
        if kind == "rename":
            edit.variables.rename(row["variableId"], "AENAME", with_answers=True)
        elif kind == "remove":
            edit.variables.remove(row["variableId"])
        else:
            edit.variables.add("AE", "AENEW")
    run = site.run("freeze")
    assert not run.is_success
    named = {"rename": "AE.AENAME renamed", "add": "AE.AENEW added"}
    assert named.get(kind, "a variable that is not open removed") in failure_text(site.real, run)
    assert site.versions() == before


def test_a_new_variable_that_is_withheld_is_blinding(site):
    """Reasons given on its form may quote it, so they are withheld from now on."""
    with site.server.registry.edit(STUDY) as edit:
        edit.variables.add("AE", "AENEW", blinded=True)
    assert site.run("freeze").is_success
    assert site.stored("AENEW")["blinded"]
