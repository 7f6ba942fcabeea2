"""The adaptive request limit, compared with a client that knows the server's limit.

The simulator refuses requests above k in flight, over real HTTP, and k changes. An answer takes
0.1 s, and k changes every 12 s, which is the time of 120 answers. In practice, the number of
requests that an API accepts changes within minutes. A client that learns k only from refusals, and
must keep refusals rare, can't follow a k that halves and doubles within seconds.
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
    """The figures of one run.

    Attributes:
        failed: Number of failed studies.
        refused: Share of the requests that were answered with 429.
        use: Requests served, divided by the number that k allowed in the same time.
    """

    failed: int
    refused: float
    use: float


def main() -> bool:
    """Print the figures; return whether they are within their bounds."""
    print(f"{STUDIES} studies, 429 above k requests in flight, k = {ALLOWED} for 12 s each")
    adaptive, knowing = _run(knows=False), _run(knows=True)
    print(f"  share of the possible requests: {adaptive.use:.2f}, with known k {knowing.use:.2f}")
    verdicts = [
        verdict("failed studies", adaptive.failed, 0),
        verdict("refused requests", adaptive.refused * 100, 5, unit=" %"),
        verdict("throughput / with known k", adaptive.use / knowing.use, 0.8, at_least=True),
    ]
    return all(verdicts)


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
    """Change k during the block; yield a function that returns how many answers k allowed."""
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
