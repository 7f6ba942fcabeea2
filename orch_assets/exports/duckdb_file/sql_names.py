"""Names in SQL: quoted, not empty, and unique as DuckDB compares them."""

from collections.abc import Collection, Iterable
from string import ascii_lowercase, ascii_uppercase
from typing import Final

_FOLDED: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def text_literal(text: str) -> str:
    """Return a text as SQL has it."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def folded(name: str) -> str:
    """Return what DuckDB compares of a name: it ignores the case of A to Z, of no other letter."""
    return name.translate(_FOLDED)


def unique_names(names: Iterable[str], reserved: Collection[str] = ()) -> list[str]:
    """Return names that DuckDB tells apart; the first of each stays as it is.

    Args:
        names: The names.
        reserved: Names in lower case that none may have.
    """
    taken = {*reserved}
    found = []
    for name in names:
        stem = name.replace("\0", "") or "column"
        unique, number = stem, 1
        while folded(unique) in taken:
            number += 1
            unique = f"{stem}_{number}"
        taken.add(folded(unique))
        found.append(unique)
    return found
