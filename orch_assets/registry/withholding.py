"""Withheld values: those of variables that are blinded, or not known to be open (`.dictionary`).

What the registry's tables hold of a variable's value, and when it may be shown:

- ``record_data`` of records: key by key, where the variable is open on the record's form. The keys
  that the API itself adds stay.
- codings, which quote a value: where the variable is open on the form.
- ``visit_date``, the answer to the question that a visit names: where the question is open on
  every form that has it, since a visit names its form by title only.
- a visit's window, which is a number of days from the answer to the question that its interval
  names: where that question, and the visit's own, are open on every form that has them.
- the texts of queries, which may quote a value: where the query's variable is open on every form
  that has it, since a query names no form. A query without a variable may be about any.
- ``reason_for_change`` of record revisions, which may quote one too: where every variable of the
  form is open.

What the API sends of such a row beyond its description (``extra``) is withheld with it. What the
registry works out from answers (statuses, keywords, the date of enrolment) is its own fact and
stays. That a text about an open variable quotes another one's value can't be seen.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from orch_assets.registry.dictionary import Dictionary

if TYPE_CHECKING:
    import pyarrow as pa

# The API puts these into recordData itself (spec/mednet.yaml, ExampleRecordsList); they are
# facts of the record and no variables of a form.
SYSTEM_KEYS: Final = frozenset({"dateCreated", "dateModified", "unvnum"})

_RECORD_COLUMNS: Final = (
    "study_key",
    "record_id",
    "form_id",
    "form_key",
    "site_id",
    "subject_id",
    "subject_key",
    "interval_id",
    "visit_id",
    "parent_record_id",
    "deleted",
    "extra",
)


def split_table(
    endpoint: str,
    table: "pa.Table",
    variables: "pa.Table",
    intervals: "pa.Table | None" = None,
) -> "tuple[pa.Table, pa.Table]":
    """Return a table's open part, and the companion that holds what is withheld.

    Args:
        endpoint: ``records``, ``codings``, ``queries``, ``visits`` or ``record_revisions``.
        table: that endpoint's table.
        variables: the study's table ``variables``.
        intervals: the study's table ``intervals``; wanted for ``visits`` alone.

    Returns:
        The open part has all rows, with null for what is withheld, or without the withheld keys
        of ``record_data``; only of codings, which are nothing but a value, whole rows are left
        out. A table in which nothing is withheld comes back as it is.

        The companion has the rows that something is withheld of: whole, but for records, where
        it has the withheld keys alone and what tells which record it is.

    Raises:
        KeyError: no such endpoint.
        ValueError: visits without their intervals.
    """
    known = Dictionary(variables)
    if endpoint == "visits":
        if intervals is None:
            raise ValueError("To split visits, give the study's table intervals too.")
        return _split_visits(table, known, intervals)
    split: tuple[pa.Table, pa.Table] = _SPLITS[endpoint](table, known)
    return split


# --- records: by key ---


def _split_records(table: "pa.Table", known: Dictionary) -> "tuple[pa.Table, pa.Table]":
    import pyarrow as pa

    shown, hidden = (pa.array(texts, pa.string()) for texts in _split_record_data(table, known))
    mask = hidden.is_valid()
    whole = table.select([*_RECORD_COLUMNS, "record_data"])
    if not mask.true_count:
        return table, whole.slice(0, 0)
    companion = _replaced(whole, "record_data", hidden).filter(mask)
    return _without(_replaced(table, "record_data", shown), mask, ["extra"]), companion


def _split_record_data(
    table: "pa.Table", known: Dictionary
) -> tuple[list[str | None], list[str | None]]:
    """Return each record's data without the withheld keys, and these alone (None: has none)."""
    import msgspec

    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode  # values keep their exact text
    encode = msgspec.json.encode
    keys_of = functools.cache(functools.partial(_FormKeys, known))
    shown, hidden = [], []
    for text, form_id, form_key in _rows(table, ("record_data", "form_id", "form_key")):
        data = decode(text) if text else {}
        names = keys_of(form_id, form_key).withheld_of(data)
        withheld = {name: data.pop(name) for name in names}
        shown.append(encode(data).decode() if withheld else text)
        hidden.append(encode(withheld).decode() if withheld else None)
    return shown, hidden


class _FormKeys:
    """The keys in a form's records; each is looked up once, not once for every row."""

    def __init__(self, known: Dictionary, form_id: int | None, form_key: str | None) -> None:
        self._known = known
        self._form = (form_id, form_key)
        self._open: set[str] = set()
        self._withheld: set[str] = set()

    def withheld_of(self, data: Mapping[str, object]) -> Sequence[str]:
        """Return which of a record's keys are withheld, in their order."""
        if data.keys() <= self._open:
            return ()
        for key in data.keys() - self._open - self._withheld:
            (self._open if self._is_open(key) else self._withheld).add(key)
        return [key for key in data if key in self._withheld]

    def _is_open(self, key: str) -> bool:
        if key in SYSTEM_KEYS and key not in self._known:
            return True
        return self._known.is_open(key, *self._form)


# --- the others: by row ---


def _split_codings(table: "pa.Table", known: Dictionary) -> "tuple[pa.Table, pa.Table]":
    import pyarrow.compute as pc

    rows = _rows(table, ("variable", "form_id", "form_key"))
    mask = _mask(not known.is_open(*row) for row in rows)
    companion = table.filter(mask)
    return (table.filter(pc.invert(mask)) if mask.true_count else table), companion


def _split_visits(
    table: "pa.Table", known: Dictionary, intervals: "pa.Table"
) -> "tuple[pa.Table, pa.Table]":
    hidden = {
        interval_id
        for interval_id, question in _rows(intervals, ("interval_id", "window_calculation_date"))
        if question and not known.is_open_everywhere(question)
    }
    rows = _rows(table, ("visit_date", "visit_date_question", "interval_id"))
    dates, windows = [], []
    for date, question, interval_id in rows:
        dates.append(date is not None and not known.is_open_everywhere(question))
        windows.append(dates[-1] or interval_id in hidden)
    rest = _without(table, _mask(dates), ["visit_date"])
    rest = _without(rest, _mask(windows), ["start_date", "end_date", "due_date", "extra"])
    return rest, table.filter(_mask(windows))


def _split_queries(table: "pa.Table", known: Dictionary) -> "tuple[pa.Table, pa.Table]":
    rows = _rows(table, ("variable",))
    mask = _mask(
        not (known.is_open_everywhere(variable) if variable else known.is_open_study)
        for (variable,) in rows
    )
    rest = _without(table, mask, ["description", "extra"])
    rest = _without_inside(rest, mask, "query_comments", ["comment", "extra"])
    return rest, table.filter(mask)


def _split_record_revisions(table: "pa.Table", known: Dictionary) -> "tuple[pa.Table, pa.Table]":
    rows = _rows(table, ("form_key", "reason_for_change", "extra"))
    mask = _mask(
        bool(reason or extra) and not known.is_open_form(form) for form, reason, extra in rows
    )
    return _without(table, mask, ["reason_for_change", "extra"]), table.filter(mask)


# --- columns ---


def _rows(table: "pa.Table", columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)


def _mask(values: Iterable[bool]) -> "pa.BooleanArray":
    import pyarrow as pa

    return pa.array(values, pa.bool_())


def _replaced(table: "pa.Table", name: str, column: Any) -> "pa.Table":
    position = table.schema.get_field_index(name)
    return table.set_column(position, table.schema.field(position), column)


def _without(table: "pa.Table", mask: "pa.BooleanArray", columns: Sequence[str]) -> "pa.Table":
    """Return the table with null in these columns of the masked rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not mask.true_count:
        return table
    for name in columns:
        nothing = pa.scalar(None, table[name].type)
        table = _replaced(table, name, pc.if_else(mask, nothing, table[name]))
    return table


def _without_inside(
    table: "pa.Table", mask: "pa.BooleanArray", column: str, fields: Sequence[str]
) -> "pa.Table":
    """Return the table with null in these fields of a list's elements, in the masked rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not mask.true_count:
        return table
    lists = table[column].combine_chunks()
    elements = lists.flatten()
    kept = [
        pa.nulls(len(elements), field.type) if field.name in fields else elements.field(field.name)
        for field in elements.type
    ]
    emptied = pa.StructArray.from_arrays(kept, fields=list(elements.type), mask=elements.is_null())
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    ends = pc.cumulative_sum(pa.concat_arrays([pa.array([0], lengths.type), lengths]))
    emptied = pa.ListArray.from_arrays(ends, emptied, type=lists.type, mask=lists.is_null())
    return _replaced(table, column, pc.if_else(mask, emptied, lists))


_SPLITS: Final[Mapping[str, Callable[..., Any]]] = {
    "records": _split_records,
    "codings": _split_codings,
    "queries": _split_queries,
    "record_revisions": _split_record_revisions,
}
