"""``orch-assets verify URI``, and its former name ``python -m orch_assets.stores verify URI``."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from orch_assets.cli import main
from orch_assets.stores import LocalPipelineStore, S3PipelineStore

FRAME = pd.DataFrame({"n": [1, 2]})


def verify(uri: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "orch_assets.stores", "verify", uri],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_sound_folder_ends_with_0(tmp_path: Path) -> None:
    LocalPipelineStore(tmp_path, "prod").upload(FRAME, "x")
    done = verify(str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "4 objects, no faults.\n")
    assert "Verifying" in done.stderr
    assert "4/4" in done.stderr


def test_a_fault_ends_with_1_and_is_named(tmp_path: Path) -> None:
    LocalPipelineStore(tmp_path).upload(FRAME, "x")
    path = tmp_path / "x.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    done = verify(str(tmp_path))
    assert done.returncode == 1
    first, last = done.stdout.splitlines()
    assert first.startswith(f"{path.as_uri()}: no manifest has the hash of its bytes (")
    assert last == "4 objects, 1 fault."


def test_what_a_killed_publication_left_is_told_and_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = LocalPipelineStore(tmp_path)
    store.upload(FRAME, "x")
    store.upload(FRAME.iloc[:1], "x")
    first = store.versions("x")[0].content.sha256
    for manifest in (tmp_path / ".orch/x/parquet/manifests" / first).iterdir():
        manifest.unlink()
    assert main(["verify", str(tmp_path)]) == 0
    told, last = capsys.readouterr().out.splitlines()
    version = tmp_path / ".orch/x/parquet/versions" / first
    assert told.startswith(f"leftover: {version.as_uri()}: belongs to no publication")
    assert last == "6 objects, no faults, 1 leftover."


def test_a_name_of_a_development_version_is_a_fault_that_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without any other object, the store is not taken for an empty one."""
    LocalPipelineStore(tmp_path).upload(FRAME, "ae2/ONC-301")
    (tmp_path / "ae2").rename(tmp_path / "ae2~~3")
    assert main(["verify", str(tmp_path)]) == 1
    told, last = capsys.readouterr().out.splitlines()
    current = tmp_path / "ae2~~3" / "ONC-301.parquet"
    assert told.startswith(f"{current.as_uri()}: a development version stored it under a name")
    assert "publish 'ae2/ONC-301' again, then remove this object and " in told
    assert last == "4 objects, 1 fault."


def test_a_removed_manifest_of_the_current_object_ends_with_1(tmp_path: Path) -> None:
    LocalPipelineStore(tmp_path).upload(FRAME, "x")
    (manifest,) = (tmp_path / ".orch/x/parquet/manifests").glob("*/*")
    manifest.unlink()
    assert main(["verify", str(tmp_path)]) == 1


def test_a_place_without_artifacts_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped address is not reported as a store without faults."""
    assert main(["verify", str(tmp_path / "not")]) == 2
    assert f"No artifact is stored at {tmp_path / 'not'}" in capsys.readouterr().err


def test_a_prefix_in_a_bucket_is_verified(
    s3, s3_bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    S3PipelineStore(s3_bucket, "prod").upload(FRAME, "x")
    S3PipelineStore(s3_bucket, "other").upload(FRAME, "x")
    s3.put_object(Bucket=s3_bucket, Key="other/x.parquet", Body=b"")
    assert main(["verify", f"s3://{s3_bucket}/prod"]) == 0
    assert main(["verify", f"s3://{s3_bucket}"]) == 1
    assert f"s3://{s3_bucket}/other/x.parquet: " in capsys.readouterr().out


def test_a_bucket_that_is_not_there_ends_with_2(
    s3_bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", f"s3://{s3_bucket}-not"]) == 2
    assert "bucket doesn't exist" in capsys.readouterr().err
