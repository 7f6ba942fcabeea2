"""Refreshing what a day changed, compared with an earlier commit that reads everything again.

4 studies × 20,000 records and 30,000 revisions at 50 ms a page, in Dagster runs of the shipped
pipelines; between the runs, 0.7 % of the records are edited, 0.2 % added and 0.1 % deleted. The
commit and this tree run in turn. CPU is that of the run's process, without its imports and without
Dagster's event log. Wall time is that of the run's step for the two tables, and that of
the whole run otherwise.

The commit is 2d6f6d3, or the one that ``REFRESH_COMMIT`` names; the clone must have it. On two idle
cores, this takes about four minutes. ``REFRESH_SIZE=full`` takes 12 studies and the medians of
three pairs of runs, in half an hour.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.changing_registry import changing_registry
from benchmarks.earlier import HERE, checkout
from benchmarks.measuring import median, verdict
from benchmarks.refresh_run import TABLES

COMMIT = "2d6f6d3"
FULL = os.environ.get("REFRESH_SIZE") == "full"
STUDIES = [f"S{number:02d}" for number in range(1, 13 if FULL else 5)]
RECORDS = 20_000
LARGE = 1_000_000
LATENCY = 50.0
REPETITIONS = 3 if FULL else 1

# The pipelines that the commit has, too.
_SAME = [
    *("codings", "form_tables", "forms", "intervals", "queries", "record_revisions", "records"),
    *("sites", "study", "study_summary", "subjects", "variables", "visits"),
]
_ALL: list[str] = []
_RUNS = [
    ("first", _ALL),
    "day",
    ("tables changed", TABLES),
    ("tables unchanged", TABLES),
    ("between", _SAME),
    "day",
    ("changed", _SAME),
    ("unchanged", _SAME),
    ("between", _ALL),
    "day",
    ("all changed", _ALL),
    ("all unchanged", _ALL),
]
# The commit reads everything each time, so what changed makes no difference.
_RUNS_BEFORE = [("first", _SAME), "day", ("tables", TABLES), ("whole", _SAME)]

Figures = Mapping[str, Any]


def main() -> bool:
    """Print the ratios; return whether all are within their bounds."""
    return all([*_rewrites(), *_studies(), *_large_study()])


def _studies() -> Iterator[bool]:
    print(f"{len(STUDIES)} studies × {RECORDS:,} records, {LATENCY:g} ms a page", flush=True)
    with checkout(os.environ.get("REFRESH_COMMIT", COMMIT)) as before:
        pairs = [(_of_studies(HERE, _RUNS), _before(before)) for _ in range(REPETITIONS)]

    def ratio(run: str, figure: str) -> float:
        values = [[each[run][figure] for each in side] for side in zip(*pairs, strict=True)]
        now, then = map(median, values)
        print(f"  {run}, {figure}: {now:.3g} s, before {then:.3g} s")
        return median([mine / theirs for mine, theirs in zip(*values, strict=True)])

    for run, bound in (("tables changed", 5), ("tables unchanged", 4)):
        requests = max(_requests(mine[run]) for mine, _ in pairs)
        print(f"  before: {_requests(pairs[0][1][run]):g} requests")
        yield verdict(f"{run}: requests a study", requests, bound)
    yield verdict("tables changed: wall time", ratio("tables changed", "step"), 1 / 8)
    yield verdict("tables changed: CPU", ratio("tables changed", "work"), 0.5)
    for name, prefix in (("whole run", ""), ("with pipelines that the commit lacks", "all ")):
        yield verdict(f"{name}, changed: CPU", ratio(f"{prefix}changed", "work"), 1 / 3)
        yield verdict(f"{name}, changed: wall time", ratio(f"{prefix}changed", "seconds"), 0.5)
        yield verdict(f"{name}, unchanged: CPU", ratio(f"{prefix}unchanged", "work"), 1 / 8)
        yield verdict(f"{name}, unchanged: wall time", ratio(f"{prefix}unchanged", "seconds"), 0.5)


def _requests(run: Figures) -> float:
    of_tables = run["requests"].get("records", 0) + run["requests"].get("recordRevisions", 0)
    return of_tables / len(STUDIES)


def _rewrites() -> Iterator[bool]:
    print("Merging and publishing, compared with pyarrow's bare rewrite of the file", flush=True)
    with changing_registry(RECORDS, 0, STUDIES[:1]) as url, tempfile.TemporaryDirectory() as home:
        figures = _measured(HERE, url, STUDIES[:1], home, kind="rewrite", days=5)
    for table, ratio in figures.items():
        yield verdict(f"{table}: CPU", ratio, 1.5)


def _large_study() -> Iterator[bool]:
    print(f"One study of {LARGE:,} records, {LATENCY:g} ms a page", flush=True)
    studies, loading, measured = STUDIES[:1], ["sites", "variables"], TABLES[:1]
    with changing_registry(LARGE, LATENCY, studies) as url, tempfile.TemporaryDirectory() as home:
        first, second = (
            _measured(HERE, url, studies, home, kind="runs", steps=steps)
            for steps in (
                [("loading", loading), ("whole", measured)],
                ["day", ("loading", loading), ("changed", measured)],
            )
        )
    whole, changed = first["whole"], second["changed"]
    yield verdict("added memory", changed["mb"], 250, unit=" MB")
    yield verdict("wall time / that of a whole reading", changed["step"] / whole["step"], 0.4)


def _before(tree: Path) -> Figures:
    """Return the commit's figures by the names of our runs."""
    runs = _of_studies(tree, _RUNS_BEFORE)
    return {
        f"{ours}{state}": runs[theirs]
        for ours, theirs in (("tables ", "tables"), ("", "whole"), ("all ", "whole"))
        for state in ("changed", "unchanged")
    }


def _of_studies(tree: Path, steps: Sequence[Any]) -> Figures:
    """Run a sequence of runs in a tree, on an account of its own."""
    with (
        changing_registry(RECORDS, LATENCY, STUDIES) as url,
        tempfile.TemporaryDirectory() as home,
    ):
        return _measured(tree, url, STUDIES, home, kind="runs", steps=steps)


def _measured(tree: Path, url: str, studies: Sequence[str], home: str, **arguments: Any) -> Figures:
    """Run `refresh_run` in a process that imports the package of a tree."""
    given = json.dumps({"url": url, "studies": studies, "home": home, **arguments})
    # Without -P, this folder would come before the tree's.
    command = [sys.executable, "-P", str(HERE / "benchmarks" / "refresh_run.py"), given]
    env = {**os.environ, "PYTHONPATH": str(tree)}
    figures: Figures = {}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, cwd=tree, env=env, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            figures = json.loads(line)
            if "run" in figures:
                _print_run("now" if tree == HERE else "before", figures)
        if process.wait():
            errors.seek(0)
            raise SystemExit(f"The runs failed in {tree}:\n{errors.read()[-3000:]}")
    return figures


def _print_run(side: str, run: Figures) -> None:
    seconds = f"{run['seconds']:.1f} s, step {run['step']:.1f} s"
    cpu = f"CPU {run['work']:.2f} s, of the event log {run['events']:.2f} s"
    print(f"  {side}, {run['run']}: {seconds}; {cpu}; {run['mb']:+.0f} MB", flush=True)
