from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orch_assets.demo import DemoRegistry
from orch_assets_tests.imednet.history.stored_study import STUDY, StoredStudy


@pytest.fixture
def study(tmp_path: Path) -> Iterator[StoredStudy]:
    """A study of four subjects, on the morning of 1 July 2025."""
    registry = DemoRegistry(studies=0)
    registry.add_study(STUDY, subjects=4)
    registry.clock.set(datetime(2025, 7, 1, 8, tzinfo=UTC))
    opened = StoredStudy(tmp_path, registry)
    yield opened
    opened.close()
