"""One code location's runs on a changing account, for `refresh`; it runs in an earlier tree, too.

It takes a JSON object and prints one, after one for each run that has ended. It uses only names
that both trees have, and nothing of ``benchmarks``: the earlier tree has other ones.
"""

import inspect
import json
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
TABLES = ("records", "record_revisions")


class EventLog:
    """The CPU seconds that Dagster's events take: to make, to store and to read them."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._thread = threading.local()

    def count_all(self, owner: Any) -> None:
        """Count all public functions of a class."""
        for name in dir(owner):
            if not name.startswith("_") and inspect.isfunction(getattr(owner, name)):
                self.count(owner, name)

    def count(self, owner: Any, name: str) -> None:
        """Count a function, unless it is called by one that is counted."""
        function = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._thread, "within", False):
                return function(*args, **kwargs)
            self._thread.within, begun = True, time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - begun
                self._thread.within = False

        setattr(owner, name, counted)


def runs(url: str, studies: Sequence[str], steps: Sequence[Any], home: str) -> dict[str, Any]:
    """Run the pipelines again and again in a home; return the figures of each run.

    Args:
        url: The account.
        studies: The keys of its studies.
        steps: Names of runs, each with the pipelines to run (all if none is named); ``"day"`` lets
            a day pass.
        home: ``DAGSTER_HOME``.
    """
    import dagster as dg

    from orch_assets.definitions import defs

    log = EventLog()
    log.count(dg.DagsterInstance, "handle_new_event")
    try:
        from orch_assets.defs.runs.result_log import ResultLog

        log.count(ResultLog, "_log")
    except ImportError:  # an earlier tree logs each result by itself
        pass
    figures: dict[str, Any] = {}
    with dg.DagsterInstance.from_config(home) as instance:
        log.count_all(type(instance.event_log_storage))
        instance.add_dynamic_partitions("studies", list(studies))
        job = defs.resolve_job_def("study_pipelines")
        for step in steps:
            if step == "day":
                _get(f"{url}/day")
                continue
            name, select = step
            figures[name] = _run(instance, job, studies, select, log)
            figures[name]["requests"] = _get(f"{url}/requests")
            print(json.dumps({"run": name, **figures[name]}), flush=True)
    return figures


def _run(
    instance: Any, job: Any, studies: Sequence[str], select: Sequence[str], log: EventLog
) -> dict[str, Any]:
    import dagster as dg

    tags = {
        "dagster/asset_partition_range_start": studies[0],
        "dagster/asset_partition_range_end": studies[-1],
    }
    before, begun, stored = time.process_time(), time.perf_counter(), log.seconds
    memory = _begin_peak()
    done = job.execute_in_process(
        instance=instance,
        tags=tags,
        run_config=_QUIET,
        asset_selection=[dg.AssetKey(name) for name in select] or None,
        raise_on_error=True,
    )
    seconds, cpu = time.perf_counter() - begun, time.process_time() - before
    events = log.seconds - stored
    (step,) = instance.get_run_step_stats(done.run_id)
    return {
        "seconds": seconds,
        "step": step.end_time - step.start_time,
        "cpu": cpu,
        "events": events,
        "work": cpu - events,
        "mb": _peak_mb() - memory,
    }


def _get(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def _begin_peak() -> float:
    """Do what ``benchmarks.measuring.begin_peak`` does, which an earlier tree may lack."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_mb()


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [each for each in lines if each.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def rewrite(url: str, studies: Sequence[str], days: int, home: str) -> dict[str, Any]:
    """Compare merging and publishing a study's tables with pyarrow's bare rewrite of the files.

    Requests, and the decoding of their answers, are not counted.
    """
    from orch_assets import ImednetSDK, LocalPipelineStore

    sdk, store = ImednetSDK(), LocalPipelineStore(f"{home}/store")
    figures = {}
    for name in TABLES:
        endpoint = getattr(sdk, name)
        whole = endpoint.refresh(studies[0])
        store.publish_stream(whole, whole.schema, name)
        ratios = []
        for _ in range(days):
            _get(f"{url}/day")
            stream = endpoint.refresh(studies[0], store.previous(name))
            if not stream.refresh.merged:  # this reads what changed
                raise SystemExit(f"{name} was read whole: {stream.refresh.changes.reason}")
            begun = time.process_time()
            uri = store.publish_stream(stream, stream.schema, name).uri
            merging = time.process_time() - begun
            ratios.append(merging / _bare_rewrite(uri.removeprefix("file://"), home))
        figures[name] = sorted(ratios)[days // 2]
    return figures


def _bare_rewrite(path: str, home: str) -> float:
    """Return the CPU seconds that pyarrow needs to read and write a Parquet file."""
    import pyarrow.parquet as pq

    begun = time.process_time()
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(0).column(0)
        schema = file.schema_arrow
        level = {"compression": column.compression, "compression_level": 1}
        with pq.ParquetWriter(f"{home}/rewritten", schema, **level) as writer:
            for number in range(file.num_row_groups):
                writer.write_table(file.read_row_group(number))
    return time.process_time() - begun


KINDS: dict[str, Callable[..., dict[str, Any]]] = {"runs": runs, "rewrite": rewrite}


def main(arguments: dict[str, Any]) -> None:
    """Measure, and print the figures."""
    home, url, studies = (arguments[name] for name in ("home", "url", "studies"))
    Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    os.environ.update(
        DAGSTER_HOME=home,
        IMEDNET_API_KEY="key",
        IMEDNET_SECURITY_KEY="key",
        IMEDNET_BASE_URL=url,
        IMEDNET_MAX_WORKERS=str(len(studies)),
    )
    print(json.dumps(KINDS[arguments.pop("kind")](**arguments)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
