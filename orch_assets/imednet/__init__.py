"""The client for the iMednet EDC API, and the rows that it returns.

Each name is imported when it is first used: the client imports httpx, which nothing needs while
definitions load.
"""

from typing import TYPE_CHECKING

from orch_assets.lazy import attributes_of

if TYPE_CHECKING:
    from orch_assets.imednet.arrow import arrow_schema
    from orch_assets.imednet.endpoints import METADATA_KEY
    from orch_assets.imednet.form_tables import build_form_tables, partial_dates
    from orch_assets.imednet.models import (
        Coding,
        Form,
        Interval,
        IntervalForm,
        Job,
        Keyword,
        Query,
        QueryComment,
        Record,
        RecordRevision,
        RegistryRow,
        Role,
        Site,
        Study,
        Subject,
        User,
        Variable,
        Visit,
    )
    from orch_assets.imednet.progress import ReadingCounts
    from orch_assets.imednet.request_limits.limiter import RequestLimiter
    from orch_assets.imednet.sdk import ImednetSDK
    from orch_assets.imednet.streams import BatchStream, RowStream

__all__ = [
    "METADATA_KEY",
    "BatchStream",
    "Coding",
    "Form",
    "ImednetSDK",
    "Interval",
    "IntervalForm",
    "Job",
    "Keyword",
    "Query",
    "QueryComment",
    "ReadingCounts",
    "Record",
    "RecordRevision",
    "RegistryRow",
    "RequestLimiter",
    "Role",
    "RowStream",
    "Site",
    "Study",
    "Subject",
    "User",
    "Variable",
    "Visit",
    "arrow_schema",
    "build_form_tables",
    "partial_dates",
]

# All other public names are row models.
_HOMES = dict.fromkeys(__all__, "models") | {
    "METADATA_KEY": "endpoints",
    "BatchStream": "streams",
    "ImednetSDK": "sdk",
    "ReadingCounts": "progress",
    "RequestLimiter": "request_limits.limiter",
    "RowStream": "streams",
    "arrow_schema": "arrow",
    "build_form_tables": "form_tables",
    "partial_dates": "form_tables",
}

__getattr__, __dir__ = attributes_of(__name__, _HOMES)
