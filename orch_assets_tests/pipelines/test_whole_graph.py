"""All shipped pipelines in one graph: what a run leaves behind, and what of it anyone may read."""

import itertools
import json
import logging
from pathlib import Path

import dagster as dg
import pytest

from orch_assets import ImednetSDK, LocalPipelineStore, pipelines
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.defs.io.io_manager import StudyIOManager
from orch_assets.defs.resources import OrchestrationResource, RegistryResource, StoreResource
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.pipelines.records import records
from orch_assets.stores import ArtifactKind
from orch_assets_tests.pipelines.rows import run as run_pipeline
from orch_assets_tests.pipelines.rows import withheld_variables
from orch_assets_tests.support.harness import (
    definitions,
    everything_logged,
    execute,
    instance,
    materializations,
    states,
)

STUDIES = ["ONC-301", "CARD-202", "DERM-104"]
MARK = "planted"
DEFAULT = [each.name for each in discover_pipelines(pipelines) if not each.on_request]
SETS = ["form_tables"]
PICTURES = ["study_charts"]
TABLES = [name for name in DEFAULT if name not in {*SETS, *PICTURES}]
KINDS = {
    **dict.fromkeys(TABLES, ArtifactKind.TABLE),
    **dict.fromkeys(SETS, ArtifactKind.SET),
    **dict.fromkeys(PICTURES, ArtifactKind.PNG),
}
WHOLE = ["forms", "intervals", "sites", "subjects", "variables"]
SPLIT = ["codings", "queries", "record_revisions", "records", "visits"]


def plant(registry, study_key):
    """Put a text that is nowhere else into every place that may hold a withheld value."""
    closed = withheld_variables(registry, study_key)
    names, forms = {name for _, name in closed}, {form for form, _ in closed}
    numbers = itertools.count()

    def mark(old):
        return f"{MARK}-{next(numbers)}"

    def in_record(row):
        data = {
            key: mark(value) if (row["formKey"], key) in closed else value
            for key, value in row["recordData"].items()
        }
        return {**row, "recordData": data}

    def in_query(row):
        if row.get("variable") not in {*names, None}:
            return row
        comments = [{**one, "comment": mark(one)} for one in row["queryComments"]]
        return {**row, "description": mark(row), "queryComments": comments}

    def in_revision(row):
        return {**row, "reasonForChange": mark(row)} if row["formKey"] in forms else row

    def in_coding(row):
        return {**row, "variable": "ARM", "value": mark(row)} if row["codingId"] % 2 else row

    for endpoint, change in (
        ("records", in_record),
        ("queries", in_query),
        ("recordRevisions", in_revision),
        ("codings", in_coding),
    ):
        rows = registry.table(endpoint, study_key)
        rows._keep([change(row) for row in rows.rows])
    return next(numbers)


class Said(logging.Handler):
    """Keeps all that is logged, by anybody."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


class Run:
    """A run of everything over a registry with planted values, and a second one after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = DemoRegistry(studies=3, subjects=4)
        self.planted = {key: plant(self.registry, key) for key in STUDIES}
        with DemoServer(self.registry) as server, instance(*STUDIES) as real:
            resource = RegistryResource(
                kind="imednet",
                api_key=server.api_key,
                security_key=server.security_key,
                base_url=server.base_url,
            )
            functions = [each.function for each in discover_pipelines(pipelines)]
            defs = definitions(
                folder,
                *functions,
                registry=resource,
                orchestration=OrchestrationResource(max_workers=2),
            )
            self.runs = [
                execute(defs, real, STUDIES[0], STUDIES[-1], select=DEFAULT),
                execute(defs, real, STUDIES[0], STUDIES[-1], select=[*DEFAULT, "users"]),
            ]
            self.logged = "".join(everything_logged(real, run) for run in self.runs)
            self.states = {name: states(real, name) for name in [*DEFAULT, "users"]}
            self.events = {name: materializations(real, name) for name in [*DEFAULT, "users"]}

    @property
    def default(self) -> LocalPipelineStore:
        return LocalPipelineStore(self.folder / "artifacts")

    @property
    def restricted(self) -> LocalPipelineStore:
        return LocalPipelineStore(self.folder / "restricted")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        said = Said()
        patch.setattr(logging.root, "level", logging.INFO)
        patch.setattr(logging.root, "handlers", [*logging.root.handlers, said])
        run = Run(tmp_path_factory.mktemp("whole_graph"))
    run.said = "\n".join(said.lines)
    return run


def texts(store):
    """Return all tables of a store as text, those of a set as one."""
    tables = {
        name: str(store.download_table(name).to_pylist())
        for name in store.list_artifacts(kind=ArtifactKind.TABLE)
    }
    for name in store.list_artifacts(kind=ArtifactKind.SET):
        members = store.download_set_tables(name)
        tables[name] = str({member: table.to_pylist() for member, table in members.items()})
    return tables


def test_every_study_is_materialized_by_every_pipeline(ran):
    assert [run.status for run in ran.runs] == [dg.DagsterRunStatus.SUCCESS] * 2
    assert ran.states == {
        name: dict.fromkeys(STUDIES, "MATERIALIZED") for name in [*DEFAULT, "users"]
    }


def test_each_pipeline_leaves_one_artifact_for_each_study(ran):
    for kind in set(KINDS.values()):
        assert sorted(ran.default.list_artifacts(kind=kind)) == sorted(
            f"{name}/{study_key}"
            for name, each in KINDS.items()
            for study_key in STUDIES
            if each is kind
        )


def test_the_restricted_store_has_the_companions_and_the_users(ran):
    assert sorted(ran.restricted.list_artifacts(kind=ArtifactKind.TABLE)) == sorted(
        f"{name}/{study_key}"
        for name in [*SPLIT, "record_changes", "users"]
        for study_key in STUDIES
    )
    assert ran.restricted.list_artifacts(kind=ArtifactKind.SET) == [
        f"form_tables/{study_key}" for study_key in sorted(STUDIES)
    ]


def test_no_withheld_value_is_where_everybody_may_read(ran):
    assert min(ran.planted.values()) > 20
    for name, text in texts(ran.default).items():
        assert MARK not in text, name
    for path in (ran.folder / "artifacts").rglob("*"):
        assert path.is_dir() or MARK.encode() not in path.read_bytes(), path
    assert MARK not in ran.logged
    assert "[ONC-301]" in ran.said
    assert MARK not in ran.said


def test_every_withheld_value_is_in_a_companion(ran):
    found = texts(ran.restricted)
    for study_key, count in ran.planted.items():
        text = "".join(found[f"{name}/{study_key}"] for name in SPLIT)
        missing = [
            n for n in range(count) if f"{MARK}-{n}'" not in text and f'{MARK}-{n}"' not in text
        ]
        assert not missing


def test_the_events_tell_the_rows_of_both_parts(ran):
    for study_key in STUDIES:
        first = {name: ran.events[name][study_key][0] for name in DEFAULT}
        rows = {name: event["dagster/row_count"] for name, event in first.items() if name in TABLES}
        for name in ("records", "queries", "visits", "subjects", "sites"):
            assert rows[name] == len(ran.registry.rows(name, study_key))
        codings = len(ran.registry.rows("codings", study_key))
        assert rows["codings"] + first["codings"]["withheld_rows"] == codings
        assert {name for name in DEFAULT if "withheld_uri" in first[name]} == {
            *SPLIT,
            *SETS,
            "record_changes",
        }
        others = {first[name].get("withheld_rows") for name in [*WHOLE, "study"]}
        assert others == {0}


def test_a_second_run_over_the_same_data_publishes_no_new_version(ran):
    for name in DEFAULT:
        for study_key in STUDIES:
            first, second = ran.events[name][study_key]
            assert first["sha256"] == second["sha256"], name
            assert len(ran.default.versions(f"{name}/{study_key}", kind=KINDS[name])) == 1
    for name in SPLIT:
        for study_key in STUDIES:
            assert len(ran.restricted.versions(f"{name}/{study_key}")) == 1


def test_the_data_hold_nothing_of_the_run(ran):
    """No run's ID, no address of the registry; the manifests hold these."""
    runs = [run.run_id for run in ran.runs]
    for name in ran.default.list_artifacts(kind=ArtifactKind.TABLE):
        table = ran.default.download_table(name)
        told = json.dumps(
            {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        )
        assert not any(text in told for text in [*runs, "127.0.0.1"])


def test_the_size_of_the_pages_makes_no_other_version(tmp_path, server):
    manager = StudyIOManager(store=StoreResource(uri=str(tmp_path)))
    for page_size in (500, 20):
        keys = (server.api_key, server.security_key, server.base_url)
        with ImednetSDK(*keys, page_size=page_size) as sdk:
            variables = sdk.variables.table(STUDIES[0])
            table, _ = run_pipeline(records, sdk, STUDIES[0], variables=variables)
        with dg.build_output_context(asset_key=dg.AssetKey("records")) as context:
            manager.handle_output(context, table)
    assert len(LocalPipelineStore(tmp_path).versions("records")) == 1
