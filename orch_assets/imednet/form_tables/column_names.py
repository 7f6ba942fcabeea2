"""Names of columns and tables: plain ones that every tool takes, unique whatever the case.

They are made from names that people chose for a form's questions; what those were is in the
metadata of field and table.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_COMPANION: Final = "__misfit"
# SAS takes 32 characters, other tools more; a companion's name must fit too.
LONGEST: Final = 32 - len(_COMPANION)

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def companion_name(column: str) -> str:
    """Return the name of the column that holds what doesn't fit into a column."""
    return column + _COMPANION


def safe_name(text: str) -> str:
    """Return a text as ASCII letters, digits and ``_``, not a digit first, 24 at the most.

    Example:
        >>> safe_name("AESTDAT"), safe_name("Größe (cm)"), safe_name("1st dose"), safe_name("体重")
        ('AESTDAT', 'Gro_e_cm', '_1st_dose', '_')
    """
    name = text
    if not _PLAIN.fullmatch(text):
        letters = unicodedata.normalize("NFKD", text)  # ö is o and two dots, which go
        bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
        name = re.sub(r"[^A-Za-z0-9]+", "_", bare).strip("_")
        if not name or name[0].isdigit():
            name = f"_{name}"
    return name[:LONGEST]


class Names:
    """The names of one table's columns, or of one study's tables.

    Args:
        taken: names that are given already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}

    def give(self, text: str) -> str:
        """Return a name for a text, not given before; its companion's name is free as well."""
        stem = safe_name(text)
        for number in itertools.count(2):
            names = {stem.lower(), companion_name(stem).lower()}
            if not names & self._taken:
                break
            suffix = f"_{number}"
            stem = safe_name(text)[: LONGEST - len(suffix)] + suffix
        self._taken |= names
        return stem
