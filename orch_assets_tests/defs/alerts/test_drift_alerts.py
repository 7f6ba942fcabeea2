"""Alerts of the checks of a study's data dictionary, over real runs of the shipped tables."""

import json

import dagster as dg
import pytest

from orch_assets.defs.alerts import observed_failures
from orch_assets.defs.resources import OrchestrationResource
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.pipelines.forms import forms
from orch_assets.pipelines.variables import variables
from orch_assets_tests.defs.alerts.ticking import Daemon
from orch_assets_tests.support.alert_receivers import webhook
from orch_assets_tests.support.harness import definitions, execute, instance
from orch_assets_tests.support.runs import small_pages

STUDY, OTHER = "ONC-301", "CARD-202"
KEYS = frozenset({dg.AssetKey("variables"), dg.AssetKey("forms")})


@pytest.fixture
def server():
    with DemoServer(DemoRegistry(studies=2, subjects=3)) as running:
        yield running


@pytest.fixture
def defs(server, tmp_path):
    return definitions(
        tmp_path,
        variables,
        forms,
        registry=small_pages(server),
        orchestration=OrchestrationResource(max_workers=2, drift="warn"),
    )


def change_a_label(server, study):
    with server.registry.edit(study) as edit:
        row = edit.variables.find(formKey="AE", variableName="AETERM")
        edit.variables.change(row["variableId"], label="Planted label")


def test_a_changed_dictionary_is_told_for_its_run_without_names_and_when_the_study_passes(
    server, defs, monkeypatch
):
    with webhook() as hook, instance(STUDY, OTHER) as real:
        monkeypatch.setenv("ORCH_ALERT_WEBHOOK", hook.url)
        daemon = Daemon(real, KEYS)
        execute(defs, real, STUDY, OTHER)
        daemon.tick()
        change_a_label(server, STUDY)
        changed = execute(defs, real, STUDY, OTHER)
        daemon.tick(60)
        daemon.tick(60)
        (alert,) = hook.taken
        assert (alert["title"], alert["run_id"]) == (
            "Check dictionary: 1 study fails",
            changed.run_id,
        )
        assert alert["lines"] == [f"{STUDY}: 1 change of the data dictionary."]
        execute(defs, real, STUDY, OTHER)
        daemon.tick(60)
        assert [each["title"] for each in hook.taken[1:]] == [
            "Recovered: Check dictionary: 1 study passes again"
        ]
        assert "Planted" not in json.dumps(hook.taken)


def test_a_failed_check_is_found_below_those_of_a_run_that_goes_on(server, defs, monkeypatch):
    """Runs at the same time may have more evaluations than a page."""
    monkeypatch.setattr(observed_failures, "_PAGE", 1)
    check = dg.AssetCheckKey(dg.AssetKey("variables"), "dictionary")
    with instance(STUDY, OTHER) as real:
        execute(defs, real, STUDY, OTHER)
        change_a_label(server, STUDY)
        ended = execute(defs, real, STUDY)
        change_a_label(server, OTHER)
        execute(defs, real, OTHER)
        found = observed_failures.newest_checks(real, check, [ended.run_id])
    assert found == ({ended.run_id: {STUDY: "1 change of the data dictionary."}}, set())


def test_the_newest_of_several_runs_says_whether_a_study_passes_a_check(server, defs):
    """Whichever of two runs between two looks came first: pass then fail, or fail then pass."""
    check = dg.AssetCheckKey(dg.AssetKey("variables"), "dictionary")
    with instance(STUDY, OTHER) as real:
        passed = execute(defs, real, STUDY)
        change_a_label(server, STUDY)
        failed = execute(defs, real, STUDY)
        again = execute(defs, real, STUDY)
        two = [passed.run_id, failed.run_id]
        said = {failed.run_id: {STUDY: "1 change of the data dictionary."}}
        assert observed_failures.newest_checks(real, check, two) == (said, set())
        three = [*two, again.run_id]
        assert observed_failures.newest_checks(real, check, three) == ({}, {STUDY})
