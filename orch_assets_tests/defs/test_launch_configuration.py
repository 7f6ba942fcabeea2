"""What whoever may launch a run can set: nothing of this package's; and what is shown of keys."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._config import ConfigTypeKind
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_aws.s3 import S3Resource

from orch_assets import pipelines
from orch_assets.definitions import defs
from orch_assets.defs.bucket_io_managers import GCSPipelineIOManager, S3PipelineIOManager
from orch_assets.defs.discovery import marked_pipelines
from orch_assets.defs.io.io_manager import LocalPipelineIOManager, StudyIOManager
from orch_assets.defs.resources import OrchestrationResource, RegistryResource, StoreResource
from orch_assets.defs.state_machines.resource import StepFunctionsResource
from orch_assets.defs.study_resources import study_resources
from orch_assets_tests.defs.instances import temporary_instance
from orch_assets_tests.support.graphql import ask

LOCATION = "<<in_process>>"
KEY, OTHER_KEY = "planted-api-key", "planted-security-key"
OURS = [
    RegistryResource,
    OrchestrationResource,
    StoreResource,
    StepFunctionsResource,
    StudyIOManager,
    LocalPipelineIOManager,
    S3PipelineIOManager,
    GCSPipelineIOManager,
]
# What stood in the launchpad: keys to another address, any variable as a key, and so on.
HOSTILE = {
    "registry": {"config": {"base_url": "https://127.0.0.1:1", "api_key": {"env": "HOME"}}},
    "restricted_store": {"config": {"uri": "elsewhere"}},
    "orchestration": {"config": {"accept_study_loss": 1000}},
    "step_functions": {"config": {"endpoint": "https://127.0.0.1:1"}},
    "io_manager": {"config": {"store": {"uri": "elsewhere"}}},
}
_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on RunConfigValidationInvalid { errors { reason } }
  }
}
"""
_RESOURCE = """
query Shown($at: ResourceSelector!, $repository: RepositorySelector!) {
  topLevelResourceDetailsOrError(resourceSelector: $at) {
    ... on ResourceDetails {
      name
      resourceType
      configuredValues { key value }
      configFields { name defaultValueAsJson }
    }
  }
  repositoryOrError(repositorySelector: $repository) {
    ... on Repository { pipelines { name modes { resources { name configField {
      defaultValueAsJson
      configType { ... on CompositeConfigType { fields { name defaultValueAsJson } } }
    } } } } }
  }
}
"""


@dg.asset
def uses_everything(
    registry: RegistryResource, orchestration: OrchestrationResource, settled: StoreResource
) -> dict[str, Any]:
    """Return what a run finds in the fields."""
    return {
        "keys": [registry.api_key == KEY, registry.security_key == OTHER_KEY],
        "whitelist": orchestration.whitelist,
        "uri": settled.uri,
    }


keyed = dg.Definitions(
    assets=[uses_everything],
    resources=study_resources(
        registry=RegistryResource(api_key=KEY, security_key=OTHER_KEY),
        orchestration=OrchestrationResource(whitelist=["A-1", "B-2"], max_workers=8),
        settled=StoreResource(uri="/planted/address"),
        io_manager=S3PipelineIOManager(
            bucket="clinical",
            tags={"team": "planted-tag"},
            s3=S3Resource(aws_access_key_id=KEY, aws_secret_access_key=OTHER_KEY),
        ),
    ),
    executor=dg.in_process_executor,
)


def settable(config_type: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield each place of a configuration that takes a value."""
    if ConfigTypeKind.is_shape(config_type.kind) or ConfigTypeKind.is_selector(config_type.kind):
        for name, field in config_type.fields.items():
            yield from settable(field.config_type, (*path, name))
        # Dagster's implicit job passes over resources and ops that it doesn't have.
        if config_type.kind == ConfigTypeKind.PERMISSIVE_SHAPE and len(path) > 1:
            yield (*path, "*")
    else:
        yield path


def settable_of(job: dg.JobDefinition) -> set[str]:
    """Return the places that take a value, without those of Dagster's executor and loggers."""
    places = settable(job.run_config_schema.config_type)
    return {".".join(path) for path in places if path[0] not in {"execution", "loggers"}}


JOBS = {job.name: job for job in defs.get_repository_def().get_all_jobs()}


@pytest.mark.parametrize("job_name", sorted(JOBS))
def test_no_job_takes_configuration_other_than_settings_of_pipelines(job_name: str) -> None:
    """Nothing else of the code location can be set for a run, the implicit job's included."""
    settings = {
        f"ops.study_graph.config.{each.name}.{setting.name}"
        for each in marked_pipelines(pipelines)
        for setting in each.settings
    }
    assert settable_of(JOBS[job_name]) <= settings


def test_sensors_and_schedules_run_these_jobs() -> None:
    """What sensors and schedules start are the jobs above, or assets in Dagster's implicit job."""
    repository = defs.get_repository_def()
    started = [target.job_name for sensor in repository.sensor_defs for target in sensor.targets]
    started += [schedule.job_name for schedule in repository.schedule_defs]
    assert started
    assert set(started) <= JOBS.keys()


@pytest.mark.parametrize(
    "io_manager",
    [
        LocalPipelineIOManager(root="kept"),
        S3PipelineIOManager(bucket="b", s3=S3Resource(region_name="us-east-1")),
        GCSPipelineIOManager(bucket="b", tags={"a": "b"}),
        StudyIOManager(store=StoreResource(uri="kept")),
    ],
    ids=lambda each: type(each).__name__,
)
def test_io_managers_of_other_projects_take_none(io_manager: Any) -> None:
    """A project that keeps its own assets in our stores doesn't open their fields either."""

    @dg.asset(config_schema={"own": dg.Field(str, is_required=False)})
    def own() -> None:
        pass

    theirs = dg.Definitions(assets=[own], resources={"io_manager": io_manager})
    assert settable_of(theirs.resolve_implicit_global_asset_job_def()) == {"ops.own.config.own"}


@pytest.mark.parametrize("resource", sorted(HOSTILE))
def test_a_launch_that_sets_a_resource_is_refused(resource: str) -> None:
    """Dagster refuses the launch; no run is recorded."""
    run_config = {"resources": {resource: HOSTILE[resource]}}
    with temporary_instance() as real:
        answer = launch(real, "sync_studies", run_config)
        assert answer["__typename"] == "RunConfigValidationInvalid"
        (reason,) = {error["reason"] for error in answer["errors"]}
        assert reason in {"FIELD_NOT_DEFINED", "FIELDS_NOT_DEFINED"}
        with pytest.raises(dg.DagsterInvalidConfigError):
            JOBS["sync_studies"].execute_in_process(run_config, instance=real)
        assert real.get_runs() == []


@pytest.mark.parametrize(
    ("job_name", "op"),
    [
        ("sync_studies", "sync_studies_with_registry"),
        ("refresh_study_results", "study_results"),
        ("study_pipelines", "study_graph"),
        ("upkeep", "remove_what_is_old"),
    ],
)
def test_a_launch_that_configures_an_op_is_refused(job_name: str, op: str) -> None:
    """What no op reads can't be left in a run's record either."""
    with temporary_instance() as real:
        answer = launch(real, job_name, {"ops": {op: {"config": {"api_key": "x"}}}})
        assert answer["__typename"] == "RunConfigValidationInvalid"
        assert real.get_runs() == []


def launch(
    real: dg.DagsterInstance, job_name: str, run_config: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Launch a run as the UI does; return the answer."""
    at = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
    params = {
        "selector": {**at, "pipelineName": job_name},
        "runConfigData": json.dumps(run_config),
    }
    answer = ask(real, "orch_assets.definitions", _LAUNCH, {"params": params})
    launched: Mapping[str, Any] = answer["launchRun"]
    return launched


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_configure_at_launch_is_refused(kind: Any) -> None:
    """Dagster's own way to leave fields to the launch is closed, and the error tells why."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=f"{kind.__name__} can't be config"):
        kind.configure_at_launch()


def test_what_is_set_in_python_is_not_shown() -> None:
    """Neither the location's snapshot nor the UI's page on a resource has a field's value."""
    repository = keyed.get_repository_def()
    snapshot = dg.serialize_value(RepositorySnap.from_def(repository))
    jobs = [dg.serialize_value(job.get_job_snapshot()) for job in repository.get_all_jobs()]
    at = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
    with temporary_instance() as real:
        shown = {
            name: ask(
                real,
                __name__,
                _RESOURCE,
                {"at": {**at, "resourceName": name}, "repository": at},
                attribute="keyed",
            )
            for name in ("registry", "orchestration", "settled", "io_manager")
        }
    registry = shown["registry"]["topLevelResourceDetailsOrError"]
    assert registry == {
        "name": "registry",
        "resourceType": "orch_assets.defs.resources.RegistryResource",
        "configuredValues": [],
        "configFields": [],
    }
    for text in (snapshot, *jobs, json.dumps(shown)):
        for planted in (KEY, OTHER_KEY, "planted-tag", "/planted/address"):
            assert planted not in text


def test_what_is_set_in_python_holds_in_a_run(tmp_path: Path) -> None:
    """A run finds the fields as given, and its record and snapshot don't hold them."""
    with temporary_instance() as real:
        result = dg.materialize(
            [uses_everything],
            instance=real,
            resources={
                **(keyed.resources or {}),
                "io_manager": LocalPipelineIOManager(root=str(tmp_path)),
            },
        )
        run = real.get_run_by_id(result.run_id)
        assert run is not None
        stored = dg.serialize_value(run) + dg.serialize_value(
            real.get_job_snapshot(run.job_snapshot_id or "")
        )
        stored += "".join(map(dg.serialize_value, real.all_logs(result.run_id)))
    assert result.output_for_node("uses_everything") == {
        "keys": [True, True],
        "whitelist": ["A-1", "B-2"],
        "uri": "/planted/address",
    }
    for planted in (KEY, OTHER_KEY, "/planted/address"):
        assert planted not in stored


def test_environment_variables_that_the_code_names_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``dg.EnvVar`` in a field, of a nested resource too, is read as a run begins."""
    monkeypatch.setenv("OWN_KEY", KEY)
    monkeypatch.setenv("OWN_FOLDER", str(tmp_path))
    resources = {
        "registry": RegistryResource(api_key=dg.EnvVar("OWN_KEY"), security_key=OTHER_KEY),
        "orchestration": OrchestrationResource(),
        "settled": StoreResource(uri=dg.EnvVar("OWN_FOLDER")),
        "io_manager": StudyIOManager(store=StoreResource(uri=dg.EnvVar("OWN_FOLDER"))),
    }
    with temporary_instance() as real:
        result = dg.materialize([uses_everything], instance=real, resources=resources)
        assert result.output_for_node("uses_everything")["keys"] == [True, True]
        assert (tmp_path / "uses_everything.json").exists()
        monkeypatch.delenv("OWN_KEY")
        with pytest.raises(dg.DagsterInvalidConfigError, match="RegistryResource"):
            dg.materialize([uses_everything], instance=real, resources=resources)


def test_a_nested_resource_that_is_configured_at_launch_still_is(tmp_path: Path) -> None:
    """Another package's resource inside of an IO manager of ours stays as its owner wants it."""
    theirs = S3Resource.configure_at_launch()

    @dg.asset(io_manager_key="kept", required_resource_keys={"bucket_keeper"})
    def own(context: dg.AssetExecutionContext) -> None:
        assert context.resources.bucket_keeper.s3.meta.region_name == "eu-west-1"

    result = dg.materialize(
        [own],
        resources={
            "kept": LocalPipelineIOManager(root=str(tmp_path)),
            "bucket_keeper": S3PipelineIOManager(bucket="b", s3=theirs),
            "s3": theirs,
        },
        run_config={"resources": {"s3": {"config": {"region_name": "eu-west-1"}}}},
    )
    assert result.success


def test_the_client_is_closed_after_the_run(tmp_path: Path) -> None:
    """A run's registry is closed when the run has ended."""
    found = []

    @dg.asset
    def opens(registry: RegistryResource) -> None:
        found.append((registry, registry.sdk))

    resources = {
        "registry": RegistryResource(api_key=KEY, security_key=OTHER_KEY),
        "io_manager": LocalPipelineIOManager(root=str(tmp_path)),
    }
    assert dg.materialize([opens], resources=resources).success
    ((registry, sdk),) = found
    assert registry.sdk is not sdk  # another, since that one was closed
    registry.close()


def test_keys_are_not_in_the_repr() -> None:
    """A resource that is printed or logged shows no key."""
    shown = repr(RegistryResource(api_key=KEY, security_key=OTHER_KEY, kind="imednet"))
    assert "kind='imednet'" in shown
    assert "planted" not in shown


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_fields_are_described_in_python(kind: Any) -> None:
    """Every field's meaning can be read where it is set."""
    for name, field in kind.model_fields.items():
        if name not in {"s3", "gcs", "store"}:  # resources of their own
            assert field.description, name
