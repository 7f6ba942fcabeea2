"""The pipeline `records`, compared with bare loops, the public package and the request limit.

The bare loops have the transport and the decoder of the pipeline, and nothing else of it.

Each measurement has a separate process, and reads from a server of prepared pages. The *window* is
the number of requests in flight.
"""

import functools
import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.dagster_run import added_mb, begin, cpu_seconds, materialize
from benchmarks.measuring import median, report_of, verdict
from benchmarks.prepared_registry import PAGE, prepared_registry

STUDIES = [f"S{number:02d}" for number in range(1, 6)]
RECORDS = 20_000
WINDOW = 8
LATENCY = 50.0
REPETITIONS = 5
MODULE = "benchmarks.extraction"
POSSIBLE = WINDOW * PAGE / (LATENCY / 1000)

_elapsed: list[float] = []

_PEERS = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"


def main() -> bool:
    """Print the figures; return whether all are within their bounds."""
    return all([*_throughput(), *_memory(), *_twelve_studies()])


# --- throughput ---


def _throughput() -> Iterator[bool]:
    print(f"{len(STUDIES)} studies × {RECORDS:,} records of 17 fields and 20 variables, rows/s")
    with prepared_registry(RECORDS, 0) as url:
        peers = ("bytes_only", "bare_threads", "bare_one", "bare_processes", *_PACKAGE)
        rates = _rates(("pipeline", *peers), url)
    rate = rates["pipeline"]
    for peer in ("bare_threads", "bare_one"):
        yield verdict(f"pipeline / {peer}", rate / rates[peer], 0.8, at_least=True)
    for peer in _PACKAGE:
        yield verdict(f"pipeline / {peer}", rate / rates[peer], 10, at_least=True)
    print(f"The same at {LATENCY:g} ms a page; the window allows {POSSIBLE:,.0f}")
    with prepared_registry(RECORDS, LATENCY) as url:
        delayed = _rates(("bytes_only", "pipeline"), url)
    yield verdict("pipeline / the window", delayed["pipeline"] / POSSIBLE, 0.75, at_least=True)


def _rates(kinds: tuple[str, ...], url: str) -> dict[str, float]:
    runs = [{kind: rate_of(kind, url) for kind in kinds} for _ in range(REPETITIONS)]
    rates = {kind: median([run[kind] for run in runs]) for kind in kinds}
    for kind, rate in rates.items():
        print(f"  {kind}: {rate:,.0f}")
    return rates


def rate_of(kind: str, url: str) -> float:
    """Measure one kind in a process of its own, and return its rows per second."""
    if kind not in _PACKAGE:
        return float(report_of(MODULE, kind, url)["rows_per_second"])
    with tempfile.TemporaryDirectory() as folder:
        command = [_PEERS, "-c", _PACKAGE_READS.format(_PACKAGE[kind]), url, f"{folder}/S01"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


# The public package reads one study in three ways: as its own objects; into its Parquet file, which
# lacks eleven of the seventeen fields; into its CSV file, which is the only one with all of them.
_PACKAGE = {
    "package_objects": "sdk.records.list('S01')",
    "package_parquet": "export_to_parquet(sdk, 'S01', sys.argv[2])",
    "package_csv": "export_records_csv(sdk, 'S01', sys.argv[2])",
}
_PACKAGE_READS = f"""
import sys, time, pandas, pyarrow
from imednet import ImednetSDK
from imednet.integrations.export import export_to_parquet
from imednet.utils.pandas import export_records_csv
sdk = ImednetSDK('key', 'key', sys.argv[1])
begun = time.perf_counter()
{{}}
print({RECORDS} / (time.perf_counter() - begun))
"""


def bytes_only(url: str) -> int:
    """Download every page, with as many requests at once as the window allows, and discard it."""
    get = _getter(url)
    with ThreadPoolExecutor(WINDOW) as pool:
        deque(pool.map(lambda page: len(get(*page)), _pages()), maxlen=0)
    return len(STUDIES) * RECORDS


def bare_one(url: str) -> int:
    """Download, decode and write one page after another."""
    get = _getter(url)
    return _written(_batch(get(*page)) for page in _pages())


def bare_threads(url: str) -> int:
    """Download and decode with as many threads as the window allows; write pages in order."""
    get = _getter(url)
    with ThreadPoolExecutor(WINDOW) as pool:
        return _written(pool.map(lambda page: _batch(get(*page)), _pages()))


def bare_processes(url: str) -> int:
    """Give each processor's process a share of the pages; the start of processes is not counted."""
    count = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    ready = (url, context.Barrier(count))
    shares = [_pages()[number::count] for number in range(count)]
    with ProcessPoolExecutor(count, context, initializer=_ready, initargs=ready) as pool:
        list(pool.map(len, shares))
        begun = time.perf_counter()
        rows = sum(pool.map(functools.partial(_share, url), shares))
        _elapsed.append(time.perf_counter() - begun)
    return rows


def _ready(url: str, all_ready: Any) -> None:
    """Load the modules that a share needs, and wait until all processes have done so."""
    _share(url, _pages()[:1])
    all_ready.wait()


def _share(url: str, pages: list[tuple[str, int]]) -> int:
    import pyarrow as pa

    get = _getter(url)
    table = pa.Table.from_batches([_batch(get(*page)) for page in pages])
    with tempfile.TemporaryDirectory() as folder:
        _write(table, f"{folder}/share")
    return int(table.num_rows)


def _pages() -> list[tuple[str, int]]:
    return [(study, page) for study in STUDIES for page in range(RECORDS // PAGE)]


def _getter(url: str) -> Callable[[str, int], bytes]:
    from orch_assets import ImednetSDK

    client = ImednetSDK("key", "key", url)._client  # noqa: SLF001 - the pipeline's transport

    def get(study: str, page: int) -> bytes:
        address = f"{url}/api/v1/edc/studies/{study}/records?size={PAGE}&page={page}"
        return client.get(address).content

    get("S01", 0)
    return get


def _batch(body: bytes) -> Any:
    from orch_assets.imednet.api_request import ApiRequest
    from orch_assets.imednet.models import Record
    from orch_assets.imednet.pages import page_of_columns

    return page_of_columns(Record, "recordId", ApiRequest("/records"), body).content


def _written(batches: Any) -> int:
    """Write one Parquet file for each study, as the stores do; return the number of rows."""
    import pyarrow as pa

    rows = 0
    pages = RECORDS // PAGE
    batches = iter(batches)
    with tempfile.TemporaryDirectory() as folder:
        for study in STUDIES:
            pages_of_study = [next(batches) for _ in range(pages)]
            table = pa.Table.from_batches(pages_of_study)
            _write(table, f"{folder}/{study}")
            rows += table.num_rows
    return rows


def _write(table: Any, path: str) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd", compression_level=1)


def pipeline(url: str) -> int:
    """Run the asset ``records`` for all studies in one Dagster run; its start is not counted."""
    return _materialize(url, STUDIES, ["records"])


def _materialize(url: str, studies: list[str], select: list[str]) -> int:
    rows, seconds = materialize(url, studies, select)
    _elapsed.append(seconds)
    return rows


# --- memory ---


def _memory() -> Iterator[bool]:
    print("One study's records: memory of the whole process, without its imports")
    figures = {}
    for millions in (1, 5):
        with prepared_registry(millions * 1_000_000, 0) as url:
            figures[millions] = report_of(MODULE, "memory", url)
        print(f"  {millions} M: {figures[millions]['seconds']:.0f} s")
    yield verdict("1 M records", figures[1]["mb"], 400, unit=" MB")
    yield verdict("5 M / 1 M", figures[5]["mb"] / figures[1]["mb"], 1.15)


def memory(url: str) -> int:
    """Read the records of one large study."""
    return _materialize(url, ["S01"], ["records"])


# --- twelve studies, all tables ---


def _twelve_studies() -> Iterator[bool]:
    print(f"12 studies × {RECORDS:,} records, all tables, {LATENCY:g} ms a page, one Dagster run")
    with prepared_registry(RECORDS, LATENCY) as url:
        runs = [report_of(MODULE, "twelve", url) for _ in range(REPETITIONS)]
    seconds = median([run["seconds"] for run in runs])
    # After a full last page, there is one more request, for an empty page.
    requests = 12 * (RECORDS // PAGE + 1 + len(_tables()) - 1)
    cpu = median([run["cpu"] / run["rows"] * 1e6 for run in runs])
    print(f"  {requests} requests in {seconds:.1f} s; CPU per 1,000 records: {cpu:.1f} ms")
    use = requests * LATENCY / 1000 / WINDOW / seconds
    yield verdict("share of the requests that the window allows", use, 0.7, at_least=True)


def twelve(url: str) -> int:
    """Run the pipelines of all tables for twelve studies."""
    return _materialize(url, [f"S{number:02d}" for number in range(1, 13)], _tables())


def _tables() -> list[str]:
    from orch_assets import pipelines
    from orch_assets.defs.discovery import discover_pipelines

    discovered = discover_pipelines(pipelines)
    return [each.name for each in discovered if each.reconciled and not each.on_request]


_LOADED = (
    "httpx",
    "pandas",
    "pyarrow.parquet",
    "orch_assets.definitions",
    "orch_assets.defs.graph_run",
    "orch_assets.stores.backends.local",
    "orch_assets.imednet.sdk",
    "orch_assets.imednet.endpoints",
    "orch_assets.imednet.arrow",
    "orch_assets.imednet.connections.retries",
    "orch_assets.imednet.blinding.split_stream",
    "orch_assets.imednet.blinding.split",
)


def load_modules() -> None:
    """Load what a run needs, so that its memory and CPU don't include it."""
    from orch_assets.defs.runs.arrow_memory import use_the_system_allocator

    use_the_system_allocator()  # as a run does, before it loads pyarrow
    for module in _LOADED:
        importlib.import_module(module)


def _report(kind: str, url: str) -> None:
    """Measure one kind in this process, and print the figures as JSON."""
    load_modules()
    begin()
    begun = time.perf_counter()
    rows = globals()[kind](url)
    seconds = _elapsed[-1] if _elapsed else time.perf_counter() - begun
    print(
        json.dumps(
            {
                "rows": rows,
                "seconds": seconds,
                "rows_per_second": rows / seconds,
                "mb": added_mb(),
                "cpu": cpu_seconds(),
            }
        )
    )


if __name__ == "__main__":
    _report(*sys.argv[1:])
