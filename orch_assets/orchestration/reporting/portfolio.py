"""The portfolio: every study and pipeline by state and age, for people to look at."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from orch_assets.lazy import cached_property
from orch_assets.orchestration.reporting.matrix import (
    FAILURE_MARK,
    SKIPPED_MARK,
    MatrixEntry,
)
from orch_assets.orchestration.reporting.results import SUCCESS

OLD_AFTER: Final = timedelta(days=7)

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_YEAR: Final = timedelta(days=365)


class State(StrEnum):
    """What a study's newest result of a pipeline is; the worst first.

    A result that was never made is no fault: pipelines may run on request, or for some studies.
    """

    FAILED = "failed"
    OLD = "old"
    RECENT = "recent"
    SKIPPED = "skipped"
    NEVER = "never run"


# A symbol of its own for each state, so that none depends on a color.
SYMBOLS: Final[Mapping[State, str]] = {
    State.FAILED: FAILURE_MARK,
    State.OLD: "!",
    State.RECENT: "✓",
    State.SKIPPED: SKIPPED_MARK,
    State.NEVER: "·",
}


@dataclass(frozen=True)
class Portfolio:
    """The newest results of all studies at a moment.

    Attributes:
        entries: The newest result of each study and pipeline, in the order of the studies.
        pipelines: All pipelines, in the order of the columns.
        now: The moment, UTC.
        old_after: The age from which a result is old.
        studies: All studies, in the order of the rows; by default those with a result.
    """

    entries: Sequence[MatrixEntry]
    pipelines: Sequence[str]
    now: datetime
    old_after: timedelta = OLD_AFTER
    studies: Sequence[str] = field(default=())

    @cached_property
    def rows(self) -> list[str]:
        """The studies, in order."""
        return list(dict.fromkeys([*self.studies, *(entry.study_key for entry in self.entries)]))

    @cached_property
    def worst_first(self) -> list[str]:
        """The studies by what is wrong with them: most failures first, then most old results."""
        worst = {study: self._badness(study) for study in self.rows}
        return sorted(self.rows, key=worst.__getitem__, reverse=True)

    @cached_property
    def counts(self) -> Counter[State]:
        """How many results are in each state."""
        return Counter(
            self.state(study, pipeline) for study in self.rows for pipeline in self.pipelines
        )

    def state(self, study: str, pipeline: str) -> State:
        """Return the state of a study's newest result."""
        entry = self._cells.get((study, pipeline))
        if entry is None:
            return State.NEVER
        if entry.status != SUCCESS:
            return State.FAILED
        if entry.skipped is not None:
            return State.SKIPPED
        return State.OLD if self._age_of(entry) > self.old_after else State.RECENT

    def age(self, study: str, pipeline: str) -> str:
        """Return the age of a study's last success, such as ``5h`` or ``9d``; "" without one."""
        entry = self._cells.get((study, pipeline))
        if entry is None or entry.succeeded_at is None:
            return ""
        return age_text(self._age_of(entry))

    def cell(self, study: str, pipeline: str) -> str:
        """Return at most four characters: ``5h``, ``9d!``, ``✗9d``, ``✗``, ``–`` or ``·``.

        The age is that of the last success. A recent success is its age alone.
        """
        state, age = self.state(study, pipeline), self.age(study, pipeline)
        if state is State.RECENT:
            return age
        return f"{age}{SYMBOLS[state]}" if state is State.OLD else f"{SYMBOLS[state]}{age}"

    def oldest(self, number: int) -> list[MatrixEntry]:
        """Return the results whose last success is the longest ago; none that are recent."""
        old = [
            entry
            for entry in self.entries
            if entry.succeeded_at is not None and self._age_of(entry) > self.old_after
        ]
        return sorted(old, key=self._age_of, reverse=True)[:number]

    @property
    def summary(self) -> str:
        """One line: ``50 studies × 20 pipelines: 30 failed, 12 old, 958 recent``."""
        studies = "1 study" if len(self.rows) == 1 else f"{len(self.rows):,} studies"
        number = len(self.pipelines)
        pipelines = "1 pipeline" if number == 1 else f"{number} pipelines"
        counts = [f"{self.counts[state]:,} {state}" for state in State if self.counts[state]]
        return f"{studies} × {pipelines}: {', '.join(counts) or 'no results'}"

    @property
    def legend(self) -> str:
        """What the cells mean."""
        return f"5h, 9d: age of the last success; {self._marks}"

    @property
    def symbol_legend(self) -> str:
        """What the symbols alone mean."""
        return f"{SYMBOLS[State.RECENT]}: recent; {self._marks}"

    @property
    def _marks(self) -> str:
        old = age_text(self.old_after)
        return f"!: older than {old}; {FAILURE_MARK}: failed; {SKIPPED_MARK}: skipped; ·: never run"

    @cached_property
    def _cells(self) -> Mapping[tuple[str, str], MatrixEntry]:
        return {(entry.study_key, entry.pipeline): entry for entry in self.entries}

    def _age_of(self, entry: MatrixEntry) -> timedelta:
        return timedelta(0) if entry.succeeded_at is None else self.now - entry.succeeded_at

    def _badness(self, study: str) -> tuple[int, int]:
        counts = Counter(self.state(study, pipeline) for pipeline in self.pipelines)
        return counts[State.FAILED], counts[State.OLD]


def age_text(age: timedelta) -> str:
    """Return an age in at most three characters: ``0h`` to ``47h``, ``2d`` to ``99d``, ``14w``.

    A year and more is ``1y``, ``2y`` and so on; a moment to come is ``0h``.
    """
    if age < 2 * _DAY:
        return f"{max(age // _HOUR, 0)}h"
    if age < 100 * _DAY:
        return f"{age // _DAY}d"
    return f"{age // _WEEK}w" if age < 2 * _YEAR else f"{age // _YEAR}y"
