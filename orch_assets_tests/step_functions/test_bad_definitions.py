"""Bad definitions: each is refused before it leaves, by a message that names the place."""

import pytest

from orch_assets.step_functions import (
    Catch,
    DefinitionError,
    Fail,
    PipelineStep,
    StepFunctionsPipeline,
    check_definition,
    lambda_invoke,
    state_machine,
)

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
INVOKE = "arn:aws:states:::lambda:invoke"
RUN_TASK = "arn:aws:states:::ecs:runTask.sync"
PASS = {"Type": "Pass", "End": True}
INNER = {"StartAt": "Inner", "States": {"Inner": PASS}}
DISTRIBUTED = {
    **INNER,
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
}
MAP = {"Type": "Map", "ItemProcessor": INNER, "End": True}


def machine(start="A", **states):
    return {"StartAt": start, "States": states}


def task(**fields):
    return machine(A={"Type": "Task", "Resource": LAMBDA, "End": True, **fields})


def one(**fields):
    return machine(A=fields)


def retrier(**fields):
    return task(Retry=[{"ErrorEquals": ["E"], **fields}])


def catcher(**fields):
    return machine(
        A={
            "Type": "Task",
            "Resource": LAMBDA,
            "End": True,
            "Catch": [{"ErrorEquals": ["E"], "Next": "B", **fields}],
        },
        B={"Type": "Fail"},
    )


def choice(*rules, **fields):
    return machine(A={"Type": "Choice", "Choices": list(rules), **fields}, B=PASS)


RULE = {"Condition": "{% true %}", "Next": "B"}
JSONATA = {"QueryLanguage": "JSONata"}

GOOD = {
    "task": task(),
    "task with a heartbeat": task(TimeoutSeconds=10, HeartbeatSeconds=9),
    "retrier": retrier(IntervalSeconds=1, MaxDelaySeconds=2, BackoffRate=1, JitterStrategy="FULL"),
    "States.ALL last": task(Retry=[{"ErrorEquals": ["E"]}, {"ErrorEquals": ["States.ALL"]}]),
    "catcher": catcher(),
    "choice": choice(RULE, **JSONATA),
    "map": machine(A=MAP),
    "distributed map": machine(A={**MAP, "ItemProcessor": DISTRIBUTED, "MaxConcurrency": 5}),
    "parallel": one(Type="Parallel", Branches=[INNER], End=True),
    "wait": one(Type="Wait", Seconds=0, End=True),
    "name of 80 characters": machine("x" * 80, **{"x" * 80: PASS}),
    "a loop with a way out": machine(
        A={"Type": "Choice", "Choices": [{**RULE, "Next": "A"}], "Default": "B", **JSONATA}, B=PASS
    ),
}

# What is wrong, the definition, the place in the message.
BAD = [
    ("nothing", {}, "State machine, States"),
    ("no states", machine(), "State machine, States"),
    ("states as a list", {"StartAt": "A", "States": [PASS]}, "State machine, States"),
    ("unknown field", {**task(), "Start": "A"}, "State machine, Start"),
    ("no StartAt", {"States": {"A": PASS}}, "State machine, StartAt"),
    ("StartAt nowhere", machine("B", A=PASS), "State machine, StartAt"),
    ("timeout of 0", {**task(), "TimeoutSeconds": 0}, "State machine, TimeoutSeconds"),
    ("unknown language", {**task(), "QueryLanguage": "XPath"}, "State machine, QueryLanguage"),
    ("unknown language of a state", task(QueryLanguage="XPath"), "Step 'A', QueryLanguage"),
    ("arguments as a list", task(Parameters=[]), "Step 'A', Parameters"),
    ("Next as a list", one(Type="Pass", Next=["B"]), "Step 'A', Next"),
    ("over 1 MB", one(**PASS, Comment="x" * 2**20), "State machine, definition"),
    ("no JSON", one(**PASS, Comment={1}), "State machine, definition.States.A.Comment"),
    ("NaN", one(**PASS, Result=float("nan")), "State machine, definition.States.A.Result"),
    ("empty name", machine("", **{"": PASS}), "Step \"''\", name"),
    ("name of 81", machine("x" * 81, **{"x" * 81: PASS}), f"Step '{'x' * 20}…', name"),
    ("control character", machine("a\n", **{"a\nb": PASS}), "Step 'a\\nb', name"),
    ("space around", machine(" a", **{" a": PASS}), "Step ' a', name"),
    ("same name inside", machine("Inner", Inner=MAP), "Step 'Inner', name"),
    ("state as text", machine(A="Pass"), "Step 'A', Type"),
    ("no type", one(End=True), "Step 'A', Type"),
    ("unknown type", one(Type="Lambda", End=True), "Step 'A', Type"),
    ("unknown state field", task(Timeout=3), "Step 'A', Timeout"),
    ("neither Next nor End", one(Type="Pass"), "Step 'A', Next"),
    ("both Next and End", machine(A={**PASS, "Next": "B"}, B=PASS), "Step 'A', Next"),
    ("End false", one(Type="Pass", End=False), "Step 'A', End"),
    ("End of a Fail", one(Type="Fail", End=True), "Step 'A', End"),
    ("Next nowhere", one(Type="Pass", Next="B"), "Step 'A', Next"),
    ("Next into a map", machine(A={"Type": "Pass", "Next": "Inner"}, B=MAP), "Step 'A', Next"),
    (
        "Next out of a branch",
        machine(
            A={
                "Type": "Parallel",
                "End": True,
                "Branches": [{"StartAt": "C", "States": {"C": {"Type": "Pass", "Next": "A"}}}],
            }
        ),
        "Step 'C', Next",
    ),
    ("never reached", machine(A=PASS, B=PASS), "Step 'B', Next"),
    (
        "a loop",
        machine(A={"Type": "Pass", "Next": "B"}, B={"Type": "Pass", "Next": "A"}),
        "Step 'A', Next",
    ),
    (
        "a loop by choice",
        choice({**RULE, "Next": "A"}, {**RULE, "Next": "B"}, **JSONATA)
        | {"States": {"A": {"Type": "Choice", "Choices": [{**RULE, "Next": "A"}], **JSONATA}}},
        "Step 'A', Next",
    ),
    ("no resource", one(Type="Task", End=True), "Step 'A', Resource"),
    ("no ARN", task(Resource="clinops-ingest"), "Step 'A', Resource"),
    ("an S3 ARN", task(Resource="arn:aws:s3:::bucket"), "Step 'A', Resource"),
    ("task timeout of 0", task(TimeoutSeconds=0), "Step 'A', TimeoutSeconds"),
    ("timeout as text", task(TimeoutSeconds="60"), "Step 'A', TimeoutSeconds"),
    ("timeout of true", task(TimeoutSeconds=True), "Step 'A', TimeoutSeconds"),
    ("timeout of 1.5", task(TimeoutSeconds=1.5), "Step 'A', TimeoutSeconds"),
    ("timeout too long", task(TimeoutSeconds=10**8), "Step 'A', TimeoutSeconds"),
    (
        "heartbeat as long as the timeout",
        task(TimeoutSeconds=9, HeartbeatSeconds=9),
        "Step 'A', HeartbeatSeconds",
    ),
    ("no FunctionName", task(Resource=INVOKE), "Step 'A', Arguments.FunctionName"),
    ("no TaskDefinition", task(Resource=RUN_TASK), "Step 'A', Arguments.TaskDefinition"),
    ("JSONata's field in JSONPath", task(Arguments={}), "Step 'A', Arguments"),
    ("JSONPath's field in JSONata", task(**JSONATA, ResultPath="$"), "Step 'A', ResultPath"),
    ("JSONPath's key", task(**JSONATA, Arguments={"a": {"b.$": 1}}), "Step 'A', Arguments.a.b.$"),
    ("an open mark", task(**JSONATA, Arguments={"a": ["{% b"]}), "Step 'A', Arguments.a[0]"),
    ("an empty expression", task(**JSONATA, Output="{% %}"), "Step 'A', Output"),
    ("retry as an object", task(Retry={}), "Step 'A', Retry"),
    ("retrier with a typo", retrier(MaxAttempt=1), "Step 'A', Retry[0].MaxAttempt"),
    ("no errors", task(Retry=[{}]), "Step 'A', Retry[0].ErrorEquals"),
    ("empty errors", retrier(ErrorEquals=[]), "Step 'A', Retry[0].ErrorEquals"),
    ("an empty error", retrier(ErrorEquals=[""]), "Step 'A', Retry[0].ErrorEquals"),
    ("unknown States error", retrier(ErrorEquals=["States.Al"]), "Step 'A', Retry[0].ErrorEquals"),
    (
        "States.ALL not alone",
        retrier(ErrorEquals=["States.ALL", "E"]),
        "Step 'A', Retry[0].ErrorEquals",
    ),
    (
        "States.ALL not last",
        task(Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}]),
        "Step 'A', Retry[0].ErrorEquals",
    ),
    ("attempts below 0", retrier(MaxAttempts=-1), "Step 'A', Retry[0].MaxAttempts"),
    ("attempts as text", retrier(MaxAttempts="3"), "Step 'A', Retry[0].MaxAttempts"),
    ("interval of 0", retrier(IntervalSeconds=0), "Step 'A', Retry[0].IntervalSeconds"),
    ("backoff below 1", retrier(BackoffRate=0.5), "Step 'A', Retry[0].BackoffRate"),
    (
        "delay no longer than interval",
        retrier(IntervalSeconds=5, MaxDelaySeconds=5),
        "Step 'A', Retry[0].MaxDelaySeconds",
    ),
    ("half a jitter", retrier(JitterStrategy="HALF"), "Step 'A', Retry[0].JitterStrategy"),
    ("catch without Next", catcher(Next=None), "Step 'A', Catch[0].Next"),
    ("catch to nowhere", catcher(Next="C"), "Step 'A', Catch[0].Next"),
    ("retry of a Pass", one(**PASS, Retry=[]), "Step 'A', Retry"),
    ("wait for nothing", one(Type="Wait", End=True), "Step 'A', Seconds"),
    ("wait below 0", one(Type="Wait", Seconds=-1, End=True), "Step 'A', Seconds"),
    (
        "wait for two",
        one(Type="Wait", Seconds=1, Timestamp="2024-01-01T00:00:00Z", End=True),
        "Step 'A', Seconds",
    ),
    ("no rules", one(Type="Choice", Choices=[]), "Step 'A', Choices"),
    ("rule without Next", choice({"Condition": "{% 1 %}"}), "Step 'A', Choices[0].Next"),
    ("rule without condition", choice({"Next": "B"}), "Step 'A', Choices[0].Condition"),
    ("bare condition", choice({**RULE, "Condition": "true"}), "Step 'A', Choices[0].Condition"),
    ("rule to nowhere", choice(RULE, {**RULE, "Next": "C"}), "Step 'A', Choices[1].Next"),
    ("default nowhere", choice(RULE, Default="C"), "Step 'A', Default"),
    ("no branches", one(Type="Parallel", Branches=[], End=True), "Step 'A', Branches"),
    (
        "branch as text",
        one(Type="Parallel", Branches=[INNER, "B"], End=True),
        "Step 'A', Branches[1]",
    ),
    (
        "branch without start",
        one(Type="Parallel", Branches=[{"States": {"B": PASS}}], End=True),
        "Step 'A', Branches[0].StartAt",
    ),
    ("map of nothing", one(Type="Map", End=True), "Step 'A', ItemProcessor"),
    (
        "empty map",
        machine(A={**MAP, "ItemProcessor": {"StartAt": "B", "States": {}}}),
        "Step 'A', ItemProcessor.States",
    ),
    (
        "unknown mode",
        machine(A={**MAP, "ItemProcessor": {**INNER, "ProcessorConfig": {"Mode": "MANY"}}}),
        "Step 'A', ItemProcessor.ProcessorConfig.Mode",
    ),
    (
        "no concurrency",
        machine(A={**MAP, "ItemProcessor": DISTRIBUTED}),
        "Step 'A', MaxConcurrency",
    ),
    (
        "boundless concurrency",
        machine(A={**MAP, "ItemProcessor": DISTRIBUTED, "MaxConcurrency": 0}),
        "Step 'A', MaxConcurrency",
    ),
    (
        "no execution type",
        machine(A={**MAP, "ItemProcessor": {**INNER, "ProcessorConfig": {"Mode": "DISTRIBUTED"}}}),
        "Step 'A', ItemProcessor.ProcessorConfig.ExecutionType",
    ),
    (
        "tolerance of 101 %",
        machine(
            A={
                **MAP,
                "ItemProcessor": DISTRIBUTED,
                "MaxConcurrency": 1,
                "ToleratedFailurePercentage": 101,
            }
        ),
        "Step 'A', ToleratedFailurePercentage",
    ),
    ("inline with a reader", machine(A={**MAP, "ItemReader": {}}), "Step 'A', ItemReader"),
]


def test_the_table_is_long_enough():
    assert len(BAD) >= 40
    assert len({what for what, _, _ in BAD}) == len(BAD)


@pytest.mark.parametrize("what", GOOD)
def test_a_good_definition_passes(what, validate):
    check_definition(GOOD[what])
    assert validate(GOOD[what]) == []


@pytest.mark.parametrize(("definition", "place"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_bad_definition_is_refused_by_its_place(definition, place):
    with pytest.raises(DefinitionError) as caught:
        check_definition(definition)
    assert str(caught.value).startswith(place)
    problem = str(caught.value).partition(": ")[2]
    assert problem.endswith(".")
    assert len(problem) > 10


ROLE = "arn:aws:iam::123456789012:role/R"


def pipeline(*steps, name="machine"):
    made = StepFunctionsPipeline(name, ROLE)
    for step in steps:
        made.add_step(step)
    return made


@pytest.mark.parametrize("name", ["", "x" * 81, "with space", "naïve", "a/b", None])
def test_a_machine_name_that_aws_refuses_is_refused(name):
    with pytest.raises(DefinitionError, match=r"^State machine, name: "):
        pipeline(PipelineStep("A", LAMBDA), name=name).definition()


def test_a_machine_without_steps_is_refused():
    with pytest.raises(DefinitionError, match=r"^State machine, steps: "):
        pipeline().definition_json()


@pytest.mark.parametrize(
    ("step", "place"),
    [
        (PipelineStep("A", LAMBDA, timeout_seconds=0), "Step 'A', TimeoutSeconds"),
        (PipelineStep("A", LAMBDA, retry_attempts=-1), r"Step 'A', Retry\[0\].MaxAttempts"),
        (PipelineStep("A", "f"), "Step 'A', Resource"),
        (PipelineStep("A", None), "Step 'A', Resource"),
        (PipelineStep("A", LAMBDA, {"a": "{% b"}), "Step 'A', parameters.a"),
        (PipelineStep("A", LAMBDA, ["a"]), "Step 'A', parameters"),
        (PipelineStep("A", LAMBDA, {"a": "\ud800"}), "Step 'A', parameters.a"),
        (PipelineStep("A", LAMBDA, comment="\ud800"), "State machine, definition.States.A.Comment"),
        (PipelineStep("A", LAMBDA, retry_on="Clinops.Busy"), "Step 'A', retry_on"),
        (PipelineStep("A", LAMBDA, catch=Catch([Fail("B")])), "Step 'A', catch"),
        (PipelineStep("A", LAMBDA, catch=[Catch([Fail("B")], "Clinops.Busy")]), "Step 'A', catch"),
        (PipelineStep("A", INVOKE, {"Payload": {}}), "Step 'A', Arguments.FunctionName"),
        (lambda_invoke("A", LAMBDA.replace(":function", "")), "Step 'A', Arguments.FunctionName"),
        (state_machine("A", LAMBDA), "Step 'A', Arguments.StateMachineArn"),
    ],
)
def test_a_bad_step_is_refused_by_its_name_and_field(step, place):
    with pytest.raises(DefinitionError, match=f"^{place}: "):
        pipeline(step).definition()


@pytest.mark.parametrize(
    "role", [None, "", "R", ROLE.replace("012", ""), ROLE.replace("role", "user")]
)
def test_a_role_that_is_none_is_refused_before_anything_leaves(role):
    machine = StepFunctionsPipeline("m", role).add_step(PipelineStep("A", LAMBDA))
    with pytest.raises(DefinitionError, match=r"^State machine, role_arn: must be"):
        machine.deploy()


def test_what_is_no_step_is_refused():
    with pytest.raises(
        DefinitionError, match=r"^State machine, steps: a str is not a step\. Add a"
    ):
        pipeline("Ingest")


def test_a_level_that_logs_do_not_have_is_refused():
    with pytest.raises(DefinitionError, match=r"^State machine, log_level: must be one of ALL"):
        StepFunctionsPipeline("machine", ROLE, log_level="DEBUG")


@pytest.mark.parametrize(
    "fields", [("Comment", "InputPath", "Next"), ("Next", "InputPath", "Comment")]
)
def test_of_several_bad_fields_the_state_s_first_is_named(fields):
    """In every run the same: the order of a set differs from run to run."""
    with pytest.raises(DefinitionError, match=f"'A', {fields[0]}: must be text"):
        check_definition(one(Type="Pass", **dict.fromkeys(fields, 5)))
