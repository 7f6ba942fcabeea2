from collections.abc import Iterator

import pytest

from orch_assets.demo import DemoServer
from orch_assets.stores import open_store
from orch_assets_tests.scenarios.cluster import cluster_location
from orch_assets_tests.scenarios.cluster.cluster_account import ClusterAccount
from orch_assets_tests.support.cluster import STORE, instance_of, running_cluster
from orch_assets_tests.support.processes import registry_settings


@pytest.fixture(scope="package")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterAccount]:
    """Twenty studies, three pipelines and two workers that execute a run at a time."""
    folder = tmp_path_factory.mktemp("cluster")
    calls = folder / "calls"
    calls.mkdir()
    with DemoServer(studies=20, subjects=1) as server:
        settings = {
            **registry_settings(server),
            "CLUSTER_MODULE": cluster_location.__name__,
            "CALLS_FOLDER": str(calls),
            "ORCH_STUDIES_PER_RUN": "10",
            "ORCH_SCHEDULE": "* * * * *",
        }
        with running_cluster(folder, settings) as cluster, instance_of(cluster) as real:
            account = ClusterAccount(cluster, real, calls, open_store(STORE))
            # Before the daemon could evaluate it.
            account.start("daily_refresh")
            account.stop("daily_refresh")
            cluster.start("daemon")
            yield account
