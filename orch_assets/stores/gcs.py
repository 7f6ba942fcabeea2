"""Artifacts in a bucket of Google Cloud Storage."""

import os
from collections.abc import Mapping
from typing import Any

from orch_assets.stores.bucket import given
from orch_assets.stores.formats import StorageFormat
from orch_assets.stores.gcs_bucket import GCSBucket
from orch_assets.stores.gcs_errors import reporting
from orch_assets.stores.store import PipelineStore

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


class GCSPipelineStore(PipelineStore):
    """Artifacts as objects of a bucket of Google Cloud Storage.

    Without ``credentials_path``, Google's application default credentials are used
    (``GOOGLE_APPLICATION_CREDENTIALS``, gcloud, the machine's account). Nothing is asked of Google
    before the first use.

    Args:
        bucket: the bucket's name.
        prefix: goes before every name.
        format: of tables.
        credentials_path: a service account's key file.
        project: the project of the client; the objects' is the bucket's own.
        endpoint: URL of another service that speaks the same language; by default Google's, or
            ``STORAGE_EMULATOR_HOST``.
        impersonate: e-mail of a service account to act as.
        kms_key_name: full name of a Cloud KMS key to encrypt every object with; by default the
            bucket's own encryption.
        tags: of every object, as custom metadata: the nearest that Google has to S3's tags. The
            name ``sha256`` is the store's own.
        escape_formulas: as :class:`~orch_assets.stores.csv_text.CsvFormat` has it.
        client: a ``google.cloud.storage.Client`` to use in place of one made of the above.

    Example:
        >>> store = GCSPipelineStore("my-clinical-bucket", "clinops/prod/v2")
        >>> uri = store.upload(frame, "features/windows")  # doctest: +SKIP
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        format: StorageFormat = StorageFormat.PARQUET,  # noqa: A002, the seed's name
        credentials_path: str | os.PathLike[str] | None = None,
        *,
        project: str | None = None,
        endpoint: str | None = None,
        impersonate: str | None = None,
        kms_key_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        escape_formulas: bool = False,
        client: Any = None,
    ) -> None:
        def connect() -> Any:
            with reporting(f"gs://{bucket}"):
                return _connect(credentials_path, project, endpoint, impersonate)

        backend = GCSBucket(
            bucket, given(client) if client else connect, kms_key_name=kms_key_name, tags=tags
        )
        super().__init__(backend, prefix, format, escape_formulas=escape_formulas)


def _connect(
    credentials_path: str | os.PathLike[str] | None,
    project: str | None,
    endpoint: str | None,
    impersonate: str | None,
) -> Any:
    from google.cloud.storage import Client

    return Client(
        # None is no project, which objects don't need; left out, it would be looked for.
        project=project,
        credentials=_credentials(credentials_path, impersonate),
        client_options={"api_endpoint": endpoint} if endpoint else None,
    )


def _credentials(path: str | os.PathLike[str] | None, impersonate: str | None) -> Any:
    import google.auth
    from google.auth import exceptions
    from google.auth import impersonated_credentials as impersonated
    from google.oauth2 import service_account

    # google.auth's functions have no types.
    from_file: Any = service_account.Credentials.from_service_account_file
    malformed: Any = exceptions.MalformedError
    acting_as: Any = impersonated.Credentials
    credentials = None
    if path:
        try:
            credentials = from_file(os.fspath(path), scopes=[_SCOPE])
        except (ValueError, OSError):  # Google's own words may hold a part of the file
            raise malformed("the key file can't be read") from None
    if impersonate:
        source = credentials or google.auth.default(scopes=[_SCOPE])[0]
        return acting_as(source, impersonate, target_scopes=[_SCOPE])
    return credentials
