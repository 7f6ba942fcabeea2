"""``form_tables_duckdb``: one file over all studies, on request, with what it lacks in metadata."""

import dagster as dg
import duckdb
import pyarrow as pa
import pytest

from orch_assets import LocalPipelineStore, Skip, SplitTable, study_pipeline
from orch_assets.defs.exports.account_export import ACCOUNT_KEY, build_account_export
from orch_assets.defs.graph import build_study_graph
from orch_assets.errors import ExportRefusedError
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.stores import ArtifactKind
from orch_assets_tests.support.harness import definitions, execute, instance

FIRST, SECOND, THIRD = "S1", "S2", "S3"
ARTIFACT = "form_tables_duckdb"


@pytest.fixture
def location(tmp_path):
    """A location of ``form_tables`` and the account's file; ``rows`` are those of each study."""
    rows = {FIRST: [1], SECOND: [2], THIRD: [3]}

    @study_pipeline
    def form_tables(study_key, sdk, study_logger):
        if rows[study_key] is None:
            raise Skip("not yet begun")
        if isinstance(rows[study_key], SplitTable):
            return rows[study_key]
        if isinstance(rows[study_key], dict):
            return {name: pa.table({"n": cells}) for name, cells in rows[study_key].items()}
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


def materialize(defs, real, **config):
    run_config = {"ops": {ARTIFACT: {"config": config}}} if config else None
    job = defs.resolve_job_def("account")
    result = job.execute_in_process(instance=real, run_config=run_config)
    event = real.get_latest_materialization_event(ACCOUNT_KEY).asset_materialization
    return {name: each.value for name, each in event.metadata.items()}, result.run_id


def read(folder, columns="study_key, n"):
    """Return a store, and the rows of the view over all studies in its file."""
    store = LocalPipelineStore(folder)
    copy = folder / "copy.duckdb"
    with store.open_file(ARTIFACT, "account.duckdb") as file:
        copy.write_bytes(file.read())
    with duckdb.connect(str(copy), read_only=True) as connection:
        rows = connection.sql(f'select {columns} from "AE" order by all').fetchall()
    copy.unlink()
    return store, rows


def test_the_file_has_all_studies_and_the_restricted_one_what_is_withheld(location, tmp_path):
    defs, _ = location
    with instance(FIRST, SECOND, THIRD) as real:
        execute(defs, real, FIRST, THIRD)
        metadata, run_id = materialize(defs, real)
    store, rows = read(tmp_path / "artifacts")
    assert rows == [(FIRST, 1), (SECOND, 2), (THIRD, 3)]
    _, withheld = read(tmp_path / "restricted", "study_key, arm")
    assert withheld == [(each, each) for each in (FIRST, SECOND, THIRD)]
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
        assert again == {**first, "refresh": "carried forward"}
        assert (first["export_format"], first["export_files"]) == ("DuckDB (duckdb)", 1)
        store = LocalPipelineStore(tmp_path / "artifacts")
        versions = store.versions(ARTIFACT, kind=ArtifactKind.FILES)
        assert [len(each.publications) for each in versions] == [1]
        rows[FIRST] = [1, 1]
        execute(defs, real, FIRST)
        assert materialize(defs, real)[0]["sha256"] != first["sha256"]


def test_a_strict_file_has_no_notes_or_is_not_published(location, tmp_path):
    """Nor is one that was published before taken for it."""
    defs, rows = location
    store = LocalPipelineStore(tmp_path / "artifacts")
    with instance(FIRST, SECOND) as real:
        execute(defs, real, FIRST, SECOND)
        metadata, _ = materialize(defs, real, strict=True)
        assert (metadata["settings"], metadata["export_notes"]) == ({"strict": True}, 0)
        facts = store.previous_files(ARTIFACT).publication.provenance
        assert facts["settings"] == '{"strict": true}'
        rows[SECOND] = [["a list is text in DuckDB"]]
        execute(defs, real, SECOND)
        with pytest.raises(ExportRefusedError, match="type 2"):
            materialize(defs, real, strict=True)
        assert store.previous_files(ARTIFACT).version == metadata["sha256"]
        loose, _ = materialize(defs, real)
        assert (loose["settings"], loose["export_notes"]) == ({"strict": False}, 2)
        with pytest.raises(ExportRefusedError):
            materialize(defs, real, strict=True)


@pytest.mark.parametrize("part", ["open", "withheld"])
def test_neither_file_is_published_if_one_is_refused(location, tmp_path, part):
    defs, rows = location
    stores = [LocalPipelineStore(tmp_path / each) for each in ("artifacts", "restricted")]
    listed = ["a list is text in DuckDB"]
    with instance(FIRST, SECOND) as real:
        execute(defs, real, FIRST)
        materialize(defs, real, strict=True)
        earlier = [store.previous_files(ARTIFACT).version for store in stores]
        table, withheld = ([2], [listed]) if part == "withheld" else ([listed], ["arm"])
        rows[SECOND] = SplitTable({"AE": pa.table({"n": table})}, {"AE": pa.table({"n": withheld})})
        execute(defs, real, SECOND)
        with pytest.raises(ExportRefusedError, match="is strict"):
            materialize(defs, real, strict=True)
        assert [store.previous_files(ARTIFACT).version for store in stores] == earlier
        materialize(defs, real)
    found = [store.previous_files(ARTIFACT) for store in stores]
    assert [each.version for each in found] != earlier
    sets = [
        [store.previous_members(f"form_tables/{each}") for each in (FIRST, SECOND)]
        for store in stores
    ]
    assert [each.inputs for each in found] == [{m.uri: m.version for m in each} for each in sets]


def test_a_refusal_shows_no_name_that_may_be_data(location):
    defs, rows = location
    rows[FIRST] = {"subj-007": [1], "SUBJ-007": [2]}
    with instance(FIRST) as real:
        execute(defs, real, FIRST)
        job = defs.resolve_job_def("account")
        run = job.execute_in_process(instance=real, raise_on_error=False)
        said = str([entry.to_json() for entry in real.all_logs(run.run_id)])
    assert f"of study {FIRST} can" in said
    assert "subj-007" not in said.casefold()


def test_a_file_without_tables_says_so_each_time(location):
    defs, rows = location
    rows[FIRST] = {}
    with instance(FIRST) as real:
        execute(defs, real, FIRST)
        found = [materialize(defs, real)[0]["export_files"] for _ in range(2)]
    assert found == [0, 0]


def test_nothing_else_can_be_configured(location):
    job = location[0].resolve_job_def("account")
    with pytest.raises(dg.DagsterInvalidConfigError):
        job.execute_in_process(run_config={"ops": {ARTIFACT: {"config": {"uri": "elsewhere"}}}})
