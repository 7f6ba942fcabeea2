"""The examples that the project began with, as they were published, but for the import.

Clouds are moto's server and the emulator, the registry is the embedded one. What was indented there
is indented here.
"""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from orch_assets import GCSPipelineStore, ImednetSDK, MultiStudyOrchestrator, S3PipelineStore
from orch_assets.demo import DemoServer
from orch_assets.errors import FilterConflictError
from orch_assets.step_functions import DefinitionError
from orch_assets_tests.support.cloud_servers import gcs_client, gcs_server, s3_client, s3_server

WINDOWS = pd.DataFrame({"subject_id": ["001", "002"], "mean": [1.5, 2.5]})

ORCHESTRATION = """
from imednet import ImednetSDK, MultiStudyOrchestrator

def my_pipeline(study_key, sdk, study_logger, **kwargs):
    study_logger.info("Processing study")
    subjects = sdk.subjects.list(study_key=study_key)
    return {"subject_count": len(list(subjects))}

with ImednetSDK() as sdk:
    orchestrator = MultiStudyOrchestrator(sdk, max_workers=4)
    results = orchestrator.execute_pipeline(my_pipeline)

for study_key, result in results.items():
    if result["status"] == "SUCCESS":
        print(f"{study_key}: {result['data']}")
    else:
        print(f"{study_key}: FAILED — {result['error']}")
"""

CONFLICT = """
# This raises FilterConflictError — a study key cannot be in both:
orchestrator.execute_pipeline(
    my_func,
    whitelist={"STUDY-A", "STUDY-B"},
    blacklist={"STUDY-C"},
)
"""

GCS = """
from clinops.orchestrate import GCSPipelineStore, StorageFormat

store = GCSPipelineStore(
    bucket="my-clinical-bucket",
    prefix="clinops/prod/v2",
    format=StorageFormat.PARQUET,
)

# Upload a DataFrame after preprocessing
uri = store.upload(windows_df, "features/windows_2024_01")
# → 'gs://my-clinical-bucket/clinops/prod/v2/features/windows_2024_01.parquet'

# Download in a downstream step
df = store.download("features/windows_2024_01")

# List all artifacts under a sub-prefix
artifacts = store.list_artifacts("features/")
"""

GCS_ACCOUNT = """
store = GCSPipelineStore(
    bucket="my-clinical-bucket",
    credentials_path="/secrets/sa-key.json",
)
"""

S3 = """
from clinops.orchestrate import S3PipelineStore

store = S3PipelineStore(
    bucket="my-clinical-bucket",
    prefix="clinops/prod",
    region="us-east-1",
)

uri = store.upload(windows_df, "features/windows_2024_01")
# → 's3://my-clinical-bucket/clinops/prod/features/windows_2024_01.parquet'

df = store.download("features/windows_2024_01")
"""

S3_PROFILE = """
store = S3PipelineStore("my-bucket", profile="clinical-prod")
"""

STEP_FUNCTIONS = """
from clinops.orchestrate import StepFunctionsPipeline, PipelineStep

pipeline = StepFunctionsPipeline(
    name="clinops-daily-ingest",
    role_arn="arn:aws:iam::123456789:role/StepFunctionsRole",
    region="us-east-1",
)

pipeline.add_step(PipelineStep(
    name="Ingest",
    resource="arn:aws:lambda:us-east-1:123456789:function:clinops-ingest",
    parameters={"source": "mimic-iv", "date": "2024-01-01"},
    timeout_seconds=1800,
))
pipeline.add_step(PipelineStep(
    name="Preprocess",
    resource="arn:aws:lambda:us-east-1:123456789:function:clinops-preprocess",
    retry_attempts=2,
))
pipeline.add_step(PipelineStep(
    name="FeatureExtraction",
    resource="arn:aws:lambda:us-east-1:123456789:function:clinops-features",
))
print(pipeline.definition_json())
"""

DEPLOY = """
# Create or update the state machine in AWS
arn = pipeline.deploy()
"""


def run(example: str, **names: Any) -> dict[str, Any]:
    """Run an example; return the names that it leaves."""
    for package in ("imednet", "clinops.orchestrate"):
        example = example.replace(f"from {package} import", "from orch_assets import")
    exec(example, names)
    return names


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoServer]:
    with DemoServer(studies=3, subjects=4) as server:
        monkeypatch.setenv("IMEDNET_API_KEY", server.api_key)
        monkeypatch.setenv("IMEDNET_SECURITY_KEY", server.security_key)
        monkeypatch.setenv("IMEDNET_BASE_URL", server.base_url)
        yield server


def test_the_orchestrators_quick_start_prints_every_study(
    account: DemoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(ORCHESTRATION)
    registry = account.registry
    counts = {key: len(registry.rows("subjects", key)) for key in registry.study_keys()}
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"{key}: {{'subject_count': {count}}}" for key, count in counts.items()]


def test_two_filters_are_refused(account: DemoServer) -> None:
    with ImednetSDK() as sdk:
        orchestrator = MultiStudyOrchestrator(sdk)
        with pytest.raises(FilterConflictError):
            run(CONFLICT, orchestrator=orchestrator, my_func=print)


def test_a_table_goes_to_google_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with gcs_server() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        gcs_client(settings).create_bucket("my-clinical-bucket")
        found = run(GCS, windows_df=WINDOWS)
        assert found["uri"] == (
            "gs://my-clinical-bucket/clinops/prod/v2/features/windows_2024_01.parquet"
        )
        assert_frame_equal(found["df"], WINDOWS)
        assert found["artifacts"] == ["features/windows_2024_01"]
        assert run(GCS_ACCOUNT, GCSPipelineStore=GCSPipelineStore)["store"]


def test_a_table_goes_to_amazon_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        s3_client(settings).create_bucket(Bucket="my-clinical-bucket")
        found = run(S3, windows_df=WINDOWS)
        assert found["uri"] == (
            "s3://my-clinical-bucket/clinops/prod/features/windows_2024_01.parquet"
        )
        assert_frame_equal(found["df"], WINDOWS)
        assert run(S3_PROFILE, S3PipelineStore=S3PipelineStore)["store"]


def test_a_state_machine_is_built_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Its account number has nine digits."""
    run(STEP_FUNCTIONS)
    definition = json.loads(capsys.readouterr().out)
    assert definition["StartAt"] == "Ingest"
    assert list(definition["States"]) == ["Ingest", "Preprocess", "FeatureExtraction"]
    assert definition["States"]["Ingest"]["Resource"] == (
        "arn:aws:lambda:us-east-1:123456789:function:clinops-ingest"
    )


def test_nine_digits_are_refused_at_the_deployment() -> None:
    """AWS would say less; nothing is asked of it."""
    pipeline = run(STEP_FUNCTIONS)["pipeline"]
    with pytest.raises(DefinitionError, match="Step 'Ingest', Resource: its account number"):
        run(DEPLOY, pipeline=pipeline)
    pipeline = run(STEP_FUNCTIONS.replace("lambda:us-east-1:1", "lambda:us-east-1:0001"))
    with pytest.raises(DefinitionError, match=r"role_arn: must be a role's ARN: .*12 digits"):
        run(DEPLOY, pipeline=pipeline["pipeline"])
