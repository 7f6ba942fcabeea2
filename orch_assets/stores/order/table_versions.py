"""The versions of a table in the order in which they were current."""

from collections.abc import Callable, Sequence
from datetime import datetime

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.lazy import cached_property
from orch_assets.refreshing import PublishedVersion
from orch_assets.stores.lineage import note_input
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.stores.order.as_of import VersionsAtMoments
from orch_assets.stores.order.publication_order import Head
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.stored_versions import TableVersion


class TableVersions:
    """The versions of a table as they are when this object is first asked; later ones are ignored.

    Attributes:
        uri: URI of the artifact's current object.

    Args:
        uri: URI of the artifact's current object.
        keys: Keys of the artifact.
        publisher: Reads the order of publications.
        at_moments: Walks along it.
        previous: Returns a version by its hash; None if it was removed.
        known: The version that is current, if the caller knows it.
    """

    def __init__(
        self,
        uri: str,
        keys: ArtifactKeys,
        publisher: Publisher,
        at_moments: VersionsAtMoments,
        previous: Callable[[str], TableVersion | None],
        known: str | None = None,
    ) -> None:
        self.uri = uri
        self._known = known
        self._keys = keys
        self._publisher = publisher
        self._at_moments = at_moments
        self._previous = previous

    @cached_property
    def _head(self) -> Head:
        return self._publisher.order.head(self._keys)

    @property
    def version(self) -> str | None:
        """SHA-256 of the current version; None if there is none. Not looked up if it is known."""
        return self._known or (self.current.version if self.current else None)

    def note(self) -> None:
        """Note the current version as an input of what is published."""
        if self.version:
            note_input(self.uri, self.version)

    @property
    def current(self) -> PublishedVersion | None:
        """The current version; None if nothing is stored, or another program wrote it."""
        head = self._head
        if head.version is None:
            return None
        return PublishedVersion(head.version, head.place.number, head.place.moment)

    def since(self, number: int) -> Sequence[PublishedVersion]:
        """Return what became current after this place, oldest first, and ends with ``current``.

        Versions that were removed are left out, and so are those of releases 0.1.0 and 0.2.0, whose
        publications have no number.

        Raises:
            ArtifactCorruptError: The order of the publications can't be read.
        """
        return [
            PublishedVersion(claim.version, claim.place.number, claim.place.moment)
            for claim in self._at_moments.since(self._keys, self._head, number)
        ]

    def at(self, moment: datetime) -> str | None:
        """Return the SHA-256 of what was current at a moment; None if it is unknown or removed."""
        try:
            return self._at_moments.version(self._keys, moment)
        except ArtifactNotFoundError:
            return None

    def table(self, version: str) -> TableVersion | None:
        """Return a version; None if it was removed."""
        return self._previous(version)
