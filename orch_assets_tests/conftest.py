"""What holds for every test."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _levels_are_given_back() -> Iterator[None]:
    """Give the package's logger its level back: a Dagster run in this process sets it for good.

    With ``python_logs`` in ``dagster.yaml``, a run's log manager sets the level of the managed
    loggers and never takes it back. The next test in the process would then see less.
    """
    logger = logging.getLogger("orch_assets")
    level = logger.level
    yield
    logger.setLevel(level)
