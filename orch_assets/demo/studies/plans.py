"""The plans of the studies: keys, areas and sizes, which depend only on the seed."""

import math
import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orch_assets.demo.studies.vocabulary import (
    AREAS,
    CARDIOLOGY,
    DERMATOLOGY,
    ENDOCRINOLOGY,
    NEUROLOGY,
    ONCOLOGY,
    RESPIRATORY,
    Area,
)

Row = dict[str, Any]

DATA_CUT = datetime(2025, 6, 30, 12, 0)  # noqa: DTZ001 - the API's dates are UTC without a zone
"""The latest date in any study. No clock is read, so the rows are always the same."""

# Plain keys come first. The others are valid and realistic, and each breaks naive code: by case,
# blanks, reserved characters of URLs and shells, other alphabets, or by looking like a number.
_KEYS: tuple[tuple[str, Area], ...] = (
    ("ONC-301", ONCOLOGY),
    ("CARD-202", CARDIOLOGY),
    ("DERM-104", DERMATOLOGY),
    ("NEURO-410", NEUROLOGY),
    ("ENDO-215", ENDOCRINOLOGY),
    ("RESP-112", RESPIRATORY),
    ("KARDIO-Ü2", CARDIOLOGY),
    ("ONC 302 EU", ONCOLOGY),
    ("R&D-118", DERMATOLOGY),
    ("2024-RESP-05", RESPIRATORY),
    ("PAIN#5%A", NEUROLOGY),
    ("onc-301", ONCOLOGY),
    ("0042", ENDOCRINOLOGY),
    ("試験-01", RESPIRATORY),
    ("VAX+7?", DERMATOLOGY),
    ("O'Neill_3.1", CARDIOLOGY),
)

_SIZE_SPREAD = 0.45  # sigma of the lognormal distribution of the numbers of subjects


@dataclass(frozen=True)
class StudyPlan:
    """The properties of a study from which its rows are created.

    Attributes:
        index: The study's 0-based position in the account; every ID of the study depends on it.
        key: The study key.
        area: The therapeutic area.
        subjects: The number of subjects.
        seed: The random seed of the simulator.
        row: The study's row in the list of studies.
        forms: The number of forms; 0 for those of every study in the area.
        variables: The number of variables on all forms; used if ``forms`` is not 0.
    """

    index: int
    key: str
    area: Area
    subjects: int
    seed: int
    row: Row
    forms: int = 0
    variables: int = 0

    def random(self, domain: str) -> random.Random:
        """Return the random generator of a domain. Changes to one domain leave the others alone."""
        return generator(self.seed, self.index, domain)

    def first_id(self, width: int) -> int:
        """Return the first ID of a domain whose IDs have ``width`` digits after the study's."""
        return (self.index + 1) * int(10**width) + 1

    @property
    def started(self) -> datetime:
        """When the study was set up."""
        return parsed_stamp(self.row["dateCreated"])


def generator(seed: int, index: int, domain: str) -> random.Random:
    """Return a random generator that gives the same values on every machine and Python."""
    return random.Random(f"{seed}/{index}/{domain}")


def chance(rng: random.Random, share: float) -> bool:
    """Return True with the probability ``share``."""
    return rng.random() < share


def stamp(moment: datetime) -> str:
    """Return a date and time as the API writes it."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def parsed_stamp(text: str) -> datetime:
    """Read a date and time as the API writes it."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - UTC without a zone


def random_uuid(rng: random.Random) -> str:
    """Return a UUID as text."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def plan_studies(studies: int, subjects: int, seed: int) -> list[StudyPlan]:
    """Plan the studies. A study's plan does not depend on their number."""
    return [plan_study(index, subjects, seed) for index in range(studies)]


def plan_study(
    index: int, subjects: int, seed: int, *, key: str | None = None, exactly: int | None = None
) -> StudyPlan:
    """Plan one study.

    Args:
        index: The study's 0-based position in the account.
        subjects: The average number of subjects per study.
        seed: The random seed of the simulator.
        key: The study key; None for the default key at that position.
        exactly: The exact number of subjects; None for a number around the average.
    """
    rng = generator(seed, index, "plan")
    default_key, area = _key_and_area(index)
    key = key or default_key
    started = DATA_CUT - timedelta(days=rng.randint(400, 1100), seconds=rng.randrange(86400))
    row = {
        "sponsorKey": f"{rng.randint(1, 120):03d}",
        "studyKey": key,
        "studyId": 100 + index,
        "studyName": f"{area.drug} in {rng.choice(area.indications)}",
        "studyDescription": f"Randomised, double-blind phase {rng.choice(('II', 'III'))} study of "
        f"{area.drug} against placebo ({area.name})",
        "studyType": "STUDY",
        "dateCreated": stamp(started),
        "dateModified": stamp(started + timedelta(days=rng.randint(1, 300))),
    }
    size = _size(rng, subjects) if exactly is None else exactly
    return StudyPlan(index, key, area, size, seed, row)


def _key_and_area(index: int) -> tuple[str, Area]:
    if index < len(_KEYS):
        return _KEYS[index]
    area = AREAS[index % len(AREAS)]
    return f"{area.prefix}-{500 + index}", area


def _size(rng: random.Random, mean: int) -> int:
    factor = rng.lognormvariate(-(_SIZE_SPREAD**2) / 2, _SIZE_SPREAD)
    return max(1, math.floor(mean * factor + 0.5)) if mean > 0 else 0
