"""All pipelines of a thousand studies in one run: its memory, and whether every state is right.

``STUDIES=200`` measures fewer. A thousand take about twelve minutes. The command
``orch-assets run`` has a process of its own, and so has the simulator. One of its studies is
forbidden: it must fail, and the others succeed.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import verdict

STUDIES = int(os.environ.get("STUDIES", "1000"))
_SERVER = """
import sys, threading
from orch_assets.demo import DemoServer

with DemoServer(studies=int(sys.argv[1]), subjects=5) as server:
    forbidden = server.registry.study_keys()[1]
    server.registry.forbid_study(forbidden)
    print(server.base_url, server.api_key, server.security_key, forbidden, flush=True)
    threading.Event().wait()
"""


def main() -> bool:
    """Print the figures; return whether they are within their bounds."""
    print(f"{STUDIES:,} studies × all pipelines, in one run", flush=True)
    with _account() as forbidden, tempfile.TemporaryDirectory() as home:
        Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        os.environ["DAGSTER_HOME"] = home
        begun = time.perf_counter()
        used = _run()
        seconds = time.perf_counter() - begun
        pipelines, wrong = _wrong_states(forbidden)
    cpu = used.ru_utime + used.ru_stime
    print(f"  {pipelines} pipelines, {seconds:.0f} s, CPU {cpu:.0f} s")
    verdicts = [
        verdict("largest memory, with all imports", used.ru_maxrss / 1024, 400, unit=" MB"),
        verdict("wrong states", wrong, 0),
    ]
    return all(verdicts)


@contextmanager
def _account() -> Iterator[str]:
    """Serve the account; yield the key of the study that it forbids."""
    command = [sys.executable, "-c", _SERVER, str(STUDIES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            names = ("IMEDNET_BASE_URL", "IMEDNET_API_KEY", "IMEDNET_SECURITY_KEY")
            *values, forbidden = server.stdout.readline().split()
            os.environ |= dict(zip(names, values, strict=True))
            os.environ |= {"ORCH_REGISTRY": "imednet"}
            yield forbidden
        finally:
            server.terminate()


def _run() -> resource.struct_rusage:
    """Run everything; return what the command's process used."""
    command = [sys.executable, "-m", "orch_assets", "run"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 1, process.returncode  # the forbidden study
    return used


def _wrong_states(forbidden: str) -> tuple[int, int]:
    """Return the number of pipelines, and of the pairs that have another state than they must."""
    import dagster as dg

    from orch_assets.definitions import defs
    from orch_assets.defs.partitions import STUDIES_NAME

    assets = defs.resolve_job_def("study_pipelines").asset_layer.executable_asset_keys
    with dg.DagsterInstance.get() as instance:
        studies = {*instance.get_dynamic_partitions(STUDIES_NAME)}
        found = {each: instance.get_materialized_partitions(each) for each in assets}
        runs = instance.get_runs(dg.RunsFilter(job_name="study_pipelines"))
    assert (len(studies), len(runs)) == (STUDIES, 1)
    wrong = 0
    for key, done in found.items():
        # Of the forbidden study, there is only what the account's list of studies says.
        right = studies if key == dg.AssetKey("study") else studies - {forbidden}
        wrong += len(right ^ done)
    return len(assets), wrong
