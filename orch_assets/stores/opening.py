"""A store by its address, as ``ORCH_STORE`` has it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from orch_assets.errors import StoreAddressError
from orch_assets.stores.formats import StorageFormat
from orch_assets.stores.gcs import GCSPipelineStore
from orch_assets.stores.local import LocalPipelineStore
from orch_assets.stores.s3 import S3PipelineStore
from orch_assets.stores.store import PipelineStore

_BUCKETS: Final[Mapping[str, type[S3PipelineStore] | type[GCSPipelineStore]]] = {
    "s3": S3PipelineStore,
    "gs": GCSPipelineStore,
}


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
) -> PipelineStore:
    """Return the store at an address: a folder, ``file:///folder``, or a bucket.

    Buckets are ``s3://bucket/prefix`` and ``gs://bucket/prefix``; what isn't given about them is as
    the vendors' own libraries find it.

    Args:
        address: the folder's path, or the URI.
        format: of tables.
        escape_formulas: as :class:`~orch_assets.stores.csv_text.CsvFormat` has it.
        private: as of :class:`LocalPipelineStore`; who may read a bucket is said there.
        options: of a bucket: further parameters of its store, such as ``endpoint``.

    Raises:
        StoreAddressError: the address names no place that a store can be in.
        TypeError: an option is none of that store's.
    """
    text = os.fspath(address).strip()
    scheme, separator, rest = text.partition("://")
    if not text:
        raise StoreAddressError("A store's address is empty; give a folder.")
    if not separator:
        folder: str | Path = Path(text).expanduser()
        return LocalPipelineStore(
            folder, format=format, escape_formulas=escape_formulas, private=private, **options
        )
    if scheme.lower() in _BUCKETS:
        bucket, _, prefix = rest.partition("/")
        kind = _BUCKETS[scheme.lower()]
        return kind(bucket, prefix, format, escape_formulas=escape_formulas, **options)
    place = urlsplit(text)
    if scheme.lower() == "file" and place.netloc in {"", "localhost"} and place.path:
        folder = unquote(place.path)
        return LocalPipelineStore(
            folder, format=format, escape_formulas=escape_formulas, private=private, **options
        )
    raise StoreAddressError(
        f"No store can be opened at {scheme}://…. "
        "Give a folder, file:///folder, s3://bucket/prefix or gs://bucket/prefix."
    )
