"""A store in S3, on moto's server, passes the contract of all stores."""

import pytest

from orch_assets.stores import PipelineStore, S3PipelineStore
from orch_assets_tests.contracts.store_fixtures import Objects, OpenStore, Overwrite, Remove
from orch_assets_tests.contracts.stores import StoreContract


class TestS3PipelineStore(StoreContract):
    share = 2

    @pytest.fixture
    def open_store(self, s3_bucket: str) -> OpenStore:
        def opened(prefix: str = "", **options) -> S3PipelineStore:
            return S3PipelineStore(s3_bucket, prefix, **options)

        return opened

    @pytest.fixture
    def store(self, open_store: OpenStore) -> PipelineStore:
        """One format suffices: the contract runs with every format on the local disk."""
        return open_store(prefix="trials/prod")

    @pytest.fixture
    def objects(self, s3, s3_bucket: str) -> Objects:
        def found() -> dict[str, bytes]:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=s3_bucket)
            keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
            return {key: s3.get_object(Bucket=s3_bucket, Key=key)["Body"].read() for key in keys}

        return found

    @pytest.fixture
    def overwrite(self, s3, s3_bucket: str) -> Overwrite:
        def write(key: str, data: bytes) -> None:
            s3.put_object(Bucket=s3_bucket, Key=key, Body=data)

        return write

    @pytest.fixture
    def remove(self, s3, s3_bucket: str) -> Remove:
        def gone(key: str) -> None:
            s3.delete_object(Bucket=s3_bucket, Key=key)

        return gone
