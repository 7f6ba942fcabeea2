"""IO managers for buckets, with every parameter of their stores, for any Dagster project."""

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from orch_assets.defs.io.io_manager import ConfiguredStoreIOManager
from orch_assets.stores import GCSPipelineStore, S3PipelineStore, StorageFormat

if TYPE_CHECKING:
    from orch_assets.stores import PipelineStore


class S3PipelineIOManager(ConfiguredStoreIOManager):
    """Keeps results in a bucket of Amazon S3; parameters as of ``S3PipelineStore``.

    Example:
        >>> io_manager = S3PipelineIOManager(bucket="my-clinical-bucket", prefix="prod")
    """

    bucket: str = Field(description="The bucket's name.")
    region: str | None = Field(default=None, description="AWS region. Default: what boto3 finds.")
    profile: str | None = Field(default=None, description="Profile of the AWS configuration.")
    endpoint: str | None = Field(default=None, description="URL of an S3-compatible service.")
    role_arn: str | None = Field(default=None, description="ARN of a role to assume.")
    kms_key: str | None = Field(default=None, description="KMS key that encrypts every object.")
    tags: dict[str, str] | None = Field(default=None, description="Tags of every object.")
    # dagster-aws's S3Resource, or a boto3 client, in place of region, profile, endpoint and role.
    # To name its type would import boto3.
    s3: dg.ResourceDependency[Any] = None  # type: ignore[assignment]  # it may be left out

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
    """Keeps results in a bucket of Google Cloud Storage; parameters as of ``GCSPipelineStore``.

    Example:
        >>> io_manager = GCSPipelineIOManager(bucket="my-clinical-bucket", prefix="prod")
    """

    bucket: str = Field(description="The bucket's name.")
    credentials_path: str | None = Field(default=None, description="A service account's key file.")
    project: str | None = Field(default=None, description="Project of the client.")
    endpoint: str | None = Field(default=None, description="URL of a GCS-compatible service.")
    impersonate: str | None = Field(default=None, description="A service account to act as.")
    kms_key_name: str | None = Field(
        default=None, description="KMS key that encrypts every object."
    )
    tags: dict[str, str] | None = Field(
        default=None, description="Of every object, as custom metadata."
    )
    # dagster-gcp's GCSResource or Google's own client, in place of credentials and project.
    gcs: dg.ResourceDependency[Any] = None  # type: ignore[assignment]  # likewise

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
    """Return the client that a Dagster resource makes, or the client itself."""
    return resource.get_client() if hasattr(resource, "get_client") else resource
