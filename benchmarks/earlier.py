"""Compares this tree with an earlier commit in one session.

``python -m benchmarks.earlier COMMIT [RUNS]`` checks the commit out into a temporary folder. It
runs the benchmark modules of both trees alternately, with the same servers, and prints the medians
and their ratios (this tree / the commit). The clone must have the commit.

``python -m benchmarks.earlier COMMIT RUNS records`` compares what a record costs, in the same way:
with the commit, with a bare loop, with only the bytes, and with the objects of the public package.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.extraction import LATENCY, RECORDS, STUDIES, rate_of
from benchmarks.measuring import median, verdict
from benchmarks.prepared_registry import PAGE, prepared_registry
from orch_assets_tests.support.cloud_servers import s3_client, s3_server

HERE = Path(__file__).parents[1]
RUNS = 9
BOUND = 1.1
# A publication claims its place in the order: one request more than five, or four.
MORE_REQUESTS = 1.25

_MAKESPAN = """
import json, benchmarks.makespan as makespan
makespan.SEEDS = 1
ratios = [*makespan._ratios(longest_first=False), *makespan._ratios(longest_first=True)]
print(json.dumps({"makespan": sum(ratios) / len(ratios)}))
"""
# Dagster executes its SQL through SQLAlchemy, whichever storage it uses.
_STATEMENTS = """
import json, runpy, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
statements = []
event.listen(Engine, "before_cursor_execute", lambda *_: statements.append(1))
sys.argv = ["event_overhead", "graph"]
runpy.run_module("benchmarks.event_overhead", run_name="__main__")
print(json.dumps({"statements": len(statements)}))
"""
# The requests to S3 for a version that changes, one that doesn't, and a reading; then the CPU time
# of publishing tables of 80 MB on a disk, which replace each other.
_PUBLICATIONS = """
import itertools, json, tempfile, time
import numpy as np, pandas as pd
from orch_assets.stores import LocalPipelineStore, S3PipelineStore
store, seen = S3PipelineStore("clinical", f"history/{time.time()}"), []
frames = [pd.DataFrame({"n": range(size)}) for size in (1, 2)]
store.upload(frames[0], "x")
store._backend._client.meta.events.register("before-send.s3", lambda **_: seen.append(1))
def requests(work, *arguments):
    seen.clear()
    work(*arguments)
    return len(seen)
figures = {
    "changed": requests(store.upload, frames[1], "x"),
    "again": requests(store.upload, frames[1], "x"),
    "read": requests(store.download, "x"),
}
random = np.random.default_rng(1)
large = itertools.cycle(
    pd.DataFrame({f"value_{n}": random.normal(size=1_000_000) for n in range(10)}) for _ in "ab"
)
with tempfile.TemporaryDirectory() as folder:
    store = LocalPipelineStore(folder)
    for _ in "ab":
        store.upload(next(large), "x")
    before = time.process_time()
    for _ in range(6):
        store.upload(next(large), "x")
    figures["cpu"] = time.process_time() - before
print(json.dumps(figures))
"""


def main() -> bool:
    """Print the ratios; return whether none exceeds the bound."""
    commit, *options = sys.argv[1:]
    runs = int(options[0]) if options else RUNS
    ratios = _record_ratios if "records" in options else _all_ratios
    with checkout(commit) as before:
        return all([*ratios(before, runs)])


def _all_ratios(before: Path, runs: int) -> Iterator[bool]:
    yield from _ratios(before, runs, "makespan", ["-c", _MAKESPAN], ["makespan"])
    extraction = ["-m", "benchmarks.extraction"]
    with prepared_registry(RECORDS, 0) as url:
        yield from _ratios(
            before, runs, "5 studies, 0 ms", [*extraction, "pipeline", url], ["seconds", "cpu"]
        )
    with prepared_registry(RECORDS, LATENCY) as url:
        yield from _ratios(
            before,
            runs,
            f"12 studies, all tables, {LATENCY:g} ms",
            [*extraction, "twelve", url],
            ["seconds", "cpu"],
        )
    with s3_server() as settings:
        os.environ.update(settings)
        s3_client(settings).create_bucket(Bucket="clinical")
        for kind in ("upload", "download"):
            command = ["-m", "benchmarks.stores", kind]
            yield from _ratios(before, runs, kind, command, ["seconds", "mb"])
        publications = ["changed", "again", "read"]
        yield from _ratios(
            before, 1, "requests", ["-c", _PUBLICATIONS], publications, bound=MORE_REQUESTS
        )
        yield from _ratios(before, 3, "publishing on a disk", ["-c", _PUBLICATIONS], ["cpu"])
    events = ["-m", "benchmarks.event_overhead", "graph"]
    yield from _ratios(before, runs, "200 studies × 10 empty pipelines", events, ["cpu"])
    yield from _ratios(before, 1, "the same run", ["-c", _STATEMENTS], ["statements"], bound=1)


def _record_ratios(before: Path, runs: int) -> Iterator[bool]:
    """Print what a record costs, compared with the commit and with the peers of `extraction`."""
    print(f"{len(STUDIES)} studies × {RECORDS:,} records, 0 ms a page")
    with prepared_registry(RECORDS, 0) as url, prepared_registry(PAGE, 0) as short:
        now, then = _medians(before, runs, "pipeline", url)
        least, least_before = _medians(before, runs, "pipeline", short)
        yield verdict("CPU", now["cpu"] / then["cpu"], 0.7)
        of_records = (now["cpu"] - least["cpu"]) / (then["cpu"] - least_before["cpu"])
        yield verdict("CPU without that of a run of one page a study", of_records, 0.7)
        rate = now["rows_per_second"]
        yield verdict("rows/s", rate / then["rows_per_second"], 1.5, at_least=True)
        yield verdict("added memory", now["mb"] / then["mb"], 1)
        for peer, bound in (("bare_one", 0.75), ("bare_threads", 0.75), ("package_objects", 5)):
            peers_rate = median([rate_of(peer, url) for _ in range(runs)])
            yield verdict(f"rows/s / {peer}", rate / peers_rate, bound, at_least=True)
    print(f"The same at {LATENCY:g} ms a page; 12 studies, all tables")
    with prepared_registry(RECORDS, LATENCY) as url:
        rates = [(rate_of("pipeline", url), rate_of("bytes_only", url)) for _ in range(runs)]
        bytes_share = median([rate / peers_rate for rate, peers_rate in rates])
        yield verdict("rows/s / bytes_only", bytes_share, 0.9, at_least=True)
        now, then = _medians(before, runs, "twelve", url)
        twelve = now["rows_per_second"] / then["rows_per_second"]
        yield verdict("12 studies, rows/s", twelve, 1.5, at_least=True)


def _medians(
    before: Path, runs: int, kind: str, url: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Run a kind of `extraction` in both trees alternately; return the medians of each."""
    command = ["-m", "benchmarks.extraction", kind, url]
    pairs = [(_report(HERE, command), _report(before, command)) for _ in range(runs)]
    medians = []
    for tree in zip(*pairs, strict=True):
        medians.append({figure: median([run[figure] for run in tree]) for figure in tree[0]})
        print(f"  {kind}:", {figure: round(value, 3) for figure, value in medians[-1].items()})
    return medians[0], medians[1]


def _ratios(
    before: Path,
    runs: int,
    name: str,
    command: Sequence[str],
    figures: Sequence[str],
    bound: float = BOUND,
) -> Iterator[bool]:
    """Run a command in both trees alternately, and compare the medians of the printed figures."""
    pairs = [(_report(HERE, command), _report(before, command)) for _ in range(runs)]
    for figure in figures:
        now = median([mine[figure] for mine, _ in pairs])
        then = median([theirs[figure] for _, theirs in pairs])
        print(f"  {name}, {figure}: {now:.4g}, before {then:.4g}", flush=True)
        yield verdict(f"{name}, {figure}", now / then, bound)


def _report(tree: Path, command: Sequence[str]) -> dict[str, float]:
    # `-c` and `-m` put the working folder first on the path, so each tree imports its own package.
    done = subprocess.run(
        [sys.executable, *command], cwd=tree, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed in {tree}:\n{done.stderr[-3000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Give a folder with the tree of a commit; ``EARLIER_TREE`` names one that is there already."""
    if tree := os.environ.get("EARLIER_TREE"):
        yield Path(tree)
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        git = ["git", "-C", str(HERE), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
