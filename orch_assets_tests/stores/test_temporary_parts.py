"""What killed writers leave behind in temporary places is found by its age, and removed."""

import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orch_assets.errors import ArtifactReplacedError, StoreUnavailableError
from orch_assets.stores import S3PipelineStore, open_store
from orch_assets.stores.maintenance.upkeep_terms import Cutoffs, Freed

WEEK = timedelta(days=7)
FRAME = pd.DataFrame({"n": [1]})


def cutoffs(age: timedelta = WEEK) -> Cutoffs:
    before = datetime.now(UTC) - age
    return Cutoffs(manifests=before, leftovers=before)


def aged(path: Path, days: int) -> Path:
    moment = time.time() - days * 86_400
    os.utime(path, (moment, moment))
    return path


def test_old_spool_files_of_a_folder_are_removed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.upload(FRAME, "x")
    for name, days in (("0" * 32, 8), ("1" * 32, 6), ("mine", 8)):
        path = tmp_path / ".orch-spool" / name
        path.write_bytes(b"123")
        aged(path, days)
    assert store.upkeep().run(cutoffs(), dry_run=True) == [Freed("temporary parts", 1, 3)]
    assert store.upkeep().run(cutoffs()) == [Freed("temporary parts", 1, 3)]
    left = sorted(each.name for each in (tmp_path / ".orch-spool").iterdir())
    assert left == ["1" * 32, "mine"]


def test_what_never_took_effect_is_removed_whatever_its_age(tmp_path: Path) -> None:
    """A spool file of this moment, and the member of a set that is older than upkeeps look back."""
    store = open_store(tmp_path)
    store.publish_set({"a": FRAME}, "x")
    with pytest.raises(ArtifactReplacedError):
        store.publish_set({"a": FRAME, "b": pd.DataFrame({"n": [2]})}, "x", replaces="0" * 64)
    (tmp_path / ".orch-spool" / ("0" * 32)).write_bytes(b"123")
    for path in tmp_path.rglob("members/*"):
        aged(path, 60)
    upkeep = store.upkeep()
    assert upkeep.remove_leftovers(lambda _name: True) == {"x": 2}
    assert upkeep.freed[-1] == Freed("temporary parts", 1, 3)
    assert len([*tmp_path.rglob("members/*")]) == 1
    assert [*(tmp_path / ".orch-spool").iterdir()] == []
    assert store.verify() == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_old_folders_for_temporary_files_are_removed(s3_bucket: str, folder: Path) -> None:
    for name, days in (("aaaaaaaa", 8), ("bbbbbbbb", 6)):
        made = folder / f"orch-assets-spool-{name}"
        made.mkdir()
        (made / "spooled").write_bytes(b"1234")
        aged(made, days)
    store = S3PipelineStore(s3_bucket, "trials")
    assert store.upkeep().run(cutoffs()) == [Freed("temporary parts", 1, 4)]
    assert [each.name for each in folder.iterdir()] == ["orch-assets-spool-bbbbbbbb"]
    # It may be that of a process that uses another store now.
    upkeep = store.upkeep()
    assert (upkeep.remove_leftovers(lambda _name: True), upkeep.freed) == ({}, [])
    assert [each.name for each in folder.iterdir()] == ["orch-assets-spool-bbbbbbbb"]


def test_uploads_in_parts_that_were_never_completed_are_ended(
    s3: Any, s3_bucket: str, folder: Path
) -> None:
    """Only those below the store's prefix."""
    ids = {}
    for key in ("trials/x.parquet", "trials2/x.parquet"):
        ids[key] = s3.create_multipart_upload(Bucket=s3_bucket, Key=key)["UploadId"]
        s3.upload_part(Bucket=s3_bucket, Key=key, UploadId=ids[key], PartNumber=1, Body=b"12345")
    store = S3PipelineStore(s3_bucket, "trials")
    # moto says of each upload that it began in 2010.
    assert store.upkeep().run(cutoffs(), dry_run=True) == [Freed("temporary parts", 1, 5)]
    assert store.upkeep().run(cutoffs()) == [Freed("temporary parts", 1, 5)]
    left = s3.list_multipart_uploads(Bucket=s3_bucket)["Uploads"]
    assert [each["Key"] for each in left] == ["trials2/x.parquet"]
    assert store.upkeep().run(cutoffs()) == []


def test_listings_have_sizes_and_ages(
    s3_bucket: str, gcs_bucket: str, tmp_path: Path, folder: Path
) -> None:
    for address in (str(tmp_path / "store"), f"s3://{s3_bucket}", f"gs://{gcs_bucket}"):
        store = open_store(address)
        store.publish_json({"n": 1}, "x")
        listed = {each.key: each for each in store._backend.listing("")}
        assert set(store._backend.list("", hidden=True)) == set(listed)
        assert listed["x.json"].size == 8
        ages = [abs(datetime.now(UTC) - each.modified) for each in listed.values()]
        assert max(ages) < timedelta(minutes=10)


def test_many_objects_are_deleted_at_once(
    s3_bucket: str, gcs_bucket: str, tmp_path: Path, folder: Path
) -> None:
    for address in (str(tmp_path / "store"), f"s3://{s3_bucket}", f"gs://{gcs_bucket}"):
        store = open_store(address)
        for name in "abc":
            store.publish_json({"n": 1}, name)
        store._backend.delete_all(["a.json", "c.json", "never/there.json"])
        store._backend.delete_all([])
        assert store.list_artifacts() == ["b"]


def test_an_object_that_cant_be_deleted_is_told(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = S3PipelineStore(s3_bucket)
    client = store._backend._client
    answer = {"Errors": [{"Key": "a.json", "Code": "AccessDenied"}]}
    monkeypatch.setattr(client, "delete_objects", lambda **_: answer)
    with pytest.raises(StoreUnavailableError, match="AccessDenied"):
        store._backend.delete_all(["a.json"])


def test_no_object_is_asked_for_that_a_listing_shows(s3_bucket: str, folder: Path) -> None:
    """However many artifacts and manifests there are; and deletions go together."""
    store = S3PipelineStore(s3_bucket, "trials")
    asked: list[str] = []
    store._backend._client.meta.events.register(
        "before-call.s3", lambda model, **_: asked.append(model.name)
    )
    requests = []
    for names in ("ab", "cdef"):
        for name in names * 3:
            store.publish_json({"n": 1}, name)
        asked.clear()
        assert store.upkeep().run(cutoffs()) == []
        requests.append([*asked])
    assert requests[0] == requests[1]
    assert set(requests[0]) == {"ListObjectsV2", "ListMultipartUploads"}
    asked.clear()
    later = datetime.now(UTC) + timedelta(hours=1)
    store.upkeep().run(Cutoffs(manifests=later, leftovers=cutoffs().leftovers))
    assert [*filter(lambda each: each.startswith("Delete"), asked)] == ["DeleteObjects"]
    # Marks are listed again, for each prefix that may have some, before anything is removed.
    assert {*asked} == {"ListObjectsV2", "ListMultipartUploads", "DeleteObjects"}
    assert len(asked) == len(requests[0]) + 3
