"""Two runs of one study at once: one table replaces another only if it was made from it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orch_assets.demo import DemoRegistry, DemoServer, Fault
from orch_assets_tests.scenarios.refresh.studies import PIPELINES, Study, study


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Study, Study]]:
    """Two runners of one study, on the same stores."""
    location = str(tmp_path / "stores")
    with (
        DemoServer(DemoRegistry(studies=1, subjects=5)) as server,
        study(server, location) as one,
        study(server, location) as other,
    ):
        one.succeed()
        yield one, other


def test_two_runs_at_once_end_in_one_whole_table_after_the_next(
    pair: tuple[Study, Study], tmp_path: Path
) -> None:
    """A run that came second says so, and stores nothing."""
    one, _ = pair
    kinds = set()
    for day in range(3):
        one.registry.live_day()
        # Both have read what they start from before either publishes.
        one.server.faults.add(Fault("delay", "records", seconds=0.2))
        with ThreadPoolExecutor(2) as pool:
            results = [*pool.map(lambda each: each.run(), pair)]
        one.server.faults.clear()
        kinds |= {each.failure.kind for run in results for each in run.values() if each.failure}
        for name in PIPELINES:
            failures = [run[name].failure for run in results]
            assert None in failures, f"{name}: neither run stored it"
        if day == 2:
            one.succeed()
            one.assert_whole(tmp_path / "anew")
    assert kinds <= {"ArtifactReplacedError", "UpstreamFailed"}
    assert "ArtifactReplacedError" in kinds
