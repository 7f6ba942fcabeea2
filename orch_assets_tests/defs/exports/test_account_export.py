"""``form_tables_duckdb``: one file over all studies, on request, with what it lacks in metadata."""

import json
import sys
from types import ModuleType

import dagster as dg
import pyarrow as pa
import pytest

from orch_assets import LocalPipelineStore, Skip, SplitTable, study_pipeline
from orch_assets.defs.exports.account_export import ACCOUNT_KEY, build_account_export
from orch_assets.defs.graph import build_study_graph
from orch_assets.exports.export_format import FileHolds
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.stores import ArtifactKind
from orch_assets_tests.support.harness import definitions, execute, instance

FIRST, SECOND, THIRD = "S1", "S2", "S3"
ARTIFACT = "form_tables_duckdb"


class JsonOfAccount:
    """A format as small as can be: a file for all studies, with their rows."""

    name, extension, holds, reader = "duckdb", "json", FileHolds.ACCOUNT, "json"

    def prepare(self, tables, earlier):
        self.tables = tables
        return self

    @property
    def names(self):
        return {}

    def write(self, path, notes):
        path.write_text(json.dumps(self._rows()))

    def verify(self, path):
        assert json.loads(path.read_text()) == self._rows()

    def _rows(self):
        return [
            [each.study_key, each.name, [row for b in each.open_batches() for row in b.to_pylist()]]
            for each in self.tables
        ]


@pytest.fixture
def location(tmp_path, monkeypatch):
    """A location of ``form_tables`` and the account's file; ``rows`` are those of each study."""
    module = ModuleType("duckdb_format")
    module.export_format = lambda _: JsonOfAccount()
    monkeypatch.setitem(sys.modules, "orch_assets.exports.duckdb_file.duckdb_format", module)
    rows = {FIRST: [1], SECOND: [2], THIRD: [3]}

    @study_pipeline
    def form_tables(study_key, sdk, study_logger):
        if rows[study_key] is None:
            raise Skip("not yet begun")
        return SplitTable(
            {"AE": pa.table({"n": rows[study_key]})}, {"AE": pa.table({"arm": [study_key]})}
        )

    plain = definitions(tmp_path, form_tables)
    graph = build_study_graph([pipeline_of(form_tables)])
    defs = dg.Definitions(
        assets=[graph, build_account_export()],
        jobs=[
            dg.define_asset_job("everything", selection=[graph]),
            dg.define_asset_job("account", selection=[ACCOUNT_KEY]),
        ],
        resources=plain.resources,
        executor=dg.in_process_executor,
    )
    return defs, rows


def materialize(defs, real):
    result = defs.resolve_job_def("account").execute_in_process(instance=real)
    event = real.get_latest_materialization_event(ACCOUNT_KEY).asset_materialization
    return {name: each.value for name, each in event.metadata.items()}, result.run_id


def read(folder):
    store = LocalPipelineStore(folder)
    with store.open_file(ARTIFACT, "account.json") as file:
        return store, json.loads(file.read())


def test_the_file_has_all_studies_and_the_restricted_one_what_is_withheld(location, tmp_path):
    defs, _ = location
    with instance(FIRST, SECOND, THIRD) as real:
        execute(defs, real, FIRST, THIRD)
        metadata, run_id = materialize(defs, real)
    store, rows = read(tmp_path / "artifacts")
    assert rows == [["S1", "AE", [{"n": 1}]], ["S2", "AE", [{"n": 2}]], ["S3", "AE", [{"n": 3}]]]
    _, withheld = read(tmp_path / "restricted")
    assert [each[2] for each in withheld] == [[{"arm": each}] for each in (FIRST, SECOND, THIRD)]
    published = store.previous_files(ARTIFACT)
    sets = [store.previous_members(f"form_tables/{each}") for each in (FIRST, SECOND, THIRD)]
    assert published.inputs == {each.uri: each.version for each in sets}
    assert published.publication.provenance["run"] == run_id
    assert metadata["sha256"] == published.version
    assert (metadata["studies"], metadata["studies_missing"]) == (3, [])
    assert (metadata["dagster/row_count"], metadata["withheld_rows"]) == (3, 3)


def test_studies_without_form_tables_are_named(location, tmp_path):
    defs, rows = location
    rows[SECOND] = None
    with instance(FIRST, SECOND, THIRD) as real:
        execute(defs, real, FIRST, SECOND)
        metadata, _ = materialize(defs, real)
    assert [each[0] for each in read(tmp_path / "artifacts")[1]] == [FIRST]
    assert metadata["studies"] == 1
    assert (metadata["studies_missing"], metadata["studies_skipped"]) == ([THIRD], [SECOND])


def test_the_same_form_tables_are_not_written_again(location, tmp_path):
    defs, rows = location
    with instance(FIRST, SECOND, THIRD) as real:
        execute(defs, real, FIRST, THIRD)
        first, _ = materialize(defs, real)
        again, _ = materialize(defs, real)
        store = LocalPipelineStore(tmp_path / "artifacts")
        versions = store.versions(ARTIFACT, kind=ArtifactKind.FILES)
        assert [len(each.publications) for each in versions] == [1]
        assert again["sha256"] == first["sha256"]
        rows[FIRST] = [1, 1]
        execute(defs, real, FIRST)
        assert materialize(defs, real)[0]["sha256"] != first["sha256"]
