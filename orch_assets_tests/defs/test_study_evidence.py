"""What a report says about a study that a pipeline skips."""

import pandas as pd

from orch_assets import Skip, study_pipeline
from orch_assets.defs.location.graph_assets import graph_keys_of
from orch_assets.defs.runs.study_evidence import study_report
from orch_assets_tests.support.harness import definitions, execute, instance


def test_a_table_from_before_a_skip_is_no_current_version(tmp_path):
    """It stays in the store, but no table over all studies has it either."""
    has_samples = [True, False]

    @study_pipeline
    def pk(study_key, sdk, study_logger):
        if not has_samples.pop(0):
            raise Skip("no PK in this study")
        return pd.DataFrame({"n": [1]})

    defs, reports = definitions(tmp_path, pk), []
    io_manager = defs.resources["io_manager"]
    with instance("A") as real:
        for _ in range(2):
            assert execute(defs, real, "A").is_success
            reports.append(study_report(real, graph_keys_of(defs), "A", lambda _: io_manager))
    before, after = reports
    assert [each.artifact for each in before.versions] == ["pk/A"]
    assert after.versions == []
    assert [each.skipped for each in after.results] == [True]
