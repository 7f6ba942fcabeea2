"""Building only forms with changed records gives the same bytes as building all of them."""

import random

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from orch_assets import ImednetSDK, LocalPipelineStore, make_study_logger, split_withheld
from orch_assets.defs.resources import RegistryResource
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.errors import ImednetError
from orch_assets.imednet.form_tables import EarlierForms, build_form_tables
from orch_assets.imednet.form_tables.merged_form import MergedForm
from orch_assets.pipelines.form_tables import form_tables
from orch_assets.pipelines.forms import forms
from orch_assets.pipelines.records import records
from orch_assets.pipelines.variables import variables
from orch_assets.refreshing import PreviousResult
from orch_assets.stores import ArtifactKind
from orch_assets.stores.stored_versions import StoredMember
from orch_assets_tests.support.harness import definitions, execute, instance, materializations

STUDY = "ONC-301"


class Study:
    """A study of the simulator, with its tables as they are stored after each reading."""

    def __init__(self, folder):
        self.folder = folder
        self.registry = DemoRegistry(studies=1, subjects=4)
        self.stores = [LocalPipelineStore(folder / name) for name in ("open", "restricted")]
        self.whole = [LocalPipelineStore(folder / name) for name in ("open2", "restricted2")]
        self.previous = None

    def read(self, sdk):
        """Read the tables and publish them; return the arguments of ``form_tables``."""
        taken = {"variables": sdk.variables.table(STUDY), "forms": sdk.forms.table(STUDY)}
        for name, table in taken.items():
            self.stores[0].publish(table, name)
        parts = split_withheld(
            "records", sdk.records.table(STUDY), taken["variables"], sdk=sdk, study_key=STUDY
        )
        for store, part in zip(self.stores, (parts.table, parts.withheld), strict=True):
            store.publish(part, "records")
        return {**taken, "records": parts}

    def build(self, sdk, *, previous):
        """Build and publish the form tables, from a previous result or as a whole."""
        taken = self.read(sdk)
        for name in ("table", "withheld"):  # streams of small batches, as a store returns them
            part = getattr(taken["records"], name)
            batches = part.to_batches(max_chunksize=7)
            reader = pa.RecordBatchReader.from_batches(part.schema, batches)
            object.__setattr__(taken["records"], name, reader)
        logger = make_study_logger(STUDY)
        result = form_tables(STUDY, sdk, logger, **taken, previous=previous)
        stores = self.whole if previous is None else self.stores
        for store, tables in zip(stores, (result.table, result.withheld), strict=True):
            store.publish_set(tables, "form_tables")
        return result

    def remember(self):
        """Take what is stored now for the previous result."""
        names = ("records", "variables", "forms")
        tables = {
            name: PreviousResult(*(store.previous(name) for store in self.stores)) for name in names
        }
        members = [store.previous_members("form_tables") for store in self.stores]
        self.previous = PreviousResult(*members, upstreams=tables.get)


def change_answer(rng, registry, row):
    data = dict(row["recordData"])
    data[rng.choice(list(data))] = rng.choice(["12", "x", "2026-01-02", None])
    registry.update_row("records", STUDY, row["recordId"], recordData=data)


def change_status(rng, registry, row):
    registry.update_row("records", STUDY, row["recordId"], recordStatus=f"S{rng.random()}")


def change_keywords(rng, registry, row):
    """A column that form tables don't have."""
    registry.update_row("records", STUDY, row["recordId"], recordType=f"T{rng.random()}")


def mark_deleted(_rng, registry, row):
    registry.update_row("records", STUDY, row["recordId"], deleted=not row["deleted"])


def move(rng, registry, row):
    other = rng.choice(registry.rows("forms", STUDY))
    form = {"formId": other["formId"], "formKey": other["formKey"]}
    registry.update_row("records", STUDY, row["recordId"], **form)


def lose_reference(rng, registry, row):
    registry.update_row(
        "records", STUDY, row["recordId"], **{rng.choice(["formId", "formKey"]): None}
    )


def haunt(rng, registry, row):
    """A form that only records know, or one that has the name of another's table."""
    number, key = rng.choice([(901, "GHOST"), (902, "ghost"), (903, None), (None, "GHOST")])
    registry.update_row("records", STUDY, row["recordId"], formId=number, formKey=key)


def remove(_rng, registry, row):
    registry.delete_row("records", STUDY, row["recordId"])


def add(rng, registry, row):
    known = {each["recordId"] for each in registry.rows("records", STUDY)}
    number = rng.choice([number for number in range(1, max(known) + 9) if number not in known])
    registry.insert_row("records", STUDY, {**row, "recordId": number})


def relabel(rng, registry, _row):
    variable = rng.choice(registry.rows("variables", STUDY))
    changed = rng.choice(
        [
            {"label": f"L{rng.random()}"},
            {"blinded": not variable.get("blinded", False)},
            {"variableType": rng.choice(["TEXT", "INT", "DATE"])},
        ]
    )
    registry.update_row("variables", STUDY, variable["variableId"], **changed)


def rename_form(rng, registry, _row):
    form = rng.choice(registry.rows("forms", STUDY))
    registry.update_row("forms", STUDY, form["formId"], formName=f"N{rng.random()}")


OF_RECORDS = [
    change_answer,
    change_status,
    change_keywords,
    mark_deleted,
    move,
    lose_reference,
    haunt,
    remove,
    add,
]
EDITS = st.lists(st.sampled_from(OF_RECORDS), max_size=3)
DAYS = st.lists(EDITS | st.sampled_from([[relabel], [rename_form]]), min_size=1, max_size=3)


def assert_same_versions(study):
    for ours, whole in zip(study.stores, study.whole, strict=True):
        found = [
            store.manifest("form_tables", kind=ArtifactKind.SET).content.sha256
            for store in (ours, whole)
        ]
        assert found[0] == found[1]


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(days=DAYS, seed=st.integers(0, 999))
def test_after_any_edits_the_set_is_that_of_a_whole_build(tmp_path_factory, days, seed):
    rng, study = random.Random(seed), Study(tmp_path_factory.mktemp("study"))
    with (
        DemoServer(study.registry) as server,
        ImednetSDK(server.api_key, server.security_key, server.base_url) as sdk,
    ):
        result = study.build(sdk, previous=None)
        for store, tables in zip(study.stores, (result.table, result.withheld), strict=True):
            store.publish_set(tables, "form_tables")
        for edits in days:
            study.remember()
            for edit in edits:
                edit(rng, study.registry, rng.choice(study.registry.rows("records", STUDY)))
            study.build(sdk, previous=study.previous)
            study.build(sdk, previous=None)
            assert_same_versions(study)


@pytest.fixture(scope="module")
def sdk():
    """The client of a study that the tests below edit, each a record of its own."""
    registry = DemoRegistry(studies=1, subjects=4)
    with (
        DemoServer(registry) as server,
        ImednetSDK(server.api_key, server.security_key, server.base_url) as opened,
    ):
        opened.registry = registry
        yield opened


@pytest.fixture
def edited(sdk, tmp_path):
    """A study whose form tables were built and stored."""
    study = Study(tmp_path)
    study.registry = sdk.registry
    result = study.build(sdk, previous=None)
    for store, tables in zip(study.stores, (result.table, result.withheld), strict=True):
        store.publish_set(tables, "form_tables")
    study.remember()
    return study


def built(result):
    return [
        {name for name, table in tables.items() if not isinstance(table, StoredMember)}
        for tables in (result.table, result.withheld)
    ]


def a_record(study, form):
    return next(row for row in study.registry.rows("records", STUDY) if row["formKey"] == form)


def test_only_the_form_of_a_changed_record_is_built(sdk, edited):
    record = a_record(edited, "DM")
    edited.registry.update_row("records", STUDY, record["recordId"], recordStatus="Changed")
    result = edited.build(sdk, previous=edited.previous)
    assert built(result) == [{"DM"}, set()]
    assert result.table.built == ["DM"]
    changes = result.table.changes
    assert (changes.new, changes.changed, changes.vanished) == (0, 1, 0)
    assert changes.unchanged == len(edited.registry.rows("records", STUDY)) - 1


def test_a_changed_record_is_merged_into_its_forms_earlier_table(sdk, edited):
    record = a_record(edited, "DM")
    edited.registry.update_row("records", STUDY, record["recordId"], recordStatus="Merged")
    result = edited.build(sdk, previous=edited.previous)
    (merged,) = [table for table in result.table.values() if isinstance(table, MergedForm)]
    assert merged.rows["record_id"].to_pylist() == [record["recordId"]]
    edited.build(sdk, previous=None)
    assert_same_versions(edited)


def test_a_record_that_moves_builds_both_forms(sdk, edited):
    form_ids = {row["formKey"]: row["formId"] for row in edited.registry.rows("forms", STUDY)}
    form = {"formKey": "AE", "formId": form_ids["AE"]}
    record = a_record(edited, "DM")
    edited.registry.update_row("records", STUDY, record["recordId"], **form)
    opened, _ = built(edited.build(sdk, previous=edited.previous))
    assert opened == {"DM", "AE"}


def test_a_record_that_is_removed_builds_its_form(sdk, edited):
    record = a_record(edited, "VS")
    edited.registry.delete_row("records", STUDY, record["recordId"])
    result = edited.build(sdk, previous=edited.previous)
    assert built(result)[0] == {"VS"}
    assert result.table.changes.vanished == 1


@pytest.mark.parametrize("endpoint", ["variables", "forms"])
def test_a_changed_dictionary_builds_every_form(sdk, edited, endpoint):
    row_id = "variableId" if endpoint == "variables" else "formId"
    first = edited.registry.rows(endpoint, STUDY)[0]
    name = "label" if endpoint == "variables" else "formName"
    edited.registry.update_row(endpoint, STUDY, first[row_id], **{name: f"Other {first[name]}"})
    result = edited.build(sdk, previous=edited.previous)
    assert built(result) == [set(result.table), set(result.withheld)]
    assert result.table.changes is None


def test_what_is_gone_is_built_again(sdk, edited):
    gone = PreviousResult(edited.previous.table, edited.previous.withheld)
    result = edited.build(sdk, previous=gone)
    assert built(result)[0] == set(result.table)
    part = PreviousResult(edited.previous.table, None, upstreams=edited.previous.upstreams)
    assert EarlierForms.of(part, withheld=True) is None


def test_records_that_are_not_sorted_are_built_as_a_whole(sdk, edited):
    taken = edited.read(sdk)
    records = taken["records"].table
    reverse = records.take(pa.array(range(records.num_rows - 1, -1, -1)))
    whole = build_form_tables(reverse, taken["variables"], taken["forms"])
    again = build_form_tables(
        reverse, taken["variables"], taken["forms"], earlier=EarlierForms.of(edited.previous)
    )
    assert again.changes is None
    assert again.keys() == whole.keys()
    assert all(again[name].equals(whole[name], check_metadata=True) for name in whole)


def test_what_exceeds_the_memory_is_built_the_same(sdk, edited, monkeypatch):
    monkeypatch.setattr("orch_assets.pipelines.form_tables._MEMORY_BYTES", 1000)
    record = a_record(edited, "DM")
    edited.registry.update_row("records", STUDY, record["recordId"], recordStatus="Again")
    edited.build(sdk, previous=edited.previous)
    edited.build(sdk, previous=None)
    assert_same_versions(edited)


class Edited(RegistryResource):
    """An account whose studies the test edits."""

    kind: str | None = "imednet"
    url: str
    credentials: list[str]

    def _connect(self):
        return ImednetSDK(*self.credentials, self.url)


def test_in_dagster_only_forms_with_changed_records_are_written(tmp_path):
    registry = DemoRegistry(studies=1, subjects=4)
    (study_key,) = registry.study_keys()
    with DemoServer(registry) as server, instance(study_key) as real:
        account = Edited(url=server.base_url, credentials=[server.api_key, server.security_key])
        defs = definitions(tmp_path, forms, variables, records, form_tables, registry=account)

        def run():
            assert execute(defs, real, study_key).is_success
            members = LocalPipelineStore(tmp_path / "artifacts").members(f"form_tables/{study_key}")
            hashes = {name: content.sha256 for name, content in members.items()}
            return materializations(real, "form_tables")[study_key][-1], hashes

        first, before = run()
        same, _ = run()
        record = registry.rows("records", study_key)[0]
        with registry.edit(study_key) as edit:
            edit.records.set_status(record["recordId"], "Record Locked")
        changed, after = run()
        again, _ = run()
    assert again["refresh"] == "carried forward"  # also what has taken tables of the one before
    assert (first.get("refresh"), same["refresh"]) == (None, "carried forward")
    assert (same["sha256"], same["withheld_sha256"]) == (first["sha256"], first["withheld_sha256"])
    assert "refresh" not in changed
    counts = [changed[f"rows_{name}"] for name in ("new", "changed", "vanished")]
    assert counts == [0, 1, 0]
    assert changed["dagster/row_count"] == changed["rows_unchanged"] + 1
    assert {name for name in after if after[name] != before[name]} == {record["formKey"]}


def test_a_reading_that_fails_is_no_short_table(sdk, edited):
    taken = edited.read(sdk)
    batches = taken["records"].table.to_batches(max_chunksize=7)

    class Broken:
        schema = batches[0].schema

        def __iter__(self):
            yield from batches[:-1]
            raise ImednetError("cut")

    with pytest.raises(ImednetError, match="cut"):
        build_form_tables(
            Broken(),
            taken["variables"],
            taken["forms"],
            earlier=EarlierForms.of(edited.previous),
        )


@pytest.mark.parametrize("name", ["records", "form_tables"])
def test_over_a_damaged_earlier_version_the_forms_are_built_as_a_whole(sdk, edited, name):
    record = a_record(edited, "DM")
    edited.registry.update_row("records", STUDY, record["recordId"], recordStatus=f"After {name}")
    version = edited.previous.table if name == "form_tables" else None
    hashes = (
        {member.content.sha256 for member in version.values()}
        if version
        else {edited.previous.upstream("records").table.version}
    )
    for path in edited.folder.rglob("*"):
        if path.is_file() and any(each in str(path) for each in hashes):
            path.write_bytes(b"damaged")
    result = edited.build(sdk, previous=edited.previous)
    assert "DM" in result.table.built
    assert not any(isinstance(table, MergedForm) for table in result.table.values())
