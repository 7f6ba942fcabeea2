"""Which version of an artifact was current at a moment.

This is found by walking back from the current version along the places that each one follows; see
the modules ``places`` and ``publication_order``. A place counts from the moment in the name of its
first manifest entry. That is the time that the publisher's clock showed, or just after the place
before it if the clock was behind. It is visible only when its commit has ended. So the answer for a
moment is final once every publication that began before it has ended.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.marked_names import named
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.stores.order.places import DELETED, REDACTED, Claim, Place
from orch_assets.stores.order.publication_order import Head
from orch_assets.stores.publishing import Publisher

# How many of the versions that remain an error names.
_SHOWN: Final = 10
_RETAINED: Final = "retention has removed the version of that time"


def moment_of(as_of: datetime | str) -> datetime:
    """Return a moment in UTC.

    Args:
        as_of: An aware ``datetime``, or text in ISO 8601 with a time zone.

    Raises:
        ValueError: It has no time zone.
    """
    moment = datetime.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(
            "as_of has no time zone, so it could be several moments. Give one such as "
            "2026-03-31T18:00:00+02:00, or a datetime with tzinfo."
        )
    return moment.astimezone(UTC)


class VersionsAtMoments:
    """Finds the version of an artifact that was current at a moment."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def version(self, keys: ArtifactKeys, moment: datetime) -> str:
        """Return the SHA-256 of the version.

        Raises:
            ArtifactNotFoundError: Nothing was published then, the artifact was deleted then, or
                the version was removed since.
            ArtifactCorruptError: The order of the publications can't be read.
        """
        head = self._publisher.order.head(keys, deleted=True)
        entries = _entries(self._publisher.entries(keys))  # after that, so that the head is in it
        claims = _first_claims(entries)
        number, lowest = head.place.number, None
        while number:
            claim = self._claim_at_or_below(keys, number, claims)
            if claim is None:
                return self._before_retention(keys, moment, entries)
            if claim.place.moment <= moment:
                if claim.place.number < number:  # what followed it may have been current by then
                    raise _refused(keys, moment, _RETAINED, entries)
                return self._stored(keys, claim, moment, entries)
            number, lowest = claim.place.follows, claim
        return self._unnumbered(keys, moment, entries, self._last_of_earlier(keys, head, lowest))

    def since(self, keys: ArtifactKeys, head: Head, number: int) -> list[Claim]:
        """Return what became current after a place, oldest first, and is still stored.

        Args:
            keys: Keys of the artifact.
            head: What is current.
            number: Number of the place.

        Raises:
            ArtifactCorruptError: The order of the publications can't be read.
        """
        if head.place.number <= number:
            return []
        entries = _entries(self._publisher.entries(keys))
        claims, stored = _first_claims(entries), {each.version for each in entries.values()}
        found: list[Claim] = []
        place = head.place.number
        while place > number:
            claim = self._claim_at_or_below(keys, place, claims)
            if claim is None or claim.place.number <= number:
                break
            if claim.version in stored:
                found.append(claim)
            place = claim.place.follows
        return found[::-1]

    def _claim_at_or_below(
        self, keys: ArtifactKeys, number: int, claims: Mapping[int, Claim]
    ) -> Claim | None:
        """Return the claim of a place; of one that retention removed, the next one below.

        Retention keeps the place after each version that it keeps, so that one below is of a
        version that it has removed. That version may have been published again since, and is not
        what was current between the two. None if there is none but the first, which stays always.
        """
        claim = claims.get(number) or self._publisher.order.claim_at(keys, number)
        if claim is not None:
            return claim
        below = {*claims, *self._publisher.order.claimed(keys)}
        for each in sorted((each for each in below if 1 < each < number), reverse=True):
            if found := claims.get(each) or self._publisher.order.claim_at(keys, each):
                return found
        return None

    def _stored(
        self, keys: ArtifactKeys, claim: Claim, moment: datetime, entries: Mapping[str, Claim]
    ) -> str:
        if claim.version == DELETED:
            deleted = claim.place.moment.isoformat()
            raise _refused(keys, moment, f"it had been deleted at {deleted}", entries)
        if claim.version not in {each.version for each in entries.values()}:
            raise _refused(
                keys,
                moment,
                f"retention or redaction has removed version {claim.version}",
                entries,
            )
        return claim.version

    def _before_retention(
        self, keys: ArtifactKeys, moment: datetime, entries: Mapping[str, Claim]
    ) -> str:
        first = self._publisher.order.claim_at(keys, 1)
        if first and moment < first.place.moment:
            return self._unnumbered(keys, moment, entries, None)
        raise _refused(keys, moment, _RETAINED, entries)

    def _last_of_earlier(self, keys: ArtifactKeys, head: Head, lowest: Claim | None) -> str | None:
        """Return the version that was current before the first numbered place; None if unknown."""
        if lowest is None:
            return head.version
        replaced = (
            publication.replaces
            for manifest in self._publisher.manifests(keys, lowest.version)
            for publication in manifest.publications
            if publication.number == lowest.place.number
        )
        version = next(replaced, None)
        redacted = self._publisher.redacted(keys, version) if version else None
        return redacted.sha256 if redacted else version

    def _unnumbered(
        self,
        keys: ArtifactKeys,
        moment: datetime,
        entries: Mapping[str, Claim],
        last: str | None,
    ) -> str:
        """Return the version among the publications of releases 0.1.0 and 0.2.0.

        Those after the last one of the version that was current in the end were never current.
        """
        earlier = [claim for _, claim in sorted(entries.items()) if not claim.place.number]
        while last and earlier and earlier[-1].version != last:
            earlier.pop()
        for claim in reversed(earlier):
            if claim.place.moment <= moment:
                return claim.version
        raise _refused(keys, moment, "nothing had been published", entries)


def _entries(keys: Iterable[str]) -> dict[str, Claim]:
    """Return place and version of each entry, by its name."""
    split = (key.rsplit("/", 2)[1:] for key in keys)
    return {name: Claim(Place.of(name), version) for version, name in split}


def _first_claims(entries: Mapping[str, Claim]) -> dict[int, Claim]:
    """Return the first publication of each place, by number; of redacted versions, the last one."""
    claims: dict[int, Claim] = {}
    for _, claim in sorted(entries.items(), key=lambda item: (-item[0].count(REDACTED), item[0])):
        claims.setdefault(claim.place.number, claim)
    return claims


def _refused(
    keys: ArtifactKeys, moment: datetime, reason: str, entries: Mapping[str, Claim]
) -> ArtifactNotFoundError:
    last = {claim.version: claim for _, claim in sorted(entries.items())}
    versions = [f"{each.version} ({each.place.moment.isoformat()})" for each in last.values()]
    listed = ", ".join(versions[-_SHOWN:]) or "none"
    more = f", and {len(versions) - _SHOWN} older ones" if len(versions) > _SHOWN else ""
    return ArtifactNotFoundError(
        f"There is no {keys.kind} {named(keys.name)} as of {moment.isoformat()}: {reason}. "
        f"Versions that remain, with the time of their last publication: {listed}{more}.",
        artifact=keys.name,
    )
