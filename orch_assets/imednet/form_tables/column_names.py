"""Names of columns and tables: accepted by every tool, and unique even where case is ignored.

They are derived from the names that people gave to forms and variables; the original names are in
the metadata of table and field.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

# SAS allows 32 characters. The rest is room for `_RAW` and for what programs append to a name.
LONGEST: Final = 24

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def raw_name(column: str) -> str:
    """Return the name of the column with a typed column's answers as entered.

    Example:
        >>> raw_name("AESTDAT")
        'AESTDAT_RAW'
    """
    return f"{column}_RAW"


def safe_name(text: str) -> str:
    """Return a name of ASCII letters, digits and ``_``, at most 24, that starts with no digit.

    Example:
        >>> safe_name("AESTDAT"), safe_name("Größe (cm)"), safe_name("1st dose"), safe_name("体重")
        ('AESTDAT', 'Gro_e_cm', '_1st_dose', '_')
    """
    name = text
    if not _PLAIN.fullmatch(text):
        decomposed = unicodedata.normalize("NFKD", text)  # ö becomes o and a combining mark
        bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
        name = re.sub(r"[^A-Za-z0-9]+", "_", bare).strip("_")
        if not name or name[0].isdigit():
            name = f"_{name}"
    return name[:LONGEST]


class Names:
    """The names of one table's columns, or of one study's tables.

    Args:
        taken: Names already in use.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}

    def give(self, text: str) -> str:
        """Return an unused name for a text, and reserve it together with its ``_RAW`` name.

        The ``_RAW`` name is reserved for text too: the name stays if the type changes.
        """
        name = safe_name(text)
        for number in itertools.count(2):
            reserved = {name.lower(), raw_name(name).lower()}
            if not reserved & self._taken:
                break
            suffix = f"_{number}"
            name = safe_name(text)[: LONGEST - len(suffix)] + suffix
        self._taken |= reserved
        return name
