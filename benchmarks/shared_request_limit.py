"""One request limit shared by three processes, compared with one process that has it alone.

The simulator answers after 0.2 s and counts the requests in flight. Three processes, each of which
would send 8 at once, share a limit of 8 by files, Postgres or Redis. Then one of them is killed,
and the others take its slots.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.measuring import verdict
from orch_assets.demo import DemoServer, Fault
from orch_assets_tests.defs.postgres import postgres_server
from orch_assets_tests.support.redis_servers import redis_server
from orch_assets_tests.support.requesting import requesting

MAXIMUM = 8
PROCESSES = 3
ANSWER_SECONDS = 0.2
MEASURED_SECONDS = 10.0
REPEATS = 3
SETTLED_SECONDS = 3.0
# Seconds after a kill in which the slots must be back.
BACK_WITHIN = {"files": 2.0, "postgres": 2.0, "redis": 10.0}


def main() -> bool:
    """Print the figures; return whether they are within their bounds."""
    print(f"{PROCESSES} processes with one limit of {MAXIMUM}, {ANSWER_SECONDS} s an answer")
    verdicts = []
    with _places() as places, DemoServer(studies=PROCESSES, subjects=1) as server:
        server.faults.add(Fault("delay", endpoint="sites", seconds=ANSWER_SECONDS))
        for name, place in places.items():
            ratios, most, back = [], 0, []
            for _ in range(REPEATS):
                alone = _alone(server)
                together, in_flight, seconds = _together(server, place)
                ratios.append(together / alone)
                most = max(most, in_flight)
                back.append(seconds)
            shown = ", ".join(f"{ratio:.3f}" for ratio in ratios)
            print(f"  {name}: ratios {shown}; back after {', '.join(f'{b:.1f} s' for b in back)}")
            verdicts += [
                verdict(f"{name}: most in flight", most, MAXIMUM),
                verdict(
                    f"{name}: throughput / one process",
                    statistics.median(ratios),
                    0.95,
                    at_least=True,
                ),
                verdict(f"{name}: slots of a killed one", max(back), BACK_WITHIN[name], unit=" s"),
            ]
    return all(verdicts)


@contextmanager
def _places() -> Iterator[dict[str, str]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server() as redis,
        postgres_server() as postgres,
    ):
        address = f"{postgres['username']}@127.0.0.1:{postgres['port']}/postgres"
        yield {"files": folder, "postgres": f"postgresql://{address}", "redis": redis}


def _alone(server: DemoServer) -> float:
    """Return how many requests a second one process sends that has the limit for itself."""
    with requesting(server, None, maximum=MAXIMUM):
        _await_requests(server, 1)
        return _answered(server)


def _together(server: DemoServer, place: str) -> tuple[float, int, float]:
    """Return requests a second, the most in flight, and seconds after a kill."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(requesting(server, place, number, maximum=MAXIMUM))
            for number in range(PROCESSES)
        ]
        _await_requests(server, PROCESSES)
        answered = _answered(server)
        most = server.traffic.max_in_flight
        processes[0].kill()
        killed = time.monotonic()
        gone = server.registry.study_keys()[0]
        while (now := _in_flight(server, gone)) < MAXIMUM:
            time.sleep(0.01)
        seconds = time.monotonic() - killed
        return answered, max(most, now), seconds


def _in_flight(server: DemoServer, gone: str) -> int:
    """Count the requests in flight without those of the client that is gone."""
    return sum(each.ended is None and each.study_key != gone for each in server.traffic.log[-64:])


def _await_requests(server: DemoServer, processes: int) -> None:
    server.traffic.clear()
    while len({each.study_key for each in server.traffic.log[-MAXIMUM:]}) < processes:
        time.sleep(0.05)
    time.sleep(SETTLED_SECONDS)


def _answered(server: DemoServer) -> float:
    server.traffic.clear()
    began = time.monotonic()
    time.sleep(MEASURED_SECONDS)
    answered = sum(each.status == 200 for each in server.traffic.log)
    return answered / (time.monotonic() - began)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
