"""Exports as assets: made by real runs, carried forward, resumed, skipped, strict, and withheld."""

import io
import json

import pyarrow as pa
import pyarrow.csv as pc
import pytest

from orch_assets import LocalPipelineStore, Skip, SplitTable, study_pipeline
from orch_assets.defs.exports.export_pipelines import export_pipelines
from orch_assets.exports.export_format import FORMATS, TITLES
from orch_assets.exports.export_notes import MEANINGS, NoteKind
from orch_assets.stores import ArtifactKind
from orch_assets_tests.support.harness import (
    definitions,
    everything_logged,
    execute,
    in_state,
    instance,
    materializations,
    observations,
    resume,
)

PLANTED = "PLANTED-BLINDED-VALUE"
FIRST, SECOND, THIRD = "S1", "S2", "S3"


class Location:
    """A code location: ``form_tables`` returns what the test sets, and is exported as CSV."""

    def __init__(self, folder, formats=("csv",)):
        self.folder = folder
        self.tables = {
            study: {"AE": pa.table({"record_id": [1, 2], "AETERM": [f"{study} mild", ""]})}
            for study in (FIRST, SECOND, THIRD)
        }
        self.withheld = {"AE": pa.table({"record_id": [1], "ARM": [PLANTED]})}
        self.fails = set()

        @study_pipeline
        def form_tables(study_key, sdk, study_logger):
            if isinstance(self.tables[study_key], Skip):
                raise self.tables[study_key]
            return SplitTable(dict(self.tables[study_key]), dict(self.withheld))

        @study_pipeline
        def afterwards(study_key, sdk, study_logger):
            if study_key in self.fails:
                raise ValueError
            return {"done": 1}

        self.defs = definitions(folder, form_tables, *export_pipelines(formats), afterwards)

    @property
    def store(self):
        return LocalPipelineStore(self.folder / "artifacts")

    @property
    def restricted(self):
        return LocalPipelineStore(self.folder / "restricted")

    def read(self, study, file, store=None, asset="form_tables_csv"):
        with (store or self.store).open_file(f"{asset}/{study}", file) as opened:
            return opened.read()


@pytest.fixture
def real():
    with instance(FIRST, SECOND, THIRD) as found:
        yield found


def test_each_study_has_its_files_with_metadata_sources_and_notes(tmp_path, real):
    location = Location(tmp_path)
    assert execute(location.defs, real, FIRST, THIRD).is_success
    (event,) = materializations(real, "form_tables_csv")[FIRST]
    table = pc.read_csv(
        io.BytesIO(location.read(FIRST, "AE.csv")),
        convert_options=pc.ConvertOptions(
            strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    assert table.to_pylist() == location.tables[FIRST]["AE"].to_pylist()
    about = json.loads(location.read(FIRST, "export.json"))
    source = location.store.previous_members(f"form_tables/{FIRST}")
    assert [(each["uri"], each["version"], each["rows"]) for each in about["sources"]] == [
        (source.uri, source.version, 2)
    ]
    published = location.store.previous_files(f"form_tables_csv/{FIRST}")
    assert published.inputs == {
        source.uri: source.version,
        **{
            each.uri: each.version
            for each in [location.restricted.previous_members(f"form_tables/{FIRST}")]
        },
    }
    found = {name: event[name] for name in ("dagster/row_count", "export_files", "sha256")}
    assert found == {"dagster/row_count": 2, "export_files": 1, "sha256": published.version}
    assert event["verified_by"] == about["verified_by"] == published.state["verified_by"]
    assert event["withheld_rows"] == 1


def test_the_event_says_what_the_format_cannot_hold_in_words(tmp_path, real):
    location = Location(tmp_path, formats=["xpt"])
    execute(location.defs, real, FIRST)
    execute(location.defs, real, FIRST)
    first, again = materializations(real, "form_tables_xpt")[FIRST]
    assert again["refresh"] == "carried forward"
    for event in (first, again):
        assert event["export_format"] == "SAS transport, version 5 (xpt)"
        assert event["export_notes"] == 2
        rows = [each.data for each in event["export_notes_by_kind"].records]
        assert rows == [
            {"kind": "empty_text", "notes": 1, "meaning": "can't be told from no text"},
            {"kind": "name", "notes": 1, "meaning": MEANINGS["name"]},
        ]


def test_each_kind_of_note_has_a_meaning_and_each_format_a_title():
    assert list(MEANINGS) == list(NoteKind)
    assert tuple(TITLES) == FORMATS


def test_nothing_is_written_again_for_the_same_form_tables(tmp_path, real):
    location = Location(tmp_path)
    execute(location.defs, real, FIRST, SECOND)
    location.tables[SECOND]["AE"] = location.tables[SECOND]["AE"].slice(1)
    execute(location.defs, real, FIRST, SECOND)
    found = materializations(real, "form_tables_csv")
    assert [each.get("refresh") for each in found[FIRST]] == [None, "carried forward"]
    assert [each.get("refresh") for each in found[SECOND]] == [None, None]
    first, second = (
        location.store.versions(f"form_tables_csv/{each}", kind=ArtifactKind.FILES)
        for each in (FIRST, SECOND)
    )
    assert (len(first), len(first[0].publications), len(second)) == (1, 1, 2)


def test_a_withheld_value_is_in_no_open_file_event_or_log(tmp_path, real):
    location = Location(tmp_path)
    run = execute(location.defs, real, FIRST, THIRD)
    assert PLANTED.encode() in location.read(FIRST, "AE.csv", location.restricted)
    opened = [each for each in (tmp_path / "artifacts").rglob("*") if each.is_file()]
    assert opened
    assert [each for each in opened if PLANTED.encode() in each.read_bytes()] == []
    assert [each for each in opened if b"ARM" in each.read_bytes()] == []
    assert PLANTED not in everything_logged(real, run)


def test_a_skipped_study_has_no_export_and_the_others_have(tmp_path, real):
    location = Location(tmp_path)
    location.tables[SECOND] = Skip("not yet begun")
    execute(location.defs, real, FIRST, THIRD)
    events = materializations(real, "form_tables_csv")
    assert events[SECOND][0]["data"] == {"skipped": "form_tables was skipped: not yet begun"}
    assert location.store.list_artifacts("form_tables_csv", kind=ArtifactKind.FILES) == [
        f"form_tables_csv/{FIRST}", f"form_tables_csv/{THIRD}",
    ]  # fmt: skip


def test_a_resumed_run_makes_no_export_again(tmp_path, real):
    location = Location(tmp_path)
    location.fails = {SECOND}
    failed = execute(location.defs, real, FIRST, THIRD)
    location.fails = set()
    resume(location.defs, real, failed)
    events = materializations(real, "form_tables_csv")
    assert [len(events[each]) for each in (FIRST, SECOND, THIRD)] == [2, 2, 2]
    assert all("carried_from" in events[each][1] for each in events)
    assert len(location.store.versions(f"form_tables_csv/{FIRST}", kind=ArtifactKind.FILES)) == 1


def test_strict_fails_only_the_study_that_has_a_note(tmp_path, real):
    """A list in CSV is text, which is noted; so a strict export fails."""
    location = Location(tmp_path)
    for each in location.tables.values():
        each["AE"] = each["AE"].slice(0, 1)  # the second text is empty, which is noted
    location.tables[SECOND]["LB"] = pa.table({"x": pa.array([[1]], pa.list_(pa.int64()))})
    config = {"ops": {"study_graph": {"config": {"form_tables_csv": {"strict": True}}}}}
    result = location.defs.resolve_job_def("everything").execute_in_process(
        instance=real,
        tags={
            "dagster/asset_partition_range_start": FIRST,
            "dagster/asset_partition_range_end": THIRD,
        },
        raise_on_error=False,
        run_config=config,
    )
    assert not result.success
    assert in_state(real, "form_tables_csv", "FAILED") == [SECOND]
    error = observations(real, "form_tables_csv")[SECOND]["error"]
    assert error.startswith("ExportRefusedError: ")
    assert "type 1" in error
    names = location.store.list_artifacts("form_tables_csv", kind=ArtifactKind.FILES)
    assert names == [f"form_tables_csv/{FIRST}", f"form_tables_csv/{THIRD}"]


@pytest.mark.parametrize("part", ["tables", "withheld"])
def test_neither_part_is_published_if_one_is_refused(tmp_path, real, part):
    location = Location(tmp_path)
    stores = location.store, location.restricted
    location.tables[FIRST]["AE"] = location.tables[FIRST]["AE"].slice(0, 1)
    config = {"ops": {"study_graph": {"config": {"form_tables_csv": {"strict": True}}}}}
    job = location.defs.resolve_job_def("everything")
    run = {"instance": real, "partition_key": FIRST, "run_config": config, "raise_on_error": False}
    assert job.execute_in_process(**run).success
    earlier = [store.previous_files(f"form_tables_csv/{FIRST}").version for store in stores]
    for name, each in (("tables", location.tables[FIRST]), ("withheld", location.withheld)):
        each["LB"] = pa.table({"x": [[1]] if name == part else [1]})
    assert not job.execute_in_process(**run).success
    assert "type 1" in observations(real, "form_tables_csv")[FIRST]["error"]
    after = [store.previous_files(f"form_tables_csv/{FIRST}").version for store in stores]
    assert after == earlier


def test_names_that_an_export_gave_stay_in_later_ones(tmp_path, real):
    location = Location(tmp_path, formats=["xpt"])
    ids = {"record_id": [1]}
    location.tables[FIRST] = {"AE": pa.table({**ids, "adverse_event_two": [2]})}
    execute(location.defs, real, FIRST)
    first = location.store.previous_files(f"form_tables_xpt/{FIRST}").state["names"]["AE"]
    columns = {**ids, "adverse_event_one": [1], "adverse_event_two": [2]}
    location.tables[FIRST] = {"AE": pa.table(columns)}
    execute(location.defs, real, FIRST)
    second = location.store.previous_files(f"form_tables_xpt/{FIRST}").state["names"]["AE"]
    assert {name: second[name] for name in first} == first
    assert second["adverse_event_one"] not in first.values()


def test_a_pipeline_that_takes_an_export_is_told_what_to_take(tmp_path, real):
    location = Location(tmp_path)
    execute(location.defs, real, FIRST)

    @study_pipeline
    def reader(study_key, sdk, study_logger, form_tables_csv):
        return {"read": 1}

    exports = export_pipelines(["csv"])

    @study_pipeline
    def form_tables(study_key, sdk, study_logger):
        return SplitTable(location.tables[study_key], location.withheld)

    defs = definitions(tmp_path, form_tables, *exports, reader)
    execute(defs, real, FIRST)
    error = observations(real, "reader")[FIRST]["error"]
    assert error.startswith("StoreError: ")
    assert "has files, which can't be loaded as a table" in error
