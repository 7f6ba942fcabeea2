"""All pipelines of a thousand studies in one run: its memory, and whether every state is right.

``STUDIES=200`` measures fewer. A thousand take about half an hour. The simulator has a process of
its own, and one of its studies is forbidden: it must fail, and the others succeed.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.measuring import begin_peak, peak_mb, report_of, verdict

STUDIES = int(os.environ.get("STUDIES", "1000"))
MODULE = "benchmarks.thousand_studies"
_SERVER = """
import sys, threading
from orch_assets.demo import DemoServer

with DemoServer(studies=int(sys.argv[1]), subjects=5) as server:
    server.registry.forbid_study(server.registry.study_keys()[1])
    forbidden = server.registry.study_keys()[1]
    print(server.base_url, server.api_key, server.security_key, forbidden, flush=True)
    threading.Event().wait()
"""


def main() -> bool:
    """Print the figures; return whether they are within their bounds."""
    print(f"{STUDIES:,} studies × all pipelines, in one run")
    with _account() as forbidden:
        found = report_of(MODULE, forbidden)
    pipelines, seconds, cpu = found["pipelines"], found["seconds"], found["cpu"]
    print(f"  {pipelines:.0f} pipelines, {seconds:.0f} s, CPU {cpu:.0f} s")
    print(f"  the largest memory, with all imports: {found['mb']:.0f} MB")
    verdicts = [
        verdict("peak memory", found["mb"], 400, unit=" MB"),
        verdict("wrong states", found["wrong"], 0),
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


def _run(forbidden: str) -> dict[str, float]:
    """Run everything; count the pairs whose newest event isn't what it must be."""
    import dagster as dg

    from orch_assets.definitions import defs
    from orch_assets.defs.partitions import STUDIES_NAME, range_tags
    from orch_assets.defs.resources import RegistryResource

    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"DAGSTER_HOME": home, "DAGSTER_DISABLE_TELEMETRY": "1"}
        with dg.DagsterInstance.from_config(home) as instance:
            listed = RegistryResource().sdk.studies.list()
            studies = sorted(study.study_key for study in listed)
            instance.add_dynamic_partitions(STUDIES_NAME, studies)
            job = defs.resolve_job_def("study_pipelines")
            begin_peak()
            begun, cpu = time.perf_counter(), time.process_time()
            done = job.execute_in_process(
                instance=instance,
                tags=range_tags(studies[0], studies[-1]),
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
            figures = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - cpu}
            figures["mb"] = peak_mb()
            assert not done.success
            assets = sorted(job.asset_layer.executable_asset_keys)
            found = {each: instance.get_materialized_partitions(each) for each in assets}
    # Of the forbidden study, only what the account's list of studies says.
    right, listed_asset = {*studies} - {forbidden}, dg.AssetKey("study")
    wrong = sum(len(right.symmetric_difference(each - {forbidden})) for each in found.values())
    wrong += sum((forbidden in each) is not (key == listed_asset) for key, each in found.items())
    return {**figures, "pipelines": len(assets), "wrong": wrong}


if __name__ == "__main__":
    import json

    print(json.dumps(_run(*sys.argv[1:])))
