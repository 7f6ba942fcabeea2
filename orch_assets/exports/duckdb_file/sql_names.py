"""Names in SQL: quoted, not empty, and unique even if case is ignored, as DuckDB does."""

from collections.abc import Collection, Iterable


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def text_literal(text: str) -> str:
    """Return a text as SQL has it."""
    escaped = held_text(text).replace("'", "''")
    return f"'{escaped}'"


def held_text(text: str) -> str:
    """Return what a statement holds of a text: all but NUL, which ends it."""
    return text.replace("\0", "")


def unique_names(names: Iterable[str], reserved: Collection[str] = ()) -> list[str]:
    """Return names that differ even if case is ignored; the first of each stays as it is.

    Args:
        names: The names.
        reserved: Names in lower case that none may have.
    """
    taken = {*reserved}
    found = []
    for name in names:
        stem = name.replace("\0", "") or "column"
        unique, number = stem, 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem}_{number}"
        taken.add(unique.casefold())
        found.append(unique)
    return found
