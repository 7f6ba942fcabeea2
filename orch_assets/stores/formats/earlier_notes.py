"""Notes of frames that release 0.1.0 stored, in the form that this release reads.

Stored tables outlive the code that wrote them. A note is rewritten when it is read; the stored
bytes, and so the version, stay as they are.
"""

from typing import TYPE_CHECKING, Any

from orch_assets.stores.formats.column_plans import Note
from orch_assets.stores.formats.columns import pack_values

if TYPE_CHECKING:
    import pyarrow as pa

_HOUR, _MINUTE = 3600, 60


def is_earlier(notes: Note) -> bool:
    """Return whether release 0.1.0 wrote a frame's notes."""
    index = notes["index"]
    return "levels" not in index or isinstance(index.get("multi"), bool)


def current_notes(notes: Note, table: "pa.Table") -> Note:
    """Return a frame's notes of release 0.1.0 as this release writes them.

    Args:
        notes: As stored.
        table: The table that they were stored with.
    """
    columns = map(_column_note, notes["notes"], table.schema)
    return {
        **notes,
        "index": _index_note(notes["index"], table),
        "columns": _columns_note(notes["columns"], table),
        "notes": list(columns),
    }


def _index_note(index: Note, table: "pa.Table") -> Note:
    if "range" in index:
        return {**index, "levels": []}
    note: Note = {"names": index["names"], "levels": index["levels"]}
    if not index["multi"]:
        return {**note, "freq": index.get("freq")}
    rounded = index.get("rounded", {})
    levels = [
        _level_note(table.column(name), rounded.get(str(position)))
        for position, name in enumerate(index["levels"])
    ]
    return {**note, "multi": levels}


def _level_note(column: "pa.ChunkedArray", dtype: str | None) -> Note | None:
    """Return the note of a level of whole numbers or booleans beside missing ones, else None."""
    import pandas as pd

    if dtype is None:
        return None
    values = sorted(column.drop_null().unique().to_pylist())
    return pack_values(pd.Index(values, dtype=dtype), "An index level")[0]


def _columns_note(note: Note, table: "pa.Table") -> Note:
    import pandas as pd

    dtype = note["dtype"]
    if dtype is None:
        return {"name": note["name"], "range": True}
    if dtype == "object":
        return {"name": note["name"]}
    labels = pd.Index(table.column_names, dtype=dtype)
    return {"name": note["name"], "labels": pack_values(labels, "The index of the columns")[0]}


def _column_note(note: Note, field: "pa.Field") -> Note:
    if note["kind"] == "category":
        values = {"values": note["categories"], "of": _column_note(note["of"], field)}
        return {"kind": "category", "ordered": note["ordered"], "categories": values}
    if note["kind"] == "zoned":
        return {"kind": "zoned", "unit": note["unit"], "zone": _zone(note, field.type)}
    return note


def _zone(note: Note, type_: Any) -> Note:
    named: Note = {kind: note[kind] for kind in ("zoneinfo", "offset") if kind in note}
    if named:
        return named
    zone: str = type_.tz  # of pytz, by Arrow's name for it
    if zone[0] not in "+-":
        return {"pytz": zone}
    hours, minutes = zone[1:].split(":")
    seconds = int(hours) * _HOUR + int(minutes) * _MINUTE
    return {"pytz_offset": -seconds if zone[0] == "-" else seconds}
