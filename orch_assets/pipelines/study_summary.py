"""The table ``study_summary``: a study in counts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from orch_assets import study_pipeline

if TYPE_CHECKING:
    import pyarrow as pa

# CDASH names: the form of adverse events and its question "serious?".
_ADVERSE_EVENTS = "AE"
_SERIOUS = "AESER"

_QUERY_AGES = ((7, "0-7 days"), (30, "8-30 days"), (90, "31-90 days"))


@study_pipeline(group="summary", kinds=("table",))
def study_summary(
    study_key: str,
    sdk: Any,  # noqa: ARG001 - every study pipeline has these three
    study_logger: Any,
    sites: "pa.Table",
    subjects: "pa.Table",
    records: "pa.Table",
    queries: "pa.Table",
) -> "pa.Table":
    """Counts of a study: enrolment, records, open queries and their age, adverse events.

    One row per measure, site and category. Deleted rows are not counted. Queries and adverse
    events that concern withheld variables only are not in the tables that this is made of.
    """
    import pyarrow as pa

    counts = [
        *_enrolment(sites, subjects),
        *_counted("records_by_status", _values(records, "record_status")),
        *_counted("open_queries_by_age", _open_query_ages(queries)),
        *_counted("adverse_events_by_seriousness", _seriousness(records)),
    ]
    study_logger.info("%d counts", len(counts))
    rows = [{"study_key": study_key, **row} for row in counts]
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


def _enrolment(sites: "pa.Table", subjects: "pa.Table") -> Iterator[dict[str, Any]]:
    """Yield subjects by site and status; a site without subjects counts zero."""
    by_site: dict[str, Counter[str]] = {
        name or "": Counter() for name in sites["site_name"].to_pylist()
    }
    for subject in _kept(subjects, ["site_name", "subject_status"]):
        site = by_site.setdefault(subject["site_name"] or "", Counter())
        site[subject["subject_status"] or "unknown"] += 1
    for name in sorted(by_site):
        for status, count in sorted(by_site[name].items()) or [("any", 0)]:
            yield _row("subjects_by_site_and_status", status, count, site_name=name)


def _open_query_ages(queries: "pa.Table") -> Iterator[str]:
    today = datetime.now(timezone.utc)
    for query in queries.select(["date_created", "query_comments"]).to_pylist():
        comments = query["query_comments"] or []
        last = max(comments, key=lambda comment: comment["sequence"] or 0, default=None)
        if last is not None and last["closed"]:
            continue
        created = query["date_created"]
        yield "unknown age" if created is None else _age((today - created).days)


def _age(days: int) -> str:
    return next((name for most, name in _QUERY_AGES if days <= most), "over 90 days")


def _seriousness(records: "pa.Table") -> Iterator[str]:
    import json

    for record in _kept(records, ["form_key", "record_data"]):
        if (record["form_key"] or "").upper() != _ADVERSE_EVENTS:
            continue
        values = {k.upper(): v for k, v in json.loads(record["record_data"] or "{}").items()}
        answer = str(values.get(_SERIOUS) or "").strip().upper()
        yield {"Y": "serious", "YES": "serious", "N": "not serious", "NO": "not serious"}.get(
            answer, "unknown"
        )


def _kept(table: "pa.Table", columns: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows that are not deleted."""
    for row in table.select([*columns, "deleted"]).to_pylist():
        if not row["deleted"]:
            yield row


def _values(table: "pa.Table", column: str) -> Iterator[str]:
    for row in _kept(table, [column]):
        yield row[column] or "unknown"


def _counted(measure: str, categories: Iterable[str]) -> Iterator[dict[str, Any]]:
    for category, count in sorted(Counter(categories).items()):
        yield _row(measure, category, count)


def _row(measure: str, category: str, count: int, site_name: str = "") -> dict[str, Any]:
    return {"measure": measure, "site_name": site_name, "category": category, "count": count}
