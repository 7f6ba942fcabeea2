"""An asset over all studies gets those that are there, and says which are missing or older."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from orch_assets import Skip, study_pipeline
from orch_assets.defs.dagster_internals import step_of
from orch_assets.defs.io.io_manager import LocalPipelineIOManager
from orch_assets.errors import StudiesMissingError
from orch_assets.stores import LocalPipelineStore
from orch_assets_tests.support.harness import definitions, evaluate, execute, instance

STUDIES = ["A-1", "B-2", "C-3", "D-4", "E-5"]
# What each study's pipeline does in a run: a table, a number, nothing, a skip or a failure.
behaviour: dict[str, str] = {}


@study_pipeline
def subjects(study_key, sdk, study_logger):
    kind = behaviour.get(study_key, "table")
    if kind == "fails":
        raise RuntimeError(study_key)
    if kind == "skips":
        raise Skip("no PK")
    table = pd.DataFrame({"id": [f"{study_key}-001", f"{study_key}-002"]})
    return {"table": table, "number": 7, "nothing": None}[kind]


def pooled(annotation=dict[str, pd.DataFrame], metadata=None, own=None, name="pooled"):
    """Return an asset over all studies, and what it has received."""
    seen = []

    def function(subjects):
        seen.append(subjects)
        return dg.MaterializeResult(value=pd.DataFrame({"n": [1]}), metadata=own)

    function.__annotations__["subjects"] = annotation
    ins = {"subjects": dg.AssetIn(metadata=metadata)}
    return dg.asset(function, name=name, ins=ins), seen


def make(folder, asset, real, io_manager=None):
    """Materialize the pooled asset in a run of its own; return its metadata, or its error."""
    studies_io = LocalPipelineIOManager(root=str(folder / "artifacts"))
    result = dg.materialize(
        [*definitions(folder, subjects).assets, asset],
        selection=[asset],
        instance=real,
        resources={
            **definitions(folder, subjects).resources,
            "io_manager": studies_io,
            "other": io_manager or studies_io,
        },
        raise_on_error=False,
    )
    if not result.success:
        (failure,) = result.get_step_failure_events()
        return failure.step_failure_data.error.to_string()
    (event,) = result.asset_materializations_for_node(asset.node_def.name)
    return {name: value.value for name, value in event.metadata.items()}


@pytest.fixture
def real(tmp_path):
    """A, B and C have a table; then B fails and C is skipped; D is new, E fails at once."""
    behaviour.clear()
    with instance(*STUDIES) as made:
        defs = definitions(tmp_path, subjects)
        assert execute(defs, made, "A-1", "C-3").is_success
        behaviour.update({"B-2": "fails", "C-3": "skips", "E-5": "fails"})
        assert not execute(defs, made, "B-2", "C-3").is_success
        assert not execute(defs, made, "E-5").is_success
        yield made


def test_the_studies_that_are_there_come_with_the_list_of_the_others(tmp_path, real):
    """The list is in the dict and, without any doing of the asset, on its materialization."""
    asset, seen = pooled()
    metadata = make(tmp_path, asset, real)
    (tables,) = seen
    assert {study: list(table["id"]) for study, table in tables.items()} == {
        "A-1": ["A-1-001", "A-1-002"],
        "B-2": ["B-2-001", "B-2-002"],
    }
    assert (tables.missing, tables.skipped) == (("D-4", "E-5"), ("C-3",))
    assert list(tables.older) == ["B-2"]
    assert tables.older["B-2"].tzinfo is not None
    counts = {name: metadata[f"studies_{name}"] for name in ("missing", "skipped", "older")}
    assert counts == {"missing": 2, "skipped": 1, "older": 1}
    gaps = metadata["study_gaps"]["subjects"]
    assert (gaps["missing"], gaps["skipped"]) == (["D-4", "E-5"], ["C-3"])
    assert datetime.fromisoformat(gaps["older"]["B-2"]) == tables.older["B-2"].replace(
        microsecond=0
    )
    assert metadata["dagster/row_count"] == 1


@pytest.mark.parametrize("annotation", [pd.DataFrame, pa.Table, pa.RecordBatchReader])
def test_one_table_of_all_studies_has_the_list_on_its_materialization(annotation, tmp_path, real):
    asset, seen = pooled(annotation)
    metadata = make(tmp_path, asset, real)
    table = seen[0].read_all() if annotation is pa.RecordBatchReader else seen[0]
    assert set(map(str, table["study_key"])) == {"A-1", "B-2"}
    assert metadata["studies_missing"] == 2
    assert list(metadata["study_gaps"]["subjects"]["older"]) == ["B-2"]


def test_the_list_is_there_whichever_io_manager_stores_the_result(tmp_path, real):
    class Own(dg.IOManager):
        def handle_output(self, context, obj):
            assert step_of(context) is not None

        def load_input(self, context):
            raise NotImplementedError

    asset, _ = pooled()
    asset = asset.map_asset_specs(lambda spec: spec.with_io_manager_key("other"))
    assert make(tmp_path, asset, real, Own())["studies_missing"] == 2


def test_a_complete_pool_says_so(tmp_path, real):
    """A study that is run again well is as the others: neither older nor missing."""
    behaviour.clear()
    assert execute(definitions(tmp_path, subjects), real, "A-1", "E-5").is_success
    asset, seen = pooled(metadata={"require_all": True})
    metadata = make(tmp_path, asset, real)
    assert list(seen[0]) == STUDIES
    assert [metadata[f"studies_{name}"] for name in ("missing", "skipped", "older")] == [0, 0, 0]


def test_a_required_study_that_is_missing_skipped_or_older_is_named_in_the_error(tmp_path, real):
    asset, seen = pooled(metadata={"require_all": True})
    error = make(tmp_path, asset, real)
    assert (
        "This asset requires subjects for all studies, but it lacks D-4, E-5 (missing); " in error
    )
    assert "C-3 (skipped); B-2 (older than their newest run)." in error
    asset, _ = pooled(metadata={"require_all": "unless skipped"})
    assert "C-3" not in make(tmp_path, asset, real).partition("Stack Trace")[0]
    asset, _ = pooled(metadata={"require_all": "yes"})
    assert "require_all in an input's metadata must be True, False or" in make(
        tmp_path, asset, real
    )
    assert seen == []


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"requireall": True}, "require_all is misspelt as requireall in an input's metadata."),
        ({"Required_All": True}, "require_all is misspelt as Required_All"),
        ({"require_all": [True]}, "require_all in an input's metadata must be True, False or"),
    ],
)
def test_a_wrong_or_misspelt_require_all_is_an_error(tmp_path, real, metadata, said):
    """Ignored, it would give a table that looks complete."""
    asset, seen = pooled(metadata=metadata)
    assert said in make(tmp_path, asset, real)
    assert seen == []


def test_other_metadata_of_an_input_is_left_alone(tmp_path, real):
    asset, seen = pooled(metadata={"required": True, "owner": "all"})
    make(tmp_path, asset, real)
    assert len(seen) == 1


def test_an_error_names_a_few_studies_and_how_many_more():
    error = StudiesMissingError("subjects", [f"S-{n}" for n in range(40)], [], [])
    assert "S-0, S-1, S-2, S-3, S-4 and 35 more (missing)." in str(error)


def test_a_table_without_its_event_and_an_event_without_its_table(tmp_path, real):
    """What this instance never saw may be of any age; what was deleted is missing."""
    store = LocalPipelineStore(tmp_path / "artifacts")
    store.upload(pd.DataFrame({"id": ["x"]}), "subjects/D-4")
    store.delete("subjects/A-1")
    asset, seen = pooled()
    make(tmp_path, asset, real)
    assert list(seen[0]) == ["B-2", "D-4"]
    assert seen[0].missing == ("A-1", "E-5")
    assert seen[0].older["D-4"] is None


def test_numbers_come_in_a_dict_and_are_no_table(tmp_path, real):
    """Neither is a result of None, which a study's earlier table doesn't stand for."""
    behaviour.update({"A-1": "number", "B-2": "nothing"})
    assert execute(definitions(tmp_path, subjects), real, "A-1", "B-2").is_success
    asset, seen = pooled(dict)
    make(tmp_path, asset, real)
    assert dict(seen[0]) == {"A-1": 7}
    assert "B-2" in seen[0].missing
    asset, _ = pooled(pd.DataFrame)
    assert "subjects is no table for A-1, but numbers." in make(tmp_path, asset, real)


def test_without_any_study_there_is_no_pool(tmp_path):
    behaviour.clear()
    with instance(*STUDIES) as made:
        assert "No study has a result of subjects" in make(tmp_path, pooled()[0], made)
        allowed, seen = pooled(metadata={"allow_missing_partitions": True})
        assert make(tmp_path, allowed, made)["studies_missing"] == len(STUDIES)
        assert seen == [{}]


def test_automation_makes_the_pool_although_a_study_has_no_table(tmp_path, real):
    """As the how-to page says; Dagster's eager condition alone would wait for that study."""
    eager = dg.AutomationCondition.eager()
    anyway = eager.without(~dg.AutomationCondition.any_deps_missing())
    assets = [pooled(name=name)[0] for name in ("waiting", "going_on")]
    conditions = {"waiting": eager, "going_on": anyway}
    assets = [
        asset.map_asset_specs(
            lambda spec: spec.replace_attributes(
                automation_condition=conditions[spec.key.to_user_string()]
            )
        )
        for asset in assets
    ]
    defs = definitions(tmp_path, subjects)
    both = dg.Definitions.merge(defs, dg.Definitions(assets=assets))
    now = datetime.now(UTC)
    first = evaluate(both, real, None, now)
    execute(defs, real, "A-1")
    second = evaluate(both, real, first.cursor, now + timedelta(minutes=1))
    requested = {name: second.get_num_requested(dg.AssetKey(name)) for name in conditions}
    assert requested == {"waiting": 0, "going_on": 1}


def test_an_asset_can_not_say_itself_that_nothing_is_missing(tmp_path, real):
    asset, _ = pooled(own={"studies_missing": 0})
    assert "The metadata has studies_missing, which orch-assets writes" in make(
        tmp_path, asset, real
    )
