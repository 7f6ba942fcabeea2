"""Form tables worked out a second time: plain Python over the registry's own answers.

Nothing here comes from the code that is tested. The rules are those of the package's documentation
(``orch_assets/imednet/form_tables/__init__.py``), written down anew.
"""

import json
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from orch_assets_tests.imednet.form_tables.studies import entered, members

NOTHING = object()
SYSTEM = {"unvnum", "dateCreated", "dateModified"}
NUMERIC = {"NUMBER": float, "DECIMAL": float, "INTEGER": int}
DATES = ("%Y-%m-%d", "%Y-%m-%dT00:00:00", "%Y-%m-%d 00:00:00", "%d-%b-%Y")
MOMENTS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M")


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
    """A row: its record as the API sent it; each variable's cell, text and JSON."""

    record: dict[str, Any]
    cells: dict[str, Any] = field(default_factory=dict)
    raws: dict[str, str | None] = field(default_factory=dict)
    misfits: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)


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
        text = entered(data.get(key, "null"))
        row.raws[key] = text
        if key in data:
            row.sent[key] = data[key]
        row.cells[key] = None if text is None else read_text(type_, text)
        if text is not None and text.strip() and row.cells[key] is None:
            row.misfits.add(key)
    return row


def read_text(type_, text):
    """Return the cell for a text that was entered; None where nothing can be read of it."""
    if type_ in NUMERIC:
        return _numeric(NUMERIC[type_], text)
    if type_ in {"DATE", "DATETIME"}:
        return _clock(type_, text)
    return text


def _numeric(python_type, text):
    try:
        exact = Decimal(text)
    except ArithmeticError:
        return None
    if python_type is int:
        whole = exact == exact.to_integral_value()
        return int(exact) if whole and -(2**63) <= exact < 2**63 else None
    number = float(text)
    return number if Decimal(str(number)) == exact else None


def _clock(type_, text):
    for pattern in DATES if type_ == "DATE" else MOMENTS:
        try:
            moment = datetime.strptime(text, pattern)  # noqa: DTZ007 - the clock as written
        except ValueError:
            continue
        return moment.date() if type_ == "DATE" else moment
    return None


def arrow_name(type_):
    """Return the Arrow type that a variable's column must have, as text."""
    return {
        "NUMBER": "double",
        "DECIMAL": "double",
        "INTEGER": "int64",
        "DATE": "date32[day]",
        "DATETIME": "timestamp[us]",
    }.get(type_, "string")


__all__ = ["Row", "arrow_name", "expected_tables", "read_text"]
