"""Choices, branches, maps, waits and failures: by an interpreter, a validator and by eye."""

import uuid

import pytest

from orch_assets.step_functions import (
    Catch,
    Choice,
    ChoiceRule,
    DefinitionError,
    DistributedMap,
    ExecutionFailed,
    Fail,
    Map,
    Parallel,
    PipelineStep,
    StepFunctionsPipeline,
    Wait,
    mermaid,
)
from orch_assets_tests.step_functions.conftest import FUNCTION, ROLE
from orch_assets_tests.step_functions.jsonata_engine import NO_NPM
from orch_assets_tests.support.state_machine_servers import HAS_JSONATA

needs_jsonata = pytest.mark.skipif(not HAS_JSONATA, reason=NO_NPM)
LOST = PipelineStep(
    "Lost", "arn:aws:states:::aws-sdk:s3:getObject", {"Bucket": "no-such-bucket", "Key": "k"}
)
STUDIES = "{% $states.input.studies %}"


def tasks(*names, **settings):
    return [PipelineStep(name, FUNCTION + name.replace(" ", "-"), **settings) for name in names]


def pipeline(*steps):
    made = StepFunctionsPipeline("pieces", ROLE)
    for step in steps:
        made.add_step(step)
    return made


EXAMPLES = {
    "choice, then on": [
        Choice(
            "Rows?", [ChoiceRule("{% $states.input.rows > 0 %}", tasks("Load"))], [Fail("NoRows")]
        ),
        *tasks("After"),
    ],
    "choice at the end": [
        Choice("Rows?", [ChoiceRule("{% $states.input.rows > 0 %}", tasks("Load"))])
    ],
    "parallel": [Parallel("Both", [tasks("A", "B"), tasks("C")]), *tasks("After")],
    "map": [
        Map("Each", STUDIES, tasks("One"), item={"key": "{% $states.context.Map.Item.Value %}"})
    ],
    "distributed map": [DistributedMap("Each", STUDIES, tasks("One"), 25)],
    "wait": [Wait("Pause", 5), Wait("As said", "{% $states.input.seconds %}")],
    "shared failure": tasks("A", "B", catch=[Catch([Fail("Broken")])]),
    "caught and on": [
        *tasks("A", catch=[Catch(tasks("Clean up"), ["E"]), Catch([Fail("Broken")])]),
        *tasks("After"),
    ],
    "all in all": [
        Map(
            "Each",
            STUDIES,
            [
                Choice(
                    "Open?", [ChoiceRule("{% $states.input.open %}", [Parallel("P", [tasks("X")])])]
                )
            ],
            catch=[Catch([Fail("Broken")])],
        ),
        Wait("Pause", 1),
        *tasks("Last", retry_on=["Clinops.Busy"], heartbeat_seconds=30),
    ],
}


@pytest.mark.parametrize("what", EXAMPLES)
def test_what_the_pieces_make_passes_our_checks_and_the_independent_validator(what, validate):
    assert validate(pipeline(*EXAMPLES[what]).definition()) == []


@pytest.mark.parametrize("what", EXAMPLES)
def test_every_state_is_in_the_drawing(what):
    definition = pipeline(*EXAMPLES[what]).definition()
    drawn = mermaid(definition)
    for name in definition["States"]:
        assert f'state "{name}" as s' in drawn
    assert drawn.count("{") == drawn.count("}")


def test_a_distributed_map_is_this_definition():
    """No local server runs one: it is shown by its definition only."""
    (state,) = DistributedMap("Each", STUDIES, tasks("One"), 25).states(None).values()
    assert state == {
        "Type": "Map",
        "QueryLanguage": "JSONata",
        "Items": STUDIES,
        "MaxConcurrency": 25,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "One",
            "States": tasks("One")[0].states(None),
        },
        "ToleratedFailurePercentage": 0,
        "End": True,
    }


def test_the_drawing_is_this_one():
    drawn = mermaid(pipeline(*EXAMPLES["caught and on"]).definition())
    assert drawn.splitlines() == [
        "stateDiagram-v2",
        '    state "A" as s0',
        '    state "Clean up" as s1',
        '    state "Broken" as s2',
        '    state "After" as s3',
        "    [*] --> s0",
        "    s0 --> s3",
        "    s0 --> s1: on E",
        "    s0 --> s2: on States.ALL",
        "    s1 --> s3",
        "    s2 --> [*]: fails",
        "    s3 --> [*]",
    ]


def test_a_name_cannot_break_the_drawing():
    (step,) = [PipelineStep('a" {% -- ; # }', FUNCTION + "a")]
    drawn = mermaid(pipeline(step).definition())
    assert 'state "a#34; #123;#37; -- #59; #35; #125;" as s0' in drawn


@pytest.mark.parametrize(
    ("steps", "place"),
    [
        ([Parallel("P", [[]])], r"Step 'P', branches\[0\]"),
        ([Map("M", STUDIES, [])], "Step 'M', steps"),
        ([Map("M", "$.studies", tasks("A"))], "Step 'M', Items"),
        ([Map("M", STUDIES, tasks("A"), item={"a": {1}})], "Step 'M', item.a"),
        ([DistributedMap("M", STUDIES, tasks("A"), 0)], "Step 'M', MaxConcurrency"),
        ([Wait("W", -1)], "Step 'W', Seconds"),
        ([Choice("C", [])], "Step 'C', Choices"),
        pytest.param(
            [Fail("F"), *tasks("A")],
            "Step 'A', Next: is unreachable",
            id="steps7-Step 'A', Next: no way leads here",
        ),
        ([*tasks("A", catch=[Catch([])])], "Step 'A', catch"),
        ([*tasks("A", catch=[Catch(tasks("A"))])], "Step 'A', name"),
        ([Parallel("P", [tasks("A")]), *tasks("A")], "Step 'A', name"),
    ],
)
def test_pieces_that_do_not_fit_are_refused_by_their_place(steps, place):
    with pytest.raises(DefinitionError, match=f"^{place}"):
        pipeline(*steps).definition()


@pytest.fixture
def run(make_pipeline):
    """Deploys the steps, executes them, waits for the output."""

    def run(data, *steps):
        made = make_pipeline(f"pieces-{uuid.uuid4().hex[:8]}")
        for step in steps:
            made.add_step(step)
        made.deploy()
        return made.wait(made.execute(data), 30)

    return run


@needs_jsonata
@pytest.mark.parametrize(("rows", "expected"), [(5, {"rows": 5, "loaded": True}), (0, {"rows": 0})])
def test_a_choice_takes_the_way_whose_condition_is_true(run, echo, rows, expected):
    load = PipelineStep("Load", echo, {"loaded": True})
    choice = Choice("Rows?", [ChoiceRule("{% $states.input.rows > 0 %}", [load])])
    assert run({"rows": rows}, choice) == expected


@needs_jsonata
def test_a_choice_can_fail_the_execution(run):
    choice = Choice("Rows?", [ChoiceRule("{% $states.input.rows = 0 %}", [Fail("NoRows")])])
    with pytest.raises(ExecutionFailed) as caught:
        run({"rows": 0}, choice)
    assert (caught.value.state, caught.value.error) == ("NoRows", "NoRows")


@needs_jsonata
def test_a_map_takes_its_steps_for_each_study(run, echo):
    each = Map("Each", STUDIES, [PipelineStep("One", echo, {"done": True})], 2)
    output = run({"studies": [{"key": "ONC-301"}, {"key": "ONC-302"}]}, each)
    assert output == [{"key": "ONC-301", "done": True}, {"key": "ONC-302", "done": True}]


def test_branches_get_the_same_input(run, echo):
    both = Parallel("Both", [[PipelineStep("A", echo)], [PipelineStep("B", echo)]])
    assert run({"a": 1}, both) == [{"a": 1}, {"a": 1}]


@needs_jsonata
def test_a_failure_is_caught_and_the_sequence_goes_on(run, echo):
    lost = PipelineStep(LOST.name, LOST.resource, LOST.parameters, catch=[
        Catch([PipelineStep("Clean up", echo, {"cleaned": True})])
    ])  # fmt: skip
    output = run({}, lost, PipelineStep("After", echo, {"after": True}))
    assert output["Error"] == "s3.NoSuchBucketException"
    assert (output["cleaned"], output["after"]) == (True, True)


@needs_jsonata
def test_a_failure_of_the_user_is_not_tried_again_unless_asked_for(make_pipeline, client):
    def tries(**settings):
        step = PipelineStep(LOST.name, LOST.resource, LOST.parameters, 1, **settings)
        made = make_pipeline(f"retry-{uuid.uuid4().hex[:8]}").add_step(step)
        made.deploy()
        execution = made.execute({})
        with pytest.raises(ExecutionFailed):
            made.wait(execution, 30)
        return [event.type for event in made.history(execution)].count("TaskScheduled")

    assert tries() == 1
    assert tries(retry_on=["s3.NoSuchBucketException"]) == 2
