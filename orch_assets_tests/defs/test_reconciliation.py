"""The check ``reconciled``: what it says of each study, and what Dagster makes of it."""

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from orch_assets import study_pipeline
from orch_assets.defs.partitions import studies as studies_partitions
from orch_assets.demo import DemoRegistry, DemoServer, Fault
from orch_assets.pipelines.sites import sites
from orch_assets.pipelines.subjects import subjects
from orch_assets_tests.support.harness import (
    definitions,
    execute,
    instance,
    materializations,
    resume,
    states,
)
from orch_assets_tests.support.runs import evaluations, location, run_all, small_pages

EVERY = ["sites", "subjects", "variables", "records"]


@pytest.fixture(scope="module")
def server():
    with DemoServer(DemoRegistry(studies=3, subjects=4)) as running:
        yield running


@pytest.fixture
def keys(server):
    yield server.registry.study_keys()
    server.faults.clear()


def told(evaluation):
    return {name: value.value for name, value in evaluation.metadata.items()}


def shown(real, asset):
    """Return the studies by the status that Dagster's UI shows of the check, if any."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), "reconciled")
    with partition_loading_context(dynamic_partitions_store=real):
        state = real.event_log_storage.get_asset_check_state([(key, studies_partitions)])[key]
    return {
        status.value: sorted(subset.subset_value.get_partition_keys())
        for status, subset in state.subsets.items()
        if not subset.is_empty
    }


def test_every_study_and_table_has_one_evaluation_with_its_counts(server, keys, tmp_path):
    with instance(*keys) as real:
        run = run_all(location(tmp_path, small_pages(server)), real, keys)
        assert run.status is dg.DagsterRunStatus.SUCCESS
        for name in EVERY:
            found = evaluations(real, name)
            assert set(found) == set(keys)
            for study_key, (evaluation,) in found.items():
                rows = len(server.registry.rows(name, study_key))
                assert evaluation.passed
                assert told(evaluation) == {
                    "expected": rows,
                    "arrived": rows,
                    "pages": -(-rows // 20),
                    "retries": 0,
                    "replaced_surrogates": 0,
                }
            assert shown(real, name) == {"SUCCEEDED": sorted(keys)}


def test_retries_are_counted(server, keys, tmp_path):
    server.faults.add(Fault("status", endpoint="sites", study_key=keys[1], times=1))
    with instance(*keys) as real:
        run_all(location(tmp_path, small_pages(server), sites), real, keys)
        found = evaluations(real, "sites")
    assert [told(found[key][0])["retries"] for key in keys] == [0, 1, 0]


def test_replaced_surrogates_are_counted(server, keys, tmp_path):
    """The study stands; check and materialization say that U+FFFD is in its text."""
    row = server.registry.rows("sites", keys[1])[0]
    server.registry.update_row("sites", keys[1], row["siteId"], siteName="Basel \ud83d")
    try:
        with instance(*keys) as real:
            run_all(location(tmp_path, small_pages(server), sites), real, keys)
            found = evaluations(real, "sites")
            logged = materializations(real, "sites")
    finally:
        server.registry.update_row("sites", keys[1], row["siteId"], siteName=row["siteName"])
    assert [told(found[key][0])["replaced_surrogates"] for key in keys] == [0, 1, 0]
    assert [logged[key][0]["replaced_surrogates"] for key in keys] == [0, 1, 0]


def test_a_table_that_does_not_reconcile_fails_for_its_study_alone(server, keys, tmp_path):
    server.faults.add(Fault("empty", endpoint="subjects", study_key=keys[1], page=0))
    with instance(*keys) as real:
        run = run_all(location(tmp_path, small_pages(server)), real, keys)
        assert run.status is dg.DagsterRunStatus.FAILURE
        (failed,) = evaluations(real, "subjects")[keys[1]]
        assert not failed.passed
        assert f"/studies/{keys[1]}/subjects, page 0: received 0 rows;" in told(failed)["error"]
        others = sorted({keys[0], keys[2]})
        assert shown(real, "subjects") == {"SUCCEEDED": others, "FAILED": [keys[1]]}
        for name in ("sites", "variables", "records"):
            assert shown(real, name) == {"SUCCEEDED": sorted(keys)}


def test_a_check_that_fails_is_shown_beside_the_earlier_version(server, keys, tmp_path):
    """Dagster shows no check of an older materialization, so it must say which it is about."""
    defs = location(tmp_path, small_pages(server), sites)
    with instance(*keys) as real:
        run_all(defs, real, keys)
        server.faults.add(Fault("shrunk", endpoint="sites", study_key=keys[0]))
        run_all(defs, real, keys)
        assert shown(real, "sites") == {"SUCCEEDED": sorted(keys[1:]), "FAILED": [keys[0]]}
        assert states(real, "sites")[keys[0]] == "FAILED"


def test_a_pipeline_that_fails_of_anything_else_has_no_evaluation(server, keys, tmp_path):
    server.faults.add(Fault("status", endpoint="variables", study_key=keys[2]))
    with instance(*keys) as real:
        run_all(location(tmp_path, small_pages(server)), real, keys)
        for name in ("variables", "records"):  # it failed, and what takes it
            assert set(evaluations(real, name)) == set(keys[:2])
            assert shown(real, name) == {
                "SUCCEEDED": sorted(keys[:2]),
                "EXECUTION_FAILED": [keys[2]],
            }


@study_pipeline(reconciled=True)
def counted(study_key, sdk, study_logger):
    """Says that it reads a table, and doesn't."""
    return {"sites": 3}


@study_pipeline
def plain(study_key, sdk, study_logger):
    """Reads a table as a whole, which reconciles or raises."""
    return sdk.sites.table(study_key)


def test_what_is_no_stream_of_the_registry_has_no_evaluation(server, keys, tmp_path):
    defs = definitions(tmp_path, counted, plain, registry=small_pages(server))
    with instance(*keys) as real:
        run = run_all(defs, real, keys)
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert evaluations(real, "counted") == evaluations(real, "plain") == {}
    assert [check.asset_key.to_user_string() for check in checks(defs)] == ["counted"]


def checks(defs):
    return sorted(defs.resolve_asset_graph().asset_check_keys)


def test_a_run_of_some_tables_evaluates_theirs(server, keys, tmp_path):
    defs = location(tmp_path, small_pages(server), sites, subjects)
    with instance(*keys) as real:
        run = execute(defs, real, keys[1], select=["sites"])
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert {key: len(found) for key, found in evaluations(real, "sites").items()} == {
            keys[1]: 1
        }
        assert evaluations(real, "subjects") == {}


def test_a_job_without_the_checks_runs(server, keys, tmp_path):
    defs = location(tmp_path, small_pages(server), sites)
    assets = dg.AssetSelection.assets("sites").without_checks()
    defs = dg.Definitions.merge(
        defs, dg.Definitions(jobs=[dg.define_asset_job("unchecked", selection=assets)])
    )
    with instance(*keys) as real:
        run = execute(defs, real, keys[0], keys[-1], job="unchecked")
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert states(real, "sites") == dict.fromkeys(keys, "MATERIALIZED")


@pytest.mark.parametrize("again", [False, True])
def test_a_resumed_run_keeps_the_evaluations_of_what_it_carries(server, keys, again, tmp_path):
    """Each planned check of the resumed run would else count as never executed."""
    broken = Fault("status", endpoint="subjects", study_key=keys[1])
    moved = Fault("empty", endpoint="subjects", study_key=keys[0], page=0)
    server.faults.add(broken, moved)
    defs = location(tmp_path, small_pages(server), sites, subjects)
    with instance(*keys) as real:
        parent = run_all(defs, real, keys)
        server.faults.clear()
        if again:
            server.faults.add(broken)
        run = resume(defs, real, parent)
        assert (run.status is dg.DagsterRunStatus.FAILURE) == again
        assert shown(real, "sites") == {"SUCCEEDED": sorted(keys)}
        good = sorted({keys[0], keys[2]}) if again else sorted(keys)
        failed = {"EXECUTION_FAILED": [keys[1]]} if again else {}
        assert shown(real, "subjects") == {"SUCCEEDED": good, **failed}
        assert told(evaluations(real, "sites")[keys[2]][-1])["expected"] == len(
            server.registry.rows("sites", keys[2])
        )


def test_an_evaluation_names_the_materialization_that_it_was_logged_with(server, keys, tmp_path):
    """Each refresh of a study has its own check: of the storage ID and the run of its table."""
    with instance(*keys) as real:
        defs = location(tmp_path, small_pages(server), sites)
        runs = [run_all(defs, real, keys).run_id for _ in range(2)]
        records = real.fetch_materializations(sites_key := dg.AssetKey("sites"), limit=99).records
        found = evaluations(real, sites_key.to_user_string())
    for study_key in keys:
        stored = [
            (each.storage_id, each.run_id, each.timestamp)
            for each in reversed(records)
            if each.partition_key == study_key
        ]
        targets = [each.target_materialization_data for each in found[study_key]]
        assert [(each.storage_id, each.run_id, each.timestamp) for each in targets] == stored
        assert [run_id for _, run_id, _ in stored] == runs
