"""The check ``blinded_since``: what the next run says of what was published before a blinding."""

import dagster as dg
import pytest

from orch_assets import LocalPipelineStore, study_pipeline
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.pipelines.records import records
from orch_assets.pipelines.variables import variables
from orch_assets_tests.support.harness import execute, instance
from orch_assets_tests.support.runs import location, small_pages

STUDY, OTHER = "ONC-301", "CARD-202"


@study_pipeline
def answers(study_key, sdk, study_logger, records):
    """A user's own table over the open one."""
    return records[["record_id", "record_data"]]


@pytest.fixture
def server():
    with DemoServer(DemoRegistry(studies=2, subjects=3)) as running:
        yield running


def evaluations(real):
    """Return the evaluations of the check, by study, oldest first."""
    key = dg.AssetCheckKey(dg.AssetKey("variables"), "blinded_since")
    found = {}
    for record in reversed(
        real.event_log_storage.get_asset_check_execution_history(key, limit=100)
    ):
        event = record.event and record.event.dagster_event
        if event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            found.setdefault(evaluation.partition, []).append(evaluation)
    return found


def blind(registry):
    for row in registry.rows("variables", STUDY):
        if (row["formKey"], row["variableName"]) == ("AE", "AETERM"):
            registry.update_row("variables", STUDY, row["variableId"], blinded=True)


def test_the_run_after_a_blinding_names_what_was_published_before(server, tmp_path):
    defs = location(tmp_path, small_pages(server), variables, records, answers)
    with instance(STUDY, OTHER) as real:
        assert execute(defs, real, STUDY, OTHER).is_success
        blind(server.registry)
        assert execute(defs, real, STUDY, OTHER).is_success
        found = evaluations(real)
    assert [each.passed for each in found[OTHER]] == [True, True]
    first, second = found[STUDY]
    assert (first.passed, second.passed) == (True, False)
    told = {name: value.value for name, value in second.metadata.items()}
    store = LocalPipelineStore(tmp_path / "artifacts")
    before = [store.versions(f"{name}/{STUDY}")[0] for name in ("answers", "records")]
    assert second.severity is dg.AssetCheckSeverity.WARN
    assert told["variables"] == 1
    assert "AETERM" not in f"{told} {second.description}"  # it is withheld now
    assert [uri.rpartition("/")[2] for uri in told["uris"]] == [
        manifest.content.sha256 for manifest in before
    ]
    assert (told["versions"], told["current"]) == (2, 0)
    assert "2 stored versions" in second.description


def test_what_was_not_made_anew_is_named_as_current(server, tmp_path):
    """A user's own table, made of records as they were before."""
    defs = location(tmp_path, small_pages(server), variables, records, answers)
    with instance(STUDY) as real:
        assert execute(defs, real, STUDY).is_success
        blind(server.registry)
        assert execute(defs, real, STUDY, select=["variables"]).is_success
        told = {n: v.value for n, v in evaluations(real)[STUDY][-1].metadata.items()}
        assert (told["versions"], told["current"]) == (2, 2)
        assert told["artifacts"] == [f"answers/{STUDY}", f"records/{STUDY}"]
        assert execute(defs, real, STUDY).is_success
        LocalPipelineStore(tmp_path / "artifacts").retain(keep_last=1)
        assert execute(defs, real, STUDY).is_success
        assert evaluations(real)[STUDY][-1].passed
