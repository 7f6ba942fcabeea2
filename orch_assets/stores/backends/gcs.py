"""A bucket of Google Cloud Storage as a backend."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.marked_names import named_uri
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.backends.bucket import SHA256_NOTE, Bucket, ListingPage, given
from orch_assets.stores.backends.gcs_errors import reporting
from orch_assets.stores.spooling import Spooled
from orch_assets.stores.store import PipelineStore

# Of an upload: a large object is sent in pieces of this size, each held in memory.
_CHUNK = 8 << 20


class GCSBucket(Bucket[Any]):
    """Objects in a bucket of Google Cloud Storage.

    Every call may be repeated without harm, so all of them are retried as the vendor's client
    retries: versions are named by their content, and the last whole write of a current object
    wins.

    Args:
        name: Bucket name.
        connect: makes the ``google.cloud.storage.Client``.
        kms_key_name: encrypts every object; the bucket's own default without one.
        tags: of every object, as custom metadata.
    """

    scheme = "gs"

    def __init__(
        self,
        name: str,
        connect: Callable[[], Any],
        *,
        kms_key_name: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, connect)
        self._kms_key_name = kms_key_name
        self._tags = dict(tags or {})

    def put(self, spooled: Spooled, key: str) -> None:
        """Send the file; Google checks what arrives against its CRC32C."""
        with reporting(self.uri(key)):
            self._noted(key, spooled.sha256).upload_from_filename(
                str(spooled.path), checksum="crc32c", retry=_retry()
            )

    @contextlib.contextmanager
    def copying(
        self,
        source: str,
        target: str,
        sha256: str,
        size: int,  # noqa: ARG002 - Google copies any size alike
    ) -> Iterator[Callable[[], None]]:
        """Copy by a rewrite: in place and at once, unless the two are encrypted apart."""

        def commit() -> None:
            with reporting(self.uri(target)):
                blob, token = self._noted(target, sha256), None
                original = self._blob(source)
                while True:
                    token, _, _ = blob.rewrite(original, token=token, retry=_retry())
                    if token is None:
                        return

        yield commit

    def holds(self, key: str, sha256: str, size: int) -> bool:
        """Ask for the object's size and note."""
        with reporting(self.uri(key)):
            from google.api_core.exceptions import NotFound

            blob = self._blob(key)
            try:
                blob.reload(retry=_retry())
            except NotFound:
                return False
            return bool(blob.size == size and (blob.metadata or {}).get(SHA256_NOTE) == sha256)

    def delete(self, key: str) -> None:
        """Remove the object."""
        with reporting(self.uri(key)):
            from google.api_core.exceptions import NotFound

            with contextlib.suppress(NotFound):
                self._blob(key).delete(retry=_retry())

    def _fetch(self, key: str, file: BinaryIO) -> None:
        with reporting(self.uri(key)):
            from google.api_core.exceptions import NotFound

            try:
                self._blob(key).download_to_file(file, retry=_retry())
            except NotFound:
                pass
            else:
                return
        self.exists(key)  # raises where it is the bucket that isn't there
        raise ArtifactNotFoundError(
            f"Nothing is stored at {named_uri(self.uri(key), key)}.", artifact=self.uri(key)
        )

    def _pages(self, prefix: str, delimiter: str) -> Iterator[ListingPage]:
        with reporting(self.uri(prefix)):
            found = self._client.list_blobs(
                self._name,
                prefix=prefix,
                delimiter=delimiter or None,
                fields="items(name),prefixes,nextPageToken",
                retry=_retry(),
            )
            for page in found.pages:
                yield ListingPage([blob.name for blob in page], sorted(page.prefixes))

    def _blob(self, key: str) -> Any:
        return self._client.bucket(self._name).blob(
            key, chunk_size=None, kms_key_name=self._kms_key_name
        )

    def _noted(self, key: str, sha256: str) -> Any:
        blob = self._blob(key)
        blob.chunk_size = _CHUNK
        blob.metadata = {**self._tags, SHA256_NOTE: sha256}
        blob.content_type = "application/octet-stream"
        return blob


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY


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
        escape_formulas: as :class:`~orch_assets.stores.formats.csv_text.CsvFormat` has it.
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
