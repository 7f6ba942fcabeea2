"""A store in Google Cloud Storage, on an emulator, passes the contract of all stores."""

import pytest

from orch_assets.stores import GCSPipelineStore, PipelineStore
from orch_assets_tests.contracts.store_fixtures import Objects, OpenStore, Overwrite, Remove
from orch_assets_tests.contracts.stores import StoreContract


class TestGCSPipelineStore(StoreContract):
    share = 2

    @pytest.fixture
    def open_store(self, gcs_bucket: str) -> OpenStore:
        def opened(prefix: str = "", **options) -> GCSPipelineStore:
            return GCSPipelineStore(gcs_bucket, prefix, **options)

        return opened

    @pytest.fixture
    def store(self, open_store: OpenStore) -> PipelineStore:
        """One format suffices: the contract runs with every format on the local disk."""
        return open_store(prefix="trials/prod")

    @pytest.fixture
    def objects(self, gcs, gcs_bucket: str) -> Objects:
        def found() -> dict[str, bytes]:
            return {blob.name: blob.download_as_bytes() for blob in gcs.list_blobs(gcs_bucket)}

        return found

    @pytest.fixture
    def overwrite(self, gcs, gcs_bucket: str) -> Overwrite:
        def write(key: str, data: bytes) -> None:
            gcs.bucket(gcs_bucket).blob(key).upload_from_string(data)

        return write

    @pytest.fixture
    def remove(self, gcs, gcs_bucket: str) -> Remove:
        def gone(key: str) -> None:
            gcs.bucket(gcs_bucket).blob(key).delete()

        return gone
