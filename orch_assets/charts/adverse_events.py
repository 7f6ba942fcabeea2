"""Finds a study's form of adverse events, and counts them by month and seriousness."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from orch_assets.charts.categories import (
    NO_FORM,
    NOT_SERIOUS,
    SERIOUS,
    SEVERAL_FORMS,
    UNKNOWN,
)
from orch_assets.imednet.form_tables.parsed_values import DATE

if TYPE_CHECKING:
    import pyarrow as pa

# CDASH names, then a word of the label by which a variable with another name is found.
_SERIOUS: Final = (("AESER",), re.compile(r"\bserious", re.IGNORECASE))
_START: Final = (("AESTDAT", "AESTDTC", "AESTDT"), re.compile(r"\b(start|onset)", re.IGNORECASE))
_FORM_NAME: Final = re.compile(r"\badverse\s+events?\b", re.IGNORECASE)
_ANSWERS: Final = {"Y": SERIOUS, "YES": SERIOUS, "N": NOT_SERIOUS, "NO": NOT_SERIOUS}
_MONTH: Final = re.compile(r"(\d{4}-(?:0[1-9]|1[0-2]))(?:$|\D)", re.ASCII)
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class AdverseEvents:
    """Where a study has its adverse events.

    Attributes:
        form_key: Key of the form in upper case.
        serious: Names of the variable "serious?", in upper case.
        start: Names of the variable with the start date, in upper case.
    """

    form_key: str
    serious: Collection[str]
    start: Collection[str]

    def counted(self, records: "pa.Table", today: date) -> Iterator[tuple[str, str]]:
        """Yield the seriousness and the month (``2025-03``) of each adverse event.

        Both are ``unknown`` if there is no answer, if it can't be read, or if it is withheld. A
        month after ``today`` is unknown, too.
        """
        import pyarrow.compute as pc

        # Only adverse events are decoded: other records may outnumber them a hundred times.
        found = records.filter(pc.equal(pc.utf8_upper(records["form_key"]), self.form_key))
        # Numbers stay text: Python refuses integers of thousands of digits.
        read = partial(json.loads, parse_int=str, parse_float=str)
        last = f"{today:%Y-%m}"
        for text in found["record_data"].to_pylist():
            answers = {name.upper(): answer for name, answer in read(text or "{}").items()}
            serious = _answer(answers, self.serious).upper()
            month = _month(_answer(answers, self.start))
            yield _ANSWERS.get(serious, UNKNOWN), month if month <= last else UNKNOWN


def find_adverse_events(
    forms: "pa.Table", variables: "pa.Table", form_key: str
) -> AdverseEvents | str:
    """Return where a study has its adverse events; ``no form`` or ``several forms`` if unknown.

    The form is the one with the key ``form_key``, or else the only one whose name contains
    "adverse event". Upper and lower case are the same. The variable "serious?" is ``AESER``, or
    else the form's only variable with "serious" in its label. The start date is ``AESTDAT``,
    ``AESTDTC`` or ``AESTDT``, or else the form's only variable of type date with "start" or "onset"
    in its label.
    """
    rows = forms.select(["form_key", "form_name"]).to_pylist()
    keys = {(row["form_key"] or "").upper(): row["form_name"] or "" for row in rows}
    found = {form_key.upper()} & keys.keys()
    found = found or {key for key, name in keys.items() if key and _FORM_NAME.search(name)}
    if len(found) != 1:
        return SEVERAL_FORMS if found else NO_FORM
    (key,) = found
    columns = ["form_key", "variable_name", "variable_type", "label"]
    of_form = [
        row
        for row in variables.select(columns).to_pylist()
        if (row["form_key"] or "").upper() == key and row["variable_name"]
    ]
    dates = [row for row in of_form if "DATE" in (row["variable_type"] or "").upper()]
    return AdverseEvents(key, _names(of_form, *_SERIOUS), _names(dates, *_START))


def _names(
    variables: list[dict[str, Any]], usual: tuple[str, ...], label: re.Pattern[str]
) -> tuple[str, ...]:
    named = {row["variable_name"].upper(): row["label"] or "" for row in variables}
    if not named.keys() & {*usual}:
        labelled = [name for name, text in named.items() if label.search(text)]
        if len(labelled) == 1:
            return (labelled[0],)
    return usual


def _answer(answers: dict[str, Any], names: Collection[str]) -> str:
    found = (answers[name] for name in names if answers.get(name) is not None)
    return str(next(found, "")).strip()


def _month(text: str) -> str:
    """Return the month of a date, which may lack its day; ``unknown`` sorts after every month."""
    if match := _MONTH.match(text):
        return match[1]
    parse: Callable[[str], Any] | None = DATE.parse
    days = parse(text) if parse else None
    return UNKNOWN if days is None else f"{_EPOCH + timedelta(days=days):%Y-%m}"
