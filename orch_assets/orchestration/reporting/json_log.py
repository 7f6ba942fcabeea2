"""Log lines as JSON, each with its study key."""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from orch_assets.orchestration.reporting.exception_sources import safe_type_name
from orch_assets.orchestration.reporting.known_names import KnownNames, current_known_names
from orch_assets.orchestration.reporting.results import describe_failure
from orch_assets.study import get_current_study

# Attributes that every record has; all others are the caller's ``extra``.
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_STUDY: Final = ("study_key", "studyKey")


class JsonLogFormatter(logging.Formatter):
    """Formats a record as one line of JSON.

    The keys are ``time`` (UTC, ISO 8601), ``level``, ``logger``, ``message``, ``study_key`` (null
    outside a study), then the caller's ``extra``. Every record logged inside a study has its key,
    including those of other libraries' loggers. For an exception, ``error`` holds its type and
    place; its text and traceback may quote data and are left out.

    Example:
        >>> handler = logging.StreamHandler()
        >>> handler.setFormatter(JsonLogFormatter())
        >>> logging.getLogger().addHandler(handler)  # doctest: +SKIP
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "study_key": getattr(record, "study_key", None) or get_current_study(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = describe_failure(record.exc_info[1]).loggable
        if record.stack_info:
            line["stack"] = record.stack_info
        for name, value in vars(record).items():
            if name not in _OWN and name not in _STUDY:
                line.setdefault(name, value)
        return json.dumps(line, default=_type_name, ensure_ascii=False)


def _type_name(value: object) -> str:
    """Return the type of a value that JSON can't hold; its text could be a whole table."""
    return f"<{safe_type_name(type(value), current_known_names() or KnownNames())}>"
