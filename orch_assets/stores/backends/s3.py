"""The backend and the store for buckets in S3."""

import contextlib
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import urlencode

from orch_assets.clouds import boto3_session, botocore_session
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.backends.base import (
    Copied,
    Listed,
    Stored,
    TemporaryPart,
    nothing_stored,
    unusable,
)
from orch_assets.stores.backends.bucket import NOTE_FIELD, SHA256_FIELD, Bucket, ListingPage
from orch_assets.stores.backends.s3_errors import code_of, reporting
from orch_assets.stores.spooling import Spooled
from orch_assets.stores.store import PipelineStore

# Larger objects are uploaded and fetched in parts of this size, a few at a time.
_PART = 32 << 20
_PARTS_AT_ONCE = 4
# S3 copies up to 5 GB in one request. This is less, to keep the request that commits short.
_COPY_AT_ONCE = 1 << 30
# The most that one request can delete.
_DELETED_AT_ONCE = 1000
_ATTEMPTS = 3
_MISSING = {"404", "NoSuchKey"}
# Another writer was faster, or is writing the same object right now.
_TAKEN = {"409", "412", "ConditionalRequestConflict", "PreconditionFailed"}
# Errors that boto3 itself doesn't retry: the object was replaced between two of its parts, or the
# response was cut short.
_RETRYABLE = {
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
    """Objects in a bucket of S3 or of a compatible service.

    Args:
        name: Bucket name.
        connect: Creates the boto3 client.
        kms_key: Encrypts every object; by default the bucket's own encryption.
        tags: Added to every object.
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
        """Upload the file; a large one in parts."""
        with reporting(self.uri(key)):
            self._client.upload_file(
                str(spooled.path),
                self._name,
                key,
                ExtraArgs=self._extra(spooled.sha256),
                Config=_transfer(),
            )

    def put_new(self, spooled: Spooled, key: str) -> bool:
        """Upload the file in one request, on the condition that there is no object."""

        def put() -> None:
            with spooled.path.open("rb") as file:
                self._client.put_object(
                    Bucket=self._name,
                    Key=key,
                    Body=file,
                    IfNoneMatch="*",
                    **self._extra(spooled.sha256),
                )

        return self._unless_taken(put, key)

    @contextlib.contextmanager
    def copying(
        self, source: Copied, target: str, *, over: Stored | None = None
    ) -> Iterator[Callable[[], bool]]:
        """Copy in one request; or copy a large object in parts, which the commit joins."""
        condition = {"IfMatch": over.state} if over else {}
        if source.size > _COPY_AT_ONCE:
            with self._copying_parts(source, target, condition) as commit:
                yield commit
            return

        def copy() -> None:
            directive = {"TaggingDirective": "REPLACE"} if self._tagging else {}
            self._client.copy_object(
                Bucket=self._name,
                Key=target,
                CopySource={"Bucket": self._name, "Key": source.key},
                MetadataDirective="REPLACE",
                **condition,
                **directive,
                **self._extra(source.sha256, source.note),
            )

        yield lambda: self._unless_taken(copy, target, when=bool(condition))

    def stored(self, key: str, verify: str | None = None) -> Stored | None:  # noqa: ARG002
        """Read the object's metadata."""
        with reporting(self.uri(key)):
            from botocore.exceptions import ClientError

            try:
                head = self._client.head_object(Bucket=self._name, Key=key)
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return None
                raise
        note = head["Metadata"].get(NOTE_FIELD, "")
        sha256 = head["Metadata"].get(SHA256_FIELD)
        return Stored(sha256, head["ContentLength"], note, head["ETag"])

    def delete(self, key: str) -> None:
        """Remove the object."""
        with reporting(self.uri(key)):
            self._client.delete_object(Bucket=self._name, Key=key)

    def keeps_deleted(self) -> bool | None:
        """Ask whether the bucket keeps earlier versions of objects."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.get_bucket_versioning(Bucket=self._name)
        except (BotoCoreError, ClientError):  # it takes a permission that nothing else here needs
            return None
        return bool(answer.get("Status"))  # versions stay when versioning is suspended

    def temporary_parts(self, folder: str, before: datetime) -> Iterator[TemporaryPart]:
        """Yield also the uploads in parts that were never completed."""
        yield from super().temporary_parts(folder, before)
        prefix = f"{folder}/" if folder else ""
        with reporting(self.uri(prefix)):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._name, Prefix=prefix
            )
            for page in pages:
                for upload in page.get("Uploads", ()):
                    if upload["Initiated"] < before:
                        remove = partial(self._abort, upload["Key"], upload["UploadId"])
                        yield TemporaryPart(self._uploaded(upload), remove)

    def _uploaded(self, upload: Mapping[str, Any]) -> int:
        """Return how many bytes the parts of an upload have."""
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self._name, Key=upload["Key"], UploadId=upload["UploadId"]
        )
        return sum(part["Size"] for page in pages for part in page.get("Parts", ()))

    def _abort(self, key: str, upload_id: str) -> None:
        with reporting(self.uri(key)):
            from botocore.exceptions import ClientError

            try:
                self._client.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=upload_id)
            except ClientError as error:
                if code_of(error) not in {*_MISSING, "NoSuchUpload"}:
                    raise

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove the objects, a thousand in a request."""
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            batch = keys[start : start + _DELETED_AT_ONCE]
            with reporting(self.uri(batch[0])):
                answer = self._client.delete_objects(
                    Bucket=self._name,
                    Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True},
                )
            for error in answer.get("Errors", ()):
                reason = f"An object can't be deleted ({error.get('Code')})."
                raise unusable(self.uri(str(error.get("Key"))), reason)

    def _fetch(self, key: str, file: BinaryIO) -> None:
        with reporting(self.uri(key)):
            for last in (*[False] * (_ATTEMPTS - 1), True):
                file.seek(0)
                file.truncate()
                try:
                    self._fetch_once(key, file)
                except Exception as error:  # its code decides; otherwise it is raised again
                    if code_of(error) in _MISSING:
                        break
                    if last or code_of(error) not in _RETRYABLE:
                        raise
                else:
                    return
        raise nothing_stored(self.uri(key), key)

    def _fetch_once(self, key: str, file: BinaryIO) -> None:
        response = self._client.get_object(Bucket=self._name, Key=key)
        with contextlib.closing(response["Body"]) as body:
            if response["ContentLength"] <= _PART:
                shutil.copyfileobj(body, file, 1 << 20)
                return
        self._client.download_fileobj(self._name, key, file, Config=_transfer())

    def _pages(self, prefix: str, delimiter: str) -> Iterator[ListingPage]:
        with reporting(self.uri(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._name, Prefix=prefix, Delimiter=delimiter
            )
            for page in pages:
                yield ListingPage(
                    [
                        Listed(each["Key"], each["Size"], each["LastModified"])
                        for each in page.get("Contents", ())
                    ],
                    [each["Prefix"] for each in page.get("CommonPrefixes", ())],
                )

    @contextlib.contextmanager
    def _copying_parts(
        self, source: Copied, target: str, condition: Mapping[str, Any]
    ) -> Iterator[Callable[[], bool]]:
        where = {"Bucket": self._name, "Key": target}
        extra = self._extra(source.sha256, source.note)
        with reporting(self.uri(target)):
            upload = self._client.create_multipart_upload(**where, **extra)
        where["UploadId"] = upload["UploadId"]
        try:
            with reporting(self.uri(target)):
                parts = [
                    self._copied_part(where, source, number)
                    for number in range(1, -(-source.size // _COPY_AT_ONCE) + 1)
                ]

            def join() -> None:
                self._client.complete_multipart_upload(
                    **where, **condition, MultipartUpload={"Parts": parts}
                )

            yield lambda: self._unless_taken(join, target, when=bool(condition))
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to report
                self._client.abort_multipart_upload(**where)
            raise

    def _copied_part(self, where: Mapping[str, str], source: Copied, number: int) -> dict[str, Any]:
        first = (number - 1) * _COPY_AT_ONCE
        last = min(first + _COPY_AT_ONCE, source.size) - 1
        response = self._client.upload_part_copy(
            **where,
            PartNumber=number,
            CopySource={"Bucket": self._name, "Key": source.key},
            CopySourceRange=f"bytes={first}-{last}",
        )
        return {"PartNumber": number, "ETag": response["CopyPartResult"]["ETag"]}

    def _unless_taken(self, request: Callable[[], None], key: str, *, when: bool = True) -> bool:
        """Send a request that has a condition, or has none; return whether it was met."""
        with reporting(self.uri(key)):
            from botocore.exceptions import ClientError

            try:
                request()
            except ClientError as error:
                if when and code_of(error) in _TAKEN:
                    return False
                raise
        return True

    def _extra(self, sha256: str, note: str = "") -> dict[str, Any]:
        metadata = {SHA256_FIELD: sha256, **({NOTE_FIELD: note} if note else {})}
        return {"Metadata": metadata, **self._encryption, **self._tagging}


def _transfer() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(
        multipart_threshold=_PART,
        multipart_chunksize=_PART,
        max_concurrency=_PARTS_AT_ONCE,
        max_io_queue=_PARTS_AT_ONCE,  # pieces of 256 KB waiting to be written
    )


# Studies that run at the same time share a client, and each may send several parts at once.
_CONNECTIONS = 50


class S3PipelineStore(PipelineStore):
    """A store in an S3 bucket.

    Credentials are found as boto3 finds them: in the environment, in a profile, from the machine's
    role. No request is sent before the first use.

    Args:
        bucket: Bucket name.
        prefix: Folder in the bucket, for all artifacts of the store.
        format: Format of tables.
        region: Region of the bucket; by default what boto3 finds (``AWS_REGION``, the profile).
        profile: A named profile of the AWS configuration.
        endpoint: URL of an S3-compatible service; by default what boto3 finds
            (``AWS_ENDPOINT_URL``).
        role_arn: A role to assume; its credentials are renewed before they expire.
        kms_key: KMS key that encrypts every object; by default the bucket's own encryption.
        tags: Added to every object.
        escape_formulas: See :class:`~orch_assets.stores.formats.csv_text.CsvFormat`.
        client: A boto3 S3 client to use; the parameters of the connection are then ignored.

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
            if client is not None:
                return client
            with reporting(f"s3://{bucket}"):
                return _connect(region, profile, endpoint, role_arn)

        backend = S3Bucket(bucket, connect, kms_key=kms_key, tags=tags)
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
    """Return a session that assumes a role; boto3 offers this only in profiles."""
    from boto3.session import Session
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.exceptions import NoCredentialsError

    source = session.get_credentials()
    if source is None:
        raise NoCredentialsError
    fetcher = AssumeRoleCredentialFetcher(
        session._session.create_client,  # noqa: SLF001 - boto3 has no public way to its botocore session
        source,
        role_arn,
        extra_args={"RoleSessionName": f"orch-assets-{uuid.uuid4().hex[:8]}"},
    )
    core = botocore_session()
    core._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 - botocore offers no other way
        fetcher.fetch_credentials, "assume-role"
    )
    return Session(botocore_session=core, region_name=session.region_name)
