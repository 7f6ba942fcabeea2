"""The interface between a store and what holds its bytes: a local disk or a bucket."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from orch_assets.errors import ArtifactNotFoundError, StoreUnavailableError
from orch_assets.marked_names import named_uri
from orch_assets.stores.spooling import Spooled


class Backend(Protocol):
    """Reads and writes objects by key; a key is parts joined by ``/``.

    Every method raises :class:`~orch_assets.errors.StoreUnavailableError`, with the location and
    the reason, if the location cannot be read or written. Keys with a part that begins with ``.``
    are hidden: listings of the folders above leave them out.
    """

    @abstractmethod
    def uri(self, key: str) -> str:
        """Return the object's address, for people and other tools."""
        ...

    @abstractmethod
    def spool(self) -> AbstractContextManager[Path]:
        """Yield a unique path for a file to be stored; a file left there is removed afterwards."""
        ...

    @abstractmethod
    def put(self, spooled: Spooled, key: str) -> None:
        """Store a file durably, completely or not at all; this may move the file away."""
        ...

    @abstractmethod
    def copying(
        self, source: str, target: str, sha256: str, size: int
    ) -> AbstractContextManager[Callable[[], None]]:
        """Prepare the copy of an object and yield the function that makes it visible, durably.

        That call is the commit of a publication: short, and all or nothing.

        Args:
            source: Key of the object.
            target: Key of the copy.
            sha256: SHA-256 of the object's bytes.
            size: Number of the object's bytes.
        """
        ...

    @abstractmethod
    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open an object as a seekable file that doesn't change while it is read.

        Raises:
            ArtifactNotFoundError: There is no such object.
        """
        ...

    @abstractmethod
    def holds(self, key: str, sha256: str, size: int) -> bool:
        """Return whether an object exists and consists of these bytes."""
        ...

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Return whether an object exists."""
        ...

    @abstractmethod
    def list(self, folder: str, *, hidden: bool = False) -> Iterator[str]:
        """Yield the keys below a folder, in any order; also the hidden ones if requested."""
        ...

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object durably; do nothing if there is none."""
        ...


def nothing_stored(uri: str, key: str) -> ArtifactNotFoundError:
    """Return the error for an object that does not exist."""
    return ArtifactNotFoundError(f"Nothing is stored at {named_uri(uri, key)}.", artifact=uri)


def unusable(uri: str, reason: str) -> StoreUnavailableError:
    """Return the error for a bucket that cannot be read or written."""
    return StoreUnavailableError(
        f"The store at {named_uri(uri)} can't be used. {reason}", artifact=uri
    )
