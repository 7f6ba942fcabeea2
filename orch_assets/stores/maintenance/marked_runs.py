"""The runs whose results are marked, asked for again and again."""

from orch_assets.stores.backends.base import Backend, Listed
from orch_assets.stores.object_keys import marks_folder
from orch_assets.stores.order.marks import Marks


class MarkedRuns:
    """The runs that the marks of a store are of. A mark is read once, unless its object changes.

    Args:
        backend: Holds the bytes.
        prefix: Prefix of the store.
    """

    def __init__(self, backend: Backend, prefix: str) -> None:
        self._backend = backend
        self._marks = Marks(backend, prefix)
        self._folder = marks_folder(prefix)
        self._read: dict[Listed, str | None] = {}

    def ids(self) -> set[str]:
        """Return the IDs of the runs that are marked now.

        Raises:
            ArtifactCorruptError: A mark can't be read.
            StoreUnavailableError: The store can't be read.
        """
        listed = [*self._backend.listing(self._folder)]
        for each in listed:
            if each not in self._read:
                mark = self._marks.read(each.key)
                self._read[each] = mark.run if mark else None
        return {run for each in listed if (run := self._read[each]) is not None}
