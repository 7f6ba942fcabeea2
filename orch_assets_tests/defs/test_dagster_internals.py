"""Each private part of Dagster is there and does what it is used for: an upgrade fails by name."""

import ast
import importlib
import inspect
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from orch_assets.defs import dagster_internals as internals
from orch_assets_tests.defs.instances import temporary_instance

MODULE = ast.parse(Path(internals.__file__).read_text())


def names_of_dagster(nodes: Iterable[ast.AST]) -> list[tuple[str, str]]:
    return [
        (node.module, alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("dagster")
        for alias in node.names
    ]


NAMES = names_of_dagster(ast.walk(MODULE))
KEY = dg.AssetKey("table")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_the_name_is_there(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


def test_every_name_is_given_on_and_tested_here() -> None:
    """A name that is added to the module without a test of its use fails here."""
    of_batches = {"can_store_batches", "log_entry", "store_batch"}  # in test_result_log.py
    imported = {name for _, name in names_of_dagster(MODULE.body)}
    functions = {
        node.name
        for node in MODULE.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    assert imported | functions == set(internals.__all__)
    tree = ast.parse(Path(__file__).read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "internals"
    }
    assert used >= set(internals.__all__) - of_batches


def test_a_job_of_assets_has_the_type() -> None:
    job = dg.define_asset_job("job", selection="*")
    assert isinstance(job, internals.UnresolvedAssetJobDefinition)


def test_definitions_that_are_made_at_load_have_the_type() -> None:
    def nothing() -> dg.Definitions:
        return dg.Definitions()

    made = dg.definitions(nothing)
    assert isinstance(made, internals.LazyDefinitions)
    assert isinstance(made(), dg.Definitions)


def test_the_files_of_a_folder_say_where_code_locations_are(tmp_path: Path) -> None:
    """As for Dagster's commands: pyproject.toml first, then workspace.yaml."""
    assert internals.configured_origins(tmp_path) == []
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: [{python_module: {module_name: m.w, location_name: w}}]")
    (of_workspace,) = internals.configured_origins(tmp_path)
    project = tmp_path / "pyproject.toml"
    project.write_text("[tool.ruff]\n")
    assert internals.configured_origins(tmp_path) == [of_workspace]
    project.write_text('[tool.dg.project]\nroot_module = "m"\ncode_location_name = "p"\n')
    (of_project,) = internals.configured_origins(tmp_path)
    found = [
        (each.location_name, each.loadable_target_origin.module_name)
        for each in (of_workspace, of_project)
    ]
    assert found == [("w", "m.w"), ("p", "m.definitions")]


def test_backfills_are_found_by_their_status(instance: dg.DagsterInstance) -> None:
    assert internals.requested_backfills(instance) == []


def test_a_note_is_stored_once_and_changed_by_who_wrote_it(instance: dg.DagsterInstance) -> None:
    """As a cursor value, so that Dagster's own functions read it."""
    assert internals.insert_note(instance, "key", "one 1;")
    assert not internals.insert_note(instance, "key", "two 1;")
    internals.insert_note(instance, "another", "one 1;")
    assert internals.keys_of_notes(instance, "ke") == ["key"]
    assert not internals.replace_note(instance, "key", "two 2;", of="two ")
    assert not internals.replace_note(instance, "other", "one 2;", of="one ")
    assert internals.replace_note(instance, "key", "one 2;", of="one ")
    assert instance.run_storage.get_cursor_values({"key"}) == {"key": "one 2;"}
    internals.delete_note(instance, "key", of="two ")
    assert instance.run_storage.get_cursor_values({"key"}) == {"key": "one 2;"}
    internals.delete_note(instance, "key", of="one ")
    assert instance.run_storage.get_cursor_values({"key"}) == {}


def test_a_created_run_is_executed_by_its_origin(instance: dg.DagsterInstance) -> None:
    """The tests of a cluster execute one that has an origin."""
    run = dg.DagsterRun(job_name="job")
    instance.add_run(run)
    with pytest.raises(Exception, match="does not include an origin"):
        internals.execute_created_run(instance, run.run_id)


def test_a_launcher_answers_run_monitoring() -> None:
    health = internals.CheckRunHealthResult(internals.WorkerStatus.FAILED, "why")
    assert str(health) == "FAILED: 'why'"
    launch = inspect.signature(dg.DagsterInstance.launch_run)
    assert "run_id" in launch.parameters
    assert internals.LaunchRunContext._fields[:2] == ("dagster_run", "workspace")


def test_a_check_names_the_materialization_that_it_is_about() -> None:
    about = internals.AssetCheckEvaluationTargetMaterializationData(
        storage_id=1, run_id="run", timestamp=2.0
    )
    evaluation = dg.AssetCheckEvaluation(
        asset_key=KEY, check_name="c", passed=True, metadata={}, target_materialization_data=about
    )
    assert evaluation.target_materialization_data == about


def test_a_materialization_is_stored_as_the_event_of_a_step() -> None:
    event = dg.AssetMaterialization(KEY)
    assert internals.StepMaterializationData(event).materialization == event


def test_listeners_of_a_run_get_its_events(instance: dg.DagsterInstance) -> None:
    heard: list[dg.EventLogEntry] = []
    instance.add_event_listener("run", heard.append)
    entries = [
        dg.EventLogEntry(error_info=None, level=10, user_message="", run_id=run_id, timestamp=1.0)
        for run_id in ("run", "another")
    ]
    internals.notify_listeners(instance, entries)
    assert heard == entries[:1]


def test_an_input_has_one_partition_of_no_definition() -> None:
    subset = internals.KeyRangeNoPartitionsDefPartitionsSubset(dg.PartitionKeyRange("s", "s"))
    context = dg.InputContext(
        name="table", asset_key=KEY, partition_key="s", asset_partitions_subset=subset
    )
    assert list(context.asset_partition_keys) == ["s"]
    assert context.asset_partition_key == "s"
    assert internals.step_of(context) is None


def test_input_and_output_of_a_step_belong_to_one_step(instance: dg.DagsterInstance) -> None:
    steps = []

    class Noting(dg.IOManager):
        def handle_output(self, context: dg.OutputContext, obj: object) -> None:
            steps.append((context.asset_key.to_user_string(), internals.step_of(context)))

        def load_input(self, context: dg.InputContext) -> int:
            steps.append(("input", internals.step_of(context)))
            return 1

    @dg.asset
    def first() -> int:
        return 1

    @dg.asset
    def second(first: int) -> int:
        return first

    dg.materialize([first, second], instance=instance, resources={"io_manager": Noting()})
    (_, of_first), (_, of_input), (_, of_second) = steps
    assert of_input is of_second is not of_first
    assert of_first is not None


def test_an_io_manager_sees_the_metadata_that_an_asset_gives_itself(
    instance: dg.DagsterInstance,
) -> None:
    seen = []

    class Seeing(dg.IOManager):
        def handle_output(self, context: dg.OutputContext, obj: object) -> None:
            seen.append(
                {name: value.value for name, value in internals.own_metadata(context).items()}
            )

        def load_input(self, context: dg.InputContext) -> None:
            raise NotImplementedError

    @dg.asset
    def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        context.add_output_metadata({"b": 2})
        context.add_asset_metadata(metadata={"c": dg.MetadataValue.int(3)})
        return dg.MaterializeResult(value=1, metadata={"a": 1})

    dg.materialize([table], instance=instance, resources={"io_manager": Seeing()})
    assert seen == [{"a": 1, "b": 2, "c": 3}]


def test_what_an_input_adds_is_on_the_materialization_of_what_is_made_from_it(
    instance: dg.DagsterInstance,
) -> None:
    class Adding(dg.IOManager):
        def handle_output(self, context: dg.OutputContext, obj: object) -> None:
            pass

        def load_input(self, context: dg.InputContext) -> int:
            added = internals.added_to_outputs(context)
            internals.add_to_outputs(context, {"inputs": len(added) + 1, **added})
            return 1

    @dg.asset
    def first() -> int:
        return 1

    @dg.asset
    def second(first: int) -> int:
        return first

    made = dg.materialize([first, second], instance=instance, resources={"io_manager": Adding()})
    (event,) = made.asset_materializations_for_node("second")
    assert event.metadata["inputs"].value == 1
    with dg.build_input_context(asset_key=KEY) as context:  # outside a step
        internals.add_to_outputs(context, {"inputs": 1})
        assert internals.added_to_outputs(context) == {}


def test_a_run_is_made_with_an_origin_and_executed_later(instance: dg.DagsterInstance) -> None:
    @dg.op
    def nothing() -> None:
        pass

    @dg.job(executor_def=dg.in_process_executor)
    def job() -> None:
        nothing()

    target = internals.LoadableTargetOrigin(
        executable_path=sys.executable,
        module_name="module",
        working_directory=".",
        attribute="defs",
    )
    location = internals.ManagedGrpcPythonEnvCodeLocationOrigin(target, "location")
    repository = internals.RemoteRepositoryOrigin(location, "__repository__")
    origin = internals.RemoteJobOrigin(repository, "job")
    run = instance.create_run_for_job(job, remote_job_origin=origin)
    assert run.status == dg.DagsterRunStatus.NOT_STARTED
    events = internals.execute_run_iterator(internals.InMemoryJob(job), run, instance)
    assert [event.event_type for event in events if event.is_job_event][-1:] == [
        dg.DagsterEventType.RUN_SUCCESS
    ]
    ended = instance.get_run_by_id(run.run_id)
    assert ended.status == dg.DagsterRunStatus.SUCCESS
    assert ended.remote_job_origin.location_name == "location"


def test_an_interrupt_is_held_back_until_the_block_ends() -> None:
    done = False
    before = signal.getsignal(signal.SIGINT)
    with internals.capture_interrupts():
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done
    assert signal.getsignal(signal.SIGINT) is before


def test_resources_and_io_managers_are_made_by_factories_of_these_types() -> None:
    class Resource(dg.ConfigurableResource):
        pass

    class IOManagerFactory(dg.ConfigurableIOManagerFactory):
        def create_io_manager(self, context: dg.InitResourceContext) -> dg.IOManager:
            raise NotImplementedError

    described = {
        Resource: internals.ConfigurableResourceFactoryResourceDefinition,
        IOManagerFactory: internals.ConfigurableIOManagerFactoryResourceDefinition,
    }
    for made, definition in described.items():
        assert issubclass(made, internals.ConfigurableResourceFactory)
        assert isinstance(made().get_resource_definition(), definition)
        # `set_in_code` gives these by position.
        assert list(inspect.signature(definition).parameters)[:6] == [
            "configurable_resource_cls",
            "resource_fn",
            "config_schema",
            "description",
            "nested_resources",
            "nested_partial_resources",
        ]


def test_fields_are_checked_and_filled_in() -> None:
    schema = dg.Field({"bucket": str, "prefix": dg.Field(str, default_value="")})
    filled = internals.process_config({"config": schema.config_type}, {"config": {"bucket": "b"}})
    assert filled.value == {"config": {"bucket": "b", "prefix": ""}}
    wrong = internals.process_config({"config": schema.config_type}, {"config": {"bucket": 1}})
    assert not wrong.success


def test_a_cached_method_gives_the_same_object() -> None:
    class Once:
        @internals.cached_method
        def get(self) -> SimpleNamespace:
            return SimpleNamespace()

    one = Once()
    assert one.get() is one.get()
    assert one.get() is not Once().get()


def test_an_unfinished_run_is_found_and_fails_with_the_reason(instance: dg.DagsterInstance) -> None:
    unfinished = dg.RunsFilter(statuses=internals.NOT_FINISHED_STATUSES)
    run = instance.create_run_for_job(
        dg.define_asset_job("job", selection="*").resolve(
            asset_graph=dg.Definitions(assets=[dg.AssetSpec(KEY)]).resolve_asset_graph()
        )
    )
    assert [each.run_id for each in instance.get_runs(unfinished)] == [run.run_id]
    gone = internals.RunFailureReason.UNEXPECTED_TERMINATION
    reason = internals.JobFailureData(error=None, failure_reason=gone)
    instance.report_run_failed(run, "its process is gone", reason)
    assert instance.get_runs(unfinished) == []
    assert instance.get_run_by_id(run.run_id).tags["dagster/failure_reason"] == gone.value


def test_a_history_of_a_check_is_read_by_status(instance: dg.DagsterInstance) -> None:
    """So the failed evaluations alone are read, and no planned ones, which may be large."""
    for passed in (True, False):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=KEY, check_name="check", passed=passed)
        )
    storage, check = instance.event_log_storage, dg.AssetCheckKey(KEY, "check")
    failed = {internals.AssetCheckExecutionRecordStatus.FAILED}
    found = storage.get_asset_check_execution_history(check, 10, None, failed)
    assert [each.event.dagster_event.asset_check_evaluation_data.passed for each in found] == [
        False
    ]


def test_an_instance_waits_for_its_database_during_a_block_alone(
    instance: dg.DagsterInstance,
) -> None:
    run = dg.DagsterRun(job_name="some", run_id="1" * 36)
    calls = []

    def wait(call: Callable[[], object]) -> object:
        calls.append(call)
        return call()

    with internals.waiting_storages(instance, wait):
        instance.add_run(run)
        instance.report_run_failed(run)
        assert len(calls) > 2
    calls.clear()
    (entry,) = instance.all_logs(run.run_id)
    storage = instance.event_log_storage
    assert internals.stored_ids(storage, [entry])
    assert not internals.stored_ids(storage, [entry, entry._replace(timestamp=1.0)])
    assert calls == []


def test_a_backfill_has_the_tags_that_its_request_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context_type = importlib.import_module("dagster._core.workspace.context")
    request_type = context_type.WorkspaceRequestContext
    monkeypatch.setattr(request_type, "get_viewer_tags", request_type.get_viewer_tags)
    monkeypatch.delitem(sys.modules, "dagster_graphql", raising=False)  # as in the daemon
    internals.tag_backfills(lambda of, request: {"of": of.root_directory, "by": str(request)})
    with (
        temporary_instance() as real,
        context_type.WorkspaceProcessContext(real, None) as process,
    ):
        context = process.create_request_context("a request")
        assert context.get_viewer_tags() == {"of": real.root_directory, "by": "a request"}


def test_a_coordinator_is_told_what_asked_for_a_run() -> None:
    assert internals.SubmitRunContext._fields == ("dagster_run", "workspace")
