"""An S3 bucket as a backend."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import urlencode

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.marked_names import named_uri
from orch_assets.stores.bucket import SHA256_NOTE, Bucket, Page
from orch_assets.stores.s3_errors import code_of, reporting
from orch_assets.stores.spooling import Spooled

# Larger objects are sent and fetched in parts of this size, a few at a time.
_PART = 32 << 20
_PARTS_AT_ONCE = 4
# S3 copies 5 GB in one request. Less, so that the request that commits is short.
_COPY_AT_ONCE = 1 << 30
_ATTEMPTS = 3
_MISSING = {"404", "NoSuchKey"}
# What boto3 itself doesn't try again: an object that was replaced between two of its parts, and an
# answer that was cut.
_AGAIN = {
    "412",
    "PreconditionFailed",
    "S3DownloadFailedError",
    "ConnectionClosedError",
    "FlexibleChecksumError",
    "IncompleteReadError",
    "ReadTimeoutError",
    "ResponseStreamingError",
}


class S3Bucket(Bucket[Any]):
    """Objects in a bucket of S3, or of something that speaks its language.

    Args:
        name: the bucket's.
        connect: makes the boto3 client.
        kms_key: encrypts every object; the bucket's own default without one.
        tags: of every object.
    """

    scheme = "s3"

    def __init__(
        self,
        name: str,
        connect: Callable[[], Any],
        *,
        kms_key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, connect)
        self._encryption = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        )
        self._tagging = {"Tagging": urlencode(tags)} if tags else {}

    def put(self, spooled: Spooled, key: str) -> None:
        """Send the file; in parts, a large one."""
        with reporting(self.uri(key)):
            self._client.upload_file(
                str(spooled.path),
                self._name,
                key,
                ExtraArgs=self._extra(spooled.sha256),
                Config=_transfer(),
            )

    @contextlib.contextmanager
    def copying(
        self, source: str, target: str, sha256: str, size: int
    ) -> Iterator[Callable[[], None]]:
        """Copy in one request; or copy the parts now, to be joined by the commit."""
        if size > _COPY_AT_ONCE:
            with self._copying_parts(source, target, sha256, size) as commit:
                yield commit
            return

        def commit_at_once() -> None:
            directive = {"TaggingDirective": "REPLACE"} if self._tagging else {}
            with reporting(self.uri(target)):
                self._client.copy_object(
                    Bucket=self._name,
                    Key=target,
                    CopySource={"Bucket": self._name, "Key": source},
                    MetadataDirective="REPLACE",
                    **directive,
                    **self._extra(sha256),
                )

        yield commit_at_once

    def holds(self, key: str, sha256: str, size: int) -> bool:
        """Ask for the object's size and note."""
        from botocore.exceptions import ClientError

        with reporting(self.uri(key)):
            try:
                head = self._client.head_object(Bucket=self._name, Key=key)
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return False
                raise
        found = (head["ContentLength"], head["Metadata"].get(SHA256_NOTE))
        return bool(found == (size, sha256))

    def delete(self, key: str) -> None:
        """Remove the object."""
        with reporting(self.uri(key)):
            self._client.delete_object(Bucket=self._name, Key=key)

    def _fetch(self, key: str, file: BinaryIO) -> None:
        with reporting(self.uri(key)):
            for last in (*[False] * (_ATTEMPTS - 1), True):
                file.seek(0)
                file.truncate()
                try:
                    self._fetch_once(key, file)
                except Exception as error:  # judged by its code, and raised again
                    if code_of(error) in _MISSING:
                        break
                    if last or code_of(error) not in _AGAIN:
                        raise
                else:
                    return
        raise ArtifactNotFoundError(
            f"Nothing is stored at {named_uri(self.uri(key), key)}.", artifact=self.uri(key)
        )

    def _fetch_once(self, key: str, file: BinaryIO) -> None:
        answer = self._client.get_object(Bucket=self._name, Key=key)
        with contextlib.closing(answer["Body"]) as body:
            if answer["ContentLength"] <= _PART:
                shutil.copyfileobj(body, file, 1 << 20)
                return
        self._client.download_fileobj(self._name, key, file, Config=_transfer())

    def _pages(self, prefix: str, delimiter: str) -> Iterator[Page]:
        with reporting(self.uri(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._name, Prefix=prefix, Delimiter=delimiter
            )
            for page in pages:
                yield Page(
                    [each["Key"] for each in page.get("Contents", ())],
                    [each["Prefix"] for each in page.get("CommonPrefixes", ())],
                )

    @contextlib.contextmanager
    def _copying_parts(
        self, source: str, target: str, sha256: str, size: int
    ) -> Iterator[Callable[[], None]]:
        where = {"Bucket": self._name, "Key": target}
        with reporting(self.uri(target)):
            upload = self._client.create_multipart_upload(**where, **self._extra(sha256))
        where["UploadId"] = upload["UploadId"]
        try:
            with reporting(self.uri(target)):
                parts = [
                    self._copied_part(where, source, number, size)
                    for number in range(1, -(-size // _COPY_AT_ONCE) + 1)
                ]

            def commit() -> None:
                with reporting(self.uri(target)):
                    self._client.complete_multipart_upload(
                        **where, MultipartUpload={"Parts": parts}
                    )

            yield commit
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                self._client.abort_multipart_upload(**where)
            raise

    def _copied_part(
        self, where: Mapping[str, str], source: str, number: int, size: int
    ) -> dict[str, Any]:
        first = (number - 1) * _COPY_AT_ONCE
        last = min(first + _COPY_AT_ONCE, size) - 1
        answer = self._client.upload_part_copy(
            **where,
            PartNumber=number,
            CopySource={"Bucket": self._name, "Key": source},
            CopySourceRange=f"bytes={first}-{last}",
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    def _extra(self, sha256: str) -> dict[str, Any]:
        return {"Metadata": {SHA256_NOTE: sha256}, **self._encryption, **self._tagging}


def _transfer() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(
        multipart_threshold=_PART,
        multipart_chunksize=_PART,
        max_concurrency=_PARTS_AT_ONCE,
        max_io_queue=_PARTS_AT_ONCE,  # pieces that wait to be written, of 256 KB each
    )
