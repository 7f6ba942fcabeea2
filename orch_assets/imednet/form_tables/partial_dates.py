"""Partial dates of a form table, as ISO 8601."""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from orch_assets.errors import SettingError
from orch_assets.imednet.form_tables.column_names import raw_name
from orch_assets.imednet.form_tables.date_patterns import DATE_PATTERNS, DatePatterns
from orch_assets.marked_names import named

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST: Final = 32  # what SAS allows
_MIDNIGHT: Final = re.compile(r"T00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d\d:\d\d)?$")


def partial_dates(
    table: "pa.Table",
    patterns: Iterable[str] = DATE_PATTERNS,
    *,
    columns: Iterable[str] | None = None,
) -> "pa.Table":
    """Return a form table with a column of ISO 8601 text for each date, complete or partial.

    The column comes from the answers as entered. ``AESTDAT_RAW`` becomes ``AESTDTC``, directly
    after it; a name that doesn't end in ``DAT`` or ``DT`` gets the ending ``DTC``. ``UN-JAN-2013``
    becomes ``2013-01``. Nothing is imputed or guessed: the column has only what the text states.
    It is null if there is no answer, if the date is entered as unknown, or if it can't be read.

    Args:
        table: A form table.
        patterns: How dates may be entered, such as ``UN-MON-YYYY``. ``YYYY``, ``MM``, ``DD``,
            ``hh``, ``mm`` and ``ss`` are numbers, ``MON`` is an English month, in full or its first
            three letters, and ``UN`` is ``UN`` or ``UNK``. Letters match in upper and lower case. A
            time may be followed by a zone. A text that two patterns read differently is not read.
        columns: The variables' columns, such as ``AESTDAT``. A column of text is read itself. By
            default, all columns of dates, with or without a time.

    Returns:
        The table with the new columns. Their metadata has ``partial_of`` (the column that was
        read), ``variable_name``, ``label``, and ``unread``: how many answers could not be read.

    Raises:
        SettingError: A pattern is invalid, or ``columns`` names a column that isn't in the table or
            has no answers as entered.

    Example:
        >>> import pyarrow as pa
        >>> ae = pa.table({"AESTDAT": ["UN-JAN-2013", "2013-01-UN", "5 Jan 2013", "01/02/2013"]})
        >>> partial_dates(ae, columns=["AESTDAT"])["AESTDTC"].to_pylist()
        ['2013-01', '2013-01', '2013-01-05', None]
    """
    dates = DatePatterns(patterns)
    chosen = [*_date_columns(table.schema)] if columns is None else _known(table.schema, columns)
    for column in chosen:
        source = _source(table.schema, column)
        name = _new_name(column, table.column_names)
        field, values = _read(table, column, source, name, dates)
        at = table.schema.get_field_index(source) + 1
        table = table.add_column(at, field, values)
    return table


def _date_columns(schema: "pa.Schema") -> Iterator[str]:
    import pyarrow as pa

    for field in schema:
        at = schema.get_field_index((field.metadata or {}).get(b"raw_of", b""))
        if at >= 0 and (
            pa.types.is_date(schema.types[at]) or pa.types.is_timestamp(schema.types[at])
        ):
            yield schema.names[at]


def _known(schema: "pa.Schema", columns: Iterable[str]) -> list[str]:
    if isinstance(columns, str):
        raise SettingError("columns", f"must be a list of columns, such as [{columns!r}].")
    chosen = list(dict.fromkeys(columns))
    for column in chosen:
        if schema.get_field_index(column) < 0:
            raise SettingError("columns", f"has {named(column)}, which isn't in the table.")
    return chosen


def _source(schema: "pa.Schema", column: str) -> str:
    """Return the column with the answers as entered."""
    import pyarrow as pa

    for name in (raw_name(column), column):
        at = schema.get_field_index(name)
        if at >= 0 and (
            pa.types.is_string(schema.types[at]) or pa.types.is_large_string(schema.types[at])
        ):
            return name
    raise SettingError(
        "columns",
        f"has {named(column)}, which is neither text nor has a column of text "
        f"{named(raw_name(column))}.",
    )


def _new_name(column: str, taken: list[str]) -> str:
    """Return a name of at most 32 characters that is unique even where case is ignored."""
    base = re.sub("(?:DAT|DT)$", "", column, flags=re.IGNORECASE)
    used = {name.lower() for name in taken}
    for number in itertools.count(1):
        ending = "DTC" if number == 1 else f"DTC_{number}"
        name = base[: _LONGEST - len(ending)] + ending
        if name.lower() not in used:
            return name
    raise AssertionError("there is always a further number")


def _read(
    table: "pa.Table", column: str, source: str, name: str, dates: DatePatterns
) -> "tuple[pa.Field, pa.Array]":
    import pyarrow as pa

    texts = table[source].to_pylist()
    # Answers repeat: each text is read once.
    readings = {text: dates.read(text) for text in {*texts} if text is not None and text.strip()}
    unread = sum(readings.get(text, "") is None for text in texts)
    if pa.types.is_date(table.schema.field(column).type):
        # The API may send a date with a time of midnight, which nobody has entered.
        readings = {text: iso and _MIDNIGHT.sub("", iso) for text, iso in readings.items()}
    values = pa.array([readings.get(text) or None for text in texts], pa.string())
    known = table.schema.field(column).metadata or {}
    metadata = {key: known[key] for key in (b"variable_name",) if key in known}
    metadata |= {
        b"label": known.get(b"label", column.encode()) + b" (ISO 8601)",
        b"partial_of": source.encode(),
        b"unread": str(unread).encode(),
    }
    return pa.field(name, pa.string(), metadata=metadata), values
