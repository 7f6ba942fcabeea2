"""``record_changes`` and ``tombstones`` in runs: what changed, and what of it is shown."""

import pytest

from orch_assets import LocalPipelineStore, pipelines
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets_tests.support.harness import (
    everything_logged,
    execute,
    failure_text,
    instance,
    materializations,
    observations,
)
from orch_assets_tests.support.runs import location, small_pages

STUDY = "ONC-301"
ALL = [each.function for each in discover_pipelines(pipelines) if not each.on_request]
MARK = "planted"
HISTORIES = ("record_changes", "tombstones")


class Account:
    """A study, and runs of all pipelines over it."""

    def __init__(self, folder, server, real):
        self.folder, self.registry, self.real = folder, server.registry, real
        self.defs = location(folder, small_pages(server), *ALL)
        self.logged = ""

    def run(self, *select, succeeds=True):
        run = execute(self.defs, self.real, STUDY, select=list(select) or None)
        self.logged += everything_logged(self.real, run)
        assert run.is_success is succeeds, failure_text(self.real, run)

    def rows(self, name, folder="artifacts"):
        store = LocalPipelineStore(self.folder / folder)
        return store.download_table(f"{name}/{STUDY}").to_pylist()

    def told(self, name):
        return materializations(self.real, name)[STUDY][-1]

    def inputs(self, name):
        manifest = LocalPipelineStore(self.folder / "artifacts").manifest(f"{name}/{STUDY}")
        return manifest.publications[-1].inputs

    def version(self, name, folder="artifacts"):
        return LocalPipelineStore(self.folder / folder).manifest(f"{name}/{STUDY}").content.sha256

    def blind(self, name):
        for row in self.registry.rows("variables", STUDY):
            if row["variableName"] == name:
                self.registry.update_row("variables", STUDY, row["variableId"], blinded=True)

    def change(self, form, **answers):
        with self.registry.edit(STUDY) as edit:
            record_id = edit.records.find(formKey=form)["recordId"]
            edit.records.change(record_id, answers, reason=f"{MARK}-reason")
        return record_id


@pytest.fixture
def account(tmp_path):
    registry = DemoRegistry(studies=1, subjects=6)
    with DemoServer(registry) as server, instance(STUDY) as real:
        yield Account(tmp_path, server, real)


def test_the_second_run_lists_what_changed_and_what_vanished(account):
    account.run()
    assert [account.rows(name) for name in HISTORIES] == [[], []]
    record_id = account.change("VS", PULSE="80")
    gone = account.registry.rows("queries", STUDY)[0]["annotationId"]
    account.registry.delete_row("queries", STUDY, gone)
    before = account.version("records")
    account.run()
    (change,) = account.rows("record_changes")
    (tombstone,) = account.rows("tombstones")
    assert (
        change["record_id"],
        change["variable"],
        change["new_value"],
        change["attribution"],
    ) == (
        record_id,
        "PULSE",
        '"80"',
        "single",
    )
    assert (change["from_version"], change["to_version"]) == (before, account.version("records"))
    assert (tombstone["endpoint"], tombstone["row_id"]) == ("queries", gone)
    assert [account.told(name)["rows_new"] for name in HISTORIES] == [1, 1]


def test_a_run_in_which_nothing_changed_stores_nothing(account):
    account.run()
    account.change("VS", PULSE="80")
    account.run()
    versions = [account.version(name) for name in HISTORIES]
    publications = [account.inputs(name) for name in HISTORIES]
    account.run()
    assert [account.version(name) for name in HISTORIES] == versions
    assert [account.inputs(name) for name in HISTORIES] == publications


def test_the_versions_that_were_compared_are_inputs(account):
    """So retention keeps them for the next run."""
    account.run()
    account.change("VS", PULSE="80")
    account.run()
    for name in HISTORIES:
        versions = account.inputs(name).values()
        assert {account.version("records"), account.version("record_revisions")} <= {*versions}
    assert account.version("records", "restricted") in account.inputs("record_changes").values()


def test_the_histories_go_on_after_retention(account):
    account.run()
    for value in ("80", "81"):
        account.change("VS", PULSE=value)
        account.run()
        for folder in ("artifacts", "restricted"):
            LocalPipelineStore(account.folder / folder).retain(keep_last=1)
    assert [row["new_value"] for row in account.rows("record_changes")] == ['"80"', '"81"']


def test_what_a_failed_run_left_out_is_listed_by_the_next_one(account):
    account.run()
    for value in ("80", "81"):
        account.change("VS", PULSE=value)
        account.run("variables", "records", "record_revisions")
    account.run()
    assert [row["new_value"] for row in account.rows("record_changes")] == ['"80"', '"81"']


def test_histories_alone_need_stored_tables(account):
    account.run(*HISTORIES, "variables", succeeds=False)
    for name, upstream in zip(HISTORIES, ("records", "codings"), strict=True):
        assert f"{upstream} has no result" in observations(account.real, name)[STUDY]["error"]


def test_no_value_is_in_an_event_or_a_log_and_no_withheld_one_in_an_open_table(account):
    account.run()
    account.change("VS", PULSE=f"{MARK}-open")
    account.change("RAND", KITNO=f"{MARK}-withheld")
    with account.registry.edit(STUDY) as edit:
        edit.records.delete(edit.records.find(deleted=False)["recordId"], reason=f"{MARK}-deleted")
    account.run()
    assert f"{MARK}-open" in str(account.rows("record_changes"))
    assert f"{MARK}-withheld" in str(account.rows("record_changes", "restricted"))
    account.blind("PULSE")
    account.run()
    assert f"{MARK}-open" in str(account.rows("record_changes", "restricted"))
    assert MARK not in account.logged
    for row in account.rows("record_changes"):
        values = {name: value for name, value in row.items() if name != "reason_for_change"}
        assert MARK not in str(values)
    for name in HISTORIES:
        assert MARK not in str(account.told(name))
