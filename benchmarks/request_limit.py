"""A registry that refuses above k requests in flight, k changing, against a pool that knows k.

Over real HTTP. An answer takes 0.1 s and k changes every 12 s: 120 answers long. That a registry
takes more or fewer requests is a matter of minutes; who has to find k out from refusals alone, and
keep those few, can't follow a k that halves and doubles within seconds.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.measuring import verdict
from orch_assets import ImednetSDK, MultiStudyOrchestrator
from orch_assets.demo import DemoServer, Fault
from orch_assets.imednet import RequestLimiter

ALLOWED = (8, 4, 6, 2)
CHANGE_SECONDS = 12.0
ANSWER_SECONDS = 0.1
STUDIES = 240
REQUESTS_EACH = 10
WORKERS = 24


@dataclass(frozen=True)
class Outcome:
    """What one run came to.

    Attributes:
        failed: studies.
        refused: share of the requests that were answered 429.
        use: requests served, over what k would have let through meanwhile.
    """

    failed: int
    refused: float
    use: float


def main() -> bool:
    """Print the figures; return whether they are kept."""
    print(f"{STUDIES} studies, 429 above k requests in flight, k = {ALLOWED} for 12 s each")
    adaptive, knowing = _run(knows=False), _run(knows=True)
    print(f"  requests served of those possible: {adaptive.use:.2f}, knowing k {knowing.use:.2f}")
    kept = [
        verdict("failed studies", adaptive.failed, 0),
        verdict("refused requests", adaptive.refused * 100, 5, unit=" %"),
        verdict("throughput / a pool that knows k", adaptive.use / knowing.use, 0.8, at_least=True),
    ]
    return all(kept)


def _run(*, knows: bool) -> Outcome:
    with DemoServer(studies=STUDIES, subjects=1) as server:
        server.faults.add(Fault("delay", endpoint="sites", seconds=ANSWER_SECONDS))
        limiter = RequestLimiter(max(ALLOWED))

        def allow(k: int) -> None:
            server.traffic.limit = k
            if knows:
                limiter.maximum = k

        keys = {"api_key": server.api_key, "security_key": server.security_key}
        with ImednetSDK(**keys, base_url=server.base_url, limiter=limiter) as sdk:
            studies = MultiStudyOrchestrator(sdk, WORKERS)
            with _changing(allow) as possible:
                results = studies.execute_pipeline(_read)
            log = [entry for entry in server.traffic.log if entry.endpoint == "sites"]
        served = sum(entry.status == 200 for entry in log)
        return Outcome(
            failed=sum(result["status"] != "SUCCESS" for result in results.values()),
            refused=sum(entry.status == 429 for entry in log) / len(log),
            use=served / possible(),
        )


def _read(study_key: str, sdk: Any, _logger: object) -> None:
    for _ in range(REQUESTS_EACH):
        list(sdk.sites.list(study_key=study_key))


@contextmanager
def _changing(allow: Callable[[int], None]) -> Iterator[Callable[[], float]]:
    """Change k while the block lasts; yield what tells how many answers it allowed."""
    ended = threading.Event()
    began = time.monotonic()
    until = [0.0]

    def allowed_at(seconds: float) -> int:
        return ALLOWED[int(seconds // CHANGE_SECONDS) % len(ALLOWED)]

    def change() -> None:
        while not ended.is_set():
            seconds = time.monotonic() - began
            allow(allowed_at(seconds))
            ended.wait(CHANGE_SECONDS - seconds % CHANGE_SECONDS)

    def possible() -> float:
        tenths = range(int(until[0] * 10))
        return sum(allowed_at(tenth / 10) for tenth in tenths) * 0.1 / ANSWER_SECONDS

    allow(ALLOWED[0])
    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield possible
    finally:
        until[0] = time.monotonic() - began
        ended.set()
        thread.join()
