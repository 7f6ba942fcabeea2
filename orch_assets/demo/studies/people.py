"""The users of a study, with roles at the sponsor and at the sites."""

import random
import unicodedata
from datetime import datetime, timedelta

from orch_assets.demo.studies.plans import DATA_CUT, Row, StudyPlan, chance, random_uuid
from orch_assets.demo.studies.vocabulary import FIRST_NAMES, LAST_NAMES, ROLES


def make_users(plan: StudyPlan, sites: int) -> list[Row]:
    """Create the users: one per sponsor role, and two per site, one for each site role."""
    rng = plan.random("people")
    sponsor = [role for role in ROLES if role[3] == "SPONSOR"]
    staff = [role for role in ROLES if role[3] == "SITE"]
    roles = [(role, 1) for role in sponsor] + [
        (role, 100 + site) for site in range(sites) for role in staff
    ]
    return [
        _user(plan, rng, number, role, community) for number, (role, community) in enumerate(roles)
    ]


def _user(
    plan: StudyPlan,
    rng: random.Random,
    number: int,
    role: tuple[str, str, int, str],
    community_id: int,
) -> Row:
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    login = f"{_plain(first)[0]}{_plain(last)}{number + 1}"
    # The first users stay active, because rows of other endpoints refer to them.
    active = number < len(ROLES) or not chance(rng, 0.15)
    return {
        "userId": random_uuid(rng),
        "login": login,
        "firstName": first,
        "lastName": last,
        "email": f"{login}@site{community_id}.example.org",
        "userActiveInStudy": active,
        "roles": _roles(plan, rng, role, community_id, active=active),
    }


def _roles(
    plan: StudyPlan,
    rng: random.Random,
    role: tuple[str, str, int, str],
    community_id: int,
    *,
    active: bool,
) -> list[Row]:
    held = [role, rng.choice(ROLES)] if chance(rng, 0.2) else [role]
    rows = []
    for name, description, level, kind in held:
        created = plan.started + timedelta(days=rng.randint(0, 90), seconds=rng.randrange(86400))
        modified = min(created + timedelta(days=rng.randint(0, 200)), DATA_CUT)
        rows.append(
            {
                "dateCreated": _numbers(created, rng),
                "dateModified": _numbers(modified, rng),
                "roleId": random_uuid(rng),
                "communityId": community_id,
                "name": name,
                "description": description,
                "level": level,
                "type": kind,
                "inactive": not active,
            }
        )
    return rows


def _numbers(moment: datetime, rng: random.Random) -> list[int]:
    nanoseconds = rng.randrange(1000) * 1_000_000
    return [*moment.timetuple()[:6], nanoseconds]


def _plain(name: str) -> str:
    """Return a name in lower-case ASCII letters, for a login."""
    name = name.replace("ø", "o").replace("Ø", "O").replace("ł", "l")
    letters = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in letters.lower() if letter.isascii() and letter.isalpha())
