"""A digest of what a table is split by: two tables with the same one were split alike."""

import hashlib
from typing import TYPE_CHECKING

from orch_assets.imednet.blinding.study_dictionary import hidden_intervals

if TYPE_CHECKING:
    from orch_assets.imednet.blinding.study_dictionary import StudyDictionary


def fingerprint(endpoint: str, dictionary: "StudyDictionary | None", *, extra_open: bool) -> str:
    """Return a digest of the rules by which an endpoint's table is split now.

    Args:
        endpoint: The endpoint's name in the SDK.
        dictionary: The study's dictionary; None if the table isn't split by it.
        extra_open: Whether fields that the API's description doesn't name are open.
    """
    facts: list[object] = [extra_open]
    if dictionary is not None:
        facts.append(dictionary.rules.facts)
        if endpoint == "visits":
            facts.append(sorted(hidden_intervals(dictionary.intervals, dictionary.rules)))
    return hashlib.sha256(repr(facts).encode()).hexdigest()
