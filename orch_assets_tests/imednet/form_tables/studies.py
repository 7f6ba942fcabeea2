"""Small studies for these tests: tables as the client gives them, and tables read back."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from orch_assets.imednet.arrow import arrow_schema
from orch_assets.imednet.models import Form, Record, Variable

# What a value was: ("text", its content), or ("json", its JSON text) for all that isn't text.
Sent = tuple[str, str]


def forms(*rows):
    """Return a table ``forms``; each row is an ID and a key."""
    named = [{"form_id": i, "form_key": key, "form_name": f"Form {key}"} for i, key in rows]
    return pa.Table.from_pylist(named, schema=arrow_schema(Form))


def variable(name, variable_type="TEXT", form=(1, "F1"), **rest):
    """Return a row of the dictionary; open, and in use, unless it is said otherwise."""
    return {
        "variable_name": name,
        "variable_type": variable_type,
        "form_id": form[0],
        "form_key": form[1],
        "blinded": False,
        "deleted": False,
        "disabled": False,
        **rest,
    }


def variables(*rows):
    """Return a table ``variables``, numbered where the rows say nothing else."""
    numbered = [
        {"variable_id": number, "sequence": number, **row} for number, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(numbered, schema=arrow_schema(Variable))


def record(data, form=(1, "F1"), **rest):
    """Return a record; its data is an object, or JSON text as it is."""
    text = data if isinstance(data, str | None) else json.dumps(data)
    return {"study_key": "S", "form_id": form[0], "form_key": form[1], "record_data": text, **rest}


def records(*rows):
    """Return a table ``records``, numbered where the rows say nothing else."""
    numbered = [{"record_id": number, **row} for number, row in enumerate(rows, start=1)]
    return pa.Table.from_pylist(numbered, schema=arrow_schema(Record))


def sent(raw: str) -> Sent:
    """Return what a JSON text is."""
    raw = raw.strip()
    return ("text", json.loads(raw)) if raw.startswith('"') else ("json", raw)


def members(text: str) -> dict[str, str]:
    """Return the members of a JSON object with their exact text, by a reader that keeps it."""
    decoder, found, at = json.JSONDecoder(), {}, text.index("{") + 1
    while text[at:].lstrip()[0] != "}":
        at = _skipped(text, at, " \n,")
        key, at = decoder.raw_decode(text, at)
        start = _skipped(text, at, " \n:")
        at = decoder.raw_decode(text, start)[1]
        found[key] = text[start:at]
    return found


def _skipped(text: str, at: int, characters: str) -> int:
    while text[at] in characters:
        at += 1
    return at


def given_back(table: pa.Table, row: int) -> dict[str, Sent]:
    """Return the record data of a row, as columns, companions and rest together tell it."""
    cells = {name: table[name][row].as_py() for name in table.column_names}
    found = {key: sent(raw) for key, raw in members(cells["record_data_rest"] or "{}").items()}
    for field in table.schema:
        told = field.metadata or {}
        key = told.get(b"variable_name", b"").decode()
        if not key or b"misfits_of" in told or key in found:
            continue
        misfit = cells.get(f"{field.name}__misfit")
        if misfit is not None:
            assert cells[field.name] is None
            found[key] = sent(misfit)
        elif cells[field.name] is not None:
            found[key] = _own_spelling(cells[field.name], told)
    return found


def _own_spelling(cell: Any, told: Mapping[bytes, bytes]) -> Sent:
    """Return what a cell says by itself."""
    if isinstance(cell, float):
        return "json", str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, int):
        return "json", str(cell)
    if isinstance(cell, datetime):
        return "text", str(cell)
    if isinstance(cell, date):
        return "text", str(cell)
    if told.get(b"variable_type") == b"CHECKBOX" and _is_json(cell):
        return "json", cell
    return "text", cell


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN is none of JSON's
