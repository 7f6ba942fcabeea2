"""Runs on other machines: a store that nobody has set is refused, a folder is warned about."""

import json
import logging
import re
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml

from orch_assets import study_pipeline
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.io.io_manager import LocalPipelineIOManager, StudyIOManager
from orch_assets.defs.partitions import STUDIES_NAME, range_tags
from orch_assets.defs.resources import StoreResource
from orch_assets.defs.runs.readiness import store_warnings
from orch_assets.defs.settings.launchers import refuse_run_of_command, remote_launcher
from orch_assets.defs.settings.request_slots import describe, request_slots
from orch_assets.defs.study_resources import study_resources
from orch_assets.errors import OrchestratorError, SettingError
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets_tests.defs.instances import temporary_instance
from orch_assets_tests.support.harness import Account, execute, in_state
from orch_assets_tests.support.processes import ROOT, Home

REMOTE = {
    "CeleryRunLauncher": {"module": "dagster_celery.launcher"},
    "K8sRunLauncher": {"module": "dagster_k8s", "config": {"instance_config_map": "dagster"}},
    "DockerRunLauncher": {"module": "dagster_docker"},
    "EcsRunLauncher": {"module": "dagster_aws.ecs"},
    "CeleryLauncher": {
        "module": "orch_assets.defs.cluster.celery_launcher",
        "config": {"broker": "redis://127.0.0.1:1"},
    },
    "SilentRunLauncher": {"module": "orch_assets_tests.scenarios.end_to_end.silent_launcher"},
}
LOCAL = {
    "DefaultRunLauncher": {"module": "dagster"},
    "SyncInMemoryRunLauncher": {"module": "dagster._core.launcher.sync_in_memory_run_launcher"},
}
REFUSED = "ORCH_STORE is not set, but {} starts runs on other machines: "
EACH_MACHINE = (
    "CeleryRunLauncher starts runs on other machines, but only the processes of one machine share "
    "the request limit, by files in DAGSTER_HOME: each machine may send as many requests as the "
    "account allows in all. Set ORCH_REQUEST_LIMITER to redis://… or postgresql://…."
)
LOCATION = "orch_assets_tests.scenarios.deploying.small_location"
CALLS: list[str] = []


@study_pipeline
def counted(study_key, sdk, study_logger):
    CALLS.append(study_key)
    return {"subjects": 1}


@dg.asset
def ordinary():
    return {"rows": 1}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in ("ORCH_STORE", "ORCH_RESTRICTED_STORE", "ORCH_REQUEST_LIMITER"):
        monkeypatch.delenv(name, raising=False)
    CALLS.clear()


@contextmanager
def launching(class_name, monkeypatch):
    """Give an instance with this launcher, which a process on a worker would load as well."""
    pointer = {"class": class_name, **(REMOTE | LOCAL)[class_name]}
    with temporary_instance({"run_launcher": pointer}) as real:
        monkeypatch.setenv("DAGSTER_HOME", real.root_directory)
        real.add_dynamic_partitions(STUDIES_NAME, ["S1"])
        yield real


def run_in(real, **resources):
    defs = dg.Definitions(
        assets=[build_study_graph([pipeline_of(counted)]), ordinary],
        jobs=[dg.define_asset_job("everything", selection="counted")],
        resources=study_resources(registry=Account(), **resources),
        executor=dg.in_process_executor,
    )
    run = execute(defs, real, "S1")
    return run.status.value, list(real.all_logs(run.run_id))


def failures(entries):
    found = [
        each.dagster_event.step_failure_data.error
        for each in entries
        if each.is_dagster_event and each.dagster_event.is_step_failure
    ]
    return [(error.cause or error).message for error in found]


def warnings(entries):
    return [each.user_message for each in entries if each.level == logging.WARNING]


@pytest.mark.parametrize("launcher", REMOTE)
def test_a_run_without_a_store_ends_before_its_first_study(monkeypatch, launcher):
    with launching(launcher, monkeypatch) as real:
        assert remote_launcher(real) == launcher
        status, entries = run_in(real)
        (message,) = failures(entries)
        assert (status, CALLS) == ("FAILURE", [])
        assert REFUSED.format(launcher) in message
        assert "Give s3://bucket/prefix, gs://bucket/prefix, or a folder" in message
        assert not Path(real.root_directory, "artifacts").exists()


@pytest.mark.parametrize("launcher", LOCAL)
def test_a_run_on_this_machine_needs_no_store(monkeypatch, launcher):
    with launching(launcher, monkeypatch) as real:
        assert remote_launcher(real) is None
        status, entries = run_in(real)
        assert (status, CALLS, warnings(entries)) == ("SUCCESS", ["S1"], [])


def test_a_folder_warns_once_and_the_restricted_store_may_be_below_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCH_STORE", str(tmp_path))
    with launching("CeleryRunLauncher", monkeypatch) as real:
        status, entries = run_in(real)
        assert (status, in_state(real, "counted", "MATERIALIZED")) == ("SUCCESS", ["S1"])
        warning, _ = warnings(entries)
        assert warning == (
            "ORCH_STORE is a folder, and CeleryRunLauncher starts runs on other machines: it must "
            "be the same folder on every machine, such as a shared volume. Otherwise, use a bucket."
        )


def test_a_limit_of_each_machine_warns_by_default_in_a_run_and_in_a_check(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCH_STORE", str(tmp_path))
    with launching("CeleryRunLauncher", monkeypatch) as real:
        status, entries = run_in(real)
        assert (status, warnings(entries)[1:]) == ("SUCCESS", [EACH_MACHINE])
        assert describe(request_slots(None, real), real).endswith(f"; {EACH_MACHINE}")
        monkeypatch.setenv("ORCH_REQUEST_LIMITER", "none")  # knows what it does
        assert len(warnings(run_in(real)[1])) == 1


def test_files_that_somebody_chose_for_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCH_STORE", str(tmp_path))
    monkeypatch.setenv("ORCH_REQUEST_LIMITER", "files")
    refused = (
        "ORCH_REQUEST_LIMITER is files, but CeleryRunLauncher starts runs on other machines, which "
        "don't see the files of this one. Give redis://… or postgresql://…."
    )
    with launching("CeleryRunLauncher", monkeypatch) as real:
        status, entries = run_in(real)
        assert (status, CALLS) == ("FAILURE", [])
        assert refused in failures(entries)[0]
        with pytest.raises(SettingError, match=re.escape(refused)):
            request_slots("files", real)
    with launching("DefaultRunLauncher", monkeypatch) as real:
        assert describe(request_slots("files", real), real).endswith("/request_limits")


@pytest.mark.parametrize("launcher", ["CeleryLauncher", "SilentRunLauncher", *LOCAL])
def test_a_command_runs_where_the_launcher_leaves_its_run_alone(monkeypatch, launcher):
    with launching(launcher, monkeypatch) as real:
        refuse_run_of_command(real)


def test_a_command_refuses_a_launcher_that_is_not_installed_here(tmp_path):
    (tmp_path / "dagster.yaml").write_text("run_launcher: {module: dagster_missing, class: Far}")
    with (
        dg.DagsterInstance.from_config(str(tmp_path)) as real,
        pytest.raises(OrchestratorError, match="Far takes each run"),
    ):
        refuse_run_of_command(real)


def test_a_restricted_store_alone_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCH_RESTRICTED_STORE", str(tmp_path))
    with launching("CeleryRunLauncher", monkeypatch) as real:
        _, entries = run_in(real)
        assert REFUSED.format("CeleryRunLauncher") in failures(entries)[0]


def test_an_ordinary_asset_is_refused_too(monkeypatch):
    """It is stored by the same IO manager, which is given the store by its resource."""
    with launching("CeleryRunLauncher", monkeypatch) as real:
        resources = {"io_manager": StudyIOManager(store=StoreResource())}
        done = dg.materialize([ordinary], instance=real, resources=resources, raise_on_error=False)
        (message,) = failures(real.all_logs(done.run_id))
        assert REFUSED.format("CeleryRunLauncher") in message


@pytest.mark.parametrize(
    ("stores", "named"),
    [
        (("s3://bucket/a", None), []),
        (("s3://bucket/a", "gs://bucket/b"), []),
        (("/srv/a", "s3://bucket/b"), ["ORCH_STORE is"]),
        (("s3://bucket/a", "/srv/b"), ["ORCH_RESTRICTED_STORE (by"]),
        (("file:///srv/a", "/srv/b"), ["ORCH_STORE is", "ORCH_RESTRICTED_STORE (by"]),
    ],
)
def test_each_folder_is_named(monkeypatch, stores, named):
    for name, address in zip(("ORCH_STORE", "ORCH_RESTRICTED_STORE"), stores, strict=True):
        if address:
            monkeypatch.setenv(name, address)
    with launching("CeleryRunLauncher", monkeypatch) as real:
        texts = store_warnings(study_resources(), real)
        assert [text[: len(start)] for text, start in zip(texts, named, strict=True)] == named
    with launching("DefaultRunLauncher", monkeypatch) as real:
        assert store_warnings(study_resources(), real) == []


def test_folders_that_code_gives_are_named_by_their_resource(monkeypatch):
    resources = {
        "io_manager": StudyIOManager(store=StoreResource(uri="/srv/a")),
        "other_io_manager": LocalPipelineIOManager(root="/srv/b"),
    }
    with launching("CeleryRunLauncher", monkeypatch) as real:
        texts = sorted(store_warnings(resources, real))
    assert [text.split(" is ")[0] for text in texts] == [
        "The resource io_manager", "The resource other_io_manager",
    ]  # fmt: skip


def test_a_process_on_a_worker_refuses_too(tmp_path):
    """It knows of the launcher from the same dagster.yaml, and needs no broker for that."""
    home = Home(tmp_path, {"PYTHONPATH": str(ROOT)})
    config = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    config["run_launcher"] = {"class": "CeleryRunLauncher", **REMOTE["CeleryRunLauncher"]}
    (home.folder / "dagster.yaml").write_text(yaml.safe_dump(config))
    with home.instance() as real:
        real.add_dynamic_partitions(STUDIES_NAME, ["S1"])
    tags = json.dumps(range_tags("S1", "S1"))
    arguments = ("-m", LOCATION, "-j", "studies", "--tags", tags)
    done = home.run("dagster", "job", "execute", *arguments)
    assert REFUSED.format("CeleryRunLauncher") in done.stdout + done.stderr
    assert done.returncode == 1
    assert not (home.folder / "artifacts").exists()
