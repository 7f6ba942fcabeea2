"""What holds for every test."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _logger_is_as_imported() -> Iterator[None]:
    """Give the package's logger its level back: a Dagster run in this process sets it for good.

    With ``python_logs`` in ``dagster.yaml``, a run's log manager sets the level of the managed
    loggers and never takes it back; a module's fixture may have run one before this test.
    """
    logging.getLogger("orch_assets").setLevel(logging.NOTSET)
    yield
    logging.getLogger("orch_assets").setLevel(logging.NOTSET)
