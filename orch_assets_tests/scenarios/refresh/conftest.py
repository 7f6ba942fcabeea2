"""Buckets on local servers, as the tests of the stores have them."""

from orch_assets_tests.stores.conftest import (  # noqa: F401
    gcs,
    gcs_bucket,
    gcs_settings,
    s3,
    s3_bucket,
    s3_own_client,
    s3_settings,
)
