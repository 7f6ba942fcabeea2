"""The complete demo with its artifacts in a bucket, run by the ``dagster`` command."""

import pytest

from orch_assets import pipelines
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.demo import DemoRegistry
from orch_assets.stores import ArtifactKind, open_store
from orch_assets.stores.names import encode_name
from orch_assets_tests.support.harness import materializations, states
from orch_assets_tests.support.processes import Home

STUDIES = DemoRegistry(12, 40).study_keys()[:2]
PIPELINES = sorted(each.name for each in discover_pipelines(pipelines) if not each.on_request)
MATERIALIZE = ("dagster", "asset", "materialize", "-m", "orch_assets.definitions", "--select")


@pytest.mark.parametrize("cloud", ["s3", "gs"])
def test_the_demo_is_materialized_in_a_bucket(
    cloud: str, tmp_path, request: pytest.FixtureRequest
) -> None:
    bucket = request.getfixturevalue("s3_bucket" if cloud == "s3" else "gcs_bucket")
    settings = request.getfixturevalue("s3_settings" if cloud == "s3" else "gcs_settings")
    address = f"{cloud}://{bucket}/trials"
    home = Home(tmp_path, {**settings, "ORCH_REGISTRY": "demo", "ORCH_STORE": address})
    with home.instance() as real:
        real.add_dynamic_partitions(STUDIES_NAME, STUDIES)
    span = f"{STUDIES[0]}...{STUDIES[-1]}"
    done = home.run(*MATERIALIZE, ",".join(PIPELINES), "--partition-range", span, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    done = home.run(*MATERIALIZE, "study_results")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    store = open_store(address)
    with home.instance() as real:
        for pipeline in PIPELINES:
            assert states(real, pipeline) == dict.fromkeys(STUDIES, "MATERIALIZED"), pipeline
        events = {study: found[-1] for study, found in materializations(real, "subjects").items()}
    for study in STUDIES:
        name = f"subjects/{study}"
        assert events[study]["dagster/uri"] == f"{address}/{encode_name(name)}.parquet"
        assert len(store.download(name)) == events[study]["dagster/row_count"] > 0
    assert len(store.download("study_results")) == len(STUDIES) * len(PIPELINES)
    assert store.list_artifacts("restricted", kind=ArtifactKind.TABLE)
    assert store.verify("subjects") == []
