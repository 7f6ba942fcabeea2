"""Opening any text as an address returns a store or raises one of our errors."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orch_assets.errors import SettingError, StoreAddressError, StoreError
from orch_assets.stores import LocalPipelineStore, PipelineStore, open_store
from orch_assets.stores.store_settings import StoreSettings, configured_store

BEGINNINGS = [
    "",
    "~",
    "~root",
    "/",
    "file://",
    "file:///",
    "file:",
    "s3://",
    "gs://",
    "S3:/",
    "C:\\",
]
TEXTS = st.text(max_size=30) | st.text("a/~:@%?#[]0\0\ud800\u2100 .\\", max_size=12)
ADDRESSES = st.builds(str.__add__, st.sampled_from(BEGINNINGS) | TEXTS, TEXTS)


@given(ADDRESSES)
@example("~nosuchuser/x")
@example("file:///tmp/a%00b")
@example("file://[::1/x")
@example("file://\u2100/x")
@example("\ud800")
@example("x\0")
@example("x/" * 5000)
def test_any_address_opens_a_store_or_is_refused(address: str) -> None:
    """Opening it with settings, whose errors a run shows, doesn't repeat it either."""
    with contextlib.suppress(StoreError):
        assert isinstance(open_store(address), PipelineStore)
    for restricted in (False, True):
        with contextlib.suppress(StoreError, SettingError):
            configured_store(address, StoreSettings({}.get, restricted))


@given(TEXTS)
def test_what_a_folder_opens_has_a_uri(name: str) -> None:
    """Otherwise the error would come later, from the first study that is stored."""
    try:
        store = open_store(f"./{name}")
    except StoreAddressError:
        return
    assert store._backend.uri("x").startswith("file:///")


@pytest.mark.parametrize(
    "address",
    [
        "s3:/planted/prefix",
        "gs:planted",
        "file:planted",
        "file:/planted",
        "C:/planted",
        "planted:planted@host:folder",
        "s3://planted:planted@bucket/prefix",
        "s3://planted?x/prefix",
        "gs://planted:80/prefix",
        "ftp://planted:planted@host/x",
        "file://planted/x",
        "file:///planted?x=1",
        "file:///planted#x",
        "file:///planted/%zz",
        "file:///planted/%ff",
        "planted\nfolder",
    ],
)
def test_what_is_meant_for_another_place_is_no_folder_and_is_not_repeated(address: str) -> None:
    with pytest.raises(StoreAddressError) as caught:
        open_store(address)
    assert "planted" not in str(caught.value).replace("planted://…", "")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("address", ["{folder}", "file://{folder}", "file://localhost{folder}"])
def test_a_folder_may_have_any_other_name(address: str, tmp_path: Path) -> None:
    folder = tmp_path / "s3:a b%é;x"
    store = open_store(
        address.format(folder=folder if "file" not in address else folder.as_uri()[7:])
    )
    assert isinstance(store, LocalPipelineStore)
    store.publish_json(1, "x")
    assert (folder / "x.json").is_file()


@pytest.mark.parametrize(
    "bucket", ["my.bucket_1", "arn:aws:s3:us-east-1:123456789012:accesspoint:trials"]
)
def test_every_kind_of_bucket_is_taken(bucket: str) -> None:
    assert isinstance(open_store(f"s3://{bucket}/prefix"), PipelineStore)
