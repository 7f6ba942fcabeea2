"""Where an account's slots may lie, so that all its processes share one limit."""

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

# A process is expected to have as many others beside it as Dagster's shipped limit of runs.
DEFAULT_PROCESSES: Final = 4


class UnfitPlaceError(Exception):
    """A place can't hold slots at all. Never leaves the package; the text has no password."""


@dataclass(frozen=True)
class SeenMembers:
    """The processes that want slots.

    Attributes:
        now: Seconds of a clock that all of them share.
        texts: What each one published, by its name.
        running_seconds: For how long the place has held slots. One that has just started knows of
            no slot that was held before.
    """

    now: float
    texts: Mapping[str, str]
    running_seconds: float = float("inf")


class HeldSlots(Protocol):
    """The slots of one account, as one process sees them. Used by one thread.

    Any method may raise any error: the slots can't be reached then, and count as lost.
    """

    @property
    def lease_seconds(self) -> float:
        """Seconds after which slots are lost that nobody renews by publishing."""

    def publish(self, text: str | None) -> SeenMembers:
        """Publish what this process wants, None for nothing; return what all do."""

    def hold(self, count: int, most: int) -> int:
        """Give back slots, or take free ones, to hold a number of them; return how many are held.

        Args:
            count: How many to hold.
            most: How many slots all processes together may hold.
        """

    def close(self) -> None:
        """Give everything back."""

    def abandon(self) -> None:
        """Let go of what a forked process has inherited, so that only its parent holds it."""


class SlotPlace(Protocol):
    """Where slots lie. Its text names no password."""

    @property
    def processes(self) -> int:
        """The number of processes to expect if the place can't be reached."""

    def open(self, account: str, name: str) -> HeldSlots:
        """Open the slots of an account.

        Args:
            account: A hash of the base URL and the keys: 16 hexadecimal digits.
            name: This process: 8 hexadecimal digits.
        """


class PlaceProblem(NamedTuple):
    """Why a place can't be used.

    Attributes:
        text: A clause without a subject and without a password.
        is_unfit: Whether that stays so, unlike what can't be reached now.
    """

    text: str
    is_unfit: bool


def usable_slots(most: int, locked: Collection[int]) -> int:
    """Return below which number slots may be taken, if all together may hold ``most``.

    The locked slots from that number on count, too. Of those, none may be taken, so their number
    only falls, and processes that take slots at the same time can't exceed the sum.
    """
    usable = most
    while usable and usable + sum(slot >= usable for slot in locked) > most:
        usable -= 1
    return usable


def problem_of(place: SlotPlace) -> PlaceProblem | None:
    """Try a place; return why it can't be used, or None. Waits some seconds at most."""
    slots = None
    try:
        slots = place.open("0" * 16, "0" * 8)
        slots.publish(None)
    except UnfitPlaceError as error:
        return PlaceProblem(str(error), is_unfit=True)
    except Exception as error:  # noqa: BLE001 - whatever a driver raises
        return PlaceProblem(f"can't be reached ({type(error).__name__}).", is_unfit=False)
    finally:
        if slots is not None:
            with contextlib.suppress(Exception):
                slots.close()
    return None
