"""What only a store in a local folder does."""

import errno
import os
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.errors import StoreError, StoreUnavailableError
from orch_assets.stores import LocalPipelineStore, PipelineStore, StorageFormat, open_store
from orch_assets.stores.backends.local import LocalDisk
from orch_assets.stores.spooling import spool

FRAME = pd.DataFrame({"n": [1, 2]})


def test_nothing_is_made_before_the_first_write(tmp_path: Path) -> None:
    store = LocalPipelineStore(tmp_path / "not" / "yet", "prefix")
    assert store.list_artifacts() == []
    assert not store.exists("x")
    assert list(tmp_path.iterdir()) == []
    store.upload(FRAME, "x")
    assert_frame_equal(store.download("x"), FRAME)


class CaseBlindDisk(LocalDisk):
    """A disk like those of macOS and Windows: it keeps the first spelling and accepts any."""

    def _path(self, key: str) -> Path:
        path = self._root
        for part in key.split("/"):
            names = [each.name for each in path.iterdir()] if path.is_dir() else []
            path /= next((name for name in names if name.lower() == part.lower()), part)
        return path


def test_a_disk_that_is_blind_to_case_keeps_all_names_apart(tmp_path: Path) -> None:
    """Two assets may share a folder, and the store doesn't know that they are assets."""
    store = PipelineStore(CaseBlindDisk(tmp_path), "", StorageFormat.PARQUET)
    names = ["Labs/ONC-301", "labs/ONC-301", "labs/onc-301", "Labs/S1", "labs/s1", "LABS/x/y"]
    for size, name in enumerate(names):
        store.upload(pd.DataFrame({"n": range(size)}), name)
    assert [path.name for path in tmp_path.glob("[lL]*")] == ["Labs"]
    assert [len(store.download(name)) for name in names] == list(range(len(names)))
    assert [len(store.versions(name)) for name in names] == [1] * len(names)
    assert store.list_artifacts() == sorted(names)
    assert store.list_artifacts("labs") == ["labs/ONC-301", "labs/onc-301", "labs/s1"]
    assert not store.exists("LABS/s1")
    assert store.verify() == []
    assert store.retain(keep_last=1) == []
    store.delete("labs/s1", history=True)
    assert store.list_artifacts("Labs") == ["Labs/ONC-301", "Labs/S1"]
    assert store.verify() == []


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.ENOTSUP])
def test_a_disk_without_hard_links_gives_each_place_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    """Such as exFAT, or a share of Windows."""

    def link(*paths: object) -> None:
        raise OSError(refusal, os.strerror(refusal), *paths)

    monkeypatch.setattr(os, "link", link)
    disk = LocalDisk(tmp_path)
    for data, is_new in ((b"first", True), (b"second", False)):
        with disk.spool() as path:
            spooled = spool(path, lambda file, data=data: file.write(data))
            assert disk.put_new(spooled, "x") is is_new
    assert (tmp_path / "x").read_bytes() == b"first"
    store = LocalPipelineStore(tmp_path / "store")
    store.upload(FRAME, "x")
    store.upload(FRAME[:1], "x")
    assert [version.publications[0].number for version in store.versions("x")] == [1, 2]


@pytest.mark.parametrize("attributes", ["lost", "stale"])
def test_what_is_current_is_known_without_the_files_attributes(
    tmp_path: Path, attributes: str
) -> None:
    """A program that copies a store may lose them, or keep them with other bytes."""
    store = LocalPipelineStore(tmp_path)
    first = store.publish(FRAME, "x").sha256
    store.upload(FRAME, "y")
    path = tmp_path / "x.parquet"
    if attributes == "lost":
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
    else:
        store.upload(FRAME[:1], "x")
        path.write_bytes((tmp_path / f".orch/x/parquet/versions/{first}").read_bytes())
    second = store.publish(FRAME[:0], "x", replaces=first)
    assert store.versions("x")[-1].publications[-1].replaces == first
    assert len(store.download("x", as_of=second.published_at)) == 0
    assert store.verify() == []


def test_a_changed_byte_is_repaired_although_the_attributes_are_right(tmp_path: Path) -> None:
    """As a disk changes it, which leaves the time of modification as it was."""
    store = LocalPipelineStore(tmp_path)
    store.upload(FRAME, "x")
    path = tmp_path / "x.parquet"
    modified = path.stat().st_mtime_ns
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"?")
    os.utime(path, ns=(modified, modified))
    store.upload(FRAME, "x")
    assert path.read_bytes() == data


def test_the_uri_is_the_files_own(tmp_path: Path) -> None:
    uri = LocalPipelineStore(tmp_path / "a b", "prod").upload(FRAME, "features/w1")
    path = tmp_path / "a b" / "prod" / "features" / "w1.parquet"
    assert uri == path.as_uri()
    assert path.is_file()


def test_the_seeds_arguments_are_taken_by_place(tmp_path: Path) -> None:
    store = LocalPipelineStore(tmp_path, "prod", StorageFormat.CSV)
    assert store.upload(FRAME, "x").endswith("/prod/x.csv")


def test_a_relative_root_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = LocalPipelineStore("artifacts")
    monkeypatch.chdir("/")
    store.upload(FRAME, "x")
    assert (tmp_path / "artifacts" / "x.parquet").is_file()


def test_editing_the_current_file_leaves_its_version(tmp_path: Path) -> None:
    store = LocalPipelineStore(tmp_path)
    sha256 = store.publish(FRAME, "x").sha256
    with (tmp_path / "x.parquet").open("r+b") as file:
        file.write(b"edited in place")
    assert_frame_equal(store.download("x", version=sha256), FRAME)


def test_publishing_the_same_again_leaves_the_file_alone(tmp_path: Path) -> None:
    store = LocalPipelineStore(tmp_path)
    store.upload(FRAME, "x")
    before = (tmp_path / "x.parquet").stat()
    store.upload(FRAME, "x")
    after = (tmp_path / "x.parquet").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    store = LocalPipelineStore(tmp_path)
    store.upload(FRAME, "x")
    store.publish_set({"a": FRAME}, "x")
    assert list((tmp_path / ".orch-spool").iterdir()) == []


def test_files_have_the_permissions_of_ordinary_ones(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        LocalPipelineStore(tmp_path).upload(FRAME, "x")
    finally:
        os.umask(old)
    assert (tmp_path / "x.parquet").stat().st_mode & 0o777 == 0o640


def test_a_root_that_is_a_file_is_named_with_the_reason(tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_text("")
    with pytest.raises(StoreUnavailableError, match=rf"{root}.*File exists"):
        LocalPipelineStore(root).upload(FRAME, "x")


def test_a_folder_that_can_not_be_written_is_named_with_the_reason() -> None:
    with pytest.raises(StoreUnavailableError, match=r"/proc/nowhere.*No such file"):
        LocalPipelineStore("/proc/nowhere").upload(FRAME, "x")


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    """Every write to ``/dev/full`` fails as on a full disk."""
    from orch_assets.stores.spooling import HashingFile

    with Path("/dev/full").open("wb", buffering=0) as full:
        file = HashingFile(full, tmp_path / "spooled")
        with pytest.raises(StoreUnavailableError, match=rf"{tmp_path}.*No space left"):
            file.write(b"x")


def test_a_store_opens_at_a_folder_or_a_file_uri(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a b"
    LocalPipelineStore(place).upload(FRAME, "x")
    monkeypatch.setenv("HOME", str(tmp_path))
    for address in (
        place,
        str(place),
        place.as_uri(),
        f"file://localhost{tmp_path}/a%20b",
        "~/a b",
    ):
        assert open_store(address).list_artifacts() == ["x"]
    assert open_store(place, StorageFormat.CSV).list_artifacts() == []


@pytest.mark.parametrize("address", ["https://x/y", "file://host/x"])
def test_a_place_that_there_is_no_store_for_is_named(address: str) -> None:
    with pytest.raises(StoreError, match=address.partition("://")[0] + "://"):
        open_store(address)


def test_an_empty_address_is_refused() -> None:
    with pytest.raises(StoreError, match="empty"):
        open_store("  ")
