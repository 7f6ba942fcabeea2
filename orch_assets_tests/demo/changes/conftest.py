from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from orch_assets.demo import DemoRegistry
from orch_assets.demo.read_api import STUDY_ENDPOINTS
from orch_assets.demo.row_tables import Row

STUDY = "ONC-301"
NOW = "2025-07-01 08:00:00"
Difference = dict[str, dict[Any, tuple[Row | None, Row | None]]]


@pytest.fixture
def registry() -> DemoRegistry:
    registry = DemoRegistry(studies=1, subjects=8)
    registry.clock.set(datetime(2025, 7, 1, 8, tzinfo=UTC))
    return registry


@contextmanager
def watched(registry: DemoRegistry) -> Iterator[Difference]:
    """Yield a dictionary; after the block it has each row that is no longer equal: old and new."""
    before = {name: registry.table(name, STUDY).by_id() for name in STUDY_ENDPOINTS}
    difference: Difference = {}
    yield difference
    for name, old in before.items():
        new = registry.table(name, STUDY).by_id()
        changed = {
            row_id: (old.get(row_id), new.get(row_id))
            for row_id in {**old, **new}
            if old.get(row_id) != new.get(row_id)
        }
        if changed:
            difference[name] = changed


def fields(difference: Difference, endpoint: str, row_id: object) -> set[str]:
    """Return the names of the fields in which the old and the new row differ."""
    old, new = difference[endpoint][row_id]
    assert old is not None
    assert new is not None
    return {name for name in {**old, **new} if old.get(name) != new.get(name)}


def ids(difference: Difference) -> dict[str, list[Any]]:
    return {name: sorted(rows) for name, rows in difference.items()}


def first(registry: DemoRegistry, endpoint: str, **values: Any) -> Row:
    with registry.edit(STUDY) as edit:
        return getattr(edit, endpoint).find(**values)
