"""A skipped study: a materialization without an artifact, after which nothing older is current."""

import asyncio
import threading

import dagster as dg
import pyarrow as pa
import pytest

from orch_assets import LocalPipelineStore, Skip, study_pipeline
from orch_assets.defs import events
from orch_assets.study import in_study_context
from orch_assets_tests.support.harness import (
    definitions,
    execute,
    instance,
    materializations,
    resume,
    states,
)

STUDY = "S1"


class Location:
    """``source`` is skipped for the studies in ``skips``; ``needs`` and ``may`` take it."""

    def __init__(self, folder):
        self.skips = {}
        self.calls = []
        self.previous = []

        @study_pipeline(incremental=True)
        def source(study_key, sdk, study_logger, *, previous=None):
            self.previous.append(previous)
            if study_key in self.skips:
                raise Skip(self.skips[study_key])
            return pa.table({"n": [len(self.previous)]})

        @study_pipeline
        def needs(study_key, sdk, study_logger, source):
            self.calls.append(("needs", study_key))
            return len(source)

        @study_pipeline
        def after(study_key, sdk, study_logger, needs):
            self.calls.append(("after", study_key))
            return needs

        @study_pipeline
        def may(study_key, sdk, study_logger, source: "pa.Table | None" = None):
            assert source is None or isinstance(source, pa.Table)
            self.calls.append(("may", study_key))
            return {"rows": 0 if source is None else source.num_rows}

        @study_pipeline(pure=True)
        def pure(study_key, sdk, study_logger, source: pa.Table):
            self.calls.append(("pure", study_key))
            return source

        self.defs = definitions(folder, source, needs, after, may, pure)
        self.store = LocalPipelineStore(folder / "artifacts")

    def run(self, real, first=STUDY, last=None, **options):
        self.calls.clear()
        ended = execute(self.defs, real, first, last, **options)
        assert ended.is_success
        return {
            name: materializations(real, name)[first][-1]
            for name in ("source", "needs", "after", "may", "pure")
            if materializations(real, name).get(first)
        }


def test_a_skip_is_a_success_with_the_reason_and_dependants_name_their_upstream(tmp_path):
    location = Location(tmp_path)
    location.skips = {"S1": "no PK in this study"}
    with instance("S1", "S2") as real:
        made = location.run(real, "S1", "S2")
        assert states(real, "source") == {"S1": "MATERIALIZED", "S2": "MATERIALIZED"}
    reasons = {
        "source": "no PK in this study",
        "needs": "source was skipped: no PK in this study",
        "after": "needs was skipped: source was skipped: no PK in this study",
        "pure": "source was skipped: no PK in this study",
    }
    for name, reason in reasons.items():
        assert (made[name]["status"], made[name]["data"]) == ("SUCCESS", {"skipped": reason})
        assert made[name]["error"] is None
        assert "dagster/uri" not in made[name]
    assert made["may"]["data"] == {"rows": 0}
    assert sorted(location.calls) == [
        ("after", "S2"),
        ("may", "S1"),
        ("may", "S2"),
        ("needs", "S2"),
        ("pure", "S2"),
    ]
    assert not location.store.exists("source/S1")
    assert location.store.exists("source/S2")


def test_after_a_skip_no_later_run_takes_the_earlier_table(tmp_path):
    location = Location(tmp_path)
    with instance(STUDY) as real:
        location.run(real)
        location.skips = {STUDY: "gone"}
        location.run(real, select=["source"])
        made = location.run(real, select=["needs", "may", "pure"])
    for name in ("needs", "pure"):
        assert made[name]["data"] == {"skipped": "source was skipped: gone"}
    assert made["may"]["data"] == {"rows": 0}
    assert location.calls == [("may", STUDY)]


def test_a_result_after_a_skip_has_no_previous_one_and_its_dependants_are_called_again(tmp_path):
    location = Location(tmp_path)
    with instance(STUDY) as real:
        location.run(real)
        location.run(real)
        location.skips = {STUDY: "gone"}
        location.run(real)
        location.skips = {}
        made = location.run(real)
        assert [each is None for each in location.previous] == [True, False, False, True]
        assert made["source"]["dagster/row_count"] == 1
        assert ("pure", STUDY) in location.calls
        assert location.run(real, select=["pure"])["pure"]["refresh"] == "carried forward"
        assert location.calls == []


def test_the_history_of_a_table_goes_on_across_a_skip(tmp_path):
    """Nothing that was stored is lost: a later reader of the versions finds all of them."""
    location = Location(tmp_path)
    with instance(STUDY) as real:
        first = location.run(real)["source"]["sha256"]
        location.skips = {STUDY: "gone"}
        location.run(real)
        location.skips = {}
        second = location.run(real)["source"]["sha256"]
    versions = location.store.history("source/S1").since(0)
    assert [each.version for each in versions] == [first, second]


def test_a_resumed_run_carries_a_skip_forward(tmp_path):
    failing = [True]

    @study_pipeline
    def source(study_key, sdk, study_logger):
        raise Skip("not here")

    @study_pipeline
    def other(study_key, sdk, study_logger):
        if failing:
            raise ValueError
        return 1

    @study_pipeline
    def needs(study_key, sdk, study_logger, source, other):
        raise AssertionError

    defs = definitions(tmp_path, source, other, needs)
    with instance(STUDY) as real:
        parent = execute(defs, real, STUDY)
        assert not parent.is_success
        failing.clear()
        assert resume(defs, real, parent).is_success
        skip = materializations(real, "source")[STUDY][-1]
        assert skip["data"] == {"skipped": "not here"}
        assert "carried_from" in skip
        needed = materializations(real, "needs")[STUDY][-1]
        assert needed["data"] == {"skipped": "source was skipped: not here"}


def raise_in_thread(pipeline):
    thread = threading.Thread(target=in_study_context(pipeline))
    thread.start()
    thread.join()


def skip():
    raise Skip("nothing to do")


def plain(study_key, sdk, study_logger):
    skip()


async def waiting(study_key, sdk, study_logger):
    await asyncio.sleep(0)
    skip()


async def group(study_key, sdk, study_logger):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(waiting(study_key, sdk, study_logger))
        tasks.create_task(waiting(study_key, sdk, study_logger))


def thread(study_key, sdk, study_logger):
    raise_in_thread(skip)
    return pa.table({"n": [1]})


@pytest.mark.parametrize("function", [plain, waiting, group, thread])
def test_a_skip_counts_wherever_it_is_raised_and_is_never_retried(tmp_path, function):
    calls = []

    def work(study_key, sdk, study_logger):
        calls.append(study_key)
        return function(study_key, sdk, study_logger)

    mark = study_pipeline(name="work", retries=2, retry_on=Exception)
    with instance(STUDY) as real:
        assert execute(definitions(tmp_path, mark(work)), real, STUDY).is_success
        (made,) = materializations(real, "work")[STUDY]
    assert made["data"] == {"skipped": "nothing to do"}
    assert calls == [STUDY]
    assert not LocalPipelineStore(tmp_path / "artifacts").exists("work/S1")


def test_a_failure_beside_a_skip_is_a_failure(tmp_path):
    @study_pipeline
    def work(study_key, sdk, study_logger):
        raise_in_thread(lambda: 1 / 0)
        skip()

    with instance(STUDY) as real:
        assert not execute(definitions(tmp_path, work), real, STUDY).is_success
        assert STUDY not in materializations(real, "work")


def test_a_pipeline_is_called_only_for_its_studies(tmp_path):
    called = []

    @study_pipeline
    def broken(study_key, sdk, study_logger):
        raise ValueError

    @study_pipeline(studies=["ONC-*", "CARD-202"])
    def work(study_key, sdk, study_logger, broken=None):
        called.append(study_key)
        return 1

    @study_pipeline
    def after(study_key, sdk, study_logger, work):
        return work

    with instance("CARD-201", "CARD-202", "ONC-1", "onc-1") as real:
        execute(definitions(tmp_path, work, after, broken), real, "CARD-201", "onc-1")
        made = materializations(real, "work")
        assert sorted(made) == ["CARD-201", "onc-1"]
        for study_key in made:
            (only,) = made[study_key]
            reason = "the pipeline is only for the studies ONC-*, CARD-202"
            assert only["data"] == {"skipped": reason}
            (only,) = materializations(real, "after")[study_key]
            assert only["data"] == {"skipped": f"work was skipped: {reason}"}
    assert called == []  # their upstream failed


def test_a_number_named_skipped_is_a_count():
    assert events.skipped({"data": dg.MetadataValue.json({"skipped": 3})}) is None
    assert events.skipped({"data": dg.MetadataValue.json({"skipped": "x"})}) == "x"
    assert events.skipped({}) is None
