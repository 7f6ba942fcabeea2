"""The backend and the store for buckets in Google Cloud Storage."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.backends.base import Copied, Listed, Stored, nothing_stored
from orch_assets.stores.backends.bucket import NOTE_FIELD, SHA256_FIELD, Bucket, ListingPage
from orch_assets.stores.backends.gcs_errors import reporting
from orch_assets.stores.spooling import Spooled
from orch_assets.stores.store import PipelineStore

# Large objects are uploaded in pieces of this size, each of them held in memory.
_UPLOAD_BYTES = 8 << 20


class GCSBucket(Bucket[Any]):
    """Objects in a bucket of Google Cloud Storage.

    Every call is safe to repeat, so all of them use the retries of Google's client: versions are
    named by their content, and the last complete write of a current object wins.

    Args:
        name: Bucket name.
        connect: Creates the ``google.cloud.storage.Client``.
        kms_key_name: Encrypts every object; by default the bucket's own encryption.
        tags: Added to every object as custom metadata.
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
        """Upload the file; Google verifies its CRC32C on arrival."""
        with reporting(self.uri(key)):
            self._new_blob(key, spooled.sha256).upload_from_filename(
                str(spooled.path), checksum="crc32c", retry=_retry()
            )

    def put_new(self, spooled: Spooled, key: str) -> bool:
        """Upload the file, on the condition that there is no object."""
        with reporting(self.uri(key)):
            from google.api_core.exceptions import PreconditionFailed

            try:
                self._new_blob(key, spooled.sha256).upload_from_filename(
                    str(spooled.path), checksum="crc32c", if_generation_match=0, retry=_retry()
                )
            except PreconditionFailed:
                return False
        return True

    @contextlib.contextmanager
    def copying(
        self, source: Copied, target: str, *, over: Stored | None = None
    ) -> Iterator[Callable[[], bool]]:
        """Copy by a rewrite inside Google's storage.

        It takes one request, unless the two objects are encrypted differently.
        """

        def commit() -> bool:
            with reporting(self.uri(target)):
                from google.api_core.exceptions import PreconditionFailed

                blob, token = self._new_blob(target, source.sha256, source.note), None
                condition = {"if_generation_match": over.state} if over else {}
                try:
                    while True:
                        token, _, _ = blob.rewrite(
                            self._blob(source.key), token=token, retry=_retry(), **condition
                        )
                        if token is None:
                            return True
                except PreconditionFailed:
                    return False

        yield commit

    def stored(self, key: str, verify: str | None = None) -> Stored | None:  # noqa: ARG002
        """Read the object's metadata."""
        with reporting(self.uri(key)):
            from google.api_core.exceptions import NotFound

            blob = self._blob(key)
            try:
                blob.reload(retry=_retry())
            except NotFound:
                return None
            metadata = blob.metadata or {}
            note = metadata.get(NOTE_FIELD, "")
            return Stored(metadata.get(SHA256_FIELD), blob.size, note, blob.generation)

    def delete(self, key: str) -> None:
        """Remove the object."""
        with reporting(self.uri(key)):
            from google.api_core.exceptions import NotFound

            with contextlib.suppress(NotFound):
                self._blob(key).delete(retry=_retry())

    def keeps_deleted(self) -> bool | None:
        """Ask whether the bucket keeps earlier versions of objects, or objects after deletion."""
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        try:
            bucket = self._client.get_bucket(self._name, retry=_retry())
        except (GoogleAPIError, GoogleAuthError):  # it takes a permission that nothing else needs
            return None
        soft_delete = bucket.soft_delete_policy.retention_duration_seconds
        return bool(bucket.versioning_enabled or soft_delete)

    def _fetch(self, key: str, file: BinaryIO) -> None:
        with reporting(self.uri(key)):
            from google.api_core.exceptions import NotFound

            try:
                self._blob(key).download_to_file(file, retry=_retry())
            except NotFound:
                pass
            else:
                return
        self.exists(key)  # raises if it is the bucket that does not exist
        raise nothing_stored(self.uri(key), key)

    def _pages(self, prefix: str, delimiter: str) -> Iterator[ListingPage]:
        with reporting(self.uri(prefix)):
            listing = self._client.list_blobs(
                self._name,
                prefix=prefix,
                delimiter=delimiter or None,
                fields="items(name,size,updated),prefixes,nextPageToken",
                retry=_retry(),
            )
            for page in listing.pages:
                objects = [Listed(blob.name, blob.size or 0, blob.updated) for blob in page]
                yield ListingPage(objects, sorted(page.prefixes))

    def _blob(self, key: str) -> Any:
        return self._client.bucket(self._name).blob(
            key, chunk_size=None, kms_key_name=self._kms_key_name
        )

    def _new_blob(self, key: str, sha256: str, note: str = "") -> Any:
        blob = self._blob(key)
        blob.chunk_size = _UPLOAD_BYTES
        blob.metadata = {**self._tags, SHA256_FIELD: sha256, **({NOTE_FIELD: note} if note else {})}
        blob.content_type = "application/octet-stream"
        return blob


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY


_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


class GCSPipelineStore(PipelineStore):
    """A store in a bucket of Google Cloud Storage.

    Without ``credentials_path``, Google's application default credentials are used
    (``GOOGLE_APPLICATION_CREDENTIALS``, gcloud, the machine's account). No request is sent before
    the first use.

    Args:
        bucket: Bucket name.
        prefix: Folder in the bucket, for all artifacts of the store.
        format: Format of tables.
        credentials_path: Key file of a service account.
        project: Project of the client; objects belong to the bucket's project.
        endpoint: URL of a compatible service; by default ``STORAGE_EMULATOR_HOST``, or Google's.
        impersonate: E-mail address of a service account to act as.
        kms_key_name: Full name of a Cloud KMS key that encrypts every object; by default the
            bucket's own encryption.
        tags: Added to every object as custom metadata, the closest that Google has to S3's tags.
            The names ``sha256`` and ``publication`` are reserved for the store.
        escape_formulas: See :class:`~orch_assets.stores.formats.csv_text.CsvFormat`.
        client: A ``google.cloud.storage.Client`` to use; the parameters of the connection are then
            ignored.

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
            if client is not None:
                return client
            with reporting(f"gs://{bucket}"):
                return _connect(credentials_path, project, endpoint, impersonate)

        backend = GCSBucket(bucket, connect, kms_key_name=kms_key_name, tags=tags)
        super().__init__(backend, prefix, format, escape_formulas=escape_formulas)


def _connect(
    credentials_path: str | os.PathLike[str] | None,
    project: str | None,
    endpoint: str | None,
    impersonate: str | None,
) -> Any:
    from google.cloud.storage import Client

    return Client(
        # None means no project, which objects don't need. Left out, Google would search for one.
        project=project,
        credentials=_credentials(credentials_path, impersonate),
        client_options={"api_endpoint": endpoint} if endpoint else None,
    )


def _credentials(path: str | os.PathLike[str] | None, impersonate: str | None) -> Any:
    import google.auth
    from google.auth import exceptions
    from google.auth import impersonated_credentials as impersonated
    from google.oauth2 import service_account

    # google.auth's functions are not typed.
    from_file: Any = service_account.Credentials.from_service_account_file
    malformed: Any = exceptions.MalformedError
    impersonating: Any = impersonated.Credentials
    credentials = None
    if path:
        try:
            credentials = from_file(os.fspath(path), scopes=[_SCOPE])
        except (ValueError, OSError):  # Google's message may quote the file
            raise malformed("the key file can't be read") from None
    if impersonate:
        source = credentials or google.auth.default(scopes=[_SCOPE])[0]
        return impersonating(source, impersonate, target_scopes=[_SCOPE])
    return credentials
