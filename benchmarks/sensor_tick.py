"""What the daemon's sensors cost for 5,000 studies, compared with the commit before they scaled.

Both trees are measured alternately; see ``thousands``. The clone must have the commit.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.earlier import checkout
from benchmarks.measuring import median, verdict
from orch_assets.demo import DemoServer

BEFORE = "2d6f6d3"
HERE = Path(__file__).parents[1]
STUDIES = 5000
# 154 studies × 13 pipelines are 2,002 pairs.
KILLED_STUDIES = 154
REPETITIONS = 3


def main() -> bool:
    """Print the ratios to the earlier commit; return whether all are within their bounds."""
    print(f"{STUDIES} studies, CPU of the daemon's sensors, compared with {BEFORE}")
    with checkout(BEFORE) as before, DemoServer(studies=0, subjects=0) as server:
        for number in range(STUDIES):
            server.registry.add_study(f"S-{number:05}", subjects=0)
        return all([*_verdicts(before, server)])


def _verdicts(before: Path, server: DemoServer) -> Iterator[bool]:
    account = (server.base_url, server.api_key, server.security_key)
    now, then = _medians(before, "registry_tick", str(STUDIES), *account)
    reading = now["reading"]
    print(f"  of each tick of the registry sensor, reading the studies is {reading:.2f} s")
    yield _ratio("a tick when all studies are known", now["tick"], then["tick"], 1 / 3)
    now, then = _medians(before, "new_studies", str(STUDIES), *account, repetitions=1)
    yield verdict("ticks until all studies are added", now["ticks"], 5)
    yield _ratio("their CPU without creating runs", now["cpu"], then["cpu"], 1)
    now, then = _medians(before, "automation", str(STUDIES))
    yield _ratio("an hour of automation", now["hour"], then["hour"], 1 / 3)
    now, then = _medians(before, "results", str(KILLED_STUDIES))
    yield _ratio("study_results, 2,002 pairs never ended", now["cpu"], then["cpu"], 1 / 20)
    now, _ = _medians(HERE, "creating", "250", repetitions=1)
    per_pair = 1000 * now["cpu"] / now["pairs"]
    print(f"  creating the run of 250 studies: {now['cpu']:.1f} s, {per_pair:.1f} ms a pair")
    yield verdict("the run of a tick", now["cpu"], 60, unit=" s")


def _ratio(name: str, now: float, then: float, bound: float) -> bool:
    print(f"  {name}: {now:.3g} s, before {then:.3g} s")
    return verdict(f"{name}, ratio", now / then, bound)


def _medians(
    before: Path, kind: str, *arguments: str, repetitions: int = REPETITIONS
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return the median figures of this tree and of the earlier one, measured alternately."""
    trees = (HERE, before)
    reports = [[_report(tree, kind, *arguments) for tree in trees] for _ in range(repetitions)]
    now, then = (
        {name: median([report[name] for report in of_tree]) for name in of_tree[0]}
        for of_tree in zip(*reports, strict=True)
    )
    return now, then


def _report(tree: Path, kind: str, *arguments: str) -> dict[str, float]:
    # With `-P`, the package is that of the tree, not the one beside the script.
    command = [sys.executable, "-P", str(HERE / "benchmarks" / "thousands.py"), kind, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{kind} failed in {tree}:\n{done.stderr[-3000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures
