"""A bucket of Google Cloud Storage as a backend."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.marked_names import named_uri
from orch_assets.stores.bucket import SHA256_NOTE, Bucket, Page
from orch_assets.stores.gcs_errors import reporting
from orch_assets.stores.spooling import Spooled

# Of an upload: a large object is sent in pieces of this size, each held in memory.
_CHUNK = 8 << 20


class GCSBucket(Bucket[Any]):
    """Objects in a bucket of Google Cloud Storage.

    Every call may be repeated without harm, so all of them are retried as the vendor's client
    retries: versions are named by their content, and the last whole write of a current object
    wins.

    Args:
        name: the bucket's.
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
        from google.api_core.exceptions import NotFound

        with reporting(self.uri(key)):
            blob = self._blob(key)
            try:
                blob.reload(retry=_retry())
            except NotFound:
                return False
            return bool(blob.size == size and (blob.metadata or {}).get(SHA256_NOTE) == sha256)

    def delete(self, key: str) -> None:
        """Remove the object."""
        from google.api_core.exceptions import NotFound

        with reporting(self.uri(key)), contextlib.suppress(NotFound):
            self._blob(key).delete(retry=_retry())

    def _fetch(self, key: str, file: BinaryIO) -> None:
        from google.api_core.exceptions import NotFound

        with reporting(self.uri(key)):
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

    def _pages(self, prefix: str, delimiter: str) -> Iterator[Page]:
        with reporting(self.uri(prefix)):
            found = self._client.list_blobs(
                self._name,
                prefix=prefix,
                delimiter=delimiter or None,
                fields="items(name),prefixes,nextPageToken",
                retry=_retry(),
            )
            for page in found.pages:
                yield Page([blob.name for blob in page], sorted(page.prefixes))

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
