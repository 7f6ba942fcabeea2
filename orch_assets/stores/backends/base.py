"""The seam between the stores and what holds their bytes: a disk, a bucket."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from orch_assets.stores.spooling import Spooled


class Backend(Protocol):
    """Bytes in and out by key; a key is parts joined by ``/``.

    Every method raises :class:`~orch_assets.errors.StoreUnavailableError`, naming the place and
    the reason, where the place can't be read or written. Keys with a part that begins with ``.``
    are hidden: no listing from above shows them.
    """

    def uri(self, key: str) -> str:
        """Return the object's address for people and other tools."""
        ...

    def spool(self) -> AbstractContextManager[Path]:
        """Lend a path of one's own for a file to be put; whatever is left there is removed."""
        ...

    def put(self, spooled: Spooled, key: str) -> None:
        """Store a file whole or not at all, durably; the file may be gone afterwards."""
        ...

    def copying(
        self, source: str, target: str, sha256: str, size: int
    ) -> AbstractContextManager[Callable[[], None]]:
        """Prepare the copy of an object and yield the call that makes it visible, durably.

        The call is the commit of a publication: short, and all or nothing.

        Args:
            source: key of the object, which holds these bytes.
            target: key of the copy.
            sha256: of the bytes.
            size: their number.
        """
        ...

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open an object for reading, seekable; it stays the same one however long it is read.

        Raises:
            ArtifactNotFoundError: nothing is there.
        """
        ...

    def holds(self, key: str, sha256: str, size: int) -> bool:
        """Tell whether an object is there, and is these bytes."""
        ...

    def exists(self, key: str) -> bool:
        """Tell whether an object is there."""
        ...

    def list(self, folder: str, *, hidden: bool = False) -> Iterator[str]:
        """Yield the keys below a folder, in any order; those hidden from there if asked to."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object, durably; one that isn't there is none to remove."""
        ...
