"""The conduct of a study: its sites, and its subjects with their visits."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from orch_assets.demo.studies.design import Design, PlannedInterval
from orch_assets.demo.studies.plans import DATA_CUT, Row, StudyPlan, chance, stamp
from orch_assets.demo.studies.visit_schedule import (
    FATES,
    ONGOING,
    SCREEN_FAILED,
    Fate,
    PlannedVisit,
    visits_of,
)
from orch_assets.demo.studies.vocabulary import KEYWORDS, SITE_STATUSES, SITES

_STUDY_LENGTH = timedelta(days=125)  # from day 1 to the end of the last visit's window
_DELETED_SHARE = 0.03


@dataclass(frozen=True)
class Attendance:
    """A visit that took place.

    Attributes:
        interval: The interval of the schedule.
        interval_id: The interval's ID.
        visit_id: The visit's ID.
        date: When the visit took place.
    """

    interval: PlannedInterval
    interval_id: int
    visit_id: int
    date: datetime


@dataclass(frozen=True)
class Course:
    """A subject's course through the study.

    Attributes:
        subject: The subject's row.
        country: The country of its site.
        baseline: The date and time of study day 0.
        attended: The visits that took place; always includes the screening.
        visits: The rows of all visits.
    """

    subject: Row
    country: str
    baseline: datetime
    attended: list[Attendance]
    visits: list[Row]


def make_sites(plan: StudyPlan) -> list[Row]:
    """Create a study's sites. The first one always enrolls subjects."""
    rng = plan.random("sites")
    count = max(2, min(len(SITES), plan.subjects // 12 + rng.randint(1, 3)))
    rows = []
    for number, (_, name) in enumerate(rng.sample(SITES, count)):
        created = plan.started + timedelta(days=rng.randint(20, 90), seconds=rng.randrange(86400))
        modified = min(created + timedelta(days=rng.randint(0, 250)), DATA_CUT)
        rows.append(
            {
                "studyKey": plan.key,
                "siteId": plan.first_id(2) + number,
                "siteName": name,
                "siteEnrollmentStatus": rng.choice(SITE_STATUSES) if number else SITE_STATUSES[0],
                "dateCreated": stamp(created),
                "dateModified": stamp(modified),
            }
        )
    return rows


def make_courses(plan: StudyPlan, design: Design, sites: list[Row]) -> list[Course]:
    """Create a study's subjects with their visits."""
    rng = plan.random("conduct")
    enrolling = [site for site in sites if site["siteEnrollmentStatus"] != "Pending"]
    countries = {name: country for country, name in SITES}
    visit_ids = itertools.count(plan.first_id(6))
    courses = []
    for number in range(plan.subjects):
        site = rng.choice(enrolling)
        baseline = _baseline(plan, rng)
        fate = _fate(rng, baseline)
        subject = _subject(rng, plan.first_id(5), number, site) | {"subjectStatus": fate.status}
        if fate is not SCREEN_FAILED:
            subject["enrollmentStartDate"] = stamp(baseline)
        subject |= _dates(rng, baseline)
        visits = visits_of(rng, fate, baseline)
        attended, rows = _attend(design, subject, visits, visit_ids)
        courses.append(Course(subject, countries[site["siteName"]], baseline, attended, rows))
    return courses


def keywords(rng: random.Random, share: float, when: datetime) -> list[Row]:
    """Return a keyword for that share of all rows, and no keyword for the others."""
    if rng.random() >= share:
        return []
    name, key, keyword_id = rng.choice(KEYWORDS)
    added = min(when + timedelta(days=rng.randint(0, 20)), DATA_CUT)
    return [
        {
            "keywordName": name,
            "keywordKey": key,
            "keywordId": keyword_id,
            "dateAdded": stamp(added),
        }
    ]


def _baseline(plan: StudyPlan, rng: random.Random) -> datetime:
    """Return study day 0, in the morning: a visit some hours later is on the same day."""
    day = plan.started + (DATA_CUT - plan.started) * rng.uniform(0.3, 0.97)
    return day.replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(
        seconds=rng.randrange(14400)
    )


def _fate(rng: random.Random, baseline: datetime) -> Fate:
    fate = rng.choices(FATES, [fate.weight for fate in FATES])[0]
    return ONGOING if baseline + _STUDY_LENGTH > DATA_CUT and fate is not SCREEN_FAILED else fate


def _subject(rng: random.Random, first_id: int, number: int, site: Row) -> Row:
    return {
        "studyKey": site["studyKey"],
        "subjectId": first_id + number,
        "subjectOid": f"OID-{number + 1}",
        "subjectKey": f"{site['siteId'] % 100:03d}-{number + 1:03d}",
        "subjectStatus": "",
        "siteId": site["siteId"],
        "siteName": site["siteName"],
        "deleted": chance(rng, _DELETED_SHARE),
    }


def _dates(rng: random.Random, baseline: datetime) -> Row:
    created = baseline - timedelta(days=rng.randint(15, 21), seconds=rng.randrange(3600))
    modified = min(created + timedelta(days=rng.randint(0, 140)), DATA_CUT)
    return {
        "dateCreated": stamp(created),
        "dateModified": stamp(modified),
        "keywords": keywords(rng, 0.1, created),
    }


def _attend(
    design: Design, subject: Row, visits: Iterator[PlannedVisit], visit_ids: Iterator[int]
) -> tuple[list[Attendance], list[Row]]:
    attended, rows = [], []
    for visit in visits:
        interval_id, visit_id = design.interval_ids[visit.interval.name], next(visit_ids)
        rows.append(visit.row(subject, interval_id, visit_id))
        if visit.date:
            attended.append(Attendance(visit.interval, interval_id, visit_id, visit.date))
    return attended, rows
