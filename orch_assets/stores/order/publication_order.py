"""Which publication of an artifact is current, and who may publish next.

The current object says which version is current. What was current before is a chain: each place
names the one that it follows. A place that is not current and that none follows never was: its
publisher was killed before the commit, or another one was faster.

The name of its manifest entry is kept with the current object: in a bucket as metadata, on a disk
as an attribute of the file. Where it was lost, the newest entry of the current version is the one.
"""

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.marked_names import named, named_uri
from orch_assets.stores.backends.base import Backend, Stored
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.stores.order.places import DELETED, NOWHERE, Claim, Place, claim_bytes
from orch_assets.stores.spooling import spool

# How many numbers are tried one by one before all claims are listed.
_TRIES: Final = 8


@dataclass(frozen=True)
class Head:
    """What is current.

    Attributes:
        place: Its place; that of the deletion if it was deleted.
        stored: The current object; None if there is none.
    """

    place: Place
    stored: Stored | None = None

    @property
    def version(self) -> str | None:
        """SHA-256 of the current version; None if there is none, or another program wrote it."""
        return self.stored.sha256 if self.stored else None


class PublicationOrder:
    """Finds and claims places of artifacts."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def head(self, keys: ArtifactKeys, *, verify: str | None = None, deleted: bool = False) -> Head:
        """Return what is current.

        Args:
            keys: Keys of the artifact.
            verify: If this version is current, make sure that its bytes are the right ones.
            deleted: Whether to search for the deletion if there is no current object.
        """
        stored = self._backend.stored(keys.current, verify)
        if stored is None:
            return Head(self._deletion(keys) if deleted else NOWHERE)
        if stored.note:
            return Head(Place.of(stored.note), stored)
        places = self.places(keys, stored.sha256) if stored.sha256 else []
        if places:
            return Head(_newest(places), stored)
        # Another program wrote it, over what was published last.
        return Head(_newest(self.places(keys)), replace(stored, sha256=None))

    def places(self, keys: ArtifactKeys, version: str | None = None) -> list[Place]:
        """Return the place of each entry of all versions, or of one, in any order."""
        entries = self._backend.list(keys.manifests(version), hidden=True)
        return [Place.of(entry.rpartition("/")[2]) for entry in entries]

    def is_newest(self, keys: ArtifactKeys, place: Place) -> bool:
        """Return whether nobody has claimed the place after this one."""
        return place.number > 0 and not self._backend.exists(keys.place(place.number + 1))

    def claim(
        self, keys: ArtifactKeys, head: Head, version: str, published_at: str
    ) -> tuple[str, Head]:
        """Claim the next place, which nobody else can have then.

        Args:
            keys: Keys of the artifact.
            head: What is current.
            version: The version to publish, or ``DELETED``.
            published_at: Time of the publication.

        Returns:
            The name for the manifest entry, and what is current: it may have changed.
        """
        number = head.place.number + 1
        for attempt in itertools.count(1):
            name = head.place.next(number, published_at).new_name()
            if self._put_claim(keys.place(number), claim_bytes(version, name)):
                return name, head
            taken = number
            if attempt >= _TRIES or not head.stored:
                taken = next(self.claimed(keys), number)
            head = self.head(keys, deleted=True)
            number = max(head.place.number, taken) + 1
        raise AssertionError  # the loop has no other end

    def claim_at(self, keys: ArtifactKeys, number: int) -> Claim | None:
        """Return the claim of a place; None if there is none, or it was never written completely.

        Raises:
            ArtifactCorruptError: It can't be read.
        """
        key = keys.place(number)
        try:
            with self._backend.open(key) as file:
                data = file.read()
            return Claim.from_bytes(data) if data else None
        except ArtifactNotFoundError:
            return None
        except ValueError:
            uri = named_uri(self._backend.uri(key), key)
            raise ArtifactCorruptError(
                f"The order of the publications of {named(keys.name)} can't be read: {uri} is not "
                "what was written there. Read one of versions() by its hash.",
                artifact=keys.name,
            ) from None

    def _put_claim(self, key: str, data: bytes) -> bool:
        with self._backend.spool() as path:
            return self._backend.put_new(spool(path, lambda file: file.write(data)), key)

    def claimed(self, keys: ArtifactKeys) -> Iterator[int]:
        """Yield the numbers of all places that are stored, from the newest."""
        listed = self._backend.list(keys.places, hidden=True)
        yield from sorted((int(key.rpartition("/")[2]) for key in listed), reverse=True)

    def _deletion(self, keys: ArtifactKeys) -> Place:
        for number in self.claimed(keys):
            claim = self.claim_at(keys, number)
            if claim and claim.version == DELETED:
                return claim.place
        return NOWHERE


def _newest(places: Collection[Place]) -> Place:
    """Return the newest place, as the first publication in it has it."""
    newest = max(places, default=NOWHERE)
    same = [place for place in places if place.number == newest.number]
    return min(same) if newest.number else newest
