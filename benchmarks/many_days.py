"""Sixty daily runs with upkeep: what is stored levels off, and a run costs what the second did.

Three studies of the simulator, in one process, with every pipeline and ``study_results`` each day,
and upkeep after it. So that sixty days take minutes, a day is the time from one run to the next:
upkeep keeps runs, versions and failure reports of the last ten runs, and manifests of the last
three. One account lives a day before each run; the other never changes, so that its runs can be
compared.

``python -m benchmarks many_days`` prints the figures and draws ``docs/explanation/upkeep.png``.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measuring import verdict

RUNS = 60
SHOWN = (1, 2, 10, 20, 30, 40, 50, 60)
KEPT_RUNS, KEPT_MANIFESTS = 10, 3
STUDIES, SUBJECTS = 3, 5
PICTURE = Path(__file__).parents[1] / "docs" / "explanation" / "upkeep.png"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def main() -> bool:
    """Print the figures of some runs; return whether the ratios are within their bounds."""
    found = {}
    for kind in ("unchanged", "living"):
        print(f"{RUNS} daily runs of {STUDIES} studies with upkeep, {kind} account", flush=True)
        command = [sys.executable, "-m", "benchmarks.many_days", kind]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            lines = []
            for line in child.stdout:
                figures = json.loads(line)
                lines.append(figures)
                if figures["run"] in SHOWN:
                    print(f"  {figures}", flush=True)
        found[kind] = lines
    draw(found)
    return _verdicts(found)


def _verdicts(found: dict[str, list[dict[str, float]]]) -> bool:
    unchanged, living = found["unchanged"], found["living"]
    second, last = unchanged[1], unchanged[-1]

    def mean(lines: list[dict[str, float]], name: str) -> float:
        return sum(line[name] for line in lines) / len(lines)

    verdicts = [
        verdict("SQL statements, last / second run", last["sql"] / second["sql"], 1.02),
        verdict("files written, last / second run", last["written"] / second["written"], 1.0),
        verdict(
            "CPU, mean of the last five / of runs 2 to 6",
            mean(unchanged[-5:], "cpu") / mean(unchanged[1:6], "cpu"),
            1.15,
        ),
    ]
    for kind, lines in (("unchanged", unchanged), ("living", living)):
        for name in ("files", "manifests", "events"):
            ratio = mean(lines[-10:], name) / mean(lines[20:30], name)
            verdicts.append(verdict(f"{name}, last ten runs / runs 21-30, {kind}", ratio, 1.05))
    return all(verdicts)


def draw(found: dict[str, list[dict[str, float]]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    titles = {"files": "files", "manifests": "manifests", "events": "event log, MB"}
    figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        for kind, lines in found.items():
            scale = 1e6 if name == "events" else 1
            axis.plot(
                [line["run"] for line in lines],
                [line[name] / scale for line in lines],
                label=f"{kind} account",
            )
        axis.set_title(title)
        axis.set_xlabel("daily run, upkeep after each")
        axis.set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    figure.savefig(PICTURE, dpi=110)


@contextmanager
def _account() -> Iterator["subprocess.Popen[str]"]:
    """Serve an account in a process of its own; it lives a day for each line that it reads."""
    command = [sys.executable, "-m", "benchmarks.many_days", "serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            yield server
        finally:
            server.terminate()


def _ask(server: "subprocess.Popen[str]") -> str:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("\n")
    server.stdin.flush()
    return server.stdout.readline().strip()


def serve() -> None:
    """Serve an account; print its URL for each line read, a day later from the second on."""
    from orch_assets.demo import DemoServer

    with DemoServer(studies=STUDIES, subjects=SUBJECTS) as server:
        for number, _ in enumerate(sys.stdin):
            if number:
                server.registry.live_day()
            print(server.base_url, flush=True)


def measure(kind: str) -> None:
    """Run every day; print a JSON object with the figures of each."""
    with tempfile.TemporaryDirectory() as home, _account() as server:
        Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        os.environ.update(
            DAGSTER_HOME=home,
            IMEDNET_API_KEY="demo-api-key",
            IMEDNET_SECURITY_KEY="demo-security-key",
            IMEDNET_BASE_URL=_ask(server),
        )
        for line in _days(Path(home), server if kind == "living" else None):
            print(json.dumps(line), flush=True)


def _days(home: Path, server: "subprocess.Popen[str] | None") -> Iterator[dict[str, Any]]:
    import dagster as dg
    import httpx

    from orch_assets.definitions import defs
    from orch_assets_tests.support.statements import counted_statements

    begun: list[datetime] = []
    with dg.DagsterInstance.get() as instance:
        studies = _studies(httpx)
        instance.add_dynamic_partitions("studies", studies)
        for number in range(1, RUNS + 1):
            if server and number > 1:
                _ask(server)
            begun.append(datetime.now(UTC))
            before, cpu = _files(home), time.process_time()
            with counted_statements() as statements:
                _run(instance, defs, studies)
            figures = {"run": number, "cpu": round(time.process_time() - cpu, 2)}
            written = _files(home) - before
            cpu = time.process_time()
            _upkeep(instance, home, begun)
            left = _files(home)
            yield {
                **figures,
                "upkeep_cpu": round(time.process_time() - cpu, 2),
                "sql": len(statements),
                "written": len(written),
                "files": len(left),
                "manifests": sum("/manifests/" in each for each in left),
                "events": _event_log(home),
            }


def _studies(httpx: Any) -> list[str]:
    headers = {"x-api-key": "demo-api-key", "x-imn-security-key": "demo-security-key"}
    url = f"{os.environ['IMEDNET_BASE_URL']}/api/v1/edc/studies"
    return sorted(each["studyKey"] for each in httpx.get(url, headers=headers).json()["data"])


def _run(instance: Any, defs: Any, studies: list[str]) -> None:
    tags = {
        "dagster/asset_partition_range_start": studies[0],
        "dagster/asset_partition_range_end": studies[-1],
    }
    for job, tags_of_job in (("study_pipelines", tags), ("refresh_study_results", {})):
        done = defs.resolve_job_def(job).execute_in_process(
            instance=instance, tags=tags_of_job, run_config=_QUIET, raise_on_error=True
        )
        assert done.success


def _upkeep(instance: Any, home: Path, begun: list[datetime]) -> None:
    from orch_assets.defs.upkeep.whole_upkeep import Upkeep
    from orch_assets.stores import open_store
    from orch_assets.stores.maintenance.upkeep_terms import Cutoffs

    def since(runs: int) -> datetime:
        return begun[-runs] if len(begun) >= runs else begun[0]

    cutoffs = Cutoffs(
        manifests=since(KEPT_MANIFESTS),
        versions=since(KEPT_RUNS),
        reports=since(KEPT_RUNS),
        leftovers=since(KEPT_RUNS),
    )
    stores = open_store(home / "artifacts"), open_store(home / "artifacts/restricted", private=True)
    upkeep = Upkeep(instance, stores)
    for line in upkeep.run(cutoffs):
        print(line, file=sys.stderr)
    assert not upkeep.problems, upkeep.problems


def _files(home: Path) -> set[str]:
    return {str(each.relative_to(home)) for each in home.rglob("*") if each.is_file()}


def _event_log(home: Path) -> int:
    """Return the bytes of Dagster's event log: its index, and the file of each run."""
    files = home.glob("history/runs/*.db*")
    return sum(each.stat().st_size for each in files)


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else measure(sys.argv[1])
