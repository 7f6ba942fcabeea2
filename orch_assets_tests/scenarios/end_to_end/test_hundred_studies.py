"""A hundred studies of which seven fail in seven ways: in this process, by a daemon, by command."""

import json
from collections import Counter

import dagster as dg
import pytest

from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.demo import DemoServer
from orch_assets.stores.names import encode_name
from orch_assets_tests.scenarios.end_to_end import hundred_location
from orch_assets_tests.scenarios.end_to_end.hundred_location import PLANTED
from orch_assets_tests.support.graphql import ask, partition_stats
from orch_assets_tests.support.harness import (
    execute,
    failure_text,
    in_state,
    materializations,
    observations,
    resume,
    states,
)
from orch_assets_tests.support.processes import Home, registry_settings, until

LOCATION = hundred_location.__name__
WAYS = ("exception", "exit", "timeout", "data in its text", "frame", "forbidden", "store")
ERRORS = {
    "exception": "ArithmeticError (at hundred_location.py:",
    "exit": "SystemExit (at hundred_location.py:",
    "timeout": f"Timeout: gave up after {hundred_location.TIMEOUT_SECONDS:g} s",
    "data in its text": "ValueError (at hundred_location.py:",
    "frame": "UnstorableTableError: ",
    "forbidden": "RegistryRefusedError: ",
    "store": "StoreUnavailableError: ",
}
EXACT = {"numPartitions": 100, "numMaterialized": 93, "numFailed": 7, "numMaterializing": 0}

BACKFILL = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""


class Account:
    """A registry of a hundred studies, a DAGSTER_HOME, and the plan of what fails."""

    def __init__(self, server, folder):
        self.server = server
        self.folder = folder
        self.home = Home(
            folder / "home", {**registry_settings(server), "HUNDRED_FOLDER": str(folder)}
        )
        self.studies = server.registry.study_keys()
        # Not the first and not the last, so that a range has good ends.
        self.failing = dict(zip(self.studies[5:90:13], WAYS, strict=True))
        self.plan(*WAYS)
        with self.home.instance() as real:
            real.add_dynamic_partitions(STUDIES_NAME, self.studies)

    def plan(self, *ways):
        """Let only these ways fail from now on."""
        self.forget_calls()
        plan = {study: how for study, how in self.failing.items() if how in ways}
        (self.folder / "plan.json").write_text(json.dumps(plan))
        for study, how in self.failing.items():
            if how == "forbidden":
                registry = self.server.registry
                (registry.forbid_study if how in ways else registry.allow_study)(study)
            if how == "store":
                self._occupy(study, wanted=how in ways)

    def _occupy(self, study, *, wanted):
        """Put a folder where the study's artifact should go, or take it away."""
        place = self.home.folder / "artifacts" / "leaf" / f"{encode_name(study)}.parquet"
        if wanted:
            (place / "in the way").mkdir(parents=True, exist_ok=True)
        elif place.is_dir():
            (place / "in the way").rmdir()
            place.rmdir()

    def forget_calls(self):
        (self.folder / "calls.txt").write_text("")

    @property
    def calls(self):
        return Counter((self.folder / "calls.txt").read_text().splitlines())

    def planted_in(self):
        """Return the files, but for the restricted store, that hold a planted text."""
        kept = self.home.folder / "artifacts" / "restricted"
        return [
            path
            for path in sorted(self.home.folder.rglob("*"))
            if path.is_file() and kept not in path.parents and PLANTED.encode() in path.read_bytes()
        ]


@pytest.fixture(scope="module")
def server():
    with DemoServer(studies=100, subjects=1) as running:
        yield running


# --- in this process ---


@pytest.fixture(scope="module")
def account(server, tmp_path_factory):
    """An account whose first run has ended, in this process; its run is ``account.first``."""
    made = Account(server, tmp_path_factory.mktemp("hundred"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.home.environment.items():
            patch.setenv(name, value)
        for name in ("ORCH_REGISTRY", "ORCH_STORE", "ORCH_RESTRICTED_STORE", "IMEDNET_WHITELIST"):
            patch.delenv(name, raising=False)
        with made.home.instance() as real:
            made.first = execute(hundred_location.defs, real, made.studies[0], made.studies[-1])
            made.text = failure_text(real, made.first)
        yield made


def test_exactly_the_seven_are_failed_for_the_instance_and_for_the_ui(account):
    with account.home.instance() as real:
        assert account.first.status == dg.DagsterRunStatus.FAILURE
        assert len(real.get_runs()) == 1
        assert in_state(real, "leaf", "FAILED") == list(account.failing)
        assert len(in_state(real, "leaf", "MATERIALIZED")) == 93
        assert set(states(real, "base").values()) == {"MATERIALIZED"}
        assert partition_stats(real, LOCATION, "leaf") == EXACT


def test_each_failure_says_what_it_was(account):
    with account.home.instance() as real:
        failed = observations(real, "leaf")
    assert set(failed) == set(account.failing)
    for study, how in account.failing.items():
        assert failed[study]["error"].startswith(ERRORS[how]), how
    assert all(account.calls[study] == 1 for study in account.studies)


def test_the_runs_message_names_the_seven_and_nobody_else(account):
    assert account.text.startswith("7 of 100 studies failed:\n")
    lines = account.text.splitlines()
    named = [line.partition(": ")[2] for line in lines if line.startswith("  study: ")]
    assert sorted(named) == sorted(account.failing)


def test_no_planted_text_is_in_any_log_or_event(account):
    """Nor in any other file of DAGSTER_HOME, but for the restricted store's failure reports."""
    assert account.planted_in() == []
    reports = account.home.folder / "artifacts" / "restricted"
    told = [path for path in reports.rglob("*.json") if PLANTED in path.read_text()]
    assert {path.stem for path in told} == {
        encode_name(study)
        for study, how in account.failing.items()
        if how in {"exit", "data in its text"}
    }


def test_a_second_attempt_runs_the_seven_alone_and_loses_nobody_even_if_it_fails(account):
    again = {"forbidden", "store", "exception"}
    account.plan(*again)
    with account.home.instance() as real:
        second = resume(hundred_location.defs, real, account.first)
        assert second.status == dg.DagsterRunStatus.FAILURE
        assert account.calls == Counter(list(account.failing))
        left = [s for s, how in account.failing.items() if how in again]
        assert in_state(real, "leaf", "FAILED") == left
        assert len(in_state(real, "leaf", "MATERIALIZED")) == 97
        assert set(states(real, "base").values()) == {"MATERIALIZED"}
        account.plan()
        third = resume(hundred_location.defs, real, second)
        assert third.status == dg.DagsterRunStatus.SUCCESS
        assert account.calls == Counter(left)
        assert partition_stats(real, LOCATION, "leaf")["numMaterialized"] == 100
        carried = materializations(real, "leaf")[account.studies[0]][-1]["carried_from"]
        assert carried == account.first.run_id


# --- by a daemon, and by command ---


@pytest.fixture(scope="module")
def backfilled(server, tmp_path_factory):
    """An account whose backfill over all studies was run by a real daemon."""
    made = Account(server, tmp_path_factory.mktemp("backfilled"))
    params = {
        "assetSelection": [{"path": ["base"]}, {"path": ["leaf"]}],
        "partitionNames": made.studies,
    }
    log = made.home.folder / "daemon.log"
    with made.home.instance() as real:
        answer = ask(real, LOCATION, BACKFILL, {"params": params})["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        with made.home.start("dagster-daemon", "run", "-m", LOCATION, log=log):
            until(
                lambda: any(run.is_finished for run in real.get_runs()),
                120,
                f"a run that ended; see {log}",
            )
    return made


def test_a_backfill_by_a_real_daemon_is_one_run_with_exact_states(backfilled):
    with backfilled.home.instance() as real:
        (run,) = real.get_runs()
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert in_state(real, "leaf", "FAILED") == list(backfilled.failing)
        assert partition_stats(real, LOCATION, "leaf") == EXACT
        assert partition_stats(real, LOCATION, "base")["numMaterialized"] == 100
        assert failure_text(real, run).startswith("7 of 100 studies failed:\n")
    assert backfilled.calls == Counter(backfilled.studies)


def test_no_planted_text_is_in_the_daemons_or_the_runs_logs(backfilled):
    assert "7 of 100 studies failed" in (backfilled.home.folder / "daemon.log").read_text()
    assert list(backfilled.home.folder.rglob("compute_logs/*.err"))
    assert backfilled.planted_in() == []


def test_one_study_on_the_command_line_fails_and_succeeds_alone(backfilled):
    """The exit code says which, and no other study's state changes."""

    def materialize(study):
        return backfilled.home.run(
            "dagster", "asset", "materialize", "-m", LOCATION,
            "--select", "leaf", "--partition", study,
        )  # fmt: skip

    by_way = {how: study for study, how in backfilled.failing.items()}
    backfilled.plan("exit", "data in its text")
    failed, good = materialize(by_way["exit"]), materialize(by_way["frame"])
    assert failed.returncode == 1
    assert "1 of 1 studies failed:" in failed.stderr
    assert "- SystemExit (at " in failed.stderr
    assert f"study: {by_way['exit']}" in failed.stderr
    assert PLANTED not in failed.stdout + failed.stderr
    assert good.returncode == 0, good.stderr
    with backfilled.home.instance() as real:
        still = [study for study in backfilled.failing if study != by_way["frame"]]
        assert in_state(real, "leaf", "FAILED") == still
