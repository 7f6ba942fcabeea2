"""Artifacts in a bucket of Amazon S3."""

import uuid
from collections.abc import Mapping
from typing import Any

from orch_assets.stores.bucket import given
from orch_assets.stores.formats import StorageFormat
from orch_assets.stores.s3_bucket import S3Bucket
from orch_assets.stores.s3_errors import reporting
from orch_assets.stores.store import PipelineStore
from orch_assets.vendors import boto3_session, botocore_session

# Studies at work at once share a client, and each may send several parts.
_CONNECTIONS = 50


class S3PipelineStore(PipelineStore):
    """Artifacts as objects of an S3 bucket.

    Credentials are boto3's own: the environment, a profile, the machine's role. Nothing is asked
    of AWS before the first use.

    Args:
        bucket: the bucket's name.
        prefix: goes before every name.
        format: of tables.
        region: the bucket's; by default what boto3 finds (``AWS_REGION``, the profile).
        profile: a named profile of the AWS configuration.
        endpoint: URL of something else that speaks S3; by default what boto3 finds
            (``AWS_ENDPOINT_URL``).
        role_arn: a role to assume, renewed before it expires.
        kms_key: KMS key to encrypt every object with; by default the bucket's own encryption.
        tags: of every object.
        escape_formulas: as :class:`~orch_assets.stores.csv_text.CsvFormat` has it.
        client: a boto3 S3 client to use in place of one made of the above.

    Example:
        >>> store = S3PipelineStore("my-clinical-bucket", "clinops/prod", region="us-east-1")
        >>> uri = store.upload(frame, "features/windows")  # doctest: +SKIP
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        format: StorageFormat = StorageFormat.PARQUET,  # noqa: A002, the seed's name
        region: str | None = None,
        profile: str | None = None,
        *,
        endpoint: str | None = None,
        role_arn: str | None = None,
        kms_key: str | None = None,
        tags: Mapping[str, str] | None = None,
        escape_formulas: bool = False,
        client: Any = None,
    ) -> None:
        def connect() -> Any:
            with reporting(f"s3://{bucket}"):
                return _connect(region, profile, endpoint, role_arn)

        backend = S3Bucket(bucket, given(client) if client else connect, kms_key=kms_key, tags=tags)
        super().__init__(backend, prefix, format, escape_formulas=escape_formulas)


def _connect(
    region: str | None, profile: str | None, endpoint: str | None, role_arn: str | None
) -> Any:
    from botocore.config import Config

    session = boto3_session(profile, region)
    if role_arn:
        session = _assuming(session, role_arn)
    return session.client(
        "s3", endpoint_url=endpoint, config=Config(max_pool_connections=_CONNECTIONS)
    )


def _assuming(session: Any, role_arn: str) -> Any:
    """Return a session of a role; boto3 offers this in profiles only."""
    from boto3.session import Session
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.exceptions import NoCredentialsError

    source = session.get_credentials()
    if source is None:
        raise NoCredentialsError
    fetcher = AssumeRoleCredentialFetcher(
        session._session.create_client,  # noqa: SLF001 - boto3 shows its botocore session nowhere
        source,
        role_arn,
        extra_args={"RoleSessionName": f"orch-assets-{uuid.uuid4().hex[:8]}"},
    )
    core = botocore_session()
    core._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 - the usual way in
        fetcher.fetch_credentials, "assume-role"
    )
    return Session(botocore_session=core, region_name=session.region_name)
