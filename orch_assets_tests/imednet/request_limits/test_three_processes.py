"""Three real processes of one account, counted by the server that they send to."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from orch_assets.demo import DemoServer, Fault
from orch_assets_tests.imednet.request_limits.conftest import PLACES, until
from orch_assets_tests.support.requesting import requesting

MAXIMUM = 8
ANSWER_SECONDS = 0.15


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(studies=3, subjects=1) as made:
        made.faults.add(Fault("delay", endpoint="sites", seconds=ANSWER_SECONDS))
        yield made


def answered(server: DemoServer, seconds: float) -> dict[str | None, float]:
    """Return how many requests for each study, a process's own, were answered each second."""
    server.traffic.clear()
    began = time.monotonic()
    time.sleep(seconds)
    log, seconds = server.traffic.log, time.monotonic() - began
    counts = Counter(each.study_key for each in log if each.status == 200)
    return {study: count / seconds for study, count in counts.items()}


@pytest.mark.parametrize("place_text", PLACES, indirect=True)
def test_together_they_send_as_many_as_one_may(server: DemoServer, place_text: str) -> None:
    """Also after one is killed: the others have its slots, once the place has freed them."""
    with ExitStack() as processes:
        killed, *_ = [
            processes.enter_context(requesting(server, place_text, number, maximum=MAXIMUM))
            for number in range(3)
        ]
        until(lambda: len({each.study_key for each in server.traffic.log[-MAXIMUM:]}) == 3, 60)
        until(lambda: server.traffic.in_flight == MAXIMUM, 60)  # a new server is careful at first
        together = answered(server, 2)
        assert server.traffic.max_in_flight == MAXIMUM
        killed.kill()
        time.sleep(2 * ANSWER_SECONDS)  # the server still answers a client that is gone
        server.traffic.clear()
        seconds = until(lambda: server.traffic.in_flight == MAXIMUM, 60)
        after = answered(server, 1)
        assert server.traffic.max_in_flight == MAXIMUM
    assert sorted(together) == sorted(server.registry.study_keys())
    assert sorted(after) == sorted(server.registry.study_keys()[1:])
    assert seconds < 30  # on an idle machine 0.5 s, in Redis 6.5 s
    # A busy machine answers later, but the limit isn't that of a single share.
    assert min(sum(together.values()), sum(after.values())) > MAXIMUM / ANSWER_SECONDS / 3
