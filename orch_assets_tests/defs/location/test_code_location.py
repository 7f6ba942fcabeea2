"""``build_definitions``: the whole code location, of shipped pipelines and of a user's own."""

from datetime import UTC, datetime

import dagster as dg
import pytest

import orch_assets
from orch_assets import build_definitions, study_pipeline
from orch_assets.defs.io.io_manager import StudyIOManager
from orch_assets.defs.location.graph_assets import broken_of, graph_keys_of
from orch_assets.defs.location.location_settings import LocationSettings
from orch_assets.defs.partitions import range_tags, studies
from orch_assets.defs.resources import OrchestrationResource, RegistryResource, StoreResource
from orch_assets.defs.study_resources import study_resources
from orch_assets.errors import PipelineDefinitionError, SettingError
from orch_assets_tests.defs.location.own_files import HEAD, packages, pipeline
from orch_assets_tests.support.harness import in_state, instance, materializations

STUDIES = ("ONC-301", "CARD-202")


@pytest.fixture
def package(tmp_path):
    with packages(tmp_path) as make:
        yield make


@study_pipeline
def enrolled(study_key, sdk, study_logger, subjects):
    """A user's pipeline on a shipped table."""
    return {"enrolled": len(subjects)}


@study_pipeline
def alone(study_key, sdk, study_logger):
    """A user's pipeline without upstreams."""
    return {"answer": 42}


def names(defs):
    """Return the names of a location's pipelines, after Dagster has accepted it whole."""
    dg.Definitions.validate_loadable(defs)
    return {key.to_user_string() for key in graph_keys_of(defs)}


SHIPPED = names(build_definitions())


def in_folder(folder, **others):
    """Return resources whose stores are below a folder, and whose account is the simulator's."""
    return study_resources(
        StoreResource(uri=str(folder / "open")),
        StoreResource(uri=str(folder / "closed"), restricted=True),
        registry=RegistryResource(kind="demo", demo_studies=2, demo_subjects=3),
        **others,
    )


def run(defs, real, job="study_pipelines", **options):
    return defs.resolve_job_def(job).execute_in_process(
        instance=real, tags=range_tags(*STUDIES), raise_on_error=False, **options
    )


# --- pipelines ---


def test_a_package_a_module_and_functions_are_taken(package):
    inner = {"safety": HEAD + pipeline("events"), "deep.labs": HEAD + pipeline("labs", "events")}
    module = package(__init__=HEAD + pipeline("top"), **inner)
    single = package(one=HEAD + pipeline("one"), two=HEAD + pipeline("two"))
    one = __import__(f"{single.__name__}.one", fromlist=["one"])
    assert names(build_definitions([module, one, enrolled])) == SHIPPED | {
        "top", "events", "labs", "one", "enrolled",
    }  # fmt: skip
    assert names(build_definitions(module)) == SHIPPED | {"top", "events", "labs"}
    assert names(build_definitions(enrolled)) == SHIPPED | {"enrolled"}


def test_a_pipeline_that_is_given_twice_is_there_once(package):
    module = package(events=HEAD + pipeline("events") + "again = events\n")
    function = __import__(f"{module.__name__}.events", fromlist=["events"]).events
    defs = build_definitions([module, function, module])
    assert names(defs) == SHIPPED | {"events"}
    assert broken_of(defs) == {}


def test_a_package_of_a_command_is_not_run_and_a_broken_file_costs_itself_alone(package):
    files = {"__main__": "raise SystemExit(3)", "inner.bad": "1/0"}
    module = package(good=HEAD + pipeline("good"), **files)
    defs = build_definitions(module)
    assert names(defs) == SHIPPED | {"good", "bad"}
    assert broken_of(defs) == {"bad": "inner/bad.py, line 1: ZeroDivisionError."}


@pytest.mark.parametrize("wrong", ["a.name", 3, [lambda study_key: None], [None]])
def test_what_is_no_pipeline_is_refused(wrong):
    with pytest.raises(PipelineDefinitionError, match="Give packages, modules, or functions"):
        build_definitions(wrong if isinstance(wrong, list | str) else [wrong])


def test_shipped_pipelines_are_chosen_with_their_upstreams():
    chosen = {"study_summary", "subjects", "sites", "visits", "queries"}
    found = names(build_definitions(shipped=["study_summary"]))
    assert {"study_summary", "subjects"} < found < SHIPPED
    assert found >= chosen & found
    assert names(build_definitions(alone, shipped=())) == {"alone"}
    assert names(build_definitions(enrolled, shipped=["subjects"])) == {"subjects", "enrolled"}


def test_a_shipped_name_that_is_none_is_told_with_those_there_are():
    with pytest.raises(PipelineDefinitionError, match=r"names subject, .* Did you mean subjects\?"):
        build_definitions(shipped=["subject"])


def test_a_shipped_upstream_that_is_left_out_is_said():
    defs = build_definitions([alone, enrolled], shipped=["sites"])
    (reason,) = broken_of(defs).values()
    assert reason.endswith(
        "Pipeline enrolled takes the shipped pipeline subjects, which this code location leaves "
        "out. Add it to `shipped`."
    )


def test_a_location_without_pipelines_is_refused():
    with pytest.raises(PipelineDefinitionError, match="has no pipelines"):
        build_definitions(shipped=())


def test_a_pipeline_with_a_shipped_name_is_broken_and_the_shipped_one_stays(package):
    module = package(subjects=HEAD + pipeline("subjects"))
    defs = build_definitions(module)
    assert names(defs) == SHIPPED | {"subjects_file"}
    (reason,) = broken_of(defs).values()
    assert "subjects.py, line 2: pipelines/subjects.py, line " in reason
    assert "has the asset subjects, too. Rename one." in reason
    assert names(build_definitions(module, shipped=["sites"])) == {"sites", "subjects"}


# --- a user's definitions ---


@dg.asset(partitions_def=studies)
def per_study(context: dg.AssetExecutionContext, subjects):
    """A user's asset that takes one of our tables, study by study."""
    context.log.info("%d", len(subjects))
    return subjects.head(1)


@dg.asset_check(asset="sites", blocking=False)
def has_sites(context: dg.AssetCheckExecutionContext, sites) -> dg.AssetCheckResult:
    """A user's check of one of our tables."""
    return dg.AssetCheckResult(passed=all(len(each) > 0 for each in sites.values()))


@dg.sensor(job_name="study_pipelines", default_status=dg.DefaultSensorStatus.STOPPED)
def on_friday(context: dg.SensorEvaluationContext):
    """A user's sensor on our job."""
    return dg.RunRequest(partition_key=STUDIES[1])


@dg.schedule(job_name="study_pipelines", cron_schedule="0 7 * * 1")
def on_monday(context: dg.ScheduleEvaluationContext):
    """A user's schedule on our job."""
    return dg.RunRequest(tags=range_tags(*STUDIES))


def test_a_users_definitions_are_merged_and_run(tmp_path):
    """Their asset and check take our tables, and their sensor and schedule start our job."""
    defs = build_definitions(
        enrolled,
        shipped=["subjects", "sites"],
        assets=[per_study],
        checks=[has_sites],
        sensors=[on_friday],
        schedules=[on_monday],
        jobs=[dg.define_asset_job("own_checks", dg.AssetSelection.checks(has_sites))],
        resources=in_folder(tmp_path, crm=dg.ResourceDefinition.hardcoded_resource("theirs")),
    )
    assert names(defs) == {"subjects", "sites", "enrolled"}
    job = defs.resolve_job_def("study_pipelines")
    assert defs.resolve_sensor_def("on_friday").job_name == job.name
    with instance(*STUDIES) as real:
        schedule, sensor = (
            defs.resolve_schedule_def("on_monday"),
            defs.resolve_sensor_def("on_friday"),
        )
        with dg.build_schedule_context(instance=real) as context:
            request = schedule(context)
        first = job.execute_in_process(instance=real, tags=request.tags, raise_on_error=False)
        assert first.success
        steps = {event.step_key for event in first.all_events if event.step_key}
        assert steps == {"study_graph"}  # Dagster would only skip their check in this run
        with dg.build_sensor_context(instance=real) as context:
            request = sensor(context)
        assert job.execute_in_process(instance=real, partition_key=request.partition_key).success
        checks = defs.resolve_job_def("own_checks").execute_in_process(instance=real)
        (checked,) = checks.get_asset_check_evaluations()
        assert (checked.asset_check_key, checked.passed) == (has_sites.check_key, True)
        assert len(materializations(real, "enrolled")[STUDIES[1]]) == 2
        for study in STUDIES:
            own = defs.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=real, partition_key=study, asset_selection=[dg.AssetKey("per_study")]
            )
            assert own.success
        assert sorted(in_state(real, "per_study", "MATERIALIZED")) == sorted(STUDIES)
        (event,) = materializations(real, "per_study")[STUDIES[0]]
        assert event["dagster/row_count"] == 1


@dg.sensor(job_name="study_pipelines")
def daily_refresh():
    """A user's sensor with the name of our schedule."""


@dg.asset_check(asset="sites")
def reconciled() -> dg.AssetCheckResult:
    """A user's check with the name of ours."""
    return dg.AssetCheckResult(passed=True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"assets": [dg.AssetSpec("sites")]}, "Your asset sites has the name of one .* shipped"),
        ({"assets": [dg.AssetSpec("study_results")]}, "Your asset study_results"),
        ({"jobs": [dg.define_asset_job("study_pipelines", "*")]}, "Your job study_pipelines"),
        ({"sensors": [daily_refresh]}, "Your sensor or schedule daily_refresh"),
        ({"checks": [reconciled]}, "Your asset check sites:reconciled"),
    ],
)
def test_a_name_of_ours_is_refused_with_whose_it_is(options, told):
    with pytest.raises(PipelineDefinitionError, match=told):
        build_definitions(**options)


def test_a_resource_replaces_ours_by_key():
    own = OrchestrationResource(max_workers=2)
    defs = build_definitions(resources={"orchestration": own, "crm": 1})
    assert defs.resources["orchestration"] is own
    assert defs.resources.keys() == study_resources().keys() | {"crm"}


def test_a_restricted_store_of_a_users_own_holds_withheld_values_too(tmp_path):
    own = StoreResource(uri=str(tmp_path), restricted=True)
    defs = build_definitions(resources={"restricted_store": own})
    assert defs.resources["restricted_io_manager"].store is own
    with pytest.raises(SettingError, match="restricted must be a StoreResource"):
        build_definitions(resources={"restricted_store": StoreResource(uri=str(tmp_path))})


@pytest.mark.parametrize("restricted", [None, StoreResource(restricted=True)])
def test_an_open_store_in_code_needs_a_restricted_one(restricted):
    """Otherwise withheld values would go below the store that the environment names."""
    with pytest.raises(SettingError, match="restricted_store must have an address"):
        study_resources(StoreResource(uri="s3://clinical/trials"), restricted)


def test_an_open_store_of_a_users_own_io_manager_needs_a_restricted_one(tmp_path):
    own = {"io_manager": StudyIOManager(store=StoreResource(uri=str(tmp_path / "open")))}
    with pytest.raises(SettingError, match="restricted_store must have an address"):
        build_definitions(resources=own)
    restricted = StoreResource(uri=str(tmp_path / "closed"), restricted=True)
    defs = build_definitions(resources={**own, "restricted_store": restricted})
    assert defs.resources["restricted_io_manager"].store is restricted


def test_a_misspelt_key_names_the_keys_there_are():
    """Else our resource would stay, and nobody would see it."""
    with pytest.raises(PipelineDefinitionError) as caught:
        build_definitions(resources={"orchestation": OrchestrationResource()})
    assert str(caught.value) == (
        "Nothing requires your resource orchestation. Did you mean orchestration? These keys "
        f"replace ours: {', '.join(sorted(study_resources()))}."
    )


def test_a_similar_key_that_something_requires_is_no_mistake():
    @dg.asset(required_resource_keys={"registry2"})
    def other():
        """Need a resource whose key is similar to one of ours."""

    @study_pipeline(io_manager_key="io_manager2")
    def stored(study_key, sdk, study_logger):
        """Be stored elsewhere."""

    resources = {"registry2": 1, "io_manager2": study_resources()["io_manager"]}
    defs = build_definitions(stored, assets=[other], resources=resources)
    assert broken_of(defs) == {}


def test_a_resource_that_is_missing_is_named_with_the_keys_there_are():
    @dg.asset(required_resource_keys={"crm"})
    def other():
        """Need a resource that isn't there."""

    defs = build_definitions(assets=[other])
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"'crm' .*'orchestration'"):
        dg.Definitions.validate_loadable(defs)


# --- settings ---


def test_studies_per_run_and_pool_reach_everything_that_makes_runs():
    settings = LocationSettings(studies_per_run=7)
    defs = build_definitions(settings=settings, pool="account")
    graph = defs.resolve_assets_def("sites")
    assert graph.backfill_policy == dg.BackfillPolicy.multi_run(7)
    assert graph.op.pool == "account"
    with instance(*[f"S{number:02}" for number in range(10)]) as real:
        now = datetime(2026, 3, 2, 5, tzinfo=UTC)
        with dg.build_schedule_context(instance=real, scheduled_execution_time=now) as context:
            requests = defs.resolve_schedule_def("daily_refresh")(context)
    assert [request.tags for request in requests] == [
        range_tags("S00", "S06"),
        range_tags("S07", "S09"),
    ]


def test_the_public_name_is_the_function():
    assert orch_assets.build_definitions is build_definitions
    assert "build_definitions" not in orch_assets.__all__  # `import *` works without Dagster
