"""The iMednet API client, and the rows that it returns.

Names are imported on first use: the client needs httpx, which must not load with definitions.
"""

from typing import TYPE_CHECKING

from orch_assets.lazy import attributes_of

if TYPE_CHECKING:
    from orch_assets.imednet.arrow import arrow_schema
    from orch_assets.imednet.endpoints import METADATA_KEY
    from orch_assets.imednet.form_tables import build_form_tables
    from orch_assets.imednet.limiter import RequestLimiter
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
    from orch_assets.imednet.sdk import ImednetSDK
    from orch_assets.imednet.streams import BatchStream, RowStream

_HOMES = {
    "METADATA_KEY": "endpoints",
    "BatchStream": "streams",
    "Coding": "models",
    "Form": "models",
    "ImednetSDK": "sdk",
    "Interval": "models",
    "IntervalForm": "models",
    "Job": "models",
    "Keyword": "models",
    "Query": "models",
    "QueryComment": "models",
    "ReadingCounts": "progress",
    "Record": "models",
    "RecordRevision": "models",
    "RegistryRow": "models",
    "RequestLimiter": "limiter",
    "Role": "models",
    "RowStream": "streams",
    "Site": "models",
    "Study": "models",
    "Subject": "models",
    "User": "models",
    "Variable": "models",
    "Visit": "models",
    "arrow_schema": "arrow",
    "build_form_tables": "form_tables",
}

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
]

__getattr__, __dir__ = attributes_of(__name__, _HOMES)
