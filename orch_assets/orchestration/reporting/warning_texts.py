"""Shows warnings without their texts while pipelines run: warnings of pandas quote data values.

Python writes warnings to standard error, which a run's compute log stores.
"""

import logging
import warnings
from pathlib import Path
from typing import Final

from orch_assets.orchestration.reporting.results import describe_failure

_LEFT_OUT: Final = "its text may hold data and is left out"


def hide_warning_texts() -> None:
    """Make warnings, including those that asyncio logs, show only their type and place.

    This holds for the rest of the process: objects that a pipeline leaves behind may be collected
    at any time, even at interpreter exit. Calling it again changes nothing.
    """
    warnings.formatwarning = _type_and_place
    logging.getLogger("asyncio").addFilter(_without_names)


def _type_and_place(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,  # noqa: ARG001 - Python's signature
) -> str:
    """Format a warning; replaces ``warnings.formatwarning``."""
    kind = describe_failure(message).kind if isinstance(message, Warning) else category.__name__
    # Code created at run time may have data as its file name.
    place = f"{filename}:{lineno}" if Path(filename).is_file() else "<no file>"
    return f"{place}: {kind} ({_LEFT_OUT})\n"


def _without_names(record: logging.LogRecord) -> bool:
    """Remove task names and arguments from a record that has no exception."""
    if not record.exc_info:
        text = record.getMessage().partition("\n")[0]
        record.msg = f"A warning of asyncio ({_LEFT_OUT})" if "<" in text else text
        record.args = ()
    return True
