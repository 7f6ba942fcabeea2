"""State machines whose pipelines are skipped for some studies, and that have settings."""

import pandas as pd
import pytest

from orch_assets import Skip, study_pipeline
from orch_assets_tests.support.harness import execute, instance, materializations
from orch_assets_tests.support.machines import (
    AS_IT_COMES,
    by_study,
    deploy,
    executions,
    location,
    machine,
)

STUDIES = ["S0", "S1", "S2", "S3"]


@study_pipeline
def sizes(study_key, sdk, study_logger):
    """The table that the machine takes; S1 has none."""
    if study_key == "S1":
        raise Skip("no sizes")
    return pd.DataFrame({"size": [1, 2]})


@pytest.mark.parametrize("at_once", [None, 4], ids=["one for each study", "one for all"])
def test_skipped_studies_have_no_execution_and_settings_reach_the_input(tmp_path, aws, at_once):
    """The skip of an upstream, of the function that makes the input, and of ``studies``."""
    steps = by_study(AS_IT_COMES)
    own = machine(steps) if at_once is None else machine(steps, studies_at_once=at_once)

    @study_pipeline(machine=own, studies=["S0", "S1", "S2"])
    def scores(study_key, sdk, study_logger, sizes, *, days=7):
        """Scores."""
        if study_key == "S2":
            raise Skip("no scores")
        return {"study_key": study_key, "days": days}

    with instance(*STUDIES) as real:
        defs = location(tmp_path, aws.url, sizes, scores)
        deploy(defs, real, "scores")
        assert execute(defs, real, "S0", "S3", select=["sizes"]).is_success
        assert execute(defs, real, "S0", "S3", select=["scores"]).is_success
        made = {study: found[-1] for study, found in materializations(real, "scores").items()}
    assert {study: event["data"] for study, event in made.items() if study != "S0"} == {
        "S1": {"skipped": "sizes was skipped: no sizes"},
        "S2": {"skipped": "no scores"},
        "S3": {"skipped": "the pipeline is only for the studies S0, S1, S2"},
    }
    assert made["S0"]["settings"] == {"days": 7}
    assert "dagster/uri" in made["S0"]
    assert len(executions(aws, scores, "SUCCEEDED")) == 1
