"""The interface between a store and what holds its bytes: a local disk or a bucket."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from orch_assets.errors import ArtifactNotFoundError, StoreUnavailableError
from orch_assets.marked_names import named_uri
from orch_assets.stores.spooling import Spooled

# Requests that are sent at the same time.
_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Stored:
    """An object as it is stored now.

    Attributes:
        sha256: SHA-256 of its bytes; None if the backend can't say, because another program wrote
            them.
        size: Number of its bytes.
        note: What :meth:`Backend.copying` noted with it; empty if nothing.
        state: Changes when the object is replaced.
    """

    sha256: str | None
    size: int
    note: str
    state: Any


@dataclass(frozen=True)
class Copied:
    """An object to be copied.

    Attributes:
        key: Its key.
        sha256: SHA-256 of its bytes.
        size: Number of its bytes.
        note: A short text to keep with the copy. It may be lost, on file systems that can't.
    """

    key: str
    sha256: str
    size: int
    note: str


@dataclass(frozen=True)
class Listed:
    """An object as a listing shows it.

    Attributes:
        key: Its key.
        size: Number of its bytes.
        modified: When it was written, by the backend's clock.
    """

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class TemporaryPart:
    """What a writer leaves behind if it is killed: a file, a folder, or parts of an upload.

    Attributes:
        size: Number of bytes; 0 if the backend doesn't say.
        remove: Removes it; does nothing if it is gone.
        elsewhere: Whether it is not in the store, but in a folder of this machine that processes
            have in common which read or write any store.
    """

    size: int
    remove: Callable[[], object]
    elsewhere: bool = False


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
    def put_new(self, spooled: Spooled, key: str) -> bool:
        """Store a file as :meth:`put` does, unless there is an object; return whether it did.

        If several do it at once, only one of them succeeds.
        """
        ...

    @abstractmethod
    def copying(
        self, source: Copied, target: str, *, over: Stored | None = None
    ) -> AbstractContextManager[Callable[[], bool]]:
        """Prepare the copy of an object and yield the function that makes it visible, durably.

        That call is the commit of a publication: short, and all or nothing. It returns whether it
        was made.

        Args:
            source: The object.
            target: Key of the copy.
            over: Make it only if the target is still this object; by default in any case.
        """
        ...

    @abstractmethod
    def stored(self, key: str, verify: str | None = None) -> Stored | None:
        """Return what is stored at a key; None if nothing.

        Args:
            key: Key of the object.
            verify: If the object should have this hash, its bytes are read to make sure, unless
                they can't change unnoticed.
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

    def extensions(self, path: str, among: Collection[str]) -> Collection[str]:
        """Return those of some extensions with which objects exist at a path."""
        return {each for each in among if self.exists(f"{path}.{each}")}

    @abstractmethod
    def list(self, folder: str, *, hidden: bool = False) -> Iterator[str]:
        """Yield the keys below a folder, in any order; also the hidden ones if requested."""
        ...

    @abstractmethod
    def listing(self, folder: str) -> Iterator[Listed]:
        """Yield all objects below a folder, the hidden ones too, in any order."""
        ...

    @abstractmethod
    def temporary_parts(self, folder: str, before: datetime) -> Iterator[TemporaryPart]:
        """Yield what killed writers left behind before a moment, for objects below a folder."""
        ...

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object durably; do nothing if there is none."""
        ...

    def remove_empty_folders(self, folder: str) -> None:  # noqa: ARG002 - disks need it
        """Remove a folder, and those in it, as far as nothing is in them; buckets have none."""
        return

    def keeps_deleted(self) -> bool | None:
        """Return whether deleted objects can be restored by the bucket's means; None if unknown."""
        return False

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove many objects, in any order."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(self.delete, keys):
                pass  # raises the error of a deletion


def nothing_stored(uri: str, key: str) -> ArtifactNotFoundError:
    """Return the error for an object that does not exist."""
    return ArtifactNotFoundError(f"Nothing is stored at {named_uri(uri, key)}.", artifact=uri)


def unusable(uri: str, reason: str) -> StoreUnavailableError:
    """Return the error for a bucket that cannot be read or written."""
    return StoreUnavailableError(
        f"The store at {named_uri(uri)} can't be used. {reason}", artifact=uri
    )
