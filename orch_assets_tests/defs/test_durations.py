"""A run expects of its studies what they took before."""

import time
from collections.abc import Sequence

import dagster as dg
from sqlalchemy import event
from sqlalchemy.engine import Engine

from orch_assets import study_pipeline
from orch_assets.defs.resources import OrchestrationResource
from orch_assets.defs.runs.earlier_results import past_durations
from orch_assets_tests.support.harness import definitions, execute, instance


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


def _statements_of_durations(real: dg.DagsterInstance, assets: Sequence[str]) -> int:
    """Return how many SQL statements it takes to find that no asset has a duration."""
    statements = []

    def count(_connection, _cursor, statement, *_):
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        assert not past_durations(real, [dg.AssetKey(each) for each in assets], ["A", "B"])
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    return len(statements)
