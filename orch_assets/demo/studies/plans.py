"""Which studies there are: their keys, areas and sizes, each from the seed alone."""

import math
import random
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
"""Nothing in a made-up study is later than this; no clock is read, so that rows stay the same."""

# Plain ones first. The others are legal and real-looking, and each breaks something naive: case,
# blanks, reserved characters of URLs and shells, other alphabets, keys that look like numbers.
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

_SIZE_SPREAD = 0.45  # sigma of the lognormal that the numbers of subjects follow


@dataclass(frozen=True)
class StudyPlan:
    """A study before its rows are made up.

    Attributes:
        index: its place in the registry, from 0; every ID begins with it.
        key: its study key.
        area: its therapeutic area.
        subjects: how many it has.
        seed: the registry's.
        row: what the registry's listing says of it.
        forms: how many it has; 0 for its area's own.
        variables: of all its forms; counts only where ``forms`` does.
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
        """Return the dice of one domain, so that a change in one leaves the others' rows alone."""
        return dice(self.seed, self.index, domain)

    def first_id(self, width: int) -> int:
        """Return the first ID of a domain that needs IDs of that many digits below the study."""
        return (self.index + 1) * int(10**width) + 1

    @property
    def started(self) -> datetime:
        """When the study was set up."""
        return datetime.strptime(self.row["dateCreated"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007


def dice(seed: int, index: int, domain: str) -> random.Random:
    """Return dice that fall alike on every machine and Python."""
    return random.Random(f"{seed}/{index}/{domain}")


def chance(rng: random.Random, share: float) -> bool:
    """Return whether something happens that does so in that share of cases."""
    return rng.random() < share


def stamp(moment: datetime) -> str:
    """Return a moment as the API writes it."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def plan_studies(studies: int, subjects: int, seed: int) -> list[StudyPlan]:
    """Plan a registry; the plans of its first studies don't depend on how many there are."""
    return [plan_study(index, subjects, seed) for index in range(studies)]


def plan_study(
    index: int, subjects: int, seed: int, *, key: str | None = None, exactly: int | None = None
) -> StudyPlan:
    """Plan one study.

    Args:
        index: its place in the registry, from 0.
        subjects: of a study, on average.
        seed: the registry's.
        key: its key; None takes the registry's own for that place.
        exactly: so many subjects instead.
    """
    rng = dice(seed, index, "plan")
    own_key, area = _key_and_area(index)
    key = key or own_key
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
