"""A pure pipeline's result stays where nothing changed that it depends on; else it is made."""

from dataclasses import replace
from datetime import date

import dagster as dg
import pyarrow as pa
import pytest

from orch_assets import LocalPipelineStore, SplitTable, study_pipeline
from orch_assets.defs.io import pure_results
from orch_assets.defs.partitions import range_tags
from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.pipelines.study_summary import study_summary
from orch_assets.stores import ArtifactKind
from orch_assets.stores.made_alike import MADE_BY, is_made_alike
from orch_assets.stores.manifest import publication_here_and_now
from orch_assets.version import source_digest
from orch_assets_tests.support.harness import definitions, execute, instance, materializations

STUDY = "S1"
RESULT = f"doubled/{STUDY}"


class Location:
    """A code location: ``source`` returns what the test sets, ``doubled`` is pure."""

    def __init__(
        self, folder, *, split=False, whole=False, daily=False, code_version="1", **resources
    ):
        self.folder = folder
        self.rows = {STUDY: [1, 2], "S2": [3]}
        self.withheld = [9]
        self.withheld_if_any = False
        self.called = []
        self.previous = []
        takes = SplitTable if whole else "pa.Table"

        @study_pipeline
        def source(study_key, sdk, study_logger):
            rows = self.rows[study_key]
            if not isinstance(rows, list):
                return rows
            table = pa.table({"n": rows})
            if not split:
                return table
            return SplitTable(table, pa.table({"n": self.withheld}), self.withheld_if_any)

        def doubled(study_key, sdk, study_logger, source, *, previous=None):
            self.called.append(study_key)
            self.previous.append(previous)
            if not isinstance(source, SplitTable):
                return {"numbers": source} if isinstance(source, pa.Table) else pa.table({"n": [0]})
            parts = source.table.read_all(), source.withheld.read_all()
            return SplitTable(*parts, withheld_if_any=self.withheld_if_any)

        doubled.__annotations__["source"] = takes
        mark = study_pipeline(pure=True, incremental=True, daily=daily, code_version=code_version)

        @study_pipeline
        def after(study_key, sdk, study_logger, doubled: SplitTable):
            return {
                "rows": sum(part.read_all().num_rows for part in vars(doubled).values() if part)
            }

        functions = [source, mark(doubled), *([after] if split and whole else [])]
        self.defs = definitions(folder, *functions, **resources)

    def run(self, real, first=STUDY, last=None, **options):
        ended = execute(self.defs, real, first, last, **options)
        assert ended.is_success
        return materializations(real, "doubled")[first][-1]

    def files(self):
        stored = (path for path in self.folder.rglob("*") if path.is_file())
        return {path: path.stat().st_mtime_ns for path in stored if "doubled" in str(path)}


KEPT = ["dagster/uri", "dagster/row_count", "bytes", "sha256", "tags"]


def test_where_nothing_changed_nothing_is_called_or_written_and_the_event_is_the_same(tmp_path):
    location = Location(tmp_path)
    with instance(STUDY) as real:
        first = location.run(real)
        files = location.files()
        second = location.run(real)
        third = location.run(real)
    assert location.called == [STUDY]
    assert location.files() == files
    assert "refresh" not in first
    for later in (second, third):
        assert later["refresh"] == "carried forward"
        assert later["status"] == "SUCCESS"
        assert {name: later[name] for name in KEPT} == {name: first[name] for name in KEPT}
        assert later["tags"] == {"dagster/data_version": first["sha256"]}


def test_a_set_that_is_carried_forward_is_completed_for_other_tools(tmp_path):
    """Its publisher was killed between the commit and the copies of its tables."""
    location = Location(tmp_path)
    with instance(STUDY) as real:
        location.run(real)
        copy = tmp_path / "artifacts/doubled/S1~~1/numbers~~7f.parquet"
        data = copy.read_bytes()
        copy.unlink()
        for path in location.files():
            if "readable" in path.parts:
                path.unlink()
        later = location.run(real)
    assert later["refresh"] == "carried forward"
    assert location.called == [STUDY]
    assert copy.read_bytes() == data
    assert LocalPipelineStore(tmp_path / "artifacts").verify() == []


def test_only_the_study_with_changed_rows_is_made_again(tmp_path):
    location = Location(tmp_path)
    with instance(STUDY, "S2") as real:
        location.run(real, STUDY, "S2")
        location.rows["S2"] = [3, 4]
        location.run(real, STUDY, "S2")
        assert materializations(real, "doubled")["S2"][-1]["dagster/row_count"] == 2
    assert sorted(location.called) == [STUDY, "S2", "S2"]


@pytest.mark.parametrize("daily", [True, False])
def test_only_a_daily_result_is_made_again_on_another_day(tmp_path, monkeypatch, daily):
    location = Location(tmp_path, daily=daily)
    with instance(STUDY) as real:
        for day in (date(2026, 11, 28), date(2026, 11, 28), date(2026, 11, 29), date(2026, 11, 29)):
            monkeypatch.setattr(pure_results, "_today", lambda day=day: day)
            location.run(real)
    assert location.called == [STUDY, STUDY] if daily else [STUDY]


def test_the_counts_of_a_day_are_carried_forward():
    pipeline = pipeline_of(study_summary)
    assert (pipeline.pure, pipeline.daily) == (True, True)


def test_alone_in_a_run_it_is_carried_forward_by_the_stored_versions(tmp_path):
    location = Location(tmp_path)
    with instance(STUDY) as real:
        location.run(real)
        assert location.run(real, select=["doubled"])["refresh"] == "carried forward"
        location.rows[STUDY] = [7]
        location.run(real, select=["source"])
        assert "refresh" not in location.run(real, select=["doubled"])


def delete(store):
    store.delete(RESULT, kind=ArtifactKind.SET)


def overwrite(store):
    store.upload_set({"other": pa.table({"n": [5]})}, RESULT)


def publish_elsewhere(store):
    """The same version again, by somebody else: nobody knows from which inputs."""
    store.upload_set(store.download_set_tables(RESULT), RESULT)


@pytest.mark.parametrize("change", [delete, overwrite, publish_elsewhere])
def test_a_result_that_is_gone_or_was_published_by_others_is_made_again(tmp_path, change):
    location = Location(tmp_path)
    with instance(STUDY) as real:
        first = location.run(real)
        change(LocalPipelineStore(tmp_path / "artifacts"))
        assert location.run(real)["sha256"] == first["sha256"]
        assert location.run(real)["refresh"] == "carried forward"
    assert location.called == [STUDY, STUDY]


def test_other_code_makes_the_result_again_and_receives_no_previous_one(tmp_path):
    with instance(STUDY) as real:
        Location(tmp_path).run(real)
        location = Location(tmp_path, code_version="2")
        assert "refresh" not in location.run(real)
        assert location.run(real)["refresh"] == "carried forward"
    assert location.previous == [None]


def test_the_same_code_receives_the_previous_result_and_what_it_was_made_from(tmp_path):
    location = Location(tmp_path)
    with instance(STUDY) as real:
        location.run(real)
        location.rows[STUDY] = [1, 2, 3]
        location.run(real)
    (previous,) = location.previous[1:]
    assert list(previous.table) == ["numbers"]
    assert previous.upstream("source").table.columns(["n"])["n"].to_pylist() == [1, 2]


def test_a_full_run_makes_every_result(tmp_path):
    location = Location(tmp_path)
    with instance(STUDY) as real:
        location.run(real)
        result = location.defs.resolve_job_def("everything").execute_in_process(
            instance=real, tags={**range_tags(STUDY, STUDY), "orch_assets/full": "true"}
        )
        assert result.success
    assert location.called == [STUDY, STUDY]
    assert location.previous == [None, None]


def test_numbers_have_no_version_so_a_result_of_them_is_made_each_time(tmp_path):
    location = Location(tmp_path)
    with instance(STUDY) as real:
        location.run(real)
        location.rows[STUDY] = {"answer": 42}
        for _ in range(2):
            assert "refresh" not in location.run(real)
        assert "refresh" not in location.run(real, select=["doubled"])
    assert len(location.called) == 4


class Shelf(dg.IOManager):
    """A user's own IO manager."""

    def __init__(self):
        self.stored = {}

    def handle_output(self, context, obj):
        self.stored[tuple(context.asset_key.path), context.partition_key] = obj

    def load_input(self, context):
        return self.stored[tuple(context.asset_key.path), context.partition_key]


def test_with_an_io_manager_of_another_kind_every_result_is_made(tmp_path):
    location = Location(tmp_path, io_manager=Shelf())
    with instance(STUDY) as real:
        location.run(real)
        assert "refresh" not in location.run(real)
    assert location.called == [STUDY, STUDY]


def test_both_parts_are_carried_forward_and_handed_on(tmp_path):
    location = Location(tmp_path, split=True, whole=True)
    with instance(STUDY) as real:
        first, second = location.run(real), location.run(real)
        assert materializations(real, "after")[STUDY][-1]["data"] == {"rows": 3}
    parts = ["withheld_rows", "withheld_uri", "withheld_sha256", *KEPT]
    assert second["refresh"] == "carried forward"
    assert {name: second[name] for name in parts} == {name: first[name] for name in parts}
    assert location.called == [STUDY]


def test_a_result_whose_withheld_part_never_had_rows_is_carried_forward_and_handed_on(tmp_path):
    location = Location(tmp_path, split=True, whole=True)
    location.withheld, location.withheld_if_any = [], True
    with instance(STUDY) as real:
        location.run(real)
        second = location.run(real)
        assert materializations(real, "after")[STUDY][-1]["data"] == {"rows": 2}
    assert (second["refresh"], second["withheld_rows"]) == ("carried forward", 0)
    assert "withheld_uri" not in second


@pytest.mark.parametrize("store", ["artifacts", "restricted"])
def test_if_one_part_was_replaced_both_are_made_again(tmp_path, store):
    location = Location(tmp_path, split=True, whole=True)
    with instance(STUDY) as real:
        location.run(real)
        LocalPipelineStore(tmp_path / store).upload(pa.table({"n": [5]}), RESULT)
        assert "refresh" not in location.run(real)
        assert location.run(real)["refresh"] == "carried forward"


def test_a_changed_withheld_part_matters_only_to_those_who_take_it(tmp_path):
    both = Location(tmp_path / "both", split=True, whole=True)
    open_only = Location(tmp_path / "open", split=True)
    for location, refresh in ((both, None), (open_only, "carried forward")):
        with instance(STUDY) as real:
            location.run(real)
            location.withheld = [9, 9]
            assert location.run(real).get("refresh") == refresh
            location.withheld = [8]
            location.run(real, select=["source"])
            assert location.run(real, select=["doubled"]).get("refresh") == refresh


def test_an_async_pipeline_is_carried_forward_too(tmp_path):
    called = []

    @study_pipeline
    def source(study_key, sdk, study_logger):
        return pa.table({"n": [1]})

    @study_pipeline(pure=True)
    async def copied(study_key, sdk, study_logger, source: "pa.Table"):
        called.append(study_key)
        return source

    defs = definitions(tmp_path, source, copied)
    with instance(STUDY) as real:
        for _ in range(2):
            assert execute(defs, real, STUDY).is_success
        assert materializations(real, "copied")[STUDY][-1]["refresh"] == "carried forward"
    assert called == [STUDY]


def test_a_damaged_manifest_makes_the_result_again(tmp_path):
    location = Location(tmp_path)
    with instance(STUDY) as real:
        location.run(real)
        for path in location.files():
            if b"provenance" in path.read_bytes():
                path.write_bytes(b"{")
        assert "refresh" not in location.run(real)
        assert location.run(real)["refresh"] == "carried forward"
    assert location.called == [STUDY, STUDY]


PROVENANCE = {"run": "1", "pipeline": "doubled", "code_version": "1", MADE_BY: "x"}
PUBLICATION = replace(publication_here_and_now(), provenance=PROVENANCE)


@pytest.mark.parametrize("library", ["python", "orch-assets", "pyarrow", "pandas"])
def test_a_version_that_another_library_wrote_is_not_alike(library):
    assert is_made_alike(PUBLICATION, {**PROVENANCE, "run": "2"})
    libraries = {**PUBLICATION.libraries, library: "0.0.1"}
    assert not is_made_alike(replace(PUBLICATION, libraries=libraries), PROVENANCE)


@pytest.mark.parametrize("fact", ["pipeline", "code_version", MADE_BY])
def test_a_version_with_another_provenance_is_not_alike(fact):
    assert not is_made_alike(PUBLICATION, {**PROVENANCE, fact: "other"})
    lacking = {name: value for name, value in PROVENANCE.items() if name != fact}
    assert not is_made_alike(replace(PUBLICATION, provenance=lacking), PROVENANCE)


def test_a_release_that_recorded_nothing_is_not_alike():
    without = {name: value for name, value in PROVENANCE.items() if name != MADE_BY}
    assert not is_made_alike(replace(PUBLICATION, provenance=without), without)
    assert not is_made_alike(replace(PUBLICATION, libraries={}), PROVENANCE)


def test_the_digest_of_the_sources_is_the_same_each_time():
    assert source_digest() == source_digest.__wrapped__()
    assert len(source_digest()) == 64


@pytest.mark.parametrize("options", [{"reconciled": True}, {}])
def test_a_pure_pipeline_takes_its_data_from_upstreams(options):
    def alone(study_key, sdk, study_logger):
        return None

    def reads(study_key, sdk, study_logger, source):
        return None

    function = reads if options else alone
    with pytest.raises(PipelineDefinitionError, match="is pure, so its data must come from"):
        study_pipeline(pure=True, **options)(function)


def test_the_withheld_part_is_an_input_only_of_those_who_take_it(tmp_path):
    for folder, whole, parts in (("both", True, 2), ("open", False, 1)):
        location = Location(tmp_path / folder, split=True, whole=whole)
        with instance(STUDY) as real:
            location.run(real)
        kind = ArtifactKind.TABLE if whole else ArtifactKind.SET
        manifest = LocalPipelineStore(tmp_path / folder / "artifacts").manifest(RESULT, kind=kind)
        inputs = manifest.publications[-1].inputs
        assert len(inputs) == parts
        assert sum("restricted" in uri for uri in inputs) == parts - 1


def test_a_full_run_mends_a_table_that_is_lost(tmp_path):
    location = Location(tmp_path)
    with instance(STUDY) as real:
        location.run(real)
        (lost,) = (path for path in location.files() if "members" in path.parts)
        lost.unlink()
        assert location.run(real)["refresh"] == "carried forward"
        result = location.defs.resolve_job_def("everything").execute_in_process(
            instance=real, tags={**range_tags(STUDY, STUDY), "orch_assets/full": "true"}
        )
        assert result.success
    tables = LocalPipelineStore(tmp_path / "artifacts").download_set_tables(RESULT)
    assert tables["numbers"]["n"].to_pylist() == [1, 2]
