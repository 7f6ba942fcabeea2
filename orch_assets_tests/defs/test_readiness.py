"""What a run needs is tried before its first study: its stores and the registry's keys."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from orch_assets import study_pipeline
from orch_assets.defs.io.io_manager import LocalPipelineIOManager, StudyIOManager
from orch_assets.defs.resources import RegistryResource, StoreResource
from orch_assets.defs.runs.readiness import try_stores
from orch_assets.defs.study_resources import study_resources
from orch_assets.demo import DemoServer, Fault
from orch_assets.errors import StoreAddressError, StoreError
from orch_assets_tests.support.harness import (
    Account,
    definitions,
    execute,
    instance,
    observations,
    states,
)

CALLS: list[str] = []


@study_pipeline
def counted(study_key, sdk, study_logger):
    CALLS.append(study_key)
    return {"subjects": 1}


@pytest.fixture(autouse=True)
def no_calls():
    CALLS.clear()


def last_error(real: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Return the error that ended the run's one step."""
    (entry,) = real.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    error = entry.dagster_event.step_failure_data.error
    return (error.cause or error).message


def run_over(tmp_path: Path, **resources) -> str:
    """Run two studies over these resources, which can't be used; return why the run failed."""
    with instance("S1", "S2") as real:
        run = execute(definitions(tmp_path, counted, **resources), real, "S1", "S2")
        assert run.status is dg.DagsterRunStatus.FAILURE
        assert CALLS == []
        assert observations(real, "counted") == {}
        return last_error(real, run)


def test_a_store_that_can_not_be_written_ends_the_run_before_its_first_study(tmp_path):
    (tmp_path / "file").write_text("no folder")
    broken = StoreResource(uri=str(tmp_path / "file"))
    error = run_over(tmp_path, io_manager=StudyIOManager(store=broken))
    assert f"The resource io_manager: The store in {tmp_path / 'file'} " in error
    assert "Check that the folder can be read and written." in error


def test_the_restricted_store_is_tried_too(tmp_path):
    (tmp_path / "restricted").write_text("no folder")
    assert f": The store in {tmp_path / 'restricted'} can't be used" in run_over(tmp_path)


def test_the_store_of_another_io_manager_is_tried_by_its_key(tmp_path):
    (tmp_path / "file").write_text("no folder")
    io_manager = LocalPipelineIOManager(root=str(tmp_path / "file"))
    assert "The resource io_manager: The store in " in run_over(tmp_path, io_manager=io_manager)


@pytest.mark.parametrize("status", [401, 403])
def test_keys_that_the_registry_refuses_end_the_run_before_its_first_study(tmp_path, status):
    with DemoServer(studies=1, subjects=1) as server:
        registry = RegistryResource(
            kind="imednet",
            api_key="planted-wrong" if status == 401 else server.api_key,
            security_key=server.security_key,
            base_url=server.base_url,
        )
        if status == 403:
            server.faults.add(Fault("status", endpoint="studies", status=403))
        error = run_over(tmp_path, registry=registry)
    assert f"iMednet registry, /studies, page 0: HTTP {status}" in error
    assert "planted" not in error


def test_a_run_tries_each_store_once_and_leaves_nothing_that_a_listing_shows(tmp_path):
    with instance("S1") as real:
        execute(definitions(tmp_path, counted, registry=Account()), real, "S1")
        assert states(real, "counted") == {"S1": "MATERIALIZED"}
    probes = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path)) for path in probes) == [
        "artifacts/.orch/_probe",
        "restricted/.orch/_probe",
    ]


@pytest.mark.parametrize("variable", ["ORCH_STORE", "ORCH_RESTRICTED_STORE"])
def test_the_setting_is_named(tmp_path, monkeypatch, variable):
    for name in ("ORCH_STORE", "ORCH_RESTRICTED_STORE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / variable).write_text("no folder")
    with pytest.raises(StoreError, match=rf"^{variable}\b.*{variable}") as caught:
        try_stores(study_resources())
    assert caught.value.__cause__ is None
    assert len(str(caught.value).splitlines()) == 1


def test_the_open_store_is_named_whichever_order_dagster_gives_resources_in(tmp_path, monkeypatch):
    """The restricted store lies below it, so neither can be used: ORCH_STORE is what to mend."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ORCH_STORE", str(tmp_path / "file"))
    monkeypatch.delenv("ORCH_RESTRICTED_STORE", raising=False)
    resources = study_resources()
    for order in (sorted(resources), sorted(resources, reverse=True)):
        with pytest.raises(StoreError, match=r"^ORCH_STORE: "):
            try_stores({key: resources[key] for key in order})


@pytest.mark.parametrize(
    "address",
    [
        "~nosuchuser/x",
        "file:///tmp/a%00b",
        "file://[planted/x",
        "s3://user:planted@bucket/x",
        "s3://",
        "gs:bucket/planted",
        "user:planted@host:folder",
        "ftp://user:planted@host/x",
        "C:\\planted",
    ],
)
@pytest.mark.parametrize("variable", ["ORCH_STORE", "ORCH_RESTRICTED_STORE"])
def test_an_address_of_no_store_is_named_by_its_setting_and_not_repeated(
    tmp_path, monkeypatch, variable, address
):
    """Neither is it taken for a folder: somebody meant another place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCH_STORE", str(tmp_path / "open"))
    monkeypatch.setenv(variable, address)
    with pytest.raises(StoreAddressError, match=f"^{variable}") as caught:
        try_stores(study_resources())
    assert "planted" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_code_gives_is_not_repeated_either():
    store = StoreResource(uri="s3://user:planted@bucket/x")
    with pytest.raises(StoreAddressError, match=r"^The resource io_manager: ") as caught:
        try_stores({"io_manager": StudyIOManager(store=store)})
    assert "planted" not in str(caught.value)


READ_ONLY = """
import os, sys
from orch_assets.defs.runs.readiness import try_stores
from orch_assets.defs.study_resources import study_resources
from orch_assets.errors import StoreError
os.getuid() or os.setuid(65534)  # to root, no folder is read-only
try:
    try_stores(study_resources())
except StoreError as error:
    print(error)
"""


def test_a_read_only_folder_is_found(tmp_path):
    folder = tmp_path / "artifacts"
    folder.mkdir(mode=0o555)
    for parent in (tmp_path, *list(tmp_path.parents)[:2]):
        parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY],
        env={**os.environ, "ORCH_STORE": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"ORCH_STORE: The store in {folder} can't be used: Permission")


@pytest.fixture
def no_room():
    """This process can write no file of over 10 bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("no_room")
def test_a_full_disk_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCH_STORE", str(tmp_path))
    with pytest.raises(StoreError, match=r"^ORCH_STORE: Can't write in .*too large"):
        try_stores(study_resources())
