"""IO managers that store results in a bucket, for any Dagster project."""

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from orch_assets.defs.io.io_manager import ConfiguredStoreIOManager
from orch_assets.stores import GCSPipelineStore, S3PipelineStore, StorageFormat

if TYPE_CHECKING:
    from orch_assets.stores import PipelineStore


class S3PipelineIOManager(ConfiguredStoreIOManager):
    """Stores results in an S3 bucket. The parameters are those of ``S3PipelineStore``.

    Example:
        >>> io_manager = S3PipelineIOManager(bucket="my-clinical-bucket", prefix="prod")
    """

    bucket: str = Field(description="Bucket name.")
    region: str | None = Field(
        default=None, description="AWS region. Default: the region that boto3 finds."
    )
    profile: str | None = Field(default=None, description="Named profile of the AWS configuration.")
    endpoint: str | None = Field(default=None, description="URL of an S3-compatible service.")
    role_arn: str | None = Field(default=None, description="ARN of a role to assume.")
    kms_key: str | None = Field(default=None, description="KMS key that encrypts every object.")
    tags: dict[str, str] | None = Field(default=None, description="Tags added to every object.")
    # dagster-aws's S3Resource or a boto3 client, used instead of region, profile, endpoint and
    # role_arn. Naming its type would import boto3.
    s3: dg.ResourceDependency[Any] = None  # type: ignore[assignment]  # it is optional

    def _opened_store(self, table_format: StorageFormat) -> "PipelineStore":
        return S3PipelineStore(
            self.bucket,
            self.prefix,
            table_format,
            self.region,
            self.profile,
            endpoint=self.endpoint,
            role_arn=self.role_arn,
            kms_key=self.kms_key,
            tags=self.tags,
            escape_formulas=self.escape_formulas,
            client=_client(self.s3),
        )


class GCSPipelineIOManager(ConfiguredStoreIOManager):
    """Stores results in a Google Cloud Storage bucket.

    The parameters are those of ``GCSPipelineStore``.

    Example:
        >>> io_manager = GCSPipelineIOManager(bucket="my-clinical-bucket", prefix="prod")
    """

    bucket: str = Field(description="Bucket name.")
    credentials_path: str | None = Field(default=None, description="Key file of a service account.")
    project: str | None = Field(default=None, description="Project of the client.")
    endpoint: str | None = Field(default=None, description="URL of a GCS-compatible service.")
    impersonate: str | None = Field(
        default=None, description="E-mail address of a service account to act as."
    )
    kms_key_name: str | None = Field(
        default=None, description="KMS key that encrypts every object."
    )
    tags: dict[str, str] | None = Field(
        default=None, description="Tags added to every object, as custom metadata."
    )
    # dagster-gcp's GCSResource or Google's own client, used instead of credentials_path, project,
    # endpoint and impersonate.
    gcs: dg.ResourceDependency[Any] = None  # type: ignore[assignment]  # it is optional

    def _opened_store(self, table_format: StorageFormat) -> "PipelineStore":
        return GCSPipelineStore(
            self.bucket,
            self.prefix,
            table_format,
            self.credentials_path,
            project=self.project,
            endpoint=self.endpoint,
            impersonate=self.impersonate,
            kms_key_name=self.kms_key_name,
            tags=self.tags,
            escape_formulas=self.escape_formulas,
            client=_client(self.gcs),
        )


def _client(resource: Any) -> Any:
    """Return the client of a Dagster resource, or the client itself."""
    return resource.get_client() if hasattr(resource, "get_client") else resource
