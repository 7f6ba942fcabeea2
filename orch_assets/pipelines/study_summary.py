"""The table ``study_summary``: counts of a study."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from orch_assets import study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa

# CDASH names: the form of adverse events and its question "serious?".
_ADVERSE_EVENTS = "AE"
_SERIOUS = "AESER"
_SERIOUSNESS = {"Y": "serious", "YES": "serious", "N": "not serious", "NO": "not serious"}

_QUERY_AGES = ((7, "0-7 days"), (30, "8-30 days"), (90, "31-90 days"))


@study_pipeline(group="summary", kinds=("table",))
def study_summary(
    study_key: str,
    sdk: Any,
    study_logger: Any,
    sites: "pa.Table",
    subjects: "pa.Table",
    records: "pa.RecordBatchReader",
    queries: "pa.Table",
    *,
    today: date | None = None,
) -> "pa.Table":
    """Counts of a study: enrolment, records, open queries by age, adverse events.

    - Grain: one row for each measure, site and category.
    - Key: ``measure``, ``site_name`` and ``category``; rows are sorted by measure as listed below,
      then by site and category.
    - Endpoint: none; built from ``sites``, ``subjects``, ``records`` and ``queries``.
    - Withheld: nothing; a withheld answer counts as ``unknown``.

    Deleted subjects and records are not counted. A missing status, date or site name counts as
    ``unknown``. The measures are:

    - ``subjects_by_site_and_status``: by the site's name. A site without subjects has one row, with
      category ``any`` and count 0.
    - ``records_by_status``.
    - ``open_queries_by_age``: a query is open unless the last of its comments, by sequence, closes
      it. Its age is the number of days since its creation, in UTC; 0 for a date in the future.
    - ``adverse_events_by_seriousness``: records of the form ``AE`` by their answer to ``AESER``;
      the case of both names is ignored. ``unknown`` if there is no answer, or if it is withheld.
    """
    statuses: Counter[str] = Counter()
    seriousness: Counter[str] = Counter()
    for batch in _batches(records):
        statuses.update(_texts(batch, "record_status"))
        seriousness.update(_seriousness(batch))
    counts = [
        *_enrolment(sites, subjects),
        *_counted("records_by_status", statuses),
        *_counted("open_queries_by_age", Counter(_open_query_ages(queries, today or _today()))),
        *_counted("adverse_events_by_seriousness", seriousness),
    ]
    study_logger.info("%d counts", len(counts))
    return _table([{"study_key": study_key, **row} for row in counts])


def _today() -> date:
    return datetime.now(UTC).date()


def _batches(records: "pa.RecordBatchReader") -> "Iterator[pa.Table]":
    """Yield the records that are not deleted, batch by batch: a study may have millions."""
    import pyarrow as pa

    for batch in records:
        yield _not_deleted(pa.Table.from_batches([batch]))


def _enrolment(sites: "pa.Table", subjects: "pa.Table") -> Iterator[dict[str, Any]]:
    """Yield subjects by site and status; a site without subjects counts zero."""
    by_site: dict[str, Counter[str]] = {name: Counter() for name in _texts(sites, "site_name")}
    subjects = _not_deleted(subjects)
    for site_name, status in zip(
        _texts(subjects, "site_name"), _texts(subjects, "subject_status"), strict=True
    ):
        by_site.setdefault(site_name, Counter())[status] += 1
    for site_name in sorted(by_site):
        for status, count in sorted(by_site[site_name].items()) or [("any", 0)]:
            yield _row("subjects_by_site_and_status", status, count, site_name=site_name)


def _open_query_ages(queries: "pa.Table", today: date) -> Iterator[str]:
    closed = _closed_queries(queries["query_comments"].combine_chunks())
    for number, created in enumerate(queries["date_created"].to_pylist()):
        if number not in closed:
            yield "unknown" if created is None else _age((today - created.date()).days)


def _closed_queries(comments: "pa.ListArray") -> set[int]:
    """Return the rows whose last comment, by sequence, closes the query."""
    import pyarrow.compute as pc

    steps = comments.flatten()
    last: dict[int, tuple[int, bool]] = {}
    for number, sequence, closes in zip(
        pc.list_parent_indices(comments).to_pylist(),
        steps.field("sequence").to_pylist(),
        steps.field("closed").to_pylist(),
        strict=True,
    ):
        last[number] = max(last.get(number, (-1, False)), (sequence or 0, bool(closes)))
    return {number for number, (_, closes) in last.items() if closes}


def _age(days: int) -> str:
    return next((name for most, name in _QUERY_AGES if days <= most), "over 90 days")


def _seriousness(records: "pa.Table") -> Iterator[str]:
    import json

    import pyarrow.compute as pc

    # Only adverse events are decoded: other records may outnumber them a hundred times.
    adverse_events = records.filter(pc.equal(pc.utf8_upper(records["form_key"]), _ADVERSE_EVENTS))
    # Numbers stay text: Python refuses integers of thousands of digits.
    read = partial(json.loads, parse_int=str, parse_float=str)
    for text in adverse_events["record_data"].to_pylist():
        answers = [v for k, v in read(text or "{}").items() if k.upper() == _SERIOUS]
        answer = str(answers[0] if answers else "").strip().upper()
        yield _SERIOUSNESS.get(answer, "unknown")


def _not_deleted(table: "pa.Table") -> "pa.Table":
    """Return the rows that are not deleted."""
    import pyarrow.compute as pc

    return table.filter(pc.invert(pc.fill_null(table["deleted"], False)))


def _texts(table: "pa.Table", column: str) -> Iterator[str]:
    for text in table[column].to_pylist():
        yield text or "unknown"


def _counted(measure: str, categories: "Counter[str]") -> Iterator[dict[str, Any]]:
    for category, count in sorted(categories.items()):
        yield _row(measure, category, count)


def _row(measure: str, category: str, count: int, site_name: str = "") -> dict[str, Any]:
    return {"measure": measure, "site_name": site_name, "category": category, "count": count}


def _table(rows: list[dict[str, Any]]) -> "pa.Table":
    import pyarrow as pa

    schema = pa.schema(
        [
            ("study_key", pa.string()),
            ("measure", pa.string()),
            ("site_name", pa.string()),
            ("category", pa.string()),
            ("count", pa.int64()),
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)
