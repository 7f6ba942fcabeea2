"""A pipeline takes what its own run has made, whatever another run has published meanwhile."""

import pyarrow as pa
import pytest

from orch_assets import LocalPipelineStore, SplitTable, StoredTables, study_pipeline
from orch_assets.stores import ArtifactKind, StorageFormat
from orch_assets_tests.support.harness import definitions, execute, instance, observations

OWN, OTHERS = pa.table({"n": [1, 2]}), pa.table({"n": [3]})
UPSTREAMS = {"rows": "table", "tables": "set", "parts": "table", "sets": "set"}


def own():
    """Return a stream: it isn't held in memory, so what takes it must load it."""
    return OWN.to_reader()


@study_pipeline
def rows(study_key, sdk, study_logger):
    return own()


@study_pipeline
def tables(study_key, sdk, study_logger):
    return {"a": own()}


@study_pipeline
def parts(study_key, sdk, study_logger):
    return SplitTable(own(), own())


@study_pipeline
def sets(study_key, sdk, study_logger):
    return SplitTable({"a": own()}, {"a": own()})


class Location:
    """A location whose run is overtaken by another one, and what its last pipelines took.

    Args:
        folder: Where its stores are.
        table_format: Format of their tables.
        removed: Whether what the run has made is removed then.
    """

    def __init__(self, folder, table_format, *, removed=False):
        self.removed, self.taken = removed, {}
        self.stores = [
            LocalPipelineStore(folder / name, format=table_format)
            for name in ("artifacts", "restricted")
        ]

        @study_pipeline
        def other_run(study_key, sdk, study_logger, rows, tables, parts, sets: StoredTables):
            self.overtake()
            return 1

        @study_pipeline
        def one_taken(study_key, sdk, study_logger, other_run, rows, tables):
            self.taken["rows"], self.taken["tables"] = [[*rows["n"]]], [[*tables["a"]["n"]]]
            return OWN

        @study_pipeline
        def parts_taken(study_key, sdk, study_logger, other_run, parts: SplitTable):
            both = (parts.table.read_all(), parts.withheld.read_all())
            self.taken["parts"] = [each["n"].to_pylist() for each in both]
            return OWN

        @study_pipeline
        def sets_taken(study_key, sdk, study_logger, other_run, sets: StoredTables):
            both = (sets.table.table("a"), sets.withheld.table("a"))
            self.taken["sets"] = [each.columns(["n"])["n"].to_pylist() for each in both]
            return OWN

        functions = (rows, tables, parts, sets, other_run, one_taken, parts_taken, sets_taken)
        self.defs = definitions(folder, *functions)

    def overtake(self):
        """Publish everything as another run would."""
        for store in self.stores:
            for artifact in store.list_artifacts():
                kind = UPSTREAMS[artifact.partition("/")[0]]
                publish = {"table": store.publish, "set": store.publish_set}[kind]
                publish(OTHERS if kind == "table" else {"a": OTHERS}, artifact)
            if self.removed:
                store.retain(keep_last=1)

    def own_inputs(self, name):
        """Return how many inputs of a result are versions that its own run has made."""
        (made,) = self.stores[0].versions(f"{name}/A")
        inputs = set(made.publications[-1].inputs.items())
        own = {
            (store.uri(f"{each}/A", kind=ArtifactKind(kind)), versions[0].content.sha256)
            for store in self.stores
            for each, kind in UPSTREAMS.items()
            if (versions := store.versions(f"{each}/A", kind=ArtifactKind(kind)))
        }
        return len(inputs & own) if inputs <= own else None


@pytest.fixture(params=StorageFormat)
def table_format(request, monkeypatch):
    monkeypatch.setenv("ORCH_STORE_FORMAT", request.param)
    return request.param


def test_what_the_run_has_made_is_taken_and_noted(tmp_path, table_format):
    location = Location(tmp_path, table_format)
    with instance("A") as real:
        assert execute(location.defs, real, "A").is_success
    one, both = [[1, 2]], [[1, 2], [1, 2]]
    assert location.taken == {"rows": one, "tables": one, "parts": both, "sets": both}
    names = ("one_taken", "parts_taken", "sets_taken")
    assert [location.own_inputs(name) for name in names] == [2, 2, 2]


def test_what_was_removed_meanwhile_is_an_error(tmp_path, table_format):
    location = Location(tmp_path, table_format, removed=True)
    taken = {"one_taken": "rows", "parts_taken": "parts", "sets_taken": "sets"}
    with instance("A") as real:
        assert not execute(location.defs, real, "A").is_success
        for name, upstream in taken.items():
            error = observations(real, name)["A"]["error"]
            assert error.startswith(f"ArtifactNotFoundError: The version of {upstream} that this ")
    assert location.taken == {}
