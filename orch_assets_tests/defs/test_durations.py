"""A run expects of its studies what they took before."""

import time
from collections.abc import Sequence

import dagster as dg

from orch_assets import study_pipeline
from orch_assets.defs.resources import OrchestrationResource
from orch_assets.defs.runs.past_durations import past_durations
from orch_assets.defs.study_results import build_study_results
from orch_assets_tests.support.harness import definitions, execute, instance
from orch_assets_tests.support.statements import counted_statements


def test_a_second_run_begins_with_the_study_that_took_the_longest(tmp_path):
    """One that failed before has no duration and counts as the median."""
    begun = []
    seconds = {"A": 0.0, "B": 0.1, "C": 0.05, "D": 0.3}

    @study_pipeline
    def work(study_key, sdk, study_logger):
        begun.append(study_key)
        time.sleep(seconds[study_key])
        if study_key == "A" and len(begun) < 5:
            raise ValueError

    defs = definitions(tmp_path, work, orchestration=OrchestrationResource(max_workers=1))
    with instance(*seconds) as real:
        execute(defs, real, "A", "D")
        execute(defs, real, "A", "D")
    assert begun == ["A", "B", "C", "D", "D", "A", "B", "C"]


def test_a_first_run_looks_for_durations_once_for_all_assets():
    """Looking at each asset of the graph cost two statements for each."""
    with instance("A", "B") as real:
        one = _statements_of_durations(real, ["a"])
        assert _statements_of_durations(real, ["a", "b", "c", "d"]) == one


def test_durations_are_read_from_the_matrix_and_not_from_events(tmp_path):
    """Reading an event for each study and pipeline took minutes for thousands of studies."""
    begun = []
    seconds = {"A": 0.5, "B": 0.0, "C": 1.5}

    @study_pipeline
    def work(study_key, sdk, study_logger):
        begun.append(study_key)
        time.sleep(seconds[study_key])

    defs = definitions(tmp_path, work, orchestration=OrchestrationResource(max_workers=1))
    matrix = build_study_results([dg.AssetKey("work")])
    refresh = dg.define_asset_job("refresh", selection=[matrix])
    defs = dg.Definitions.merge(defs, dg.Definitions(assets=[matrix], jobs=[refresh]))
    with instance("A", "B", "C") as real:
        execute(defs, real, "A", "C")
        defs.resolve_job_def("refresh").execute_in_process(instance=real)
        with counted_statements() as statements:
            execute(defs, real, "A", "C")
    assert begun[3:] == ["C", "A", "B"]
    assert not [each for each in statements if "latest_event_ids_by_partition" in each]


def _statements_of_durations(real: dg.DagsterInstance, assets: Sequence[str]) -> int:
    """Return how many SQL statements it takes to find that no asset has a duration."""
    with counted_statements() as statements:
        assert not past_durations(real, [dg.AssetKey(each) for each in assets], ["A", "B"])
    return len(statements)
