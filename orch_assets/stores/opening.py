"""A store by its address, as ``ORCH_STORE`` has it.

No error repeats an address: somebody may have put a password into it.
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
# ``s3:/bucket`` or ``file:folder``: a slip of somebody who means another place than a folder.
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def scheme_of(address: str | os.PathLike[str]) -> str | None:
    """Return whose bucket an address names, ``"s3"`` or ``"gs"``; None for none."""
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

    Buckets are ``s3://bucket/prefix`` and ``gs://bucket/prefix``; what isn't given about them is as
    the vendors' own libraries find it.

    Args:
        address: the folder's path, or the URI.
        format: of tables.
        escape_formulas: as :class:`~orch_assets.stores.formats.csv_text.CsvFormat` has it.
        private: as of ``LocalPipelineStore``; who may read a bucket is said there.
        options: of a bucket: further parameters of its store, such as ``endpoint``.

    Raises:
        StoreAddressError: the address names no place that a store can be in.
        ArtifactNameError: a bucket's prefix can't be one.
        TypeError: an option is none of that store's.
    """
    text = os.fspath(address).strip()
    if not text:
        raise StoreAddressError("A store's address is empty; give a folder.")
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
    """Import one cloud's store only where it is used."""
    if scheme == "s3":
        from orch_assets.stores.backends.s3 import S3PipelineStore

        return S3PipelineStore
    from orch_assets.stores.backends.gcs import GCSPipelineStore

    return GCSPipelineStore


def _folder(text: str) -> Path:
    if _SCHEME.match(text) and not Path(text).is_absolute():
        raise StoreAddressError(
            f"A store's address looks like a URI but is not a supported one. {_KINDS} If it is a "
            "folder whose name contains a colon, write ./ before it."
        )
    try:
        return Path(text).expanduser()
    except (RuntimeError, ValueError):
        raise StoreAddressError(
            "A store's address begins with ~, and this computer knows no such user's home. Give "
            "the folder from its root."
        ) from None


def _folder_in_uri(text: str) -> str:
    """Return the folder of a ``file:`` URI; of any other URI there is none."""
    try:
        parts = urlsplit(text)
        folder = unquote(_BAD_ESCAPE.sub("%ff", parts.path), errors="strict")
    except ValueError:  # it can't be split, or an escape isn't UTF-8's
        raise StoreAddressError(f"A store's address is no URI. {_KINDS}") from None
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or not folder:
        scheme = _SCHEME.match(text)
        where = f"{scheme[0]}//…" if scheme else "such an address"
        raise StoreAddressError(f"No store can be opened at {where}. {_KINDS}")
    if parts.query or parts.fragment:
        raise StoreAddressError(
            "A store's address has a query or a fragment (? or #). If such a character is in the "
            "folder's name, write %3F or %23."
        )
    return folder
