"""The table ``study_summary``: counts of a study."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from orch_assets import study_pipeline
from orch_assets.charts.adverse_events import find_adverse_events
from orch_assets.charts.categories import NOTHING, QUERY_AGES, UNKNOWN, category
from orch_assets.charts.visit_counts import EntryLags, overdue_visits

if TYPE_CHECKING:
    import pyarrow as pa

_COUNTED_COLUMNS: Final = ("record_status", "deleted", "visit_id", "date_created", "form_key")


@study_pipeline(group="summary", kinds=("table",), pure=True, daily=True)
def study_summary(  # noqa: D417 - only settings; upstreams have pages of their own
    study_key: str,
    sdk: Any,
    study_logger: Any,
    sites: "pa.Table",
    subjects: "pa.Table",
    records: "pa.RecordBatchReader",
    queries: "pa.Table",
    visits: "pa.Table",
    forms: "pa.Table",
    variables: "pa.Table",
    *,
    adverse_events_form: str = "AE",
    today: date | None = None,
) -> "pa.Table":
    """Counts of a study: enrolment, records, open queries, adverse events, visits, entry lag.

    - Grain: one row for each measure, site, category and month.
    - Key: ``measure``, ``site_name``, ``category`` and ``month``; rows are sorted by measure as
      listed below, then by these.
    - Endpoint: none; built from ``sites``, ``subjects``, ``records``, ``queries``, ``visits``,
      ``forms`` and ``variables``.
    - Withheld: nothing; a withheld answer counts as ``unknown``.

    Deleted subjects, visits and records are not counted. A missing status, date or site name counts
    as ``unknown``. Days and months are in UTC. ``study_charts`` draws these counts. The measures
    are:

    - ``subjects_by_site_and_status``: by the site's name. A site without subjects has one row, with
      category ``any`` and count 0.
    - ``records_by_status``.
    - ``open_queries_by_age``: a query is open unless the last of its comments, by sequence, closes
      it. Its age is the number of days since its creation; 0 for a date in the future.
    - ``adverse_events_by_seriousness``: ``serious``, ``not serious``, or ``unknown`` if there is no
      answer, or if it is withheld.
    - ``enrolled_by_month`` and ``enrolled_by_site``: subjects with a date of enrolment.
    - ``adverse_events_by_month``: by seriousness and by the month in which they began.
    - ``overdue_visits_by_age``: visits without date and records, by the days since the end of
      their windows, or else since their due dates. If these dates are withheld, not counted.
    - ``records_by_entry_lag``: records by the days from the date of their visit to their creation;
      0 if they were created before it.

    The last five measures have one row, with category ``any`` and count 0, if there is nothing to
    count. Adverse events are the records of the form with the key ``adverse_events_form``, or else
    of the only form whose name contains "adverse event". Without such a form,
    ``adverse_events_by_month`` has one row with category ``no form``; with several forms of such
    names, ``several forms``. They are serious if ``AESER`` says so, or else the form's only
    variable with "serious" in its label. They began on ``AESTDAT``, ``AESTDTC`` or ``AESTDT``, or
    else on the form's only date with "start" or "onset" in its label. Case is ignored.

    Args:
        adverse_events_form: Key of the form of adverse events.
        today: The day for which to count; by default that of the run.
    """
    today = today or _today()
    found = find_adverse_events(forms, variables, adverse_events_form)
    statuses: Counter[str] = Counter()
    events: Counter[tuple[str, str]] = Counter()
    lags = EntryLags(_not_deleted(visits))
    for batch in _batches(records, answers=not isinstance(found, str)):
        statuses.update(_texts(batch, "record_status"))
        lags.add(batch)
        if not isinstance(found, str):
            events.update(found.counted(batch, today))
    gone = subjects.filter(_is_deleted(subjects))["subject_id"].combine_chunks()
    overdue = overdue_visits(_not_deleted(visits), gone, lags.entered, today)
    seriousness: Counter[str] = Counter()
    for (serious, _), count in events.items():
        seriousness[serious] += count
    counts = [
        *_enrolment(sites, subjects),
        *_counted("records_by_status", statuses),
        *_counted("open_queries_by_age", Counter(_open_query_ages(queries, today))),
        *_counted("adverse_events_by_seriousness", seriousness),
        *_enrolled(sites, subjects),
        *_by_month(events, found if isinstance(found, str) else NOTHING),
        *(_counted("overdue_visits_by_age", overdue or Counter({NOTHING: 0}))),
        *(_counted("records_by_entry_lag", lags.counts or Counter({NOTHING: 0}))),
    ]
    study_logger.info("%d counts", len(counts))
    return _table([{"study_key": study_key, **row} for row in counts])


def _today() -> date:
    return datetime.now(UTC).date()


def _batches(records: "pa.RecordBatchReader", *, answers: bool) -> "Iterator[pa.Table]":
    """Yield the records that are not deleted, batch by batch: a study may have millions.

    Only columns that are counted are filtered, and the answers only if they are asked for.
    """
    import pyarrow as pa

    names = [*_COUNTED_COLUMNS, *(["record_data"] if answers else [])]
    for batch in records:
        yield _not_deleted(pa.Table.from_batches([batch]).select(names))


def _enrolment(sites: "pa.Table", subjects: "pa.Table") -> Iterator[dict[str, Any]]:
    """Yield subjects by site and status; a site without subjects counts zero."""
    by_site: dict[str, Counter[str]] = {name: Counter() for name in _texts(sites, "site_name")}
    subjects = _not_deleted(subjects)
    for site_name, status in zip(
        _texts(subjects, "site_name"), _texts(subjects, "subject_status"), strict=True
    ):
        by_site.setdefault(site_name, Counter())[status] += 1
    for site_name in sorted(by_site):
        for status, count in sorted(by_site[site_name].items()) or [(NOTHING, 0)]:
            yield _row("subjects_by_site_and_status", status, count, site_name=site_name)


def _open_query_ages(queries: "pa.Table", today: date) -> Iterator[str]:
    closed = _closed_queries(queries["query_comments"].combine_chunks())
    for number, created in enumerate(queries["date_created"].to_pylist()):
        if number not in closed:
            yield (
                UNKNOWN if created is None else category((today - created.date()).days, QUERY_AGES)
            )


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


def _enrolled(sites: "pa.Table", subjects: "pa.Table") -> Iterator[dict[str, Any]]:
    """Yield the subjects with a date of enrolment, by month and by site."""
    subjects = _not_deleted(subjects)
    subjects = subjects.filter(subjects["enrollment_start_date"].is_valid())
    months = Counter(f"{each:%Y-%m}" for each in subjects["enrollment_start_date"].to_pylist())
    for month, count in sorted(months.items()) or [("", 0)]:
        name = "enrolled" if month else NOTHING
        yield _row("enrolled_by_month", name, count, month=month or None)
    by_site = Counter(dict.fromkeys(_texts(sites, "site_name"), 0))
    by_site.update(_texts(subjects, "site_name"))
    for site_name, count in sorted(by_site.items()):
        yield _row("enrolled_by_site", "enrolled", count, site_name=site_name)
    if not by_site:
        yield _row("enrolled_by_site", NOTHING, 0)


def _by_month(events: "Counter[tuple[str, str]]", nothing: str) -> Iterator[dict[str, Any]]:
    for (seriousness, month), count in sorted(events.items()):
        yield _row("adverse_events_by_month", seriousness, count, month=month)
    if not events:
        yield _row("adverse_events_by_month", nothing, 0)


def _not_deleted(table: "pa.Table") -> "pa.Table":
    """Return the rows that are not deleted."""
    import pyarrow.compute as pc

    return table.filter(pc.invert(_is_deleted(table)))


def _is_deleted(table: "pa.Table") -> "pa.ChunkedArray":
    import pyarrow.compute as pc

    return pc.fill_null(table["deleted"], False)


def _texts(table: "pa.Table", column: str) -> Iterator[str]:
    for text in table[column].to_pylist():
        yield text or UNKNOWN


def _counted(measure: str, categories: "Counter[str]") -> Iterator[dict[str, Any]]:
    for name, count in sorted(categories.items()):
        yield _row(measure, name, count)


def _row(
    measure: str, name: str, count: int, *, site_name: str = "", month: str | None = None
) -> dict[str, Any]:
    where = {"measure": measure, "site_name": site_name, "category": name}
    return {**where, "count": count, "month": month}


def _table(rows: list[dict[str, Any]]) -> "pa.Table":
    import pyarrow as pa

    schema = pa.schema(
        [
            ("study_key", pa.string()),
            ("measure", pa.string()),
            ("site_name", pa.string()),
            ("category", pa.string()),
            ("count", pa.int64()),
            ("month", pa.string()),
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)
