"""A subject's visits: which took place, when, and their rows."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from orch_assets.demo.studies.design import SCHEDULE, PlannedInterval
from orch_assets.demo.studies.plans import DATA_CUT, Row, chance, stamp

_SCHEDULED = tuple(each for each in SCHEDULE if each.day is not None and not each.disabled)
_FIRST_VISITS, _LAST_VISIT = _SCHEDULED[:2], _SCHEDULED[-1]
_UNSCHEDULED = SCHEDULE[-1]
_MISSED_SHARE = 0.04
_UNSCHEDULED_SHARE = 0.15


class Fate(NamedTuple):
    """A subject's outcome: its status, its number of scheduled visits, and how often it occurs."""

    status: str
    visits: int
    weight: int


ONGOING = Fate("Enrolled", len(_SCHEDULED), 0)
SCREEN_FAILED = Fate("Screen Failed", 1, 15)
FATES = (
    SCREEN_FAILED,
    Fate("Completed", len(_SCHEDULED), 65),
    Fate("Withdrawn", 4, 12),
    Fate("Lost to Follow-up", 3, 8),
)


@dataclass(frozen=True)
class PlannedVisit:
    """One visit of a subject.

    Attributes:
        interval: The interval of the schedule.
        due: When the visit is due.
        date: When the visit took place; None for a missed or future visit.
    """

    interval: PlannedInterval
    due: datetime
    date: datetime | None

    def row(self, subject: Row, interval_id: int, visit_id: int) -> Row:
        """Return the visit's row."""
        slack = timedelta(days=self.interval.slack)
        row: Row = {
            "visitId": visit_id,
            "studyKey": subject["studyKey"],
            "intervalId": interval_id,
            "intervalName": self.interval.name,
            "subjectId": subject["subjectId"],
            "subjectKey": subject["subjectKey"],
            "startDate": f"{self.due - slack:%Y-%m-%d}",
            "endDate": f"{self.due + slack:%Y-%m-%d}",
            "dueDate": None if self.interval.day is None else f"{self.due:%Y-%m-%d}",
            "visitDateForm": "Vital Signs",
            "deleted": subject["deleted"],
            "visitDateQuestion": "VSDAT",
            "dateCreated": subject["dateCreated"],
            "dateModified": stamp(self.date) if self.date else subject["dateCreated"],
        }
        if self.date:
            row["visitDate"] = f"{self.date:%Y-%m-%d}"
        return row


def visits_of(rng: random.Random, fate: Fate, baseline: datetime) -> Iterator[PlannedVisit]:
    """Create a subject's visits, in the order of their due dates."""
    for interval in _SCHEDULED[: fate.visits]:
        due = baseline + timedelta(days=interval.day or 0)
        future = fate is ONGOING and interval is _LAST_VISIT
        yield PlannedVisit(interval, due, None if future else _visit_date(rng, interval, due))
    if fate.status == "Withdrawn":  # subjects who leave early have a final visit
        due += timedelta(days=10)
        yield PlannedVisit(_LAST_VISIT, due, due + timedelta(hours=2))
    if fate is not SCREEN_FAILED and chance(rng, _UNSCHEDULED_SHARE):
        extra = baseline + timedelta(days=rng.randint(1, 20))
        yield PlannedVisit(_UNSCHEDULED, extra, extra if extra <= DATA_CUT else None)


def _visit_date(rng: random.Random, interval: PlannedInterval, due: datetime) -> datetime | None:
    """Return when a visit took place; None if it was missed or is after the data cut."""
    if interval in _FIRST_VISITS:  # screening and randomisation are never late
        return due
    date = due + timedelta(
        days=rng.randint(-interval.slack, interval.slack), seconds=rng.randrange(14400)
    )
    missed = interval is not _LAST_VISIT and chance(rng, _MISSED_SHARE)
    return None if missed or date > DATA_CUT else date
