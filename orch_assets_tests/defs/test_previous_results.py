"""What an incremental pipeline receives as its previous result."""

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from orch_assets import LocalPipelineStore, SplitTable, study_pipeline
from orch_assets.errors import ArtifactCorruptError
from orch_assets_tests.support.harness import definitions, execute, instance

NAMES = ("work", "numbers", "parts")


class Given:
    """What the pipeline ``work`` received in its runs, and a location that runs it.

    Attributes:
        numbers: what ``numbers`` and the open part of ``parts`` return next.
        previous: what ``work`` received, oldest first.
    """

    def __init__(self, folder, **resources):
        self.folder, self.numbers, self.previous = folder, [1], []

        @study_pipeline
        def numbers(study_key, sdk, study_logger):
            return pd.DataFrame({"n": self.numbers})

        @study_pipeline
        def parts(study_key, sdk, study_logger):
            return SplitTable(pa.table({"n": self.numbers}), pa.table({"n": [7]}))

        @study_pipeline
        def counts(study_key, sdk, study_logger):
            return {"n": 1}

        @study_pipeline(incremental=True)
        def work(study_key, sdk, study_logger, numbers, parts: SplitTable, counts, previous=None):
            list(parts.table), list(parts.withheld)
            self.previous.append(previous)
            return SplitTable(pa.table({"sum": [sum(numbers["n"])]}), pa.table({"sum": [7]}))

        self.defs = definitions(folder, numbers, parts, counts, work, **resources)

    def run(self, real, *select):
        assert execute(self.defs, real, "A", select=select or None).is_success

    def versions(self, store="artifacts"):
        """Return the current version of each table in a store."""
        found = LocalPipelineStore(self.folder / store)
        return {name: table.version for name in NAMES if (table := found.previous(f"{name}/A"))}


@pytest.fixture
def given(tmp_path):
    return Given(tmp_path)


def test_the_first_run_has_no_previous_result_and_the_next_one_both_parts(given):
    with instance("A") as real:
        given.run(real)
        versions = given.versions(), given.versions("restricted")
        given.numbers = [2]
        given.run(real)
    first, second = given.previous
    assert first is None
    parts = second.table, second.withheld
    assert [part.version for part in parts] == [each["work"] for each in versions]
    assert [part.columns(["sum"]).to_pydict() for part in parts] == [{"sum": [1]}, {"sum": [7]}]
    assert not second.read_whole
    assert not second.accept_other_registry


@pytest.mark.parametrize("select", [(), ("work",)])
def test_it_knows_what_it_was_made_from_and_what_the_pipeline_now_receives(given, select):
    """Whether its upstreams are made in the same run, or their stored results are loaded."""
    with instance("A") as real:
        given.run(real)
        then = given.versions()
        given.numbers = [2]
        given.run(real, "numbers", "parts")
        given.run(real, *select)
    previous, now = given.previous[-1], given.versions()
    for name in ("numbers", "parts"):
        assert previous.upstream(name).table.version == then[name] != now[name]
        assert previous.upstream(name).table.columns(["n"]).to_pydict() == {"n": [1]}
    assert previous.upstream("numbers").withheld is None
    assert previous.upstream("parts").withheld.columns(["n"]).to_pydict() == {"n": [7]}
    assert previous.upstream("counts") is None
    assert previous.upstream("nothing") is None
    assert dict(previous.inputs) == {name: now[name] for name in ("numbers", "parts")}


def test_without_an_open_part_there_is_no_previous_result(given):
    with instance("A") as real:
        given.run(real)
        LocalPipelineStore(given.folder / "artifacts").delete("work/A")
        given.run(real)
    assert given.previous == [None, None]


def test_using_a_damaged_previous_result_raises_an_error(given):
    """A table that only grows would lose its rows if it began anew."""
    with instance("A") as real:
        given.run(real)
        for entry in (given.folder / "artifacts" / "work").rglob("manifests/*/*"):
            entry.write_text("{}")
        given.run(real)
    assert given.previous[0] is None
    for use in ("version", "state", "num_rows"):
        with pytest.raises(ArtifactCorruptError, match="not what was written there"):
            getattr(given.previous[1].table, use)


class InMemory(dg.IOManager):
    """A user's own IO manager."""

    def __init__(self):
        self.kept = {}

    def handle_output(self, context, obj):
        self.kept[context.asset_key] = obj

    def load_input(self, context):
        return self.kept[context.asset_key]


def test_an_io_manager_of_a_user_has_no_previous_results(tmp_path):
    given = Given(tmp_path, io_manager=InMemory())
    with instance("A") as real:
        given.run(real)
        given.run(real)
    assert given.previous == [None, None]


def test_a_pipeline_that_is_all_withheld_has_no_withheld_part(tmp_path):
    received = []

    @study_pipeline(incremental=True, io_manager_key="restricted_io_manager")
    def people(study_key, sdk, study_logger, *, previous=None):
        received.append(previous)
        return pa.table({"n": [1]})

    defs = definitions(tmp_path, people)
    with instance("A") as real:
        for _ in range(2):
            assert execute(defs, real, "A").is_success
    assert received[0] is None
    assert received[1].table.num_rows == 1
    assert received[1].withheld is None


def test_an_async_pipeline_receives_it_too(tmp_path):
    received = []

    @study_pipeline(incremental=True)
    async def work(study_key, sdk, study_logger, *, previous=None):
        received.append(previous and previous.table.num_rows)
        return pa.table({"n": [1, 2]})

    defs = definitions(tmp_path, work)
    with instance("A") as real:
        for _ in range(2):
            assert execute(defs, real, "A").is_success
    assert received == [None, 2]


def test_a_pipeline_that_is_not_incremental_receives_none(tmp_path):
    received = []

    @study_pipeline
    def work(study_key, sdk, study_logger, *, previous=None):
        received.append(previous)
        return pa.table({"n": [1]})

    defs = definitions(tmp_path, work)
    with instance("A") as real:
        for _ in range(2):
            assert execute(defs, real, "A").is_success
    assert received == [None, None]
