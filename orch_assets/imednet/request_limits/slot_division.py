"""Divides an account's slots among its processes, in a thread of each process.

Twice a second, a process that has requests publishes how many slots it needs, sees what the others
need, gives back what is more than its share, and takes what is free of it. A process without
requests holds nothing, and its thread sleeps.
"""

import atexit
import contextlib
import logging
import math
import os
import secrets
import threading
import time
import weakref
from typing import Final

from orch_assets.imednet.request_limits.limiter import RequestLimiter
from orch_assets.imednet.request_limits.slot_members import Member, newest, share_of, slots_of
from orch_assets.imednet.request_limits.slot_places import (
    HeldSlots,
    SeenMembers,
    SlotPlace,
    UnfitPlaceError,
)
from orch_assets.imednet.request_limits.uptime import uptime

_ROUND_SECONDS: Final = 0.5
# Another process gives a slot back when its request ends: look for it more often.
_MISSING_SECONDS: Final = 0.1
_LEAST_SECONDS: Final = 0.02
_RETRY_SECONDS: Final = 2.0
_UNFIT_SECONDS: Final = 60.0
# After an outage, the others may still use their fallback shares for as long as this; after a start
# of the place, requests that held slots before it may still be in flight.
_RETURN_SECONDS: Final = 2 * _RETRY_SECONDS
# A connection is closed that nobody needs.
_IDLE_SECONDS: Final = 10.0
_CLOSING_SECONDS: Final = 2.0
# Somebody is told of a process that waits so long for a slot; longer, if slots are few.
_STARVED_SECONDS: Final = 30.0

_log = logging.getLogger("orch_assets.imednet")


class SlotDivision:
    """Gives a limiter its share of an account's slots.

    Args:
        limiter: The process's limiter.
        place: Where the slots lie.
        account: The hash that names the account there.
    """

    def __init__(self, limiter: RequestLimiter, place: SlotPlace, account: str) -> None:
        self._limiter = limiter
        self._place = place
        self._account = account
        self._warned = False
        self._slots: HeldSlots | None = None
        self._start_afresh()
        limiter.divide(self)
        _divisions.add(self)

    def _start_afresh(self) -> None:
        self._name = secrets.token_hex(4)
        self._opened: SlotPlace | None = None
        self._slots = None
        self._heard: dict[str, tuple[str, float]] = {}
        self._resting: float | None = None
        self._lost = self._closed = False
        self._careful_until = 0.0
        self._fed_at: float | None = None  # when it last held a slot, or began to want one
        self._wanted = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def place(self) -> SlotPlace:
        """Where the slots lie; another place is used from the next round on."""
        return self._place

    @place.setter
    def place(self, place: SlotPlace) -> None:
        self._place = place
        self.wake()

    def wake(self) -> None:
        """Divide the slots as soon as possible."""
        if not self._wanted.is_set():
            self._wanted.set()
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="imednet-request-slots", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Give all slots back, when the process ends."""
        self._closed = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(_CLOSING_SECONDS)

    def forget(self) -> None:
        """Start afresh in a forked process."""
        slots = self._slots
        self._start_afresh()
        self._limiter.forget()
        if slots is not None:
            with contextlib.suppress(Exception):
                slots.abandon()

    def _run(self) -> None:
        pause: float | None = 0.0
        while not self._closed:
            self._wanted.wait(pause)
            self._wanted.clear()
            began = uptime()
            pause = self._round()
            time.sleep(max(0.0, began + _LEAST_SECONDS - uptime()))
        self._close_slots()
        # Who still sends requests while the process ends must not wait for ever.
        self._use_fallback()

    def _round(self) -> float | None:
        """Divide once; return the seconds until the next round, None if nobody waits for it."""
        demand = self._limiter.demand()
        try:
            if self._opened != self._place:
                self._close_slots()
            return self._divide(demand) if demand else self._rest()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises; the thread must live
            if self._lost or self._limiter.is_busy:
                self._fall_back(error)
            else:  # nobody needs the slots now: the next request tries again
                self._limiter.lower(0)
            self._close_slots()
            seconds = _UNFIT_SECONDS if isinstance(error, UnfitPlaceError) else _RETRY_SECONDS
            return seconds if demand else None

    def _divide(self, demand: int) -> float:
        began = uptime()
        slots = self._open()
        own = Member(demand, self._limiter.maximum, *self._limiter.narrowing())
        seen = slots.publish(own.as_text())
        members = self._members(seen, own)
        total, share = slots_of(members.values()), share_of(self._name, members, seen.now)
        self._note_return(began)
        has_just_started = 0 <= seen.running_seconds < _RETURN_SECONDS
        if began < self._careful_until or has_just_started:
            share = min(share, self._fallback_share)
        used = self._limiter.lower(share)
        held = slots.hold(max(used, share), total)
        self._limiter.allot(held, total, began + slots.lease_seconds)
        self._note_starving(held, began, _STARVED_SECONDS * max(1.0, len(members) / total))
        return _MISSING_SECONDS if held < min(share, demand) else _ROUND_SECONDS

    def _members(self, seen: SeenMembers, own: Member) -> dict[str, Member]:
        """Return all members, after following what they have learned of the limit."""
        now, heard, held_until = uptime(), self._heard, float("-inf")
        self._heard, members = {}, {self._name: own}
        for name, text in seen.texts.items():
            # A suspended process repeats its text, so what remains counts from the first time.
            told, since = heard.get(name, ("", now))
            self._heard[name] = text, since if told == text else now
            member = Member.read(text)
            if member is not None:
                members[name] = member
                held_until = max(held_until, self._heard[name][1] + member.held_seconds)
        self._limiter.adopt(newest(members.values()), held_until, seen.now - now)
        return members

    def _rest(self) -> float | None:
        """Hold nothing; close what nobody has needed for a while."""
        self._fed_at = None
        if self._limiter.lower(0):
            return 0.0  # a request has begun meanwhile
        if self._slots is None:
            return None
        if self._resting is None:
            self._slots.hold(0, 0)
            self._slots.publish(None)
            self._resting = uptime()
        left = self._resting + _IDLE_SECONDS - uptime()
        if left > 0:
            return left
        self._close_slots()
        return None

    def _open(self) -> HeldSlots:
        self._resting = None
        if self._slots is None:
            place = self._place
            self._slots = place.open(self._account, self._name)
            self._opened = place
        return self._slots

    def _close_slots(self) -> None:
        slots, self._slots, self._opened = self._slots, None, None
        if slots is not None:
            with contextlib.suppress(Exception):
                slots.close()

    def _fall_back(self, error: Exception) -> None:
        """Use this process's share of what can't be divided, and say so once."""
        self._use_fallback()
        maximum, share = self._limiter.maximum, self._fallback_share
        if not self._lost:
            why = f"can't be reached ({type(error).__name__})"
            if isinstance(error, UnfitPlaceError):
                why = str(error).rstrip(".")
            self._say(
                logging.INFO if self._warned else logging.WARNING,
                f"The account's request limit isn't shared: {self._place} {why}. This process "
                f"keeps to its share, {share} of {maximum} requests at once; all processes "
                "together may exceed that limit.",
            )
        self._lost = self._warned = True

    def _use_fallback(self) -> None:
        self._limiter.lower(self._fallback_share)
        self._limiter.allot(self._fallback_share, self._limiter.maximum)

    @property
    def _fallback_share(self) -> int:
        return max(1, self._limiter.maximum // self._place.processes)

    def _note_return(self, now: float) -> None:
        if self._lost:
            self._lost, self._careful_until = False, now + _RETURN_SECONDS
            self._say(logging.INFO, f"The account's request limit is shared again: {self._place}.")

    def _note_starving(self, held: int, now: float, patience: float) -> None:
        if held or self._fed_at is None:
            self._fed_at = now
        elif now - self._fed_at > patience:
            self._fed_at = math.inf  # said once, until it holds one again
            self._say(
                logging.WARNING,
                f"This process has waited {patience:.0f} s for a slot of the account's request "
                f"limit: other processes hold all ({self._place}). Their requests take long, or "
                "one of them is suspended: end or continue that one. "
                "docs/explanation/request-limit.md says how to find it.",
            )

    def _say(self, level: int, text: str) -> None:
        # In a run, Dagster stores what is logged, perhaps in the database that can't be reached.
        with contextlib.suppress(Exception):
            _log.log(level, "%s", text)


_divisions: "weakref.WeakSet[SlotDivision]" = weakref.WeakSet()


def _close_all() -> None:
    for division in list(_divisions):
        division.close()


def _forget_all() -> None:
    for division in list(_divisions):
        division.forget()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_all)
