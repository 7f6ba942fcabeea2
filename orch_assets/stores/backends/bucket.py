"""What buckets have in common, whoever's cloud they are in."""

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Generic, NamedTuple, TypeVar

from orch_assets.clouds import connecting
from orch_assets.errors import StoreAddressError
from orch_assets.stores.spooling import Spooled
from orch_assets.stores.temporary import temporary_file, temporary_path

Client = TypeVar("Client")

# An object's own note of its hash. A bucket keeps it with the bytes: whoever replaces them
# replaces or drops the note, so that a note and a size that are right mean bytes that are right.
SHA256_NOTE = "sha256"

# Of S3 and GCS, old and new ones; S3 also takes an access point's ARN.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|arn:[A-Za-z0-9._:-]+")


class ListingPage(NamedTuple):
    """A page of a listing: keys in order, and folders where a delimiter makes them."""

    keys: Sequence[str] = ()
    folders: Sequence[str] = ()


class Bucket(ABC, Generic[Client]):
    """Objects in a bucket; subclasses give the vendor's five calls.

    Args:
        name: Bucket name.
        connect: makes the vendor's client; called once, on first use.

    Raises:
        StoreAddressError: that is no bucket's name.
    """

    scheme: ClassVar[str]

    def __init__(self, name: str, connect: Callable[[], Client]) -> None:
        if not _NAME.fullmatch(name):  # not repeated: a password may be in it
            raise StoreAddressError(
                f"That is no bucket's name. Give {self.scheme}://bucket/prefix; a name has letters "
                "from A to Z, digits, '.', '_' and '-', and credentials have no place in it."
            )
        self._name = name
        self._connect = connect
        self._connected: list[Client] = []

    def uri(self, key: str) -> str:
        """Return ``<scheme>://<bucket>/<key>``."""
        return f"{self.scheme}://{self._name}/{key}"

    @contextlib.contextmanager
    def spool(self) -> Iterator[Path]:
        """Lend a path in a folder of the system's own for temporary files."""
        with temporary_path() as path:
            yield path

    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Fetch the object into a temporary file: one version of it, whatever replaces it."""
        with temporary_file() as file:
            self._fetch(key, file)
            file.seek(0)
            yield file

    def exists(self, key: str) -> bool:
        """Tell whether the object is there; a bucket that isn't is an error, not an answer."""
        page = next(self._pages(key, ""), ListingPage())
        return [*page.keys[:1]] == [key]

    def list(self, folder: str, *, hidden: bool = False) -> Iterator[str]:
        """Walk the folder past everything hidden, or list all below it."""
        folders = [f"{folder}/" if folder else ""]
        while folders:
            for page in self._pages(folders.pop(), "" if hidden else "/"):
                yield from (key for key in page.keys if hidden or not _is_hidden(key))
                folders += [each for each in page.folders if not _is_hidden(each[:-1])]

    @abstractmethod
    def put(self, spooled: Spooled, key: str) -> None:
        """Store a file with its note."""

    @abstractmethod
    def copying(
        self, source: str, target: str, sha256: str, size: int
    ) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """Prepare a copy in the bucket."""

    @abstractmethod
    def holds(self, key: str, sha256: str, size: int) -> bool:
        """Compare size and note."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the object."""

    @abstractmethod
    def _fetch(self, key: str, file: BinaryIO) -> None:
        """Write the whole object into an empty file."""

    @abstractmethod
    def _pages(self, prefix: str, delimiter: str) -> Iterator[ListingPage]:
        """Yield what begins with the prefix, page by page."""

    @property
    def _client(self) -> Client:
        with connecting:
            if not self._connected:
                self._connected.append(self._connect())
            return self._connected[0]


def given(client: Any) -> "Callable[[], Any]":
    """Return what connects to a client that is there already."""
    return lambda: client


def _is_hidden(key: str) -> bool:
    leaf = key.rpartition("/")[2]
    return leaf.startswith(".") or not leaf
