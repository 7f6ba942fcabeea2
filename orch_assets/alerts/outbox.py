"""Alerts that wait for delivery: what a sensor's cursor holds between two ticks.

An alert leaves the outbox when its receiver has taken it, and the outbox is stored afterwards. If
the process dies in between, the alert is delivered again with the same ID. It is never lost.

A receiver that fails is left alone for a pause that doubles each time. An alert that a receiver
refuses waits by itself, so that it holds up no other.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from orch_assets.alerts.message import AlertKind, AlertMessage, counted
from orch_assets.alerts.receivers import Receiver
from orch_assets.errors import AlertDeliveryError

# What a cursor may hold of undelivered alerts. Dagster stores it with every tick.
MAX_ALERTS: Final = 100
_MAX_LENGTH: Final = 40_000
# Deliveries to a receiver in a tick, and seconds after which no other begins.
MAX_DELIVERIES: Final = 10
_SECONDS: Final = 5.0

_FIRST_PAUSE: Final = 60.0
_LONGEST_PAUSE: Final = 600.0
# The longest pause that a receiver may ask for.
_LONGEST_ASKED: Final = 3600.0


@dataclass(frozen=True)
class Pause:
    """When something is tried again.

    Attributes:
        until: Not before this moment, as a timestamp.
        failures: Failed attempts in a row.
    """

    until: float = 0.0
    failures: int = 0

    def longer(self, now: float, asked: float | None) -> "Pause":
        """Return the pause after one more failure; ``asked`` is what the receiver asked for."""
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self.failures)
        if asked is not None:
            pause = max(pause, min(asked, _LONGEST_ASKED))
        return Pause(now + pause, min(self.failures + 1, 10))


@dataclass(frozen=True)
class Waiting:
    """An alert that not all receivers have taken.

    Attributes:
        message: The alert.
        receivers: Names of the receivers that haven't taken it, with the pause of those that
            refused it.
    """

    message: AlertMessage
    receivers: Mapping[str, Pause]

    @property
    def length(self) -> int:
        """The characters of the alert."""
        return len(self.message.title) + sum(map(len, self.message.lines)) + 200


@dataclass(frozen=True)
class Outbox:
    """Alerts in order, and receivers that failed.

    Attributes:
        waiting: The alerts, oldest first.
        paused: Receivers that failed, by name.
        left_out: Number of alerts that were removed because the outbox was full.
        problems: Why alerts were not delivered in the last tick; nothing of it is secret.
    """

    waiting: tuple[Waiting, ...] = ()
    paused: Mapping[str, Pause] = field(default_factory=dict)
    left_out: int = 0
    problems: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Outbox":
        """Return the outbox that :meth:`as_json` describes."""
        waiting = tuple(
            Waiting(AlertMessage.from_json(message), _pauses(receivers))
            for message, receivers in stored.get("waiting", ())
        )
        return cls(waiting, _pauses(stored.get("paused", {})), stored.get("left_out", 0))

    def as_json(self) -> dict[str, Any]:
        """Return the outbox as JSON values."""
        return {
            "waiting": [
                [each.message.as_json(), _as_lists(each.receivers)] for each in self.waiting
            ],
            "paused": _as_lists(self.paused),
            "left_out": self.left_out,
        }

    def with_messages(
        self, messages: Iterable[AlertMessage], receivers: Collection[str]
    ) -> "Outbox":
        """Return the outbox with more alerts; the oldest are removed if it is too full."""
        new = [Waiting(message, dict.fromkeys(receivers, Pause())) for message in messages]
        waiting = [*self.waiting, *new]
        length, removed = sum(each.length for each in waiting), 0
        while len(waiting) - removed > MAX_ALERTS or length > _MAX_LENGTH:
            length -= waiting[removed].length
            removed += 1
        return replace(self, waiting=tuple(waiting[removed:]), left_out=self.left_out + removed)

    def delivered(
        self,
        receivers: Mapping[str, Receiver],
        now: Callable[[], float],
        seconds: float = _SECONDS,
    ) -> "Outbox":
        """Deliver what is due, and return what is left.

        Args:
            receivers: What delivers an alert, by the receiver's name. Alerts for others are
                removed.
            now: Returns the current timestamp.
            seconds: Begin no delivery to a receiver after these.
        """
        delivery = _Delivery(self._with_note(receivers, now()), receivers, now, seconds)
        for name in receivers:
            delivery.to(name)
        return delivery.outbox()

    def _with_note(self, receivers: Collection[str], now: float) -> "Outbox":
        """Return the outbox with an alert that says how many others were removed."""
        if not self.left_out or all(self._pause_of(name).until > now for name in receivers):
            return self
        left_out = counted(self.left_out, "alert was", "alerts were")
        note = AlertMessage.make(
            AlertKind.OUTBOX,
            f"{left_out} left out",
            ["No receiver took them, and no more could be kept. Look at the runs in Dagster."],
            datetime.fromtimestamp(now, tz=UTC),
        )
        first = Waiting(note, dict.fromkeys(receivers, Pause()))
        return replace(self, waiting=(first, *self.waiting), left_out=0)

    def _pause_of(self, name: str) -> Pause:
        return self.paused.get(name, Pause())


class _Delivery:
    """The deliveries of one tick."""

    def __init__(
        self,
        outbox: Outbox,
        receivers: Mapping[str, Receiver],
        now: Callable[[], float],
        seconds: float,
    ) -> None:
        self._receivers, self._now, self._seconds = receivers, now, seconds
        self._waiting = [
            (each.message, {name: p for name, p in each.receivers.items() if name in receivers})
            for each in outbox.waiting
        ]
        self._paused = {name: p for name, p in outbox.paused.items() if name in receivers}
        self._left_out = outbox.left_out
        self._problems: list[str] = []

    def to(self, name: str) -> None:
        """Deliver to one receiver, until all is delivered, it fails, or the tick has lasted."""
        if self._paused.get(name, Pause()).until > self._now():
            return
        deadline = self._now() + self._seconds
        due = [each for each in self._waiting if _is_due(each[1], name, self._now())]
        for message, receivers in due[:MAX_DELIVERIES]:
            if self._now() > deadline:
                return
            try:
                self._receivers[name](message)
            except AlertDeliveryError as error:
                self._problems.append(str(error))
                if not error.is_refused:
                    pause = self._paused.get(name, Pause())
                    self._paused[name] = pause.longer(self._now(), error.retry_after)
                    return
                receivers[name] = receivers[name].longer(self._now(), error.retry_after)
            else:
                del receivers[name]
                self._paused.pop(name, None)

    def outbox(self) -> Outbox:
        """Return what is left."""
        waiting = tuple(Waiting(message, left) for message, left in self._waiting if left)
        return Outbox(waiting, self._paused, self._left_out, tuple(dict.fromkeys(self._problems)))


def _is_due(receivers: Mapping[str, Pause], name: str, now: float) -> bool:
    return name in receivers and receivers[name].until <= now


def _pauses(stored: Mapping[str, Any]) -> dict[str, Pause]:
    return {name: Pause(*values) for name, values in stored.items()}


def _as_lists(pauses: Mapping[str, Pause]) -> dict[str, list[float]]:
    return {name: [pause.until, pause.failures] for name, pause in pauses.items()}
