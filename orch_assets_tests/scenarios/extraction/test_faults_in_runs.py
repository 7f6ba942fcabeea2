"""A handful of the faults through whole Dagster runs: exact partitions, nothing else touched."""

import hashlib

import dagster as dg
import pytest

from orch_assets import LocalPipelineStore
from orch_assets.demo import DemoRegistry, DemoServer, Fault
from orch_assets.pipelines.records import records
from orch_assets.pipelines.sites import sites
from orch_assets.pipelines.subjects import subjects
from orch_assets.pipelines.variables import variables
from orch_assets_tests.support.harness import (
    failure_text,
    instance,
    materializations,
    observations,
    states,
)
from orch_assets_tests.support.runs import evaluations, location, run_all, small_pages
from orch_assets_tests.support.wire import SpoiledAnswers, Wire, cut_anywhere, reset

PAGE_SIZE = 5
TABLES = [subjects, variables, records]


@pytest.fixture
def server():
    """Two studies that a test may change."""
    with DemoServer(DemoRegistry(studies=2, subjects=5)) as running:
        yield running


def files(folder):
    """Return the hash of every file of the stores but the failure reports."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "failures" not in path.parts
    }


def of(study_key, name, found):
    return {
        path: hashed for path, hashed in found.items() if f"/{name}/" in path and study_key in path
    }


@pytest.mark.parametrize(
    ("fault", "kind", "page"),
    [
        (Fault("status", status=500, page=2), "RegistryFailedError", 2),
        (Fault("status", status=429, retry_after="0.05", page=0), "RegistryFailedError", 0),
        (Fault("html", page=1), "RegistryDataError", 1),
        (Fault("empty", page=1), "IncompleteTableError", 1),
        (Fault("error_envelope", page=3), "RegistryRefusedError", 3),
    ],
)
def test_a_fault_that_stays_fails_one_study_and_leaves_its_earlier_version(
    fault, kind, page, server, tmp_path
):
    good, bad = server.registry.study_keys()
    defs = location(tmp_path, small_pages(server, page_size=PAGE_SIZE), *TABLES)
    with instance(good, bad) as real:
        assert run_all(defs, real, [good, bad]).status is dg.DagsterRunStatus.SUCCESS
        before = files(tmp_path)
        for study_key in (good, bad):
            first = server.registry.rows("records", study_key)[0]
            server.registry.delete_row("records", study_key, first["recordId"])
        server.faults.add(
            Fault(
                fault.kind,
                endpoint="records",
                study_key=bad,
                page=fault.page,
                status=fault.status,
                retry_after=fault.retry_after,
            )
        )
        run = run_all(defs, real, [good, bad])
        after = files(tmp_path)
        assert run.status is dg.DagsterRunStatus.FAILURE
        told = failure_text(real, run).splitlines()
        assert told[1].startswith(f"- {kind}: iMednet registry, ")
        assert told[2:4] == [f"  study: {bad}", "  pipeline: records"]
        assert states(real, "records") == {good: "MATERIALIZED", bad: "FAILED"}
        assert states(real, "subjects") == {good: "MATERIALIZED", bad: "MATERIALIZED"}
        error = observations(real, "records")[bad]["error"]
        assert error.startswith(f"{kind}: iMednet registry, /studies/{bad}/records, page {page}: ")
        assert of(bad, "records", after) == of(bad, "records", before) != {}
        assert of(good, "records", after) != of(good, "records", before)
        table = LocalPipelineStore(tmp_path / "artifacts").download_table(f"records/{good}")
        ids = [row["recordId"] for row in server.registry.rows("records", good)]
        assert table["record_id"].to_pylist() == ids


def test_connections_that_break_now_and_then_cost_no_row(server, tmp_path):
    studies = server.registry.study_keys()
    with Wire(server.base_url) as through, instance(*studies) as real:
        through.spoiled += [
            SpoiledAnswers(table, page, spoil, left=2)
            for table in ("subjects", "records", "variables", "sites")
            for page, spoil in ((0, reset), (1, cut_anywhere(4)), (3, cut_anywhere(5, rudely=True)))
        ]
        registry = small_pages(server, through.base_url, page_size=PAGE_SIZE, attempts=6)
        run = run_all(location(tmp_path, registry, sites, *TABLES), real, studies)
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert not [one for one in through.spoiled if one.left and one.page == 0]
        store = LocalPipelineStore(tmp_path / "artifacts")
        for study_key in studies:
            for name, row_id in (("subjects", "subjectId"), ("records", "recordId")):
                ids = [row[row_id] for row in server.registry.rows(name, study_key)]
                table = store.download_table(f"{name}/{study_key}")
                assert table[f"{name[:-1]}_id"].to_pylist() == ids
        retries = [materializations(real, "records")[key][0]["retries"] for key in studies]
        assert sum(retries) > 0


@pytest.mark.parametrize("adding", [True, False])
def test_a_row_that_moves_once_costs_a_second_reading_of_one_table(adding, server, tmp_path):
    """A row comes or goes on page 0 while page 5 is read: a stream can't take back page 0."""
    registry, studies = server.registry, server.registry.study_keys()

    def move(_):
        first = registry.rows("records", studies[0])[0]
        if adding:
            new = {**first, "recordId": first["recordId"] - 1}
            registry.insert_row("records", studies[0], new)
        else:
            registry.delete_row("records", studies[0], first["recordId"])

    registry.after_page("records", 5, move, study_key=studies[0])
    defs = location(tmp_path, small_pages(server, page_size=PAGE_SIZE, window=1), *TABLES)
    with instance(*studies) as real:
        run = run_all(defs, real, studies)
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert [len(found) for found in evaluations(real, "records").values()] == [1, 1]
        assert evaluations(real, "records")[studies[0]][0].passed
    asked = [entry.page for entry in server.traffic.log if is_of(entry, studies[0])]
    assert asked.count(4) > 1
    assert [e.page for e in server.traffic.log if is_of(e, studies[1])].count(4) == 1
    for store, some in (("artifacts", False), ("restricted", True)):
        table = LocalPipelineStore(tmp_path / store).download_table(f"records/{studies[0]}")
        ids = [row["recordId"] for row in registry.rows("records", studies[0])]
        assert set(table["record_id"].to_pylist()) <= set(ids)
        assert some or table["record_id"].to_pylist() == ids


def is_of(entry, study_key):
    return (entry.endpoint, entry.study_key) == ("records", study_key)


def test_a_table_that_moves_for_ever_fails_its_study_and_its_check(server, tmp_path):
    registry, studies = server.registry, server.registry.study_keys()

    def move(_):
        first = registry.rows("records", studies[0])[0]
        registry.insert_row("records", studies[0], {**first, "recordId": first["recordId"] - 1})
        registry.after_page("records", 5, move, study_key=studies[0])

    registry.after_page("records", 5, move, study_key=studies[0])
    defs = location(tmp_path, small_pages(server, page_size=PAGE_SIZE, window=1), *TABLES)
    with instance(*studies) as real:
        run = run_all(defs, real, studies)
        assert run.status is dg.DagsterRunStatus.FAILURE
        assert states(real, "records") == {studies[0]: "FAILED", studies[1]: "MATERIALIZED"}
        error = observations(real, "records")[studies[0]]["error"]
        assert f"TableChangedError: iMednet registry, /studies/{studies[0]}/records, page" in error
        (evaluation,) = evaluations(real, "records")[studies[0]]
        assert not evaluation.passed
        assert evaluation.metadata["error"].value == error
    asked = [entry.page for entry in server.traffic.log if is_of(entry, studies[0])]
    assert asked.count(2) == 3  # once, and twice anew
    assert not list(tmp_path.glob(f"*/records/{studies[0]}.parquet"))
