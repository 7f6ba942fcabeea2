"""An S3 bucket as a backend."""

import contextlib
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import urlencode

from orch_assets.clouds import boto3_session, botocore_session
from orch_assets.errors import ArtifactNotFoundError
from orch_assets.marked_names import named_uri
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.backends.bucket import SHA256_NOTE, Bucket, ListingPage, given
from orch_assets.stores.backends.s3_errors import code_of, reporting
from orch_assets.stores.spooling import Spooled
from orch_assets.stores.store import PipelineStore

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
        name: Bucket name.
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
        with reporting(self.uri(key)):
            from botocore.exceptions import ClientError

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

    def _pages(self, prefix: str, delimiter: str) -> Iterator[ListingPage]:
        with reporting(self.uri(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._name, Prefix=prefix, Delimiter=delimiter
            )
            for page in pages:
                yield ListingPage(
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
        endpoint: URL of an S3-compatible service; by default what boto3 finds
            (``AWS_ENDPOINT_URL``).
        role_arn: a role to assume, renewed before it expires.
        kms_key: KMS key to encrypt every object with; by default the bucket's own encryption.
        tags: of every object.
        escape_formulas: as :class:`~orch_assets.stores.formats.csv_text.CsvFormat` has it.
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
