"""Thousands of studies in one call: overhead and memory of empty pipelines, and ``async`` waits."""

import asyncio
import json
import sys
import time

import psutil

from benchmarks.makespan import registry_of
from benchmarks.measuring import median, report_of, verdict
from orch_assets import MultiStudyOrchestrator

REPETITIONS = 3
MEGABYTE = 2**20


def main() -> bool:
    """Print the figures; return whether they are within their bounds."""
    print("empty pipelines for 10,000 studies; 1,000 async pipelines of 1 s")
    empty = [report_of("benchmarks.many_studies", "empty") for _ in range(REPETITIONS)]
    waiting = [report_of("benchmarks.many_studies", "waiting") for _ in range(REPETITIONS)]
    overhead = median([figures["seconds"] for figures in empty]) / 10_000 * 1000
    memory = max(figures["memory"] for figures in empty) / MEGABYTE
    waits = median([figures["seconds"] for figures in waiting])
    verdicts = [
        verdict("overhead for each study", overhead, 0.5, unit=" ms"),
        verdict("memory above the start", memory, 100, unit=" MB"),
        verdict("1,000 async pipelines of 1 s", waits, 2, unit=" s"),
    ]
    return all(verdicts)


def empty(*_: object) -> None:
    """Do nothing."""


async def waits(*_: object) -> None:
    """Wait a second."""
    await asyncio.sleep(1)


def measure(kind: str) -> None:
    """Run one kind once; print its wall-clock seconds and its peak of additional memory."""
    pipeline, count = (empty, 10_000) if kind == "empty" else (waits, 1_000)
    orchestrator = MultiStudyOrchestrator(registry_of(map(str, range(count))), 4)
    orchestrator.execute_pipeline(pipeline, whitelist={"0"})
    process = psutil.Process()
    before, peak = process.memory_info().rss, 0

    def measure_memory(_study_key: str, _result: object) -> None:
        nonlocal ended, peak
        ended += 1
        if ended % 500 == 0:
            peak = max(peak, process.memory_info().rss)

    ended = 0
    measured = MultiStudyOrchestrator(orchestrator.sdk, 4, on_result=measure_memory)
    started = time.perf_counter()
    results = measured.execute_pipeline(pipeline)
    seconds = time.perf_counter() - started
    peak = max(peak, process.memory_info().rss)
    if any(result["status"] != "SUCCESS" for result in results.values()):
        raise SystemExit("a study failed")
    print(json.dumps({"seconds": seconds, "memory": peak - before}))


if __name__ == "__main__":
    measure(sys.argv[1])
