"""A store by its address, as ``ORCH_STORE`` has it."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from orch_assets.errors import StoreError
from orch_assets.stores.formats import StorageFormat
from orch_assets.stores.local import LocalPipelineStore
from orch_assets.stores.store import PipelineStore


def open_store(
    address: str | os.PathLike[str],
    format: StorageFormat = StorageFormat.PARQUET,  # noqa: A002, the seeds' name
) -> PipelineStore:
    """Return the store at an address: a folder, or a ``file:`` URI of one.

    Raises:
        StoreError: the address names no place that a store can be in.
    """
    text = os.fspath(address).strip()
    scheme, separator, _ = text.partition("://")
    if not text:
        raise StoreError("A store's address is empty; give a folder.")
    if not separator:
        return LocalPipelineStore(Path(text).expanduser(), format=format)
    place = urlsplit(text)
    if scheme.lower() == "file" and place.netloc in {"", "localhost"} and place.path:
        return LocalPipelineStore(unquote(place.path), format=format)
    raise StoreError(
        f"No store can be opened at {scheme}://…: this version has stores in local folders only. "
        "Give a folder or file:///folder."
    )
