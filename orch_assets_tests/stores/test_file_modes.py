"""The modes of a local store's files; links that could lead out of the store are refused."""

import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.defs.resources import StoreResource
from orch_assets.errors import StoreUnavailableError
from orch_assets.stores import LocalPipelineStore, spooling
from orch_assets.stores.spooling import temporary_path

FRAME = pd.DataFrame({"n": [1, 2]})
PROJECT = Path(__file__).parent.parent.parent
SCHEMA = pa.schema([("n", pa.int64())])


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Set the umask, and restore it afterwards."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def modes(folder: Path) -> tuple[set[str], set[str]]:
    """Return the modes of all folders, and of all files, of a store."""
    found = [folder, *folder.rglob("*")]
    folders = {oct(stat.S_IMODE(each.stat().st_mode)) for each in found if each.is_dir()}
    return folders, {oct(stat.S_IMODE(each.stat().st_mode)) for each in found if each.is_file()}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o377])
def test_nobody_but_its_owner_reads_a_private_store(
    tmp_path: Path, umask: Callable[[int], int], mask: int
) -> None:
    umask(mask)
    store = LocalPipelineStore(tmp_path / "new" / "restricted", "prefix", private=True)
    store.upload(FRAME, "records/ONC-301")
    store.upload_set({"AE": FRAME}, "form_tables/ONC-301")
    store.publish_json({"trace": "…"}, "failures/run")
    umask(0o022)
    assert modes(tmp_path / "new" / "restricted") == ({"0o700"}, {"0o600"})


def test_the_folder_above_a_private_store_is_as_the_umask_says(
    tmp_path: Path, umask: Callable[[int], int]
) -> None:
    umask(0o022)
    LocalPipelineStore(tmp_path / "new" / "restricted", private=True).upload(FRAME, "x")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o755


def test_a_private_store_that_others_could_enter_is_closed_by_the_next_write(
    tmp_path: Path, umask: Callable[[int], int]
) -> None:
    """For example one of an earlier release: the modes of its content need not change."""
    umask(0o022)
    LocalPipelineStore(tmp_path / "restricted").upload(FRAME, "x")
    assert stat.S_IMODE((tmp_path / "restricted").stat().st_mode) == 0o755
    LocalPipelineStore(tmp_path / "restricted", private=True).upload(FRAME, "y")
    assert stat.S_IMODE((tmp_path / "restricted").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a folder of another user's")
def test_a_private_store_of_another_user_is_told_not_changed(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    code = (
        "import logging, os, pathlib; logging.basicConfig();"
        "from orch_assets.stores.backends.local_files import close_to_others as close;"
        f"os.setuid(65534); close(pathlib.Path({str(folder)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert f"may read {folder} (mode 777)" in done.stderr
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777
    folder.rmdir()


@pytest.mark.parametrize(
    ("mask", "expected"), [(0o022, ("0o755", "0o644")), (0o027, ("0o750", "0o640"))]
)
def test_other_stores_are_as_the_umask_says(
    tmp_path: Path, umask: Callable[[int], int], mask: int, expected: tuple[str, str]
) -> None:
    umask(mask)
    store = LocalPipelineStore(tmp_path / "open")
    store.upload(FRAME, "subjects/ONC-301")
    store.upload_set({"AE": FRAME}, "form_tables/ONC-301")
    folders, files = modes(tmp_path / "open")
    assert (folders - {"0o700"}, files) == ({expected[0]}, {expected[1]})


@pytest.mark.parametrize("private", [True, False])
def test_what_a_killed_publication_leaves_is_its_owners_alone(
    tmp_path: Path, umask: Callable[[int], int], private: bool
) -> None:
    """The temporary folder, in the middle of a publication."""
    umask(0o000)
    seen: list[tuple[set[str], set[str]]] = []

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array([1])], schema=SCHEMA)
        seen.append(modes(tmp_path / "store" / ".orch-spool"))

    store = LocalPipelineStore(tmp_path / "store", private=private)
    store.upload_stream(batches(), SCHEMA, "x")
    assert seen == [({"0o700"}, {"0o600"})]


def test_a_spool_folder_that_others_could_enter_is_closed(
    tmp_path: Path, umask: Callable[[int], int]
) -> None:
    umask(0o022)
    (tmp_path / ".orch-spool").mkdir(0o755)
    LocalPipelineStore(tmp_path).upload(FRAME, "x")
    assert stat.S_IMODE((tmp_path / ".orch-spool").stat().st_mode) == 0o700


def test_the_restricted_store_of_the_code_location_is_private(
    tmp_path: Path, umask: Callable[[int], int]
) -> None:
    umask(0o022)
    StoreResource(uri=str(tmp_path / "r"), restricted=True).write_report("failures/x", {"a": 1})
    assert modes(tmp_path / "r") == ({"0o700"}, {"0o600"})


def make(*arguments: str) -> None:
    subprocess.run(["make", *arguments], cwd=PROJECT, check=True, capture_output=True)


def test_the_home_that_make_makes_is_its_owners_alone(
    tmp_path: Path, umask: Callable[[int], int]
) -> None:
    umask(0o000)
    make(f"DEMO_HOME={tmp_path}/a/home", f"{tmp_path}/a/home/dagster.yaml")
    assert modes(tmp_path / "a" / "home") == ({"0o700"}, {"0o600"})


def test_a_home_that_others_could_enter_is_closed_before_the_command_runs(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\n")
    (tmp_path / "python").chmod(0o755)
    home = tmp_path / "home"
    make(f"RUN_HOME={home}", f"{home}/dagster.yaml")
    home.chmod(0o755)
    make("-o", ".venv/.installed", f"BIN={tmp_path}", f"RUN_HOME={home}", "run")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


# --- links ---


def refuses(store: LocalPipelineStore, name: str) -> None:
    for work in (
        lambda: store.upload(FRAME, name),
        lambda: store.download(name),
        lambda: store.exists(name),
        lambda: store.delete(name),
    ):
        with pytest.raises(StoreUnavailableError, match="is a symbolic link"):
            work()


@pytest.mark.parametrize("prefix", ["", "prod"])
def test_a_linked_folder_in_a_store_is_refused(tmp_path: Path, prefix: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "store" / prefix).mkdir(parents=True)
    (tmp_path / "store" / prefix / "subjects").symlink_to(outside)
    store = LocalPipelineStore(tmp_path / "store", prefix)
    refuses(store, "subjects/ONC-301")
    assert list(outside.iterdir()) == []
    assert store.list_artifacts() == []


def test_a_prefix_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "prod").symlink_to(tmp_path / "outside")
    refuses(LocalPipelineStore(tmp_path / "store", "prod"), "x")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_linked_file_is_no_artifact(tmp_path: Path) -> None:
    outside = LocalPipelineStore(tmp_path / "outside")
    outside.upload(FRAME, "x")
    store = LocalPipelineStore(tmp_path / "store")
    store.upload(FRAME, "y")
    (tmp_path / "store" / "x.parquet").symlink_to(tmp_path / "outside" / "x.parquet")
    refuses(store, "x")
    assert store.list_artifacts() == ["y"]
    assert [fault for fault in store.verify() if not fault.leftover] == []
    assert_frame_equal(outside.download("x"), FRAME)


def test_a_linked_folder_of_versions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / ".orch").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreUnavailableError, match="is a symbolic link"):
        LocalPipelineStore(tmp_path / "store").upload(FRAME, "x")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_linked_spool_folder_is_refused_and_not_swept(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ("0" * 32)).write_bytes(b"kept")
    os.utime(outside / ("0" * 32), (0, 0))
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / ".orch-spool").symlink_to(outside)
    with pytest.raises(StoreUnavailableError, match="is a symbolic link"):
        LocalPipelineStore(tmp_path / "store").upload(FRAME, "x")
    assert [each.name for each in outside.iterdir()] == ["0" * 32]


def test_a_root_that_is_a_link_is_the_operators_choice(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    store = LocalPipelineStore(tmp_path / "store")
    store.upload(FRAME, "a/x")
    assert_frame_equal(store.download("a/x"), FRAME)
    assert store.list_artifacts() == ["a/x"]


def test_only_folders_of_our_form_are_swept_where_buckets_files_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spooling._sweep.cache_clear()
    ours, theirs = "orch-assets-spool-abcd1234", "orch-assets-spool-backup-of-mine"
    link, outside = "orch-assets-spool-linked00", tmp_path / "outside"
    for name in (ours, theirs, "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / link).symlink_to(outside)
    for name in (ours, theirs, "outside"):
        os.utime(tmp_path / name, (0, time.time() - 30 * 24 * 3600))
    with temporary_path() as path:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {each.name for each in tmp_path.iterdir()} == {theirs, link, "outside"}
