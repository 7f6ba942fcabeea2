"""Warnings while pipelines run, without their texts: those of pandas quote values.

Python writes a warning to stderr, which a run's compute log keeps.
"""

import logging
import warnings
from pathlib import Path
from typing import Final

from orch_assets.orchestration.reporting.results import describe_failure

_LEFT_OUT: Final = "its text may hold data and is left out"


def leave_out_texts() -> None:
    """Let warnings, those that asyncio logs among them, tell their type and place alone.

    For the rest of the process: what a pipeline leaves behind is collected when Python likes, at
    the interpreter's end too. Calling it again changes nothing.
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
    """Format a warning; takes the place of ``warnings.formatwarning``."""
    kind = describe_failure(message).kind if isinstance(message, Warning) else category.__name__
    # Code that is made as it runs may have data for its file's name.
    place = f"{filename}:{lineno}" if Path(filename).is_file() else "<no file>"
    return f"{place}: {kind} ({_LEFT_OUT})\n"


def _without_names(record: logging.LogRecord) -> bool:
    """Leave of a record without an exception what names no task and shows no argument."""
    if not record.exc_info:
        text = record.getMessage().partition("\n")[0]
        record.msg = f"A warning of asyncio ({_LEFT_OUT})" if "<" in text else text
        record.args = ()
    return True
