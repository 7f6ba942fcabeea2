"""How each table is refreshed: the only place that says so.

A table is *read by date* where the API moves a date with each change of a row. All others are read
whole each time. Increase a rule's number when the rule changes, or how its table is split: earlier
versions are then not merged with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True)
class EndpointRule:
    """How a table is refreshed.

    Attributes:
        why: Why it is refreshed so, for the documentation.
        by_date: Whether only rows with a new date are read. Otherwise the table is read whole.
        date: The column that moves when a row changes; None if no column does.
        deleted: The column that marks a row as deleted; None if rows aren't marked.
        vanish: Whether rows disappear in the course of normal work. Others may be removed, too,
            which the count shows.
        number: The number of the rule, which stored versions are compared with.
    """

    why: str
    by_date: bool
    date: str | None = "date_modified"
    deleted: str | None = None
    vanish: bool = False
    number: int = 1


RULES: Final[Mapping[str, EndpointRule]] = {
    "records": EndpointRule(
        "Each change moves the date and adds a record revision. Deleted records stay, and are "
        "marked.",
        by_date=True,
        deleted="deleted",
    ),
    "record_revisions": EndpointRule(
        "Revisions are added, and never change.", by_date=True, date="date_created"
    ),
    "visits": EndpointRule(
        "Each change moves the date. Deleted visits stay, and are marked.",
        by_date=True,
        deleted="deleted",
    ),
    "subjects": EndpointRule(
        "Each change moves the date. Deleted subjects stay, and are marked.",
        by_date=True,
        deleted="deleted",
    ),
    "queries": EndpointRule("Each comment moves the date.", by_date=True),
    "sites": EndpointRule("Each change moves the date.", by_date=True),
    "forms": EndpointRule(
        "Each change moves the date. Deleted forms stay, and are marked as disabled.",
        by_date=True,
        deleted="disabled",
    ),
    "variables": EndpointRule(
        "They decide what is withheld. Each run reads them anyway.",
        by_date=False,
        deleted="deleted",
    ),
    "intervals": EndpointRule(
        "They decide which visit windows are withheld. Each run reads them anyway.",
        by_date=False,
        deleted="disabled",
    ),
    "codings": EndpointRule(
        "A coding can be withdrawn, or changed back, without a new date.",
        by_date=False,
        date="date_coded",
        vanish=True,
    ),
    "users": EndpointRule(
        "Users have no date, and the API has no filter for them.",
        by_date=False,
        date=None,
        vanish=True,
    ),
}
"""The rules by the endpoint's name in the SDK."""

REVISION_DELAY: Final = timedelta(minutes=1)
"""A record revision is dated like its record, or at most so much later."""
