"""Options of stores in buckets: keys, roles, tags, clients, large objects."""

import json
import os
from collections.abc import Iterator
from typing import Any

import boto3
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.errors import ArtifactReplacedError, StudyCancelledError
from orch_assets.stores import GCSPipelineStore, S3PipelineStore, StorageFormat
from orch_assets.stores.backends import s3 as s3_bucket_module
from orch_assets.study import study_context
from orch_assets_tests.contracts.faulty import faulty

FRAME = pd.DataFrame({"n": range(1000)})
BIG = pd.DataFrame({f"f{n}": np.random.default_rng(n).random(1_200_000) for n in range(4)})


def test_the_seeds_arguments_are_taken_by_place(s3, s3_bucket: str, gcs, gcs_bucket: str) -> None:
    store = S3PipelineStore(s3_bucket, "clinops/prod", StorageFormat.CSV, "us-east-1", None)
    assert store.upload(FRAME, "a/b") == f"s3://{s3_bucket}/clinops/prod/a/b.csv"
    google = GCSPipelineStore(gcs_bucket, "clinops/prod/v2", StorageFormat.CSV, None)
    assert google.upload(FRAME, "a/b") == f"gs://{gcs_bucket}/clinops/prod/v2/a/b.csv"


# --- S3 ---


def keys_of(s3, bucket: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]


def test_every_object_is_encrypted_with_the_key_and_tagged(s3, s3_bucket: str) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    store = S3PipelineStore(s3_bucket, kms_key=key, tags={"trial": "A + B", "class": "phi"})
    store.upload(FRAME, "x")
    store.publish_set({"a": FRAME}, "x")
    for each in keys_of(s3, s3_bucket):
        head = s3.head_object(Bucket=s3_bucket, Key=each)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
        tags = s3.get_object_tagging(Bucket=s3_bucket, Key=each)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"trial": "A + B", "class": "phi"}


def test_a_client_is_used_as_it_is(s3, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    S3PipelineStore(s3_bucket, client=s3).upload(FRAME, "x")
    assert "x.parquet" in keys_of(s3, s3_bucket)


def test_an_endpoint_is_used(
    s3, s3_bucket: str, s3_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    store = S3PipelineStore(s3_bucket, endpoint=s3_settings["AWS_ENDPOINT_URL"])
    store.upload(FRAME, "x")
    assert_frame_equal(store.download("x"), FRAME)


@pytest.fixture
def signed_by(s3, s3_settings: dict[str, str]) -> Iterator[list[str]]:
    """Collect the access keys of the requests that reach S3."""
    found: list[str] = []
    with faulty(s3_settings["AWS_ENDPOINT_URL"]) as proxy:
        passed_on = proxy.RequestHandlerClass._pass_on

        class Handler(proxy.RequestHandlerClass):
            def _pass_on(self, body: bytes, *, cut: bool) -> None:
                signature = self.headers.get("Authorization", "")
                found.append(signature.partition("Credential=")[2].partition("/")[0])
                passed_on(self, body, cut=cut)

        proxy.RequestHandlerClass = Handler
        found.append(proxy.url)
        yield found


def test_a_profile_signs(
    signed_by: list[str], s3_bucket: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "credentials"
    path.write_text("[clinical-prod]\naws_access_key_id = PROFILE\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    store = S3PipelineStore(s3_bucket, profile="clinical-prod", endpoint=signed_by.pop())
    store.upload(FRAME, "x")
    assert set(signed_by) == {"PROFILE"}


def test_a_role_is_assumed(signed_by: list[str], s3_bucket: str) -> None:
    role = "arn:aws:iam::123456789012:role/clinical"
    store = S3PipelineStore(s3_bucket, role_arn=role, endpoint=signed_by.pop())
    store.upload(FRAME, "x")
    assert_frame_equal(store.download("x"), FRAME)
    (key,) = set(signed_by)
    assert key.startswith("ASIA")  # temporary, as STS gives them


def test_a_large_object_comes_back(s3, s3_bucket: str) -> None:
    """It is uploaded and fetched in parts."""
    store = S3PipelineStore(s3_bucket)
    assert store.publish(BIG, "x").bytes > 32 << 20
    assert "-" in s3.head_object(Bucket=s3_bucket, Key=f"{_version(s3, s3_bucket)}")["ETag"]
    assert_frame_equal(store.download("x"), BIG)
    assert store.publish(BIG, "x").sha256 == store.versions("x")[0].content.sha256
    assert len(store.manifest("x").publications) == 2


def _version(s3, bucket: str) -> str:
    (key,) = (key for key in keys_of(s3, bucket) if "/versions/" in key)
    return key


def test_a_huge_object_is_copied_in_parts(
    s3, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_bucket_module, "_COPY_AT_ONCE", 5 << 20)
    store = S3PipelineStore(s3_bucket, tags={"a": "b"})
    store.upload(BIG, "x")
    assert int(s3.head_object(Bucket=s3_bucket, Key="x.parquet")["ETag"].strip('"')[-1]) > 5
    assert_frame_equal(store.download("x"), BIG)
    before = s3.head_object(Bucket=s3_bucket, Key="x.parquet")["LastModified"]
    store.upload(BIG, "x")
    assert s3.head_object(Bucket=s3_bucket, Key="x.parquet")["LastModified"] == before


def test_a_merge_that_is_copied_in_parts_replaces_no_other_version(
    s3, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_bucket_module, "_COPY_AT_ONCE", 5 << 20)
    store = S3PipelineStore(s3_bucket)
    base = store.publish(BIG[1:], "x").sha256
    base = store.publish(BIG, "x", replaces=base).sha256
    put_new = store._backend.put_new

    def overtaken(*args: Any) -> bool:
        done = put_new(*args)
        S3PipelineStore(s3_bucket).upload(BIG[:1], "x")
        return done

    monkeypatch.setattr(store._backend, "put_new", overtaken)
    with pytest.raises(ArtifactReplacedError):
        store.publish(BIG[2:], "x", replaces=base)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=s3_bucket)
    assert len(store.download("x")) == 1


def test_a_copy_in_parts_that_is_given_up_leaves_none(
    s3, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_bucket_module, "_COPY_AT_ONCE", 5 << 20)
    store = S3PipelineStore(s3_bucket)
    with study_context("ONC-301") as context:
        context.lease.revoke()
        with pytest.raises(StudyCancelledError):
            store.upload(BIG, "x")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=s3_bucket)
    assert not store.exists("x")


def test_nothing_is_asked_of_a_cloud_before_the_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a client was made")

    monkeypatch.setattr(boto3.session, "Session", fail)
    monkeypatch.setattr("google.cloud.storage.Client", fail)
    S3PipelineStore("bucket", "prefix")
    GCSPipelineStore("bucket", "prefix", credentials_path="/nowhere")


# --- Google ---


def test_a_google_client_is_used_as_it_is(
    gcs, gcs_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    store = GCSPipelineStore(gcs_bucket, client=gcs)
    store.upload(FRAME, "x")
    assert_frame_equal(store.download("x"), FRAME)


def test_every_google_object_is_encrypted_with_the_key(
    gcs, gcs_bucket: str, gcs_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
    with faulty(gcs_settings["STORAGE_EMULATOR_HOST"]) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        GCSPipelineStore(gcs_bucket, kms_key_name=key).upload(FRAME, "x")
        posted = [seen for seen in proxy.seen if seen.startswith("POST")]
    assert len(posted) == 4
    assert all("KmsKeyName=" in each or "kmsKeyName=" in each for each in posted)


def test_every_google_object_is_tagged(gcs, gcs_bucket: str) -> None:
    tags = {"trial": "A + B", "sha256": "the store's own"}
    store = GCSPipelineStore(gcs_bucket, tags=tags)
    store.upload(FRAME, "x")
    store.publish_set({"a": FRAME}, "x")
    objects = list(gcs.list_blobs(gcs_bucket))
    assert len(objects) == 11
    assert {each.metadata["trial"] for each in objects} == {"A + B"}
    assert {len(each.metadata["sha256"]) for each in objects} == {64}


def test_a_large_google_object_comes_back(gcs, gcs_bucket: str) -> None:
    """It is uploaded in pieces."""
    store = GCSPipelineStore(gcs_bucket)
    store.upload(BIG, "x")
    assert_frame_equal(store.download("x"), BIG)
    store.upload(BIG, "x")
    assert len(store.manifest("x").publications) == 2


def test_a_key_file_signs_and_another_account_is_acted_as(tmp_path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    from orch_assets.stores.backends.gcs import _connect

    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path / "key.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "client_email": "pipelines@clinic.iam.gserviceaccount.com",
                "private_key": pem.decode(),
                "token_uri": "https://oauth2.googleapis.com/token",
            }
        )
    )
    client = _connect(path, "clinic", None, None)
    assert client.project == "clinic"
    assert client._credentials.service_account_email == "pipelines@clinic.iam.gserviceaccount.com"
    acting = _connect(os.fspath(path), None, None, "store@clinic.iam.gserviceaccount.com")
    assert acting._credentials.service_account_email == "store@clinic.iam.gserviceaccount.com"
