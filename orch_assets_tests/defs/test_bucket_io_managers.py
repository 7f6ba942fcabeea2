"""IO managers for buckets: in an ordinary project, and with the vendors' resources."""

import dagster as dg
import pandas as pd
import pytest
from dagster_aws.s3 import S3Resource
from dagster_gcp import GCSResource

from orch_assets.defs.bucket_io_managers import GCSPipelineIOManager, S3PipelineIOManager
from orch_assets.defs.io.io_manager import StudyIOManager
from orch_assets.defs.resources import StoreResource
from orch_assets.stores import open_store
from orch_assets_tests.support.cloud_servers import gcs_client, gcs_server, s3_client, s3_server

FRAME = pd.DataFrame({"id": ["001", None]})
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(scope="module")
def s3_settings():
    with s3_server() as settings:
        client = s3_client(settings)
        client.create_bucket(Bucket="clinical")
        client.close()
        yield settings


@pytest.fixture(scope="module")
def gcs_settings():
    with gcs_server() as settings:
        client = gcs_client(settings)
        client.create_bucket("clinical")
        client.close()
        yield settings


@pytest.fixture
def clouds(s3_settings, gcs_settings, monkeypatch):
    for name, value in {**s3_settings, **gcs_settings}.items():
        monkeypatch.setenv(name, value)


@dg.asset
def source() -> pd.DataFrame:
    return FRAME


@dg.asset
def reader(source: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(source, FRAME)


def materialized(resources) -> str:
    """Materialize two assets; return the URI in the metadata of the first."""
    done = dg.materialize([source, reader], resources=resources, run_config=QUIET)
    assert done.success
    (event,) = done.asset_materializations_for_node("source")
    assert event.metadata["dagster/row_count"].value == 2
    return event.metadata["dagster/uri"].value


@pytest.mark.usefixtures("clouds")
@pytest.mark.parametrize(
    ("io_manager", "address"),
    [
        (S3PipelineIOManager(bucket="clinical", prefix="a"), "s3://clinical/a"),
        (GCSPipelineIOManager(bucket="clinical", prefix="a"), "gs://clinical/a"),
        (StudyIOManager(store=StoreResource(uri="s3://clinical/b")), "s3://clinical/b"),
        (StudyIOManager(store=StoreResource(uri="gs://clinical/b")), "gs://clinical/b"),
        (
            S3PipelineIOManager(bucket="clinical", prefix="c", format="csv", tags={"a": "b"}),
            "s3://clinical/c",
        ),
        (
            GCSPipelineIOManager(
                bucket="clinical", prefix="c", format="csv", tags={"a": "b"}, escape_formulas=True
            ),
            "gs://clinical/c",
        ),
    ],
)
def test_an_ordinary_asset_is_kept_in_the_bucket(io_manager, address):
    ending = "csv" if address.endswith("c") else "parquet"
    assert materialized({"io_manager": io_manager}) == f"{address}/source.{ending}"


@pytest.mark.usefixtures("clouds")
def test_the_vendors_resources_are_used(s3_settings, gcs_settings, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    s3 = S3Resource(endpoint_url=s3_settings["AWS_ENDPOINT_URL"], region_name="us-east-1")
    gcs = GCSResource(project="test")
    for resources in (
        {"io_manager": S3PipelineIOManager(bucket="clinical", prefix="d", s3=s3)},
        {"s3": s3, "io_manager": S3PipelineIOManager(bucket="clinical", prefix="e", s3=s3)},
        {"gcs": gcs, "io_manager": GCSPipelineIOManager(bucket="clinical", prefix="d", gcs=gcs)},
    ):
        materialized(resources)
    assert open_store("gs://clinical/d").list_artifacts() == ["source"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_settings["AWS_ENDPOINT_URL"])
    assert open_store("s3://clinical").list_artifacts("d") == ["d/source"]


@pytest.mark.usefixtures("clouds")
def test_orch_store_chooses_the_bucket_and_its_restricted_prefix(monkeypatch):
    monkeypatch.setenv("ORCH_STORE", "s3://clinical/prod/")
    assert StoreResource().store.upload(FRAME, "t") == "s3://clinical/prod/t.parquet"
    restricted = StoreResource(restricted=True)
    assert restricted.store.upload(FRAME, "t") == "s3://clinical/prod/restricted/t.parquet"
    monkeypatch.setenv("ORCH_RESTRICTED_STORE", "gs://clinical")
    assert StoreResource(restricted=True).store.upload(FRAME, "t") == "gs://clinical/t.parquet"
