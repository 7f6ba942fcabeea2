"""Runs one after the other over an account that changes: what each reads, stores and says."""

import itertools
import logging
from contextlib import contextmanager

import dagster as dg
import pandas as pd
import pytest

from orch_assets import LocalPipelineStore, pipelines
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets_tests.support.harness import (
    failure_text,
    instance,
    materializations,
    observations,
    resume,
)
from orch_assets_tests.support.runs import evaluations, location, small_pages
from orch_assets_tests.support.stored_tables import stored_tables

SHIPPED = [each for each in discover_pipelines(pipelines) if not each.on_request]
REFRESHED = [each.name for each in SHIPPED if each.incremental and each.reconciled]
# Those that others of them take; they are loaded for these.
TAKEN = {name for each in SHIPPED for name in each.upstreams if each.name in REFRESHED}
STORES = ("artifacts", "restricted")
FULL = {"orch_assets/full": "true"}
OTHER = {"orch_assets/accept_other_registry": "true"}


class Account:
    """A study of the simulator, and runs over it.

    Attributes:
        folder: Of the stores.
        registry: The simulator's data.
        study: The study's key.
        real: The instance.
    """

    def __init__(self, server, folder, real):
        self.folder, self.server, self.real = folder, server, real
        self.registry = server.registry
        (self.study,) = self.registry.study_keys()
        functions = [each.function for each in SHIPPED]
        self.defs = location(folder, small_pages(server), *functions)

    def run(self, *select, **tags):
        job = self.defs.resolve_job_def("everything")
        keys = [dg.AssetKey(name) for name in select] or None
        result = job.execute_in_process(
            instance=self.real,
            tags={"dagster/partition": self.study, **tags},
            raise_on_error=False,
            asset_selection=keys,
        )
        return self.real.get_run_by_id(result.run_id)

    def succeed(self, *select, **tags):
        run = self.run(*select, **tags)
        assert run.is_success, failure_text(self.real, run)

    def told(self, name):
        """Return the metadata of a pipeline's newest materialization."""
        return materializations(self.real, name)[self.study][-1]

    def store(self, name="artifacts"):
        return LocalPipelineStore(self.folder / name)

    def stored(self):
        """Return all tables that say how the study is now, by store, asset and member."""
        now = [each.name for each in SHIPPED if each.group != "history"]
        return stored_tables({name: self.store(name) for name in STORES}, now, self.study)

    def files(self, *assets):
        """Return when each file of these assets was last written, in all stores."""
        return {
            path: path.stat().st_mtime_ns
            for name, asset in itertools.product(STORES, assets)
            for path in (self.folder / name / asset).rglob("*")
            if path.is_file()
        }

    def records(self, **fields):
        return [
            row
            for row in self.registry.rows("records", self.study)
            if all(row[name] == value for name, value in fields.items())
        ]


@pytest.fixture
def server():
    with DemoServer(DemoRegistry(studies=1, subjects=8)) as running:
        yield running


@pytest.fixture
def account(server, tmp_path):
    (study,) = server.registry.study_keys()
    with instance(study) as real:
        yield Account(server, tmp_path / "refreshed", real)


@contextmanager
def unread(account, *assets):
    """Replace the data of all versions: whoever reads them fails."""
    paths = [
        path
        for name, asset in itertools.product(STORES, assets)
        for path in (account.folder / name / asset).rglob("versions/*")
    ]
    assert paths
    data = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.chmod(0o600)
        path.write_bytes(b"nobody reads this")
    yield
    for path, content in data.items():
        path.write_bytes(content)


def read_anew(account, folder):
    """Return what a whole reading of the account stores."""
    with instance(account.study) as real:
        anew = Account(account.server, folder, real)
        anew.succeed()
        return anew.stored()


def edit(account):
    """Change a record, add one, delete one, and add a subject; return the record's ID."""
    changed, deleted, *_ = account.records(formKey="VS", deleted=False)[:3]
    with account.registry.edit(account.study) as edit:
        edit.records.change(changed["recordId"], {"SYSBP": 121})
        edit.records.delete(deleted["recordId"])
    with account.registry.edit(account.study) as edit:
        edit.subjects.add(account.registry.rows("sites", account.study)[0]["siteId"])
    return changed["recordId"]


def test_the_first_run_reads_everything_and_says_so(account):
    account.succeed()
    rows = len(account.registry.rows("records", account.study))
    told = account.told("records")
    assert (told["refresh"], told["rows_new"], told["dagster/row_count"]) == (
        "read whole",
        rows,
        rows,
    )
    assert told["refresh_reason"] == "there is no earlier version"
    assert {name for name in REFRESHED if "refresh" not in account.told(name)} == set()


def test_of_what_did_not_change_nothing_is_written_or_read_back(account):
    account.succeed()
    first = {name: account.told(name) for name in REFRESHED}
    files = account.files(*REFRESHED)
    account.server.traffic.clear()
    with unread(account, *(set(REFRESHED) - TAKEN)):
        account.succeed(*REFRESHED)
        assert account.files(*REFRESHED).keys() == files.keys()
    for name in REFRESHED:
        told = account.told(name)
        same = ["dagster/uri", "dagster/row_count", "bytes", "sha256", "withheld_rows"]
        same += [each for each in first[name] if each.startswith("withheld_")]
        assert {each: told[each] for each in same} == {each: first[name][each] for each in same}
        assert told["tags"] == first[name]["tags"]
        changes = ("rows_new", "rows_changed", "rows_deleted", "rows_vanished")
        assert [told[each] for each in changes] == [0, 0, 0, 0]
        assert told["rows_unchanged"] == told["dagster/row_count"]
    assert account.told("records")["refresh"] == "counted"
    assert account.told("records")["requests_saved"] > 0
    asked = [entry.endpoint for entry in account.server.traffic.log]
    assert asked.count("records") + asked.count("recordRevisions") == 4


def test_a_damaged_version_is_a_reason_to_read_everything(account, tmp_path):
    account.succeed()
    edit(account)
    with unread(account, *REFRESHED):
        account.succeed(*REFRESHED)
    reasons = {name: account.told(name).get("refresh_reason") for name in REFRESHED}
    assert reasons["records"] == "the stored version can't be read"
    account.succeed()
    expected, found = read_anew(account, tmp_path / "anew"), account.stored()
    assert [key for key, table in expected.items() if not found[key].equals(table)] == []


@contextmanager
def damaged_manifests(account, *assets):
    """Replace the manifests of all versions in the open store."""
    paths = [
        path
        for asset in assets
        for path in (account.folder / "artifacts" / asset).rglob("manifests/*/*")
    ]
    assert paths
    entries = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.write_text("{}")
    yield
    for path, entry in entries.items():
        path.write_bytes(entry)


def test_with_damaged_manifests_tables_are_read_whole_but_those_that_grow_do_not_begin_anew(
    account,
):
    """A history that began anew would look complete; its study fails, and its versions stay."""
    account.succeed()
    edit(account)
    account.succeed()
    grow = ("record_changes", "tombstones", "dictionary_changes")
    files = account.files(*grow)
    edit(account)
    with damaged_manifests(account, "records", *grow):
        run = account.run()
        text = failure_text(account.real, run)
        assert account.files(*grow).keys() == files.keys()
    assert all(name in text for name in grow)
    assert account.told("records")["refresh_reason"] == "the stored version can't be read"
    account.succeed(*grow)
    changes = account.store().download_table(f"record_changes/{account.study}")
    assert len(set(changes["to_version"].to_pylist())) == 2


def test_what_did_not_change_keeps_its_files(account):
    account.succeed()
    files = account.files(*REFRESHED)
    account.succeed()
    assert account.files(*REFRESHED) == files


def test_what_changed_is_merged_and_all_that_depends_on_it_is_right(account, tmp_path):
    account.succeed()
    edit(account)
    account.succeed()
    told = account.told("records")
    assert told["refresh"] == "counted", told["refresh_reason"]
    assert (told["rows_changed"], told["rows_deleted"], told["rows_vanished"]) == (2, 1, 0)
    assert told["dagster/row_count"] == len(account.registry.rows("records", account.study))
    assert told["rows_unchanged"] == told["dagster/row_count"] - told["rows_new"] - 2
    expected, found = read_anew(account, tmp_path / "anew"), account.stored()
    assert found.keys() == expected.keys()
    assert [key for key, table in expected.items() if not found[key].equals(table)] == []


def test_the_check_compares_the_rows_of_a_refreshed_table_with_the_count(account):
    account.succeed()
    account.succeed()
    edit(account)
    account.succeed()
    found = evaluations(account.real, "records")[account.study]
    assert [each.passed for each in found] == [True, True, True]
    rows = len(account.registry.rows("records", account.study))
    last = {name: value.value for name, value in found[-1].metadata.items()}
    assert (last["refresh"], last["rows"], last["expected"]) == ("counted", rows, rows)
    assert last["arrived"] < rows
    assert {name: len(evaluations(account.real, name)[account.study]) for name in REFRESHED} == (
        dict.fromkeys(REFRESHED, 3)
    )


def test_the_log_has_a_line_for_each_table_that_changed(account, caplog):
    caplog.set_level(logging.INFO, "orch_assets.study")
    account.succeed(*REFRESHED)
    account.succeed(*REFRESHED)
    assert not [line for line in caplog.messages if "unchanged" in line]
    edit(account)
    account.succeed(*REFRESHED)
    told = account.told("records")
    minus = "\N{MINUS SIGN}"
    assert (
        f"[{account.study}] records: +{told['rows_new']} ~1 {minus}1, {told['rows_unchanged']} "
        f"unchanged; {told['requests_saved']} requests saved"
    ) in caplog.messages


def test_a_resumed_run_carries_refreshed_results_forward_and_refreshes_the_others(
    account, tmp_path
):
    account.succeed()
    edit(account)
    name = f"records/{account.study}"
    page = pd.DataFrame({"record_id": [1]})
    account.registry.after_page("records", 0, lambda _: account.store().publish(page, name))
    failed = account.run()
    assert not failed.is_success
    assert resume(account.defs, account.real, failed).is_success
    for carried in ("subjects", "record_revisions"):
        told = materializations(account.real, carried)[account.study]
        assert told[-1]["carried_from"] == failed.run_id
        copy = {"carried_from": failed.run_id, "first_recorded_at": told[-1]["first_recorded_at"]}
        assert {**told[-1], "run": 0} == {**told[-2], "run": 0, **copy}
        assert [each.passed for each in evaluations(account.real, carried)[account.study]] == (
            [True] * 3
        )
    assert account.told("records")["refresh"] == "read whole"
    expected, found = read_anew(account, tmp_path / "anew"), account.stored()
    assert [key for key, table in expected.items() if not found[key].equals(table)] == []


def test_a_full_run_reads_everything_again(account):
    account.succeed()
    account.succeed(**FULL)
    told = account.told("records")
    assert (told["refresh"], told["refresh_reason"]) == (
        "read whole",
        "a whole reading was asked for",
    )
    assert told["dagster/row_count"] == len(account.registry.rows("records", account.study))


def test_the_result_of_another_account_is_replaced_only_if_somebody_accepts_it(account, tmp_path):
    """Test and production accounts have the same study keys."""
    account.succeed()
    before = account.stored()
    with DemoServer(DemoRegistry(studies=1, subjects=5, seed=8)) as other:
        assert other.registry.study_keys() == [account.study]
        elsewhere = Account(other, account.folder, account.real)
        run = elsewhere.run()
        assert not run.is_success
        for name in (each.name for each in SHIPPED):
            error = observations(account.real, name)[account.study]["error"]
            assert error.startswith(("OtherRegistryError", "UpstreamFailed")), (name, error)
        assert "--accept-other-registry" in failure_text(account.real, run)
        after = account.stored()
        assert [key for key, table in before.items() if not after[key].equals(table)] == []
        elsewhere.succeed(**OTHER)
        expected, found = read_anew(elsewhere, tmp_path / "anew"), elsewhere.stored()
        assert [key for key, table in expected.items() if not found[key].equals(table)] == []


def test_changes_of_another_accounts_dictionary_begin_anew(account):
    """What differs between two accounts is no change."""
    tables = ("variables", "forms", "dictionary_changes")

    def labels(each, label, **tags):
        with each.registry.edit(each.study) as edit:
            row = edit.variables.find(formKey="AE", variableName="AETERM")
            edit.variables.change(row["variableId"], label=label)
        each.succeed(*tables, **tags)
        rows = each.store().download_table(f"dictionary_changes/{each.study}").to_pylist()
        return [row["new"] for row in rows]

    account.succeed(*tables)
    assert labels(account, "Ours") == ["Ours"]
    with DemoServer(DemoRegistry(studies=1, subjects=5, seed=8)) as other:
        elsewhere = Account(other, account.folder, account.real)
        assert labels(elsewhere, "Theirs", **OTHER) == []
        assert labels(elsewhere, "Theirs, changed") == ["Theirs, changed"]


def test_a_table_that_was_replaced_meanwhile_is_not_merged_and_the_next_run_is_right(
    account, tmp_path
):
    account.succeed()
    edit(account)
    name = f"records/{account.study}"

    def replace(_registry):
        account.store().publish(pd.DataFrame({"record_id": [1]}), name)

    account.registry.after_page("records", 0, replace)
    run = account.run()
    assert not run.is_success
    error = observations(account.real, "records")[account.study]["error"]
    assert error.startswith("ArtifactReplacedError: ")
    assert "Nothing was published" in error
    assert account.store().download(name)["record_id"].tolist() == [1]
    account.succeed()
    expected, found = read_anew(account, tmp_path / "anew"), account.stored()
    assert [key for key, table in expected.items() if not found[key].equals(table)] == []
    account.succeed()
    assert account.told("records")["refresh"] == "counted"
