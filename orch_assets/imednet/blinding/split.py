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

What the API sends beyond its description (``extra``) is withheld of every row of every table,
unless ``ORCH_EXTRA_FIELDS`` opens it (`.extra_fields`); of the rows above always. What the
registry works out from answers (statuses, keywords, the date of enrolment) is its own fact and
stays. That a text about an open variable quotes another one's value can't be seen.
"""

import functools
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from orch_assets.imednet.blinding.extra_fields import rows_with_extra, with_companion, without_extra
from orch_assets.imednet.blinding.masking import mask_of, rows_of, without, without_inside
from orch_assets.imednet.blinding.record_data import RecordSplit
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.blinding.study_dictionary import hidden_intervals

if TYPE_CHECKING:
    import pyarrow as pa

Split: TypeAlias = "Callable[[pa.Table], tuple[pa.Table, pa.Table]]"


# The IDs by which the rows of a table and of its companion belong together.
_IDS: Final[Mapping[str, str]] = {
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
    """Return the function that withholds what the API description doesn't name.

    Args:
        endpoint: of the registry, as the SDK calls it.
        split: splits the table by the dictionary; ``all_open`` where that has no say.

    Returns:
        What makes two tables of one, as of :func:`splitter`.

    Raises:
        KeyError: no such endpoint.
    """
    return functools.partial(_split_extra, id_column=_IDS[endpoint], split=split)


def all_open(table: "pa.Table") -> "tuple[pa.Table, pa.Table]":
    """Split nothing off."""
    return table, table.slice(0, 0)


def _split_extra(table: "pa.Table", id_column: str, split: Split) -> "tuple[pa.Table, pa.Table]":
    mask = rows_with_extra(table)
    if not mask.true_count:
        return split(table)
    shown, withheld = split(table)
    rest = without_extra(shown, rows_with_extra(shown))
    return rest, with_companion(table, withheld, mask, id_column)


def splitter(endpoint: str, variables: "pa.Table", intervals: "pa.Table | None" = None) -> Split:
    """Return the function that splits a study's table, or any part of its rows.

    Args:
        endpoint: ``records``, ``codings``, ``queries``, ``visits`` or ``record_revisions``.
        variables: the study's table ``variables``.
        intervals: the study's table ``intervals``; wanted for ``visits`` alone.

    Returns:
        What makes two tables of one: its open part, and the companion that holds what is withheld.

        The open part has all rows, with null for what is withheld, or without the withheld keys
        of ``record_data``; only of codings, which are nothing but a value, whole rows are left
        out. A table in which nothing is withheld comes back as it is.

        The companion has the rows that something is withheld of: whole, but for records, where
        it has the withheld keys alone and what tells which record it is.

    Raises:
        KeyError: no such endpoint.
        ValueError: visits without their intervals.
    """
    known = BlindingRules(variables)
    if endpoint == "records":
        return RecordSplit(known)
    if endpoint == "visits":
        if intervals is None:
            raise ValueError("To split visits, give the study's table intervals too.")
        hidden = hidden_intervals(intervals, known)
        return functools.partial(_split_visits, known=known, hidden_intervals=hidden)
    return functools.partial(_SPLITS[endpoint], known=known)


def _split_codings(table: "pa.Table", known: BlindingRules) -> "tuple[pa.Table, pa.Table]":
    import pyarrow.compute as pc

    rows = rows_of(table, ("variable", "form_id", "form_key"))
    mask = mask_of(not known.is_open(*row) for row in rows)
    companion = table.filter(mask)
    return (table.filter(pc.invert(mask)) if mask.true_count else table), companion


def _split_visits(
    table: "pa.Table", known: BlindingRules, hidden_intervals: Collection[int]
) -> "tuple[pa.Table, pa.Table]":
    rows = rows_of(table, ("visit_date", "visit_date_question", "interval_id"))
    dates, windows = [], []
    for date, question, interval_id in rows:
        dates.append(date is not None and not known.is_open_everywhere(question))
        windows.append(dates[-1] or interval_id in hidden_intervals)
    rest = without(table, mask_of(dates), ["visit_date"])
    rest = without(rest, mask_of(windows), ["start_date", "end_date", "due_date", "extra"])
    return rest, table.filter(mask_of(windows))


def _split_queries(table: "pa.Table", known: BlindingRules) -> "tuple[pa.Table, pa.Table]":
    rows = rows_of(table, ("variable",))
    mask = mask_of(
        not (known.is_open_everywhere(variable) if variable else known.is_open_study)
        for (variable,) in rows
    )
    rest = without(table, mask, ["description", "extra"])
    rest = without_inside(rest, mask, "query_comments", ["comment", "extra"])
    return rest, table.filter(mask)


def _split_record_revisions(table: "pa.Table", known: BlindingRules) -> "tuple[pa.Table, pa.Table]":
    rows = rows_of(table, ("form_key", "reason_for_change", "extra"))
    mask = mask_of(
        bool(reason or extra) and not known.is_open_form(form) for form, reason, extra in rows
    )
    return without(table, mask, ["reason_for_change", "extra"]), table.filter(mask)


_SPLITS: Final[Mapping[str, Callable[..., Any]]] = {
    "codings": _split_codings,
    "queries": _split_queries,
    "record_revisions": _split_record_revisions,
}
