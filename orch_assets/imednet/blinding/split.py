"""Splits tables into an open part and a withheld one.

Where the API's tables hold the value of a variable, and when it is in the open part:

- ``record_data`` of records, key by key: if the variable is open on the record's form (`.rules`).
  The keys that the API itself adds stay.
- Codings, which quote a value: if the variable is open on the form.
- ``visit_date``, the answer to the question that a visit names: if the question is open on every
  form that has it, because a visit names its form by title only.
- A visit's window, which is a number of days from the answer to the question that its interval
  names: if that question and the visit's own are open on every form that has them.
- The texts of queries, which may quote a value: if the query's variable is open on every form that
  has it, because a query names no form. A query without a variable may concern any.
- ``reason_for_change`` of record revisions, which may quote a value: if every variable of the form
  is open.

Fields that the API's description does not name (``extra``) are withheld from every row of every
table, unless ``ORCH_EXTRA_FIELDS`` opens them (`.extra_fields`). In rows from which a value above
is withheld they are always withheld. What iMednet derives from answers (statuses, keywords, the
date of enrolment) stays. A text about an open variable that quotes the value of another one cannot
be recognized.
"""

import functools
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from orch_assets.imednet.blinding.extra_fields import (
    rows_with_extra,
    with_masked_rows,
    without_extra,
)
from orch_assets.imednet.blinding.masking import mask_of, rows_of, without, without_inside
from orch_assets.imednet.blinding.record_data import RecordSplit
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.blinding.study_dictionary import hidden_intervals

if TYPE_CHECKING:
    import pyarrow as pa

Split: TypeAlias = "Callable[[pa.Table], tuple[pa.Table, pa.Table]]"


# The IDs that match the rows of a table to those of its withheld part.
ID_COLUMNS: Final[Mapping[str, str]] = {
    "codings": "coding_id",
    "forms": "form_id",
    "intervals": "interval_id",
    "queries": "annotation_id",
    "record_revisions": "record_revision_id",
    "records": "record_id",
    "sites": "site_id",
    "studies": "study_id",
    "subjects": "subject_id",
    "users": "user_id",
    "variables": "variable_id",
    "visits": "visit_id",
}
BY_DICTIONARY: Final = frozenset({"codings", "queries", "record_revisions", "records", "visits"})


def extra_splitter(endpoint: str, split: Split) -> Split:
    """Return a function that also withholds the fields that the API's description does not name.

    Args:
        endpoint: The name of the endpoint in the SDK.
        split: Splits the table by the dictionary; ``all_open`` for a table without its values.

    Returns:
        A function that splits a table, as :func:`splitter` returns one.

    Raises:
        KeyError: There is no such endpoint.
    """
    return functools.partial(_split_extra, id_column=ID_COLUMNS[endpoint], split=split)


def all_open(table: "pa.Table") -> "tuple[pa.Table, pa.Table]":
    """Return the whole table as open, and an empty withheld part."""
    return table, table.slice(0, 0)


def _split_extra(table: "pa.Table", id_column: str, split: Split) -> "tuple[pa.Table, pa.Table]":
    mask = rows_with_extra(table)
    if not mask.true_count:
        return split(table)
    opened, withheld = split(table)
    opened = without_extra(opened, rows_with_extra(opened))
    return opened, with_masked_rows(table, withheld, mask, id_column)


def splitter(endpoint: str, rules: BlindingRules, intervals: "pa.Table | None" = None) -> Split:
    """Return a function that splits a study's table, or any of its rows, by the dictionary.

    Args:
        endpoint: ``records``, ``codings``, ``queries``, ``visits`` or ``record_revisions``.
        rules: The study's blinding rules.
        intervals: The study's table ``intervals``; required for ``visits``, else unused.

    Returns:
        A function that returns two tables for one: the open part and the withheld part.

        The open part has all rows. What is withheld is null in them, or missing from
        ``record_data``; withheld codings, which hold nothing but a value, are left out. A table
        from which nothing is withheld is returned unchanged.

        The withheld part has the rows from which something is withheld. They are complete, except
        that those of records have only the withheld keys and the columns that identify the record.

    Raises:
        KeyError: There is no such endpoint, or nothing in it is split by the dictionary.
        ValueError: The endpoint is ``visits``, and ``intervals`` is missing.
    """
    if endpoint == "records":
        return RecordSplit(rules)
    if endpoint == "visits":
        if intervals is None:
            raise ValueError("To split visits, give the study's table intervals too.")
        hidden = hidden_intervals(intervals, rules)
        return functools.partial(_split_visits, rules=rules, hidden=hidden)
    return functools.partial(_SPLITS[endpoint], rules=rules)


def _split_codings(table: "pa.Table", rules: BlindingRules) -> "tuple[pa.Table, pa.Table]":
    import pyarrow.compute as pc

    rows = rows_of(table, ("variable", "form_id", "form_key"))
    mask = mask_of(not rules.is_open(*row) for row in rows)
    withheld = table.filter(mask)
    return (table.filter(pc.invert(mask)) if mask.true_count else table), withheld


def _split_visits(
    table: "pa.Table", rules: BlindingRules, hidden: Collection[int]
) -> "tuple[pa.Table, pa.Table]":
    rows = rows_of(table, ("visit_date", "visit_date_question", "interval_id"))
    dates, windows = [], []
    for date, question, interval_id in rows:
        dates.append(date is not None and not rules.is_open_everywhere(question))
        windows.append(dates[-1] or interval_id in hidden)
    opened = without(table, mask_of(dates), ["visit_date"])
    opened = without(opened, mask_of(windows), ["start_date", "end_date", "due_date", "extra"])
    return opened, table.filter(mask_of(windows))


def _split_queries(table: "pa.Table", rules: BlindingRules) -> "tuple[pa.Table, pa.Table]":
    rows = rows_of(table, ("variable",))
    mask = mask_of(
        not (rules.is_open_everywhere(variable) if variable else rules.is_open_study)
        for (variable,) in rows
    )
    opened = without(table, mask, ["description", "extra"])
    opened = without_inside(opened, mask, "query_comments", ["comment", "extra"])
    return opened, table.filter(mask)


def _split_record_revisions(table: "pa.Table", rules: BlindingRules) -> "tuple[pa.Table, pa.Table]":
    rows = rows_of(table, ("form_key", "reason_for_change", "extra"))
    mask = mask_of(
        bool(reason or extra) and not rules.is_open_form(form) for form, reason, extra in rows
    )
    return without(table, mask, ["reason_for_change", "extra"]), table.filter(mask)


_SPLITS: Final[Mapping[str, Callable[..., Any]]] = {
    "codings": _split_codings,
    "queries": _split_queries,
    "record_revisions": _split_record_revisions,
}
