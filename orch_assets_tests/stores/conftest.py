"""Servers that stand in for the clouds, one of each for all tests of a process."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from orch_assets_tests.contracts.store_order import Clock
from orch_assets_tests.support.cloud_servers import gcs_client, gcs_server, s3_client, s3_server


@pytest.fixture(scope="session")
def s3_settings() -> Iterator[dict[str, str]]:
    with s3_server() as settings:
        yield settings


@pytest.fixture(scope="session")
def gcs_settings() -> Iterator[dict[str, str]]:
    with gcs_server() as settings:
        yield settings


@pytest.fixture(scope="session")
def s3_own_client(s3_settings: dict[str, str]):
    """One for all tests, because creating a server takes longer than most tests."""
    client = s3_client(s3_settings)
    yield client
    client.close()


@pytest.fixture
def s3(s3_own_client, s3_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """A client of moto's server; the environment names that server, too."""
    for name, value in s3_settings.items():
        monkeypatch.setenv(name, value)
    return s3_own_client


@pytest.fixture
def gcs(gcs_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """A client of the emulator; the environment names that emulator, too."""
    for name, value in gcs_settings.items():
        monkeypatch.setenv(name, value)
    client = gcs_client(gcs_settings)
    yield client
    client.close()


@pytest.fixture
def s3_bucket(s3) -> str:
    """A bucket of the test's own."""
    name = f"bucket-{uuid4().hex}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def gcs_bucket(gcs) -> str:
    """A bucket of the test's own."""
    name = f"bucket-{uuid4().hex}"
    gcs.create_bucket(name)
    return name


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that stores in this process publish by."""
    shown = Clock()
    monkeypatch.setattr("orch_assets.stores.manifest.datetime", shown.shown())
    return shown
