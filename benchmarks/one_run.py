"""The CPU time of one run for 20 studies, compared with 20 runs; measured for whole processes."""

import sys
import tempfile

import dagster as dg

from benchmarks.measuring import child_cpu, median, verdict

STUDIES = [f"S-{number:02}" for number in range(20)]
REPETITIONS = 3


def main() -> bool:
    """Print the ratio; return whether it is within its bound."""
    print("one run for 20 studies, compared with 20 runs (multiprocess executor, the default)")
    ratios = []
    for _ in range(REPETITIONS):
        with tempfile.TemporaryDirectory() as home:
            with dg.DagsterInstance.local_temp(home) as instance:
                instance.add_dynamic_partitions("studies", STUDIES)
            one = _materialize(home, "graph", "empty_0", f"--partition-range={_range()}")
            each = sum(
                _materialize(home, "plain", "plain", f"--partition={study}") for study in STUDIES
            )
        print(f"  one run {one:.2f} CPU s, 20 runs {each:.2f} CPU s")
        ratios.append(each / one)
    return verdict("20 runs / one run", median(ratios), 12, at_least=True)


def _range() -> str:
    return f"{STUDIES[0]}...{STUDIES[-1]}"


def _materialize(home: str, location: str, asset: str, partition: str) -> float:
    command = [sys.executable, "-m", "dagster", "asset", "materialize"]
    command += ["-m", "benchmarks.locations", "--select", asset, partition]
    return child_cpu(command, {"DAGSTER_HOME": home, "BENCH_LOCATION": location})
