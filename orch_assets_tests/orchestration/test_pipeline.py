"""``@study_pipeline``: what it records and refuses, and the order of a graph."""

import inspect

import pyarrow as pa
import pytest

from orch_assets import (
    MultiStudyOrchestrator,
    PipelineStep,
    StudyMachine,
    StudyWorkerCallable,
    study_pipeline,
)
from orch_assets.errors import OrchestratorError, PipelineDefinitionError
from orch_assets.orchestration.ordering import in_dependency_order
from orch_assets.orchestration.pipeline import StudyPipeline, pipeline_of
from orch_assets.orchestration.returned_values import showable
from orch_assets_tests.orchestration.registries import execute


def test_a_marked_function_stays_the_same_callable():
    def work(study_key, sdk, study_logger):
        """Count."""
        return study_key

    assert study_pipeline(work) is work
    assert work("A", None, None) == "A"
    assert isinstance(work, StudyWorkerCallable)
    pipeline = pipeline_of(work)
    assert (pipeline.name, pipeline.description, pipeline.upstreams) == ("work", "Count.", ())
    assert len(pipeline.code_version) == 12


def test_parameters_without_a_default_are_upstreams_and_say_their_table_type():
    @study_pipeline(name="other")
    def work(study_key, sdk, study_logger, a: pa.Table, b: "pa.Table", *args, c, d=1, **kwargs):
        pass

    pipeline = pipeline_of(work)
    assert (pipeline.name, pipeline.upstreams) == ("other", ("a", "b", "c"))
    assert [pipeline.table_type(name) for name in "abc"] == [
        "pyarrow.Table",
        "pyarrow.Table",
        "pandas.DataFrame",
    ]


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        lambda study_key, sdk: None,
        lambda study, sdk, study_logger: None,
        lambda sdk, study_key, study_logger: None,
        lambda *, study_key, sdk, study_logger: None,
        7,
    ],
)
def test_another_signature_is_refused(function):
    with pytest.raises(PipelineDefinitionError):
        study_pipeline(name="work")(function)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"retries": 1}, "retry_on"),
        ({"retries": -1}, "retries"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"name": "no name"}, "identifier"),
        ({"name": "größe"}, "identifier"),
        ({"name": "class"}, "identifier"),
        ({"retries": "2"}, "retries"),
        ({"timeout": "5"}, r'timeout can\'t be read.*such as "90s"'),
        ({"timeout": "10 minutes"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"owners": "me"}, r"owners is text; give a list, such as owners=\['me'\]"),
        ({"kinds": "csv"}, r"kinds is text; give a list, such as kinds=\['csv'\]"),
        ({"studies": "ONC-*"}, r"studies is text; give a list, such as studies=\['ONC-\*'\]"),
        ({"studies": [7]}, "studies must be a list of texts"),
        ({"tags": "team"}, "tags must be a dict"),
        ({"retry_on": "ValueError", "retries": 1}, "retry_on must be an exception type"),
        ({"retries": True, "retry_on": ValueError}, "retries must be a number"),
        ({"pure": "yes"}, "pure must be True or False"),
        ({"daily": "yes"}, "daily must be True or False"),
        ({"daily": True}, "work is daily.* Make it pure, or remove daily"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters, said):
    with pytest.raises(PipelineDefinitionError, match=said):
        study_pipeline(**{"name": "work"} | parameters)(lambda study_key, sdk, study_logger: None)


def test_the_decorator_shows_its_options_and_refuses_others():
    parameters = inspect.signature(study_pipeline).parameters
    assert next(iter(parameters)) == "function"
    assert {p.kind for p in list(parameters.values())[1:]} == {inspect.Parameter.KEYWORD_ONLY}
    assert (parameters["group"].default, parameters["name"].default) == ("studies", None)
    assert all(f"``{name}``" in study_pipeline.__doc__ for name in list(parameters)[1:])
    with pytest.raises(PipelineDefinitionError, match=r"no option gruop. Did you mean `group`\?"):
        study_pipeline(gruop="safety")


def named(name, *upstreams):
    return StudyPipeline(lambda: None, name, upstreams)


def without_previous(study_key, sdk, study_logger):
    pass


def with_upstream_previous(study_key, sdk, study_logger, previous):
    pass


def with_another_default(study_key, sdk, study_logger, *, previous=()):
    pass


def with_any_keywords(study_key, sdk, study_logger, **previous):
    pass


@pytest.mark.parametrize(
    "function",
    [without_previous, with_upstream_previous, with_another_default, with_any_keywords],
)
def test_an_incremental_pipeline_must_be_able_to_receive_its_previous_result(function):
    with pytest.raises(PipelineDefinitionError, match="keyword parameter previous=None"):
        study_pipeline(incremental=True)(function)


def test_an_incremental_pipeline_has_no_state_machine():
    machine = StudyMachine([PipelineStep("Load", "arn:aws:lambda:eu-west-1:1:function:load")])
    with pytest.raises(PipelineDefinitionError, match="incremental and has a machine"):

        @study_pipeline(incremental=True, machine=machine)
        def work(study_key, sdk, study_logger, *, previous=None):
            pass


def test_the_previous_result_of_an_incremental_pipeline_is_no_upstream():
    @study_pipeline(incremental=True)
    def work(study_key, sdk, study_logger, sites, *, previous=None):
        return previous

    pipeline = pipeline_of(work)
    assert (pipeline.incremental, pipeline.upstreams) == (True, ("sites",))
    assert not pipeline_of(study_pipeline(without_previous)).incremental


def test_without_dagster_an_incremental_pipeline_has_no_previous_result():
    @study_pipeline(incremental=True)
    def work(study_key, sdk, study_logger, *, previous=None):
        return previous is None

    assert execute(work, "A")["A"]["data"] is True


def test_a_graph_is_ordered_by_its_upstreams():
    pipelines = [named("d", "b", "c"), named("c", "a"), named("b", "a"), named("a")]
    assert [p.name for p in in_dependency_order(pipelines)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("pipelines", "said"),
    [
        ([named("a", "b"), named("b", "c"), named("c", "a")], "cycle: a → b → c → a"),
        ([named("a", "a")], "cycle: a → a"),
        ([named("a"), named("a")], "Two pipelines are named a"),
        ([named("ae"), named("b"), named("AE")], "pipelines ae and AE differ in case only"),
        ([named("a", "nobody"), named("b")], "parameter 'nobody'"),
    ],
)
def test_a_graph_that_cannot_be_ordered_says_why(pipelines, said):
    with pytest.raises(PipelineDefinitionError, match=said):
        in_dependency_order(pipelines)


@pytest.mark.parametrize(
    "value", [None, 1, 2.5, True, {}, {"rows": 3, "share_2": 0.5, "empty": None, "ok": True}]
)
def test_numbers_may_be_shown(value):
    assert showable(value)


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {"S001": 1},
        {"Mueller": 1},
        float("nan"),
        {"name": "text"},
        {"Ms Jones": 1},
        {1: 1},
        {"nested": {"a": 1}},
        [1],
    ],
)
def test_anything_else_may_not(value):
    assert not showable(value)


def test_more_than_fifty_numbers_are_an_artifact():
    assert not showable({f"n{n}": n for n in range(51)})


def test_a_generator_is_refused_since_calling_it_runs_nothing():
    def rows(study_key, sdk, study_logger):
        yield 1

    with pytest.raises(PipelineDefinitionError, match="generator"):
        study_pipeline(rows)
    with pytest.raises(OrchestratorError, match="generator"):
        MultiStudyOrchestrator(None).execute_pipeline(rows)


def test_a_history_is_not_handed_over_in_memory():
    @study_pipeline
    def changes(study_key, sdk, study_logger, records: "TableHistory", variables):  # noqa: F821
        """A history and a table."""

    pipeline = pipeline_of(changes)
    assert (pipeline.upstreams, pipeline.taken) == (("records", "variables"), ("variables",))
