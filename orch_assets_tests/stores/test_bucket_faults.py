"""Faults on the way to a bucket are retried, or reported as our own errors."""

import os
import resource
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.errors import StoreError, StoreUnavailableError
from orch_assets.stores import GCSPipelineStore, PipelineStore, S3PipelineStore, open_store
from orch_assets_tests.contracts.faulty import FaultyServer, faulty
from orch_assets_tests.support.cloud_servers import free_port

FRAME = pd.DataFrame({"n": range(1000)})


@pytest.fixture(params=["s3", "gs"])
def cloud(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def bucket(cloud: str, request: pytest.FixtureRequest) -> str:
    """A bucket, with the provider's environment variables set for it."""
    return request.getfixturevalue("s3_bucket" if cloud == "s3" else "gcs_bucket")


@pytest.fixture
def proxy(
    cloud: str, bucket: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyServer]:
    name = "AWS_ENDPOINT_URL" if cloud == "s3" else "STORAGE_EMULATOR_HOST"
    settings = request.getfixturevalue("s3_settings" if cloud == "s3" else "gcs_settings")
    with faulty(settings[name]) as server:
        monkeypatch.setenv(name, server.url)
        yield server


@pytest.fixture
def store(cloud: str, bucket: str, proxy: FaultyServer) -> PipelineStore:
    return open_store(f"{cloud}://{bucket}/prod")


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_retention_that_may_not_delete_changes_nothing(
    store: PipelineStore, proxy: FaultyServer
) -> None:
    """No version is removed, and no manifests are compacted."""
    for frame in (FRAME[:1], FRAME, FRAME, FRAME):
        store.upload(frame, "x")
    before = store.versions("x")
    proxy.faults, proxy.seen = [("DELETE", 403)], []
    error = refused(lambda: store.retain(keep_last=1))
    assert str(error).startswith("retain() can't delete objects here, so nothing was changed. ")
    assert "denied" in str(error)
    assert not [seen for seen in proxy.seen if seen.startswith(("PUT", "POST"))]
    assert store.versions("x") == before
    assert len(store.retain(keep_last=1)) == 1


def test_retention_that_is_refused_halfway_loses_and_doubles_nothing(
    store: PipelineStore, proxy: FaultyServer
) -> None:
    """Under an object lock, only an object that does not exist can be deleted."""
    for _ in range(4):
        store.upload(FRAME, "x")
    before = store.versions("x")
    store.retain("y", keep_last=1)
    allowed, passed = iter([None, None, 403]), proxy.fault_of
    proxy.fault_of = lambda method: next(allowed) if method == "DELETE" else passed(method)
    refused(lambda: store.retain(keep_last=1))
    assert store.versions("x") == before
    assert store.verify() == []


def refused(call: Callable[[], object]) -> StoreUnavailableError:
    """Return the error of a call; it holds no text of the provider's, and no key."""
    with pytest.raises(StoreUnavailableError) as caught:
        call()
    text = shown(caught.value)
    for word in ("botocore", "google/", "google.", "urllib3", "planted", "During handling"):
        assert word not in text
    return caught.value


@pytest.mark.parametrize("fault", [500, 503, "closed", "cut"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "HEAD"])
def test_one_fault_of_any_request_is_mended(
    store: PipelineStore, proxy: FaultyServer, method: str, fault: int | str
) -> None:
    proxy.faults = [(method, fault)]
    store.upload(FRAME, "x")
    assert_frame_equal(store.download("x"), FRAME)
    assert store.list_artifacts() == ["x"]
    assert len(store.versions("x")) == 1
    used_by_client = any(seen.startswith(method) for seen in proxy.seen)
    assert bool(proxy.faults) is not used_by_client


def test_denied_is_said_so(store: PipelineStore, proxy: FaultyServer, bucket: str) -> None:
    store.upload(FRAME, "x")
    for call, methods in (
        (lambda: store.upload(FRAME.iloc[:1], "x"), ("HEAD", "GET")),
        (lambda: store.upload(FRAME.iloc[:2], "x"), ("PUT", "POST")),
        (lambda: store.download("x"), ("GET",)),
        (store.list_artifacts, ("GET",)),
    ):
        proxy.faults = [(method, 403) for method in methods]
        error = refused(call)
        assert bucket in str(error)
        assert "denied" in str(error)
    proxy.faults = []
    assert_frame_equal(store.download("x"), FRAME)


def test_a_commit_that_fails_leaves_what_was_there(
    store: PipelineStore, proxy: FaultyServer
) -> None:
    store.upload(FRAME, "x")
    proxy.faults = [("PUT", 403), ("POST", 403)]
    refused(lambda: store.upload(FRAME.iloc[:1], "x"))
    proxy.faults = []
    assert_frame_equal(store.download("x"), FRAME)


@pytest.mark.parametrize("cloud", ["s3", "gs"], indirect=True)
def test_a_missing_bucket_is_named(cloud: str, bucket: str) -> None:
    store = open_store(f"{cloud}://{bucket}-not")
    for call in (
        lambda: store.upload(FRAME, "x"),
        lambda: store.download("x"),
        store.list_artifacts,
        lambda: store.exists("x"),
        lambda: store.versions("x"),
        store.try_access,
    ):
        error = refused(call)
        assert f"{cloud}://{bucket}-not" in str(error)
        assert "bucket doesn't exist" in str(error)


def test_no_answer_is_said_so(s3, gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    error = refused(lambda: S3PipelineStore("bucket", endpoint=nobody).exists("x"))
    assert "No answer from S3" in str(error)


@pytest.mark.parametrize("address", ["s3://", "gs://", "s3:///x"])
def test_an_address_without_a_bucket_is_refused(address: str) -> None:
    with pytest.raises(StoreError, match="bucket"):
        open_store(address)


# --- Testing a store before a run ---


def test_a_store_is_tried_by_two_requests_and_nothing_is_removed(
    store: PipelineStore, proxy: FaultyServer
) -> None:
    store.try_access()  # Google's client asks for the bucket, once, before its first upload
    proxy.seen.clear()
    store.try_access()
    methods = [seen.split()[0] for seen in proxy.seen]
    assert sorted(methods) in (["GET", "PUT"], ["GET", "POST"])


def test_a_publication_takes_six_requests_at_most(
    cloud: str, store: PipelineStore, proxy: FaultyServer, request: pytest.FixtureRequest
) -> None:
    """Look for the version and send it, look at the current object, claim, add an entry, copy.

    Their number doesn't grow with that of earlier publications: with more of them than a page of
    a listing has.
    """
    store.try_access()  # as above
    frames = [FRAME, FRAME[:1], FRAME[:1], FRAME]
    assert [requests_for(store, proxy, frame) for frame in frames] == [6, 6, 5, 5]
    if cloud == "s3":
        fill_with_history(store._backend._name, request.getfixturevalue("s3"))
        assert [requests_for(store, proxy, frame) for frame in frames[1:]] == [5, 5, 5]


def requests_for(store: PipelineStore, proxy: FaultyServer, frame: pd.DataFrame) -> int:
    """Publish a frame and return the number of requests."""
    proxy.seen.clear()
    store.upload(frame, "x")
    return len(proxy.seen)


def fill_with_history(bucket: str, client: Any) -> None:
    """Add entries of other versions, without the proxy."""

    def put(number: int) -> None:
        name = f"{'0' * 64}/20251128T1318{number:08}0000-00000000"
        client.put_object(Bucket=bucket, Key=f"prod/.orch/x/parquet/manifests/{name}", Body=b"")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(1_001)))


def test_a_merge_whose_answer_was_lost_is_not_refused_for_itself(s3, s3_bucket: str) -> None:
    """The client repeats the request, and the object is no longer what it was to replace."""
    store = S3PipelineStore(s3_bucket)
    base = store.publish(FRAME, "x").sha256
    events = store._backend._client.meta.events
    lost = []

    def lose_the_first(response: Any, **_: Any) -> float | None:
        lost.append(response[0].status_code)
        return 0 if len(lost) == 1 else None

    events.register_first("needs-retry.s3.CopyObject", lose_the_first)
    published = store.publish(FRAME[:1], "x", replaces=base)
    assert lost == [200, 412]
    assert store.manifest("x").content.sha256 == published.sha256


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_store_that_may_not_be_read_or_not_be_written_is_found_by_trying(
    store: PipelineStore, proxy: FaultyServer, bucket: str, method: str
) -> None:
    store.try_access()
    proxy.faults = [("GET", 403)] if method == "GET" else [("PUT", 403), ("POST", 403)]
    error = refused(store.try_access)
    assert f"{bucket}/prod/.orch/_probe" in str(error)
    assert "Access is denied" in str(error)


def test_a_store_that_gives_back_other_bytes_is_found_by_trying(
    store: PipelineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.try_access()
    monkeypatch.setattr(store._backend, "put", lambda *_: None)  # as a cache between them would
    monkeypatch.setattr("orch_assets.stores.catalog._PROBE", b"newer")
    with pytest.raises(StoreUnavailableError, match="returned other bytes"):
        store.try_access()


def test_a_locked_bucket_can_be_tried_again_and_again(s3) -> None:
    s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    retention = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": retention}
    s3.put_object_lock_configuration(Bucket="locked", ObjectLockConfiguration=lock)
    for _ in range(2):
        open_store("s3://locked/prod").try_access()
    versions = s3.list_object_versions(Bucket="locked")
    assert len(versions["Versions"]) == 2
    assert "DeleteMarkers" not in versions


@pytest.mark.parametrize(
    ("name", "address"), [("AWS_ENDPOINT_URL", "s3://b"), ("STORAGE_EMULATOR_HOST", "gs://b")]
)
@pytest.mark.parametrize("endpoint", ["garbage", "http://127.0.0.1:planted"])
def test_an_endpoint_that_is_no_url_is_named(
    s3, gcs, monkeypatch: pytest.MonkeyPatch, name: str, address: str, endpoint: str
) -> None:
    monkeypatch.setenv(name, endpoint)
    assert name in str(refused(open_store(address).try_access))


# --- Temporary files ---


@pytest.fixture
def no_room() -> Iterator[Callable[[], None]]:
    """Return a function that limits this process to files of 100 KB, like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_temporary_folder_is_said_to_be_full(
    cloud: str, bucket: str, no_room: Callable[[], None], tmp_path
) -> None:
    frame = pd.DataFrame({"n": np.random.default_rng(1).random(100_000)})
    bucketed, local = open_store(f"{cloud}://{bucket}"), open_store(tmp_path)
    bucketed.upload(frame, "x")
    no_room()
    assert "TMPDIR" in str(refused(lambda: bucketed.download("x")))
    for store in (bucketed, local):
        with pytest.raises(StoreUnavailableError, match=r"Can't write in .*too large"):
            store.upload(frame, "y")


def test_what_a_killed_publisher_left_behind_is_swept_once_it_is_old(
    cloud: str, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("orch-assets-spool-old_____", "orch-assets-spool-young___", "others-old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "spooled").write_bytes(b"cut")
        if "old" in name:
            os.utime(tmp_path / name, (0, 0))
    open_store(f"{cloud}://{bucket}").upload(FRAME, "x")
    assert {path.name for path in tmp_path.iterdir()} == {
        "orch-assets-spool-young___",
        "others-old",
    }


def test_a_temporary_folder_that_is_not_there_is_said_so(
    cloud: str, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    store = open_store(f"{cloud}://{bucket}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not"))
    for call in (lambda: store.upload(FRAME, "x"), lambda: store.download("x")):
        with pytest.raises(StoreUnavailableError, match="TMPDIR"):
            call()


# --- Only S3 ---


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """No credentials and no settings in the environment or in files."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    "options", [{}, {"profile": "clinical-prod"}, {"role_arn": "arn:aws:iam::123456789012:role/x"}]
)
def test_missing_aws_credentials_are_said_to_be_missing(options: dict[str, str]) -> None:
    error = refused(lambda: S3PipelineStore("bucket", **options).exists("x"))
    assert "AWS credentials are missing" in str(error)
    assert "s3://bucket" in str(error)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("NotImplemented", "conditional writes"),
        ("AuthorizationHeaderMalformed", "region"),
        ("PermanentRedirect", "region"),
        ("ExpiredToken", "credentials"),
        ("SignatureDoesNotMatch", "credentials"),
        ("KMS.DisabledException", "KMS key"),
        ("KMS.KMSInvalidStateException", "KMS key"),
        ("SlowDown", "busy"),
        ("EntityTooLarge", "EntityTooLarge"),
    ],
)
def test_what_s3_says_becomes_what_to_do(code: str, said: str) -> None:
    from botocore.exceptions import ClientError

    from orch_assets.stores.backends.s3_errors import reporting

    def fail() -> None:
        with reporting("s3://b/k"):
            raise ClientError({"Error": {"Code": code, "Message": "planted"}}, "PutObject")

    assert said in str(refused(fail))


# --- Only Google ---


def test_missing_google_credentials_are_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    error = refused(lambda: GCSPipelineStore("bucket").exists("x"))
    assert "Google credentials are missing" in str(error)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"type": "service_account", "private_key": "planted"}']
)
def test_a_key_file_that_can_not_be_read_is_said_so(tmp_path, text: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    error = refused(lambda: GCSPipelineStore("bucket", credentials_path=path).exists("x"))
    assert "Google credentials" in str(error)


def test_a_key_file_that_is_not_there_is_said_so(tmp_path) -> None:
    path = tmp_path / "none.json"
    error = refused(lambda: GCSPipelineStore("bucket", credentials_path=path).exists("x"))
    assert "credentials_path" in str(error)
