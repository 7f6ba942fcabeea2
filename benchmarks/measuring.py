"""Measuring and printing, as all benchmarks do it."""

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence


def child_cpu(command: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """Run a command and return the CPU seconds that it and its children used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def begin_peak() -> float:
    """Forget this process's largest memory so far; return its memory now, in MB.

    ``ru_maxrss`` begins with the memory of the process that started this one.
    """
    with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123 - no regular file
        file.write("5")
    return peak_mb()


def peak_mb() -> float:
    """Return this process's largest memory, in MB."""
    with open("/proc/self/status") as file:  # noqa: PTH123 - no regular file
        (line,) = [line for line in file if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def report_of(module: str, *arguments: str) -> dict[str, float]:
    """Run a module in a new process and return the JSON object that it prints last."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def verdict(
    name: str, value: float, bound: float, *, at_least: bool = False, unit: str = ""
) -> bool:
    """Print a figure and its bound; return whether the figure is within the bound."""
    within = value >= bound if at_least else value <= bound
    relation = "at least" if at_least else "at most"
    mark = "ok  " if within else "FAIL"
    print(f"  {mark} {name}: {value:.2f}{unit} ({relation} {bound:g}{unit})", flush=True)
    return within


def median(values: Sequence[float]) -> float:
    """Return the median of the values."""
    return statistics.median(values)
