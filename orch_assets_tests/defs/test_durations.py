"""A run expects of its studies what they took before."""

import time

from orch_assets import study_pipeline
from orch_assets.defs.resources import OrchestrationResource
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
