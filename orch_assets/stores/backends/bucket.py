"""What the buckets of all cloud providers have in common."""

import contextlib
import re
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, ClassVar, Generic, NamedTuple, TypeVar

from orch_assets.clouds import connecting
from orch_assets.errors import StoreAddressError
from orch_assets.stores.backends.base import Backend, Listed, TemporaryPart
from orch_assets.stores.spooling import old_folders, temporary_file, temporary_path

Client = TypeVar("Client")

# The metadata field with an object's hash. A bucket keeps it with the bytes, and whoever replaces
# the bytes replaces or drops the field: if the field and the size are right, the bytes are right.
SHA256_FIELD = "sha256"
# The field with the note of a copy.
NOTE_FIELD = "publication"

# Valid in S3 and GCS, for old and new buckets; S3 also takes the ARN of an access point.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|arn:[A-Za-z0-9._:-]+")


class ListingPage(NamedTuple):
    """One page of a listing: objects in order, and folders if a delimiter was given."""

    objects: Sequence[Listed] = ()
    folders: Sequence[str] = ()

    @property
    def keys(self) -> Sequence[str]:
        """The keys of the objects."""
        return [each.key for each in self.objects]


class Bucket(Backend, Generic[Client]):
    """Objects in a bucket; subclasses implement the provider's calls.

    Args:
        name: Bucket name.
        connect: Creates the provider's client; called once, on first use.

    Raises:
        StoreAddressError: The name is not a valid bucket name.
    """

    scheme: ClassVar[str]

    def __init__(self, name: str, connect: Callable[[], Client]) -> None:
        if not _NAME.fullmatch(name):  # not repeated in the message: it may hold a password
            raise StoreAddressError(
                f"Not a valid bucket name. Give {self.scheme}://bucket/prefix. A bucket name "
                "consists of letters from A to Z, digits, '.', '_' and '-'; credentials don't "
                "belong in it."
            )
        self._name = name
        self._connect = connect
        self._connected: list[Client] = []

    def uri(self, key: str) -> str:
        """Return ``<scheme>://<bucket>/<key>``."""
        return f"{self.scheme}://{self._name}/{key}"

    @contextlib.contextmanager
    def spool(self) -> Iterator[Path]:
        """Yield a path in a new folder below the system's folder for temporary files."""
        with temporary_path() as path:
            yield path

    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Fetch the object into a temporary file: one version of it, whatever replaces it."""
        with temporary_file() as file:
            self._fetch(key, file)
            file.seek(0)
            yield file

    def holds(self, key: str, sha256: str, size: int) -> bool:
        """Compare the object's size and hash with its metadata."""
        stored = self.stored(key)
        return stored is not None and (stored.sha256, stored.size) == (sha256, size)

    def exists(self, key: str) -> bool:
        """Return whether the object exists; a missing bucket is an error."""
        page = next(self._pages(key, ""), ListingPage())
        return [*page.keys[:1]] == [key]

    def extensions(self, path: str, among: Collection[str]) -> Collection[str]:
        """Find the extensions with one listing of what begins with the path."""
        start = f"{path}."
        pages = self._pages(start, "/")
        return {key.removeprefix(start) for page in pages for key in page.keys} & {*among}

    def list(self, folder: str, *, hidden: bool = False) -> Iterator[str]:
        """Yield the keys below the folder, page by page, skipping what is hidden by default."""
        folders = [f"{folder}/" if folder else ""]
        while folders:
            for page in self._pages(folders.pop(), "" if hidden else "/"):
                yield from (key for key in page.keys if hidden or not _is_hidden(key))
                folders += [each for each in page.folders if not _is_hidden(each[:-1])]

    def listing(self, folder: str) -> Iterator[Listed]:
        """Yield the objects below the folder, page by page."""
        for page in self._pages(f"{folder}/" if folder else "", ""):
            yield from page.objects

    def temporary_parts(self, folder: str, before: datetime) -> Iterator[TemporaryPart]:  # noqa: ARG002
        """Yield the folders for temporary files that this machine's processes left."""
        for size, remove in old_folders(before.timestamp()):
            yield TemporaryPart(size, remove, elsewhere=True)

    @abstractmethod
    def _fetch(self, key: str, file: BinaryIO) -> None:
        """Write the complete object into an empty file."""

    @abstractmethod
    def _pages(self, prefix: str, delimiter: str) -> Iterator[ListingPage]:
        """Yield the objects whose keys begin with a prefix, page by page."""

    @property
    def _client(self) -> Client:
        with connecting:
            if not self._connected:
                self._connected.append(self._connect())
            return self._connected[0]


def _is_hidden(key: str) -> bool:
    leaf = key.rpartition("/")[2]
    return leaf.startswith(".") or not leaf
