"""Form tables worked out a second time: plain Python over the registry's own answers.

Nothing here comes from the code that is tested. The rules are those of the package's documentation
(``orch_assets/imednet/form_tables/__init__.py``), written down anew.
"""

import json
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from orch_assets_tests.imednet.form_tables.studies import members, sent

NOTHING = object()
SYSTEM = {"unvnum", "dateCreated", "dateModified"}
NUMERIC = {"NUMBER": float, "DECIMAL": float, "INTEGER": int}
DATES = ("%Y-%m-%d", "%Y-%m-%dT00:00:00", "%Y-%m-%d 00:00:00", "%d-%b-%Y")
MOMENTS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M")
JSON_TYPES = {"CHECKBOX", "FILE"}


def read(server, study_key, endpoint):
    """Return the JSON text of each row of an endpoint, page by page, as it came."""
    rows, page = [], 0
    while True:
        query = urllib.parse.urlencode({"page": page, "size": 500})
        url = f"{server.base_url}/api/v1/edc/studies/{urllib.parse.quote(study_key)}/{endpoint}"
        request = urllib.request.Request(f"{url}?{query}", headers=server.headers)
        with urllib.request.urlopen(request) as answer:
            body = members(answer.read().decode())
        rows += elements(body["data"])
        page += 1
        if page >= json.loads(body["pagination"])["totalPages"]:
            return rows


def elements(text):
    """Return the elements of a JSON array, each with its exact text."""
    decoder, found, at = json.JSONDecoder(), [], 1
    while text[at] != "]":
        end = decoder.raw_decode(text, at)[1]
        found.append(text[at:end])
        at = end + (text[end] == ",")
    return found


@dataclass
class Row:
    """A row: its record as the registry sent it, and what each variable's cell is."""

    record: dict[str, Any]
    cells: dict[str, Any] = field(default_factory=dict)
    misfits: dict[str, str] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)


def expected_tables(server, study_key, *, withheld):
    """Return, by form key, the variables in their order and the rows in theirs."""
    dictionary = defaultdict(list)
    for text in read(server, study_key, "variables"):
        row = json.loads(text)
        dictionary[row["formKey"]].append(row)
    tables = {}
    for text in read(server, study_key, "forms"):
        key = json.loads(text)["formKey"]
        wanted = [v for v in dictionary[key] if _is_withheld(dictionary[key], v) is withheld]
        wanted.sort(key=lambda each: (each["sequence"], each["variableId"]))
        tables[key] = (wanted, [])
    for text in read(server, study_key, "records"):
        record = json.loads(text)
        data = members(members(text)["recordData"])
        variables, rows = tables[record["formKey"]]
        wanted = {each["variableName"]: each["variableType"] for each in variables}
        if not withheld:
            wanted |= dict.fromkeys(SYSTEM, "TEXT")
            assert data.keys() - wanted <= {each["variableName"] for each in
                                            dictionary[record["formKey"]]}  # fmt: skip
        if withheld and not data.keys() & wanted:
            continue
        rows.append(_row(record, data, wanted))
    for _, rows in tables.values():
        rows.sort(key=lambda row: row.record["recordId"])
    return {key: table for key, table in tables.items() if not withheld or any(table)}


def _is_withheld(variables, one):
    alike = [v for v in variables if v["variableName"].casefold() == one["variableName"].casefold()]
    return any(each.get("blinded") is not False for each in alike)


def _row(record, data, wanted):
    row = Row(record)
    for key, type_ in wanted.items():
        if key not in data:
            row.cells[key] = None
            continue
        fits, cell, own_json = _cell(type_, data[key])
        row.cells[key] = cell
        if not fits:
            row.misfits[key] = data[key]
        elif own_json != sent(data[key]):
            row.rest[key] = sent(data[key])
    return row


def _cell(type_, raw):
    """Return whether a value fits, its cell, and what the cell alone would say was sent."""
    kind, text = sent(raw)
    if raw == "null":
        return True, None, None
    if type_ in NUMERIC:
        return _numeric(NUMERIC[type_], kind, text)
    if type_ in {"DATE", "DATETIME"}:
        if kind != "text":
            return False, None, None
        return _clock(type_, text)
    if type_ in JSON_TYPES and _is_json(text):
        return True, text, ("json", text)
    return True, text, ("text", text)


def _numeric(python_type, kind, text):
    if kind == "text" and not text.strip():
        return True, None, None
    try:
        exact = Decimal(text)
    except ArithmeticError:
        return False, None, None
    whole = exact == exact.to_integral_value()
    if python_type is int:
        if not whole or not -(2**63) <= exact < 2**63:
            return False, None, None
        return True, int(exact), ("json", str(int(exact)))
    number = float(text)
    if Decimal(str(number)) != exact:
        return False, None, None
    return True, number, ("json", str(int(number)) if whole else str(number))


def _clock(type_, text):
    if not text.strip():
        return True, None, None
    for pattern in DATES if type_ == "DATE" else MOMENTS:
        try:
            moment = datetime.strptime(text, pattern)  # noqa: DTZ007 - the clock as written
        except ValueError:
            continue
        cell = moment.date() if type_ == "DATE" else moment
        return True, cell, ("text", str(cell))
    return False, None, None


def _is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def arrow_name(type_):
    """Return the Arrow type that a variable's column must have, as text."""
    return {
        "NUMBER": "double",
        "DECIMAL": "double",
        "INTEGER": "int64",
        "DATE": "date32[day]",
        "DATETIME": "timestamp[us]",
    }.get(type_, "string")


__all__ = ["Row", "arrow_name", "date", "expected_tables"]
