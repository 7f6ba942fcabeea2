"""The log of a study in a run."""

import logging
from typing import Any

from orch_assets.study import StudyContextLogAdapter


class _RunLogAdapter(StudyContextLogAdapter):
    """Prefixes messages with the study key, because Dagster's log doesn't show ``extra``."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        # With arguments, a "%" in a study key would be read as a placeholder.
        key = self.study_key.replace("%", "%%") if args else self.study_key
        super().log(level, f"[{key}] {msg}", *args, **kwargs)


def run_logger(study_key: str) -> StudyContextLogAdapter:
    """Return the logger that a pipeline receives for a study."""
    return _RunLogAdapter(logging.getLogger("orch_assets.study"), study_key)
