"""Alerts of the checks of a study's data dictionary, over real runs of the shipped tables."""

import json

import dagster as dg
import pytest

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


def test_a_changed_dictionary_is_told_for_its_run_without_names_and_when_the_study_passes(
    server, tmp_path, monkeypatch
):
    defs = definitions(
        tmp_path,
        variables,
        forms,
        registry=small_pages(server),
        orchestration=OrchestrationResource(max_workers=2, drift="warn"),
    )
    with webhook() as hook, instance(STUDY, OTHER) as real:
        monkeypatch.setenv("ORCH_ALERT_WEBHOOK", hook.url)
        daemon = Daemon(real, KEYS)
        execute(defs, real, STUDY, OTHER)
        daemon.tick()
        with server.registry.edit(STUDY) as edit:
            row = edit.variables.find(formKey="AE", variableName="AETERM")
            edit.variables.change(row["variableId"], label="Planted label")
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
