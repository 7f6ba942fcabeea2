"""The order of an artifact's publications, as the names of its manifest entries have it.

A publication that changes the current version takes the next *place*: the number above the newest.
It claims it by writing a small object at the key for that number, which succeeds only if there is
none. Publishing the current version again changes nothing, and stays in the place of that version.

A name such as ``n000000012-000000011-20261128T131830123456-1a2b3c4d`` holds the number of the
place, the number of the place that was current before, and the moment of the publication. Releases
0.1.0 and 0.2.0 numbered nothing: ``20261128T1318301234560000-1a2b3c4d``. Their names sort first.
"""

import hashlib
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_NAME: Final = re.compile(
    r"(?:n(?P<number>\d{9})-(?P<follows>\d{9})-)?(?P<second>\d{8}T\d{6})(?P<micros>\d{6})(?:0000)?-.*"
)
_CLAIM: Final = re.compile(rb"([0-9a-f]{64}|deleted)/(n[0-9a-fT-]+) [0-9a-f]{16}\n")
_TICK: Final = timedelta(microseconds=1)
# The end of the name of an object that holds several entries.
COMPACTED: Final = "-compacted"
# The end of the name of an entry that redaction wrote, for a version in another one's place.
REDACTED: Final = "-redacted"
# What a deletion claims instead of a version.
DELETED: Final = "deleted"


@dataclass(frozen=True, order=True)
class Place:
    """Where a publication stands among those of its artifact.

    Attributes:
        number: From 1 for the first one; 0 for all publications of releases 0.1.0 and 0.2.0.
        follows: Number of the place that was current before; 0 if there was none with a number.
        moment: Time of the publication by its machine's clock, but never before that of the place
            that it follows.
    """

    number: int
    follows: int
    moment: datetime

    @classmethod
    def of(cls, name: str) -> "Place":
        """Return the place in the name of an entry; the earliest possible one for other names."""
        match = _NAME.fullmatch(name)
        if not match:
            return NOWHERE
        try:
            moment = datetime.fromisoformat(f"{match['second']}.{match['micros']}+00:00")
        except ValueError:
            return NOWHERE
        return cls(int(match["number"] or 0), int(match["follows"] or 0), moment)

    def next(self, number: int, published_at: str) -> "Place":
        """Return a place that follows this one."""
        return Place(number, self.number, self._after(published_at))

    def again(self, published_at: str) -> "Place":
        """Return the place of the same version, published once more."""
        return Place(self.number, self.follows, self._after(published_at))

    def new_name(self) -> str:
        """Return a unique name for an entry at this place."""
        digits = self.moment.strftime("%Y%m%dT%H%M%S%f")
        return f"n{self.number:09}-{self.follows:09}-{digits}-{uuid.uuid4().hex[:8]}"

    def _after(self, published_at: str) -> datetime:
        return max(datetime.fromisoformat(published_at), self.moment + _TICK)


# Before every publication.
NOWHERE: Final = Place(0, 0, datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True)
class Claim:
    """What is stored where a place was claimed.

    Attributes:
        place: The place.
        version: SHA-256 of the version; :data:`DELETED` if the current object was deleted.
    """

    place: Place
    version: str

    @classmethod
    def from_bytes(cls, data: bytes) -> "Claim":
        """Read a stored claim.

        Raises:
            ValueError: The data is not a claim.
        """
        match = _CLAIM.fullmatch(data)
        if not match or claim_bytes(match[1].decode(), match[2].decode()) != data:
            raise ValueError("not a claim")
        return cls(Place.of(match[2].decode()), match[1].decode())


def claim_bytes(version: str, name: str) -> bytes:
    """Return the stored form of a claim; its end is a checksum.

    Args:
        version: SHA-256 of the version, or :data:`DELETED`.
        name: Name of the manifest entry.
    """
    text = f"{version}/{name}"
    return f"{text} {hashlib.sha256(text.encode()).hexdigest()[:16]}\n".encode()
