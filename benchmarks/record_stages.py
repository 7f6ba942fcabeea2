"""The CPU of the pipeline `records` by stage: 5 studies × 20,000 records in one Dagster run.

The CPU clock of the thread is read where a stage begins and where it ends. A stage within another
one doesn't count for the outer one. Reading the clock takes some of the time that it shows.
"""

import functools
import importlib
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from benchmarks import dagster_run, extraction
from benchmarks.measuring import median, report_of
from benchmarks.prepared_registry import prepared_registry

MODULE = "benchmarks.record_stages"
REPETITIONS = 3
OUTSIDE = "Dagster's run: plan, events, SQL, its database"

_IMEDNET = "orch_assets.imednet"
_STORES = "orch_assets.stores"
# Stage, module, and functions as attributes of the module: where a page is taken further.
_STAGES = (
    ("transfer: receive", f"{_IMEDNET}.http", ("receive",)),
    ("transfer: request, limiter, retries", f"{_IMEDNET}.http", ("RegistryHttp.fetch",)),
    ("decoding: msgspec", f"{_IMEDNET}.pages", ("decode_rows",)),
    ("decoding: Arrow columns", f"{_IMEDNET}.pages", ("record_batch",)),
    ("decoding: the rest", f"{_IMEDNET}.page_source", ("TablePages.decode",)),
    ("reconciliation", f"{_IMEDNET}.paging", ("TableRead._advance",)),
    ("joining pages", f"{_IMEDNET}.streams", ("one_batch",)),
    ("split of withheld values", f"{_IMEDNET}.blinding.split", ("_split_extra",)),
    ("Parquet encoding", "pyarrow.parquet", ("ParquetWriter.write_table", "ParquetWriter.close")),
    ("hashing and writing the file", f"{_STORES}.spooling", ("HashingFile.write",)),
    ("storing and committing", f"{_STORES}.publishing", ("Publisher.store", "Publisher.commit")),
    (
        "the rest of the study's thread",
        "orch_assets.orchestration.step_executor",
        ("StepExecutor._run_plain",),
    ),
)

_seconds: dict[str, float] = defaultdict(float)
_lock = threading.Lock()
_thread = threading.local()


def main() -> bool:
    """Print the table; there is no bound."""
    print(f"{len(extraction.STUDIES)} studies × {extraction.RECORDS:,} records, 0 ms a page")
    with prepared_registry(extraction.RECORDS, 0) as url:
        runs = [report_of(MODULE, url) for _ in range(REPETITIONS)]
    cpu = median([run["cpu"] for run in runs])
    thousands = len(extraction.STUDIES) * extraction.RECORDS / 1000
    print(f"  CPU ms per 1,000 records: {cpu / thousands * 1000:.1f}")
    for stage in (*(name for name, *_ in _STAGES), OUTSIDE):
        seconds = median([run[stage] for run in runs])
        print(f"  {seconds / cpu:6.1%} {seconds / thousands * 1000:6.2f} ms  {stage}")
    return True


def _measured(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        _enter(stage)
        try:
            return function(*args, **kwargs)
        finally:
            _leave()

    return measured


def _enter(stage: str) -> None:
    stack = _thread.__dict__.setdefault("stack", [])
    now = time.thread_time()
    if stack:
        stage_outside, began = stack[-1]
        _count(stage_outside, began, now)
    stack.append((stage, now))


def _leave() -> None:
    stage, began = _thread.stack.pop()
    _count(stage, began, time.thread_time())
    if _thread.stack:
        outer, _ = _thread.stack.pop()
        _thread.stack.append((outer, time.thread_time()))


def _count(stage: str, began: float, now: float) -> None:
    with _lock:
        _seconds[stage] += now - began


def _measure_stages() -> None:
    for stage, module, functions in _STAGES:
        for function in functions:
            *path, name = function.split(".")
            owner = functools.reduce(getattr, path, importlib.import_module(module))
            setattr(owner, name, _measured(stage, getattr(owner, name)))


def _report(url: str) -> None:
    extraction.load_modules()
    _measure_stages()
    begin = dagster_run.begin

    def begin_with_stages() -> None:
        _seconds.clear()
        begin()

    dagster_run.begin = begin_with_stages
    extraction.pipeline(url)
    cpu = dagster_run.cpu_seconds()
    stages = {stage: _seconds[stage] for stage, *_ in _STAGES}
    print(json.dumps({**stages, "cpu": cpu, OUTSIDE: cpu - sum(stages.values())}))


if __name__ == "__main__":
    if sys.argv[1:]:  # a server's URL: this process measures
        _report(*sys.argv[1:])
    else:
        sys.exit(not main())
