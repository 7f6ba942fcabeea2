"""Small studies for these tests: tables as the client gives them, and tables read back."""

import json

import pyarrow as pa

from orch_assets.imednet.arrow import arrow_schema
from orch_assets.imednet.models import Form, Record, Variable


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


def entered(raw: str) -> str | None:
    """Return the text that was entered, of the JSON that was sent; None for null."""
    raw = raw.strip()
    return json.loads(raw) if raw.startswith('"') or raw == "null" else raw


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


def given_back(table: pa.Table, row: int) -> dict[str, str]:
    """Return the answers in a row as they were entered, by the keys of the record data."""
    cells = {name: table[name][row].as_py() for name in table.column_names}
    extra = members(cells["record_data_extra"] or "{}")
    answers = {key: entered(raw) for key, raw in extra.items()}
    for field in table.schema:
        metadata = field.metadata or {}
        key = metadata.get(b"variable_name", b"").decode()
        is_as_entered = b"raw_of" in metadata or pa.types.is_string(field.type)
        if key and is_as_entered and cells[field.name] is not None:
            answers.setdefault(key, cells[field.name])
    return answers
