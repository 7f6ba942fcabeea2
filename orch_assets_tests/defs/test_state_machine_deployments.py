"""The assets that deploy state machines, and what is said where one isn't deployed."""

import importlib
import json
from collections import Counter
from dataclasses import dataclass

import dagster as dg
import pytest

from orch_assets import PipelineStep, StudyMachine, study_pipeline
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.defs.graph import build_study_graph, build_together_graphs, runs_on_request
from orch_assets.defs.state_machines.deployments import build_deployments
from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.step_functions import Wait, machine_pipeline
from orch_assets_tests.step_functions.answers import answering_server
from orch_assets_tests.support.harness import execute, instance, materializations, observations
from orch_assets_tests.support.machines import (
    ROLE,
    by_study,
    deploy,
    location,
    machine,
    result,
)

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"


def scoring(given):
    @study_pipeline(machine=given, group="safety", owners=["team:clinops"])
    def scores(study_key, sdk, study_logger):
        """Scores."""

    return scores


@dataclass(frozen=True)
class CountedStep:
    """A step that counts how often its states are built."""

    counts: Counter[str]
    name: str = "Counted"

    def states(self, following):
        self.counts["builds"] += 1
        return Wait(self.name, 0).states(following)


def count_builds(monkeypatch):
    """Return a counter of checks, to which a ``CountedStep`` adds the builds."""
    counts, check = Counter(), machine_pipeline.check_definition

    def counted_check(*arguments):
        counts["checks"] += 1
        check(*arguments)

    monkeypatch.setattr(machine_pipeline, "check_definition", counted_check)
    return counts


@study_pipeline
def other(study_key, sdk, study_logger):
    return 1


def test_materializing_deploys_once_and_says_so(tmp_path, aws):
    scores = scoring(machine(by_study(result(1)), settings={"tags": {"team": "clinops"}}))
    with instance("S0") as real:
        defs = location(tmp_path, aws.url, scores, other)
        for _ in range(3):
            deploy(defs, real, "scores")
        first, second, third = materializations(real, "scores_machine")[None]
    name = pipeline_of(scores).machine.name
    arn = f"arn:aws:states:us-east-1:123456789012:stateMachine:{name}"
    assert [event["changed"] for event in (first, second, third)] == [True, False, False]
    assert first["arn"] == arn
    assert first["console"].endswith(f"#/statemachines/view/{arn}")
    assert first["difference"].startswith("```diff\n--- deployed\n+++ wanted\n")
    assert second["difference"] == "No difference."
    assert first["drawing"].startswith('```mermaid\nstateDiagram-v2\n    state "For any" as s0')
    client = aws.client("stepfunctions")
    found = client.describe_state_machine(stateMachineArn=arn)
    assert json.loads(found["definition"]) == first["definition"] == third["definition"]
    assert found["roleArn"] == ROLE
    tags = client.list_tags_for_resource(resourceArn=arn)["tags"]
    assert {"key": "team", "value": "clinops"} in tags


@pytest.mark.parametrize("at_once", [None, 2], ids=["one each", "one for all"])
def test_a_definition_is_built_and_checked_once_on_its_way_to_aws(
    tmp_path, aws, monkeypatch, at_once
):
    """By the load of the definitions; the asset deploys what was built there."""
    done = count_builds(monkeypatch)
    step = CountedStep(done)
    scores = scoring(machine(step, studies_at_once=at_once))
    with instance("S0") as real:
        defs = location(tmp_path, aws.url, scores, other)
        assert done == Counter(builds=1, checks=1)
        deploy(defs, real, "scores")
        assert done == Counter(builds=1, checks=1)
        deploy(defs, real, "scores")
        assert done == Counter(builds=1, checks=1)
        first, second = materializations(real, "scores_machine")[None]
    assert (first["changed"], second["changed"]) == (True, False)
    assert "Counted" in json.dumps(first["definition"])


def test_a_changed_declaration_is_an_update_with_its_difference(tmp_path, aws):
    given = machine(by_study(result(1)))
    with instance("S0") as real:
        deploy(location(tmp_path, aws.url, scoring(given), other), real, "scores")
        changed = StudyMachine([by_study(result(2))], name=given.name)
        deploy(location(tmp_path, aws.url, scoring(changed), other), real, "scores")
        _, event = materializations(real, "scores_machine")[None]
    assert event["changed"] is True
    lines = [line.split() for line in event["difference"].splitlines()]
    assert ["-", '"Result":', "1,"] in lines
    assert ["+", '"Result":', "2,"] in lines


def test_the_version_that_is_deployed_is_told_whether_it_is_new_or_not(tmp_path, aws):
    """Moto tells of a new one only; AWS tells of one that is there when asked to publish it."""
    scores = scoring(machine(by_study(result(1))))
    with instance("S0") as real, answering_server(aws) as server:
        deploy(location(tmp_path, server.url, scores, other), real, "scores")
        deploy(location(tmp_path, server.url, scores, other), real, "scores")
        arn = materializations(real, "scores_machine")[None][0]["arn"]
        answer = {"stateMachineVersionArn": f"{arn}:1", "creationDate": 0}
        server.answers["PublishStateMachineVersion"] = lambda _: answer
        deploy(location(tmp_path, server.url, scores, other), real, "scores")
        events = materializations(real, "scores_machine")[None]
    assert [event["version"] for event in events] == [f"{arn}:1", "none", f"{arn}:1"]


def test_a_machine_that_is_not_deployed_fails_its_studies_and_no_other_pipeline(tmp_path, aws):
    scores = scoring(machine(by_study(result(1))))
    with instance("S0") as real:
        defs = location(tmp_path, aws.url, scores, other)
        execute(defs, real, "S0", select=["scores", "other"])
        (failure,) = observations(real, "scores").values()
        assert "It isn't deployed. Materialize the asset scores_machine." in failure["error"]
        assert materializations(real, "other")["S0"][0]["data"] == 1


def test_a_machine_that_is_not_what_is_declared_is_not_executed(tmp_path, aws):
    """Its results would be those of other code than their events say."""
    given = machine(by_study(result(1)))
    with instance("S0") as real:
        deploy(location(tmp_path, aws.url, scoring(given), other), real, "scores")
        changed = StudyMachine([by_study(result(2))], name=given.name)
        defs = location(tmp_path, aws.url, scoring(changed), other)
        execute(defs, real, "S0", select=["scores"])
        (failure,) = observations(real, "scores").values()
        assert (
            "differs from what scores declares. Materialize the asset scores_machine."
            in (failure["error"])
        )
        deploy(defs, real, "scores")
        execute(defs, real, "S0", select=["scores"])
        assert materializations(real, "scores")["S0"][0]["data"] == 2


def test_deploying_and_executing_can_be_one_run(tmp_path, aws):
    scores = scoring(machine(by_study(result(1))))
    with instance("S0", "S1") as real:
        defs = location(tmp_path, aws.url, scores, other)
        run = execute(defs, real, "S0", "S1")
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert len(materializations(real, "scores")) == 2
        assert len(materializations(real, "scores_machine")[None]) == 1


def test_a_machine_is_upstream_of_its_executions(tmp_path):
    scores = scoring(machine(by_study(result(1))))
    defs = location(tmp_path, "http://127.0.0.1:9", scores, other)
    nodes = defs.resolve_asset_graph()
    node = nodes.get(dg.AssetKey("scores_machine"))
    assert node.child_keys == {dg.AssetKey("scores")}
    assert (node.group_name, list(node.owners)) == ("safety", ["team:clinops"])


def test_a_definition_that_aws_would_refuse_is_told_when_definitions_load():
    step = PipelineStep("Score", "no function")
    match = r"^Pipeline scores, its machine: Step 'Score', Resource: must be"
    with pytest.raises(PipelineDefinitionError, match=match):
        build_deployments([pipeline_of(scoring(StudyMachine([step])))])


def test_a_setting_that_no_machine_has_is_told_when_definitions_load():
    given = machine(by_study(result(1)), settings={"tag": {}})
    with pytest.raises(PipelineDefinitionError, match=r"^Pipeline scores, its machine: .*'tag'"):
        build_deployments([pipeline_of(scoring(given))])


def test_retries_of_one_study_in_an_execution_for_all_are_refused():
    """They would do nothing."""

    @study_pipeline(
        machine=machine(by_study(result(1)), studies_at_once=2), retries=1, retry_on=OSError
    )
    def scores(study_key, sdk, study_logger):
        """Scores."""

    with pytest.raises(PipelineDefinitionError, match="Leave out retries"):
        build_deployments([pipeline_of(scores)])


def test_an_express_machine_is_refused_when_definitions_load():
    given = StudyMachine(
        [PipelineStep("Score", f"{FUNCTION}score")], settings={"machine_type": "EXPRESS"}
    )
    with pytest.raises(PipelineDefinitionError, match=r"^Pipeline scores: its machine is EXPRESS"):
        build_deployments([pipeline_of(scoring(given))])


def test_two_machines_of_one_name_are_refused_when_definitions_load():
    step = PipelineStep("Score", f"{FUNCTION}score")

    @study_pipeline(machine=StudyMachine([step], name="scores"))
    def ranks(study_key, sdk, study_logger):
        """Ranks."""

    scores = scoring(StudyMachine([step]))
    with pytest.raises(PipelineDefinitionError, match="scores and ranks both declare"):
        build_deployments([pipeline_of(scores), pipeline_of(ranks)])


def test_a_declaration_that_makes_no_sense_is_refused():
    step = PipelineStep("Score", f"{FUNCTION}score")
    with pytest.raises(PipelineDefinitionError, match="no steps"):
        StudyMachine([])
    for steps in (step, "Score"[:0], iter([step])):
        with pytest.raises(PipelineDefinitionError, match="a list with at least one step"):
            StudyMachine(steps)
    for number in (0, 41, -1, "20"):
        with pytest.raises(PipelineDefinitionError, match="studies_at_once"):
            StudyMachine([step], studies_at_once=number)
    with pytest.raises(PipelineDefinitionError, match="machine"):
        study_pipeline(machine=[step])(lambda study_key, sdk, study_logger: None)

    async def waits(study_key, sdk, study_logger):
        pass

    with pytest.raises(PipelineDefinitionError, match="async and has a machine"):
        study_pipeline(machine=StudyMachine([step]))(waits)


def test_a_pipeline_with_a_machine_stays_a_function_that_makes_an_input():
    @study_pipeline(machine=StudyMachine([PipelineStep("Score", f"{FUNCTION}score")]))
    def scores(study_key, sdk, study_logger, sizes):
        return {"study_key": study_key, "sizes": sizes}

    assert scores("S0", None, None, "s3://b/k") == {"study_key": "S0", "sizes": "s3://b/k"}


def test_a_machine_for_all_studies_is_left_to_its_own_asset_and_to_whoever_asks():
    each = pipeline_of(scoring(machine(by_study(result(1)))))
    given = machine(by_study(result(1)), studies_at_once=10)

    @study_pipeline(machine=given)
    def ranks(study_key, sdk, study_logger, scores):
        """Ranks."""

    together = pipeline_of(ranks)
    assert build_study_graph([each, together]).keys == {dg.AssetKey("scores")}
    (graph,) = build_together_graphs([each, together])
    assert graph.keys == {dg.AssetKey("ranks")}
    assert [runs_on_request(pipeline) for pipeline in (each, together)] == [False, True]


def test_assets_of_two_graphs_that_differ_in_case_only_are_refused_at_load():
    """Each is a folder in the store; the error names both."""
    given = machine(by_study(result(1)), studies_at_once=10)
    plain = pipeline_of(study_pipeline(name="ranks")(lambda study_key, sdk, study_logger: None))
    together = pipeline_of(
        study_pipeline(name="Ranks", machine=given)(lambda study_key, sdk, study_logger: None)
    )
    with pytest.raises(PipelineDefinitionError, match="ranks and Ranks differ in case only"):
        build_study_graph([plain, together])


def test_one_file_is_all_that_a_code_location_needs(tmp_path, monkeypatch):
    """Its pipeline is found as any other, and its machine with it."""
    package = tmp_path / "declared"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "risk_scores.py").write_text(
        "from orch_assets import PipelineStep, StudyMachine, study_pipeline\n"
        f"step = PipelineStep('Score', '{FUNCTION}score')\n"
        "@study_pipeline(machine=StudyMachine([step]))\n"
        "def risk_scores(study_key, sdk, study_logger):\n"
        "    'Risk scores.'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = discover_pipelines(importlib.import_module("declared"))
    assert build_study_graph(found).keys == {dg.AssetKey("risk_scores")}
    (deployment,) = build_deployments(found)
    assert deployment.key == dg.AssetKey("risk_scores_machine")
