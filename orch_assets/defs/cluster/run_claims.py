"""Which process executes a run, and its heartbeats: one note for each run in Dagster's database.

A broker may deliver a task twice, and may lose the process that took it. So the process that
executes a run first claims it, which only one can, and then shows that it lives by changing the
note. Nobody compares the clocks of two machines: a run is dead if its note doesn't change for long
enough, by the clock of whoever looks.
"""

import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import dagster as dg

from orch_assets.defs.dagster_internals import delete_note, insert_note, keys_of_notes, replace_note
from orch_assets.errors import SettingError

# A run that no process has begun to execute.
WAITING: Final = frozenset({dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING})

_FOLDER: Final = "orch_assets/run/"


@dataclass(frozen=True)
class Heartbeats:
    """How often a run shows that it lives, and how long nothing is noticed if it doesn't.

    Attributes:
        every_seconds: A run's process changes its note this often.
        dead_after_seconds: A run whose note hasn't changed for so long is dead.
    """

    every_seconds: float = 30
    dead_after_seconds: float = 90

    def __post_init__(self) -> None:
        """Check that a heartbeat or two may be late.

        Raises:
            SettingError: They may not.
        """
        if self.every_seconds <= 0 or self.dead_after_seconds < 3 * self.every_seconds:
            raise SettingError(
                "dead_after_seconds",
                f"({self.dead_after_seconds:g}) must be at least three times heartbeat_seconds "
                f"({self.every_seconds:g}), which must be above 0.",
            )

    @property
    def away_seconds(self) -> float:
        """How long a process waits for a database that is away."""
        return 10 * self.dead_after_seconds

    @property
    def sure_seconds(self) -> float:
        """How long after a heartbeat its process may be sure that it isn't named dead."""
        return self.dead_after_seconds * 2 / 3


@dataclass(frozen=True)
class RunClaim:
    """The claim of one process to one run.

    Attributes:
        instance: The instance.
        run_id: The run.
        owner: Who claims it: the machine, the process and a random part.
    """

    instance: dg.DagsterInstance
    run_id: str
    owner: str = field(
        default_factory=lambda: f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
    )

    @property
    def _key(self) -> str:
        return f"{_FOLDER}{self.run_id}"

    def take(self) -> bool:
        """Claim the run; return False if another process has claimed it."""
        return insert_note(self.instance, self._key, self._text(0))

    def take_over(self, note: str) -> bool:
        """Claim the run in place of the process that wrote a note; False if it has changed."""
        return replace_note(self.instance, self._key, self._text(0), of=note)

    def beat(self, number: int) -> bool:
        """Change the note; return False if the run isn't claimed by this process any more."""
        return replace_note(self.instance, self._key, self._text(number), of=f"{self.owner} ")

    def drop(self) -> None:
        """Give the run back, unless another process has taken it over."""
        delete_note(self.instance, self._key, of=f"{self.owner} ")

    def note(self) -> str | None:
        """Return the note of whoever has claimed the run; None if nobody has."""
        return self.instance.run_storage.get_cursor_values({self._key}).get(self._key)

    def status(self) -> dg.DagsterRunStatus | None:
        """Return the run's status; None if the run was deleted."""
        run = self.instance.get_run_by_id(self.run_id)
        return run.status if run else None

    def _text(self, number: int) -> str:
        return f"{self.owner} {number};"


def owner_of(note: str) -> str:
    """Return who wrote a note: the machine and the process."""
    host, process, _ = note.rsplit("/", 2)
    return f"process {process} on {host}"


def claimed_runs(instance: dg.DagsterInstance) -> Sequence[str]:
    """Return the IDs of all runs that were ever claimed, as far as their claims are left."""
    return [key.removeprefix(_FOLDER) for key in keys_of_notes(instance, _FOLDER)]


def remove_claim(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove the claim to a run, whoever has it."""
    delete_note(instance, f"{_FOLDER}{run_id}", of="")


@dataclass
class Silence:
    """How long a note hasn't changed, by the looks of one observer.

    An observer that hasn't looked for a long time begins anew: what kept it away, such as a lost
    database, kept the heartbeats away as well, perhaps for longer.

    Attributes:
        heartbeats: What is to be expected.
        usual_seconds: The time between two looks. At most twice that isn't a long time.
    """

    heartbeats: Heartbeats
    usual_seconds: float = 0.0
    _note: str | None = ""
    _seconds: float = 0.0
    _looked: float = 0.0

    def look(self, note: str | None, now: float) -> float:
        """Return for how many seconds the note has been as it is now."""
        gap = now - self._looked
        is_new = note != self._note
        is_late = gap > max(self.heartbeats.dead_after_seconds / 2, 2 * self.usual_seconds)
        self._seconds = 0.0 if is_new or is_late else self._seconds + gap
        self._note, self._looked = note, now
        return self._seconds

    def is_forgotten(self, now: float) -> bool:
        """Return whether nobody has looked for so long that the run must have ended."""
        return now - self._looked > 10 * self.heartbeats.dead_after_seconds
