"""Opening a store by its address, such as the value of ``ORCH_STORE``.

Errors never repeat an address, because it may contain a password.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from orch_assets.errors import StoreAddressError
from orch_assets.stores.artifacts import StorageFormat

if TYPE_CHECKING:
    from orch_assets.stores.backends.gcs import GCSPipelineStore
    from orch_assets.stores.backends.s3 import S3PipelineStore
    from orch_assets.stores.store import PipelineStore

_BUCKETS: Final = frozenset({"s3", "gs"})
_KINDS: Final = "Give a folder, file:///folder, s3://bucket/prefix or gs://bucket/prefix."
# Matches mistyped URIs too, such as ``s3:/bucket`` or ``file:folder``, which are not folders.
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def scheme_of(address: str | os.PathLike[str]) -> str | None:
    """Return the scheme of a bucket's address, ``"s3"`` or ``"gs"``; None for other addresses."""
    scheme, separator, _ = os.fspath(address).strip().partition("://")
    return scheme.lower() if separator and scheme.lower() in _BUCKETS else None


def open_store(
    address: str | os.PathLike[str],
    format: StorageFormat = StorageFormat.PARQUET,  # noqa: A002, the seeds' name
    *,
    escape_formulas: bool = False,
    private: bool = False,
    **options: Any,
) -> "PipelineStore":
    """Return the store at an address: a folder, ``file:///folder``, or a bucket.

    The address of a bucket is ``s3://bucket/prefix`` or ``gs://bucket/prefix``. Without options,
    boto3 and Google's library use their own defaults.

    Args:
        address: Path of the folder, or URI.
        format: Format of tables.
        escape_formulas: See :class:`~orch_assets.stores.formats.csv_text.CsvFormat`.
        private: See ``LocalPipelineStore``. Ignored for a bucket, which has its own permissions.
        options: Further parameters of a bucket's store, such as ``endpoint``.

    Raises:
        StoreAddressError: No store can be at this address.
        ArtifactNameError: The prefix of a bucket is not valid.
        TypeError: The store has no such option.
    """
    text = os.fspath(address).strip()
    if not text:
        raise StoreAddressError("The address of a store is empty; give a folder.")
    if scheme := scheme_of(text):
        bucket, _, prefix = text.partition("://")[2].partition("/")
        return _bucket_store(scheme)(
            bucket, prefix, format, escape_formulas=escape_formulas, **options
        )
    from orch_assets.stores.backends.local import LocalPipelineStore

    return LocalPipelineStore(
        _folder_in_uri(text) if "://" in text else _folder(text),
        format=format,
        escape_formulas=escape_formulas,
        private=private,
        **options,
    )


def _bucket_store(scheme: str) -> "type[S3PipelineStore | GCSPipelineStore]":
    """Return the class of a store, so that only the provider in use is imported."""
    if scheme == "s3":
        from orch_assets.stores.backends.s3 import S3PipelineStore

        return S3PipelineStore
    from orch_assets.stores.backends.gcs import GCSPipelineStore

    return GCSPipelineStore


def _folder(text: str) -> Path:
    if _SCHEME.match(text) and not Path(text).is_absolute():
        raise StoreAddressError(
            "The address of a store looks like a URI but is not a supported one. "
            f"{_KINDS} If it is a folder whose name contains a colon, write ./ before it."
        )
    try:
        return Path(text).expanduser()
    except (RuntimeError, ValueError):
        raise StoreAddressError(
            "The address of a store begins with ~, and this computer has no home folder for that "
            "user. Give an absolute path."
        ) from None


def _folder_in_uri(text: str) -> str:
    """Return the folder of a ``file:`` URI; raise for any other URI."""
    try:
        parts = urlsplit(text)
        folder = unquote(_BAD_ESCAPE.sub("%ff", parts.path), errors="strict")
    except ValueError:  # it can't be split, or its escapes aren't UTF-8
        raise StoreAddressError(f"The address of a store is not a valid URI. {_KINDS}") from None
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or not folder:
        scheme = _SCHEME.match(text)
        where = f"{scheme[0]}//…" if scheme else "such an address"
        raise StoreAddressError(f"No store can be opened at {where}. {_KINDS}")
    if parts.query or parts.fragment:
        raise StoreAddressError(
            "The address of a store has a query or a fragment (? or #). If the folder's name "
            "contains such a character, write %3F or %23."
        )
    return folder
