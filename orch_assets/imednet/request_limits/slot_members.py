"""What the processes of an account tell one another, and each one's share of the slots.

Each process that wants slots publishes a short text. All compute the shares from the same texts, so
nobody has to deal them out. The shares decide only what a process tries to hold: no slot can be
held twice, so processes that have seen different texts can't exceed the limit.
"""

import math
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# With fewer slots than processes, each waits until its turn to have one comes.
_TURN_SECONDS: Final = 5.0

_DIGITS: Final = string.digits + string.ascii_lowercase
_FIELDS: Final = 7
# Three digits in a text: 63 bytes are all that a session of Postgres can show.
_MOST: Final = 36**3 - 1
_TENTHS: Final = 10


@dataclass(frozen=True)
class Narrowing:
    """How far refusals have narrowed an account's limit.

    Attributes:
        generation: A number that grows with the time of the refusal; 0 if nothing was refused.
        widenings: Steps by which the limit was widened since the last one.
        limit: The narrowed limit.
        refused_at: The limit that was refused; 0 for none.
    """

    generation: int
    widenings: int
    limit: int
    refused_at: int

    def is_newer_than(self, other: "Narrowing") -> bool:
        """Return whether this is known later; of two at the same time, the narrower is."""
        return self.order > other.order

    @property
    def order(self) -> tuple[int, int, int]:
        """What tells the newer of two."""
        return self.generation, self.widenings, -self.limit


@dataclass(frozen=True)
class Member:
    """A process that wants slots of an account.

    Attributes:
        wanted: How many it needs at once.
        maximum: The account's limit, as this process is configured.
        narrowing: How far the limit is narrowed, as this process knows.
        held_seconds: Seconds of a ``Retry-After`` that remained when this was written. Not the time
            of its end, which would be wrong after the clock is set.
    """

    wanted: int
    maximum: int
    narrowing: Narrowing
    held_seconds: float = 0.0

    def as_text(self) -> str:
        """Return it as text of at most 33 characters."""
        n = self.narrowing
        tenths = math.ceil(self.held_seconds * _TENTHS)
        counts = [self.wanted, self.maximum, n.limit, n.refused_at, tenths]
        numbers = [min(count, _MOST) for count in counts] + [n.generation, n.widenings]
        return " ".join(_base36(number) for number in numbers)

    @classmethod
    def read(cls, text: str) -> "Member | None":
        """Return a member from its text; None if another release wrote it, or it is damaged."""
        parts = text.split()
        if len(parts) != _FIELDS or not all(set(part) <= set(_DIGITS) for part in parts):
            return None
        wanted, maximum, limit, refused_at, tenths, generation, widenings = (
            int(part, 36) for part in parts
        )
        if not maximum or not limit:
            return None
        narrowing = Narrowing(generation, widenings, limit, refused_at)
        return cls(wanted, maximum, narrowing, tenths / _TENTHS)


def newest(members: Iterable[Member]) -> Narrowing:
    """Return the narrowing that all are to follow."""
    return max((member.narrowing for member in members), key=lambda each: each.order)


def slots_of(members: Iterable[Member]) -> int:
    """Return how many slots there are: by the narrowing, and the least maximum that one has."""
    found = list(members)
    narrowing = newest(found)
    least = min(member.maximum for member in found)
    return max(1, min(least, narrowing.limit) if narrowing.generation else least)


def share_of(name: str, members: Mapping[str, Member], now: float) -> int:
    """Return the share of one member.

    All get what they want, as far as all can get the same. What nobody wants is lent evenly.

    Args:
        name: The member.
        members: All members, that one included.
        now: Seconds of the clock that all share.
    """
    left = slots_of(members.values())
    names = sorted(members)
    if left < len(names):
        first = int(now // _TURN_SECONDS) * left % len(names)
        names = names[first:] + names[:first]
    shares = dict.fromkeys(names, 0)
    while left and (hungry := [n for n in names if shares[n] < members[n].wanted]):
        left -= _deal(shares, hungry, left, members)
    while left:
        left -= _deal(shares, names, left)
    return shares[name]


def _deal(
    shares: dict[str, int],
    names: Sequence[str],
    count: int,
    members: Mapping[str, Member] | None = None,
) -> int:
    """Add the same number to the share of each, but no more than it wants; return the sum."""
    each, dealt = max(1, count // len(names)), 0
    for name in names:
        most = members[name].wanted - shares[name] if members else each
        added = min(each, most, count - dealt)
        shares[name] += added
        dealt += added
    return dealt


def _base36(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits
