"""Metadata that pipelines give in a ``Result``: beside this package's own, never in its place."""

from types import SimpleNamespace

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from orch_assets import Document, MultiStudyOrchestrator, Result, Skip, SplitTable, study_pipeline
from orch_assets.defs.io.event_metadata import RESERVED, together, users_metadata
from orch_assets.defs.io.io_manager import LocalPipelineIOManager
from orch_assets.errors import EventMetadataError
from orch_assets.pipelines import subjects
from orch_assets.stores import LocalPipelineStore
from orch_assets_tests.support.harness import (
    definitions,
    everything_logged,
    execute,
    instance,
    materializations,
    observations,
)

FRAME = pd.DataFrame({"n": [1, 2, 3]})
PLANTED = "Planted, Jane"


def outcomes(folder, *functions, runs=1, **resources):
    """Run pipelines for one study; return each one's newest event or failure, and the log."""
    found, logged = {}, ""
    with instance("ONC-301") as real:
        for _ in range(runs):
            run = execute(definitions(folder, *functions, **resources), real, "ONC-301")
            logged += everything_logged(real, run)
        for function in functions:
            name = function.__name__
            events = materializations(real, name).get("ONC-301", [])
            found[name] = events[-1] if len(events) == runs else observations(real, name)["ONC-301"]
    return found, logged


@study_pipeline
def table(study_key, sdk, study_logger):
    return Result(FRAME, {"checked": dg.MetadataValue.bool(True), "share": np.float64(0.5)})


@study_pipeline
def number(study_key, sdk, study_logger, table):
    assert len(table) == 3  # what is handed on is the value alone
    return Result(7, {"of": "rows", "by": {"a": [np.int64(1)]}})


@study_pipeline
def nothing(study_key, sdk, study_logger):
    return Result(None, {"why": dg.MetadataValue.md("*none*"), "n": np.int64(3), "empty": None})


@study_pipeline
def both(study_key, sdk, study_logger):
    return Result(SplitTable(pa.table({"n": [1]}), pa.table({"n": [2]})), {"parts": 2})


@study_pipeline
def streamed(study_key, sdk, study_logger):
    return Result(sdk.sites.batches(study_key), {"from": "a stream"})


@study_pipeline
async def later(study_key, sdk, study_logger):
    return Result({"x": "y"}, {"waited": False})


@study_pipeline
def picture(study_key, sdk, study_logger):
    return Result(Document(b"%PDF-", "application/pdf"), {"page": dg.MetadataValue.url("http://a")})


def test_metadata_stands_beside_ours_whatever_the_value_is(tmp_path):
    """Tags, and so data versions, come from the stored bytes alone."""
    found, _ = outcomes(tmp_path, table, number, nothing, both, streamed, later, picture)
    added = {
        "table": {"checked": True, "share": 0.5},
        "number": {"of": "rows", "by": {"a": [1]}},
        "nothing": {"why": "*none*", "n": 3, "empty": None},
        "both": {"parts": 2},
        "streamed": {"from": "a stream"},
        "later": {"waited": False},
        "picture": {"page": "http://a"},
    }
    for name, entries in added.items():
        event = found[name]
        assert event["status"] == "SUCCESS"
        assert {key: event[key] for key in entries} == entries
        assert event["tags"] == (
            {"dagster/data_version": event["sha256"]} if "sha256" in event else {}
        )
        # All others are ours, so none of them can be given in a Result.
        assert event.keys() - entries.keys() - {"run", "tags"} <= RESERVED
    assert (found["number"]["data"], found["nothing"]["data"]) == (7, None)
    assert found["both"]["withheld_rows"] == 1
    assert found["streamed"]["expected"] == found["streamed"]["dagster/row_count"]


@study_pipeline
def clash(study_key, sdk, study_logger):
    return Result(FRAME, {"sha256": PLANTED, "status": PLANTED})


@study_pipeline
def unshowable(study_key, sdk, study_logger):
    return Result(FRAME, {"when": pd.Timestamp("1975-05-17")})


@study_pipeline
def unshowable_inside(study_key, sdk, study_logger):
    return Result(FRAME, {"people": [{PLANTED}]})


@study_pipeline
def listed(study_key, sdk, study_logger):
    return Result(FRAME, [PLANTED])


@study_pipeline
def returned_skip(study_key, sdk, study_logger):
    return Result(Skip(PLANTED))


def test_metadata_that_can_not_be_added_fails_its_study_before_anything_is_stored(tmp_path):
    """The error names the key and what to do, and never the value."""
    functions = [clash, unshowable, unshowable_inside, listed, returned_skip]
    found, logged = outcomes(tmp_path, *functions)
    said = {
        "clash": "The metadata has sha256, status, which orch-assets writes itself.",
        "unshowable": "Metadata 'when' is of the type Timestamp, which Dagster can't show.",
        "unshowable_inside": "Metadata 'people' is of the type list",
        "listed": "A Result has metadata of the type list. Give a dict.",
        "returned_skip": "Raise it: raise Skip('why').",
    }
    for name, text in said.items():
        assert found[name]["status"] == "FAILED"
        assert text in found[name]["error"]
    assert PLANTED not in logged
    assert "1975-05" not in logged
    assert LocalPipelineStore(tmp_path / "artifacts").list_artifacts() == []


def test_a_key_made_of_data_is_not_in_the_error():
    key = f"{PLANTED} 1975"
    with pytest.raises(EventMetadataError) as caught:
        users_metadata({key: object()})
    assert key in str(caught.value)
    assert "entry 1" in caught.value.marked


def test_entries_of_one_key_are_an_error_whoever_wrote_them():
    assert together({"a": 1}, {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(EventMetadataError, match="has a, which"):
        together({"a": 1}, {"a": 1})
    for key in (1, ""):
        with pytest.raises(EventMetadataError, match=r"Key 1 .* is not text, or is empty"):
            users_metadata({key: 1})


@study_pipeline(pure=True)
def derived(study_key, sdk, study_logger, subjects: pa.Table):
    return Result(subjects.slice(0, 1), {"note": "one row"})


@study_pipeline(incremental=True)
def grown(study_key, sdk, study_logger, previous=None):
    return Result(sdk.sites.refresh(study_key, previous), {"again": previous is not None})


def test_a_result_that_is_carried_forward_keeps_its_metadata(tmp_path):
    """A pure pipeline isn't called again; an incremental one gives new metadata."""
    found, _ = outcomes(tmp_path, subjects.subjects, derived, grown, runs=2)
    assert found["derived"]["refresh"] == "carried forward"
    assert found["derived"]["note"] == "one row"
    assert found["grown"]["again"] is True
    assert found["grown"]["dagster/row_count"]


class Own(dg.IOManager):
    """A user's own IO manager, which keeps nothing.

    Args:
        metadata: what it adds.
    """

    def __init__(self, metadata):
        self.metadata = metadata

    def handle_output(self, context, obj):
        if context.asset_key.to_user_string() == "table":
            context.add_output_metadata(self.metadata)

    def load_input(self, context):
        return FRAME


@pytest.mark.parametrize("key", ["status", "withheld_rows", "requests_saved"])
def test_an_io_manager_of_a_user_can_not_take_a_key_of_ours(tmp_path, key):
    found, _ = outcomes(tmp_path, table, io_manager=Own({key: 1}))
    assert f"The metadata has {key}, which orch-assets writes itself" in found["table"]["error"]


def test_an_io_manager_of_a_user_and_a_result_each_have_their_own_keys(tmp_path):
    """It says what ours says of an artifact; a pipeline can't say that in its place."""
    about = {"rows": 3, "uri": "memory:", "sha256": "0" * 64, "mine": 1}
    found, _ = outcomes(tmp_path / "1", table, io_manager=Own(about))
    assert {key: found["table"][key] for key in about} == about
    found, _ = outcomes(tmp_path / "2", table, io_manager=Own({"checked": 1}))
    assert "The metadata has checked, which" in found["table"]["error"]


def materialized(folder, metadata):
    """Materialize an ordinary asset that gives metadata; return its event's."""

    @dg.asset
    def report():
        return dg.MaterializeResult(value=FRAME, metadata=metadata)

    io_manager = LocalPipelineIOManager(root=str(folder))
    result = dg.materialize([report], resources={"io_manager": io_manager}, raise_on_error=False)
    failure = next(iter(result.get_step_failure_events()), None)
    if failure is not None:
        return failure.step_failure_data.error.to_string()
    (event,) = result.asset_materializations_for_node("report")
    return {name: value.value for name, value in event.metadata.items()}


def test_an_ordinary_asset_s_own_metadata_is_not_replaced(tmp_path):
    described = dg.TableSchema([dg.TableColumn("n", description="A number.")])
    given = {"mine": 1, "dagster/row_count": 3, "dagster/column_schema": described}
    found = materialized(tmp_path, given)
    assert {key: found[key] for key in given} == given
    assert found["bytes"] > 0
    for key in ("sha256", "bytes", "dagster/uri"):
        said = materialized(tmp_path / "clash", {key: "x"})
        assert f"The metadata has {key}, which orch-assets writes itself" in said
    assert LocalPipelineStore(tmp_path / "clash").list_artifacts() == []
    said = materialized(tmp_path, {"dagster/row_count": 2})
    assert "the stored table has another number of rows" in said


def test_outside_dagster_the_value_is_the_data():
    """A figure and a document are the data, as they are."""
    sdk = SimpleNamespace(studies=Studies(["ONC-301"]))
    document, figure = Document(b"%PDF-", "application/pdf"), Figure()

    def alone(value):
        (result,) = MultiStudyOrchestrator(sdk).execute_pipeline(lambda *_: value).values()
        return result["data"]

    assert alone(Result(document, {"a": 1})) is alone(document) is document
    assert alone(figure) is figure


class Studies:
    """The part of an SDK that lists the studies."""

    def __init__(self, keys):
        self.keys = keys

    def list(self):
        return [SimpleNamespace(study_key=key) for key in self.keys]
