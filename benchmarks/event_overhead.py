"""A run of 200 studies × 10 empty pipelines, compared with a loop that logs the same events."""

import json
import sys
import time
from collections.abc import Iterator

import dagster as dg

from benchmarks.locations import graph_location
from benchmarks.measuring import median, report_of, verdict
from orch_assets.defs.events import StoredResult, success
from orch_assets.defs.partitions import range_tags, studies

STUDIES = [f"S-{number:03}" for number in range(200)]
PIPELINES = 10
REPETITIONS = 3


def main() -> bool:
    """Print the ratio; return whether it is within its bound."""
    print(f"{len(STUDIES)} studies × {PIPELINES} empty pipelines in one run")
    ratios = []
    for _ in range(REPETITIONS):
        graph = report_of("benchmarks.event_overhead", "graph")["cpu"]
        bare = report_of("benchmarks.event_overhead", "bare")["cpu"]
        print(f"  study graph {graph:.2f} CPU s, bare loop {bare:.2f} CPU s")
        ratios.append(graph / bare)
    return verdict("study graph / bare loop", median(ratios), 1.3)


def bare_location() -> dg.Definitions:
    """Return a multi-asset that logs the same events as the graph, in a loop."""
    keys = [dg.AssetKey(f"empty_{number}") for number in range(PIPELINES)]

    @dg.multi_asset(
        specs=[dg.AssetSpec(key, partitions_def=studies, skippable=True) for key in keys],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def bare(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        for study in context.partition_keys:
            for key in keys:
                context.log_event(success(key, study, StoredResult(), 0.001, "demo"))
        yield from ()

    return dg.Definitions(assets=[bare], jobs=[dg.define_asset_job("everything", selection=[bare])])


def measure(kind: str) -> None:
    """Run one kind once; print its CPU seconds without imports and set-up."""
    defs = graph_location(PIPELINES) if kind == "graph" else bare_location()
    job = defs.resolve_job_def("everything")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("studies", STUDIES)
        started = time.process_time()
        result = job.execute_in_process(
            instance=instance, tags=range_tags(STUDIES[0], STUDIES[-1]), run_config=quiet
        )
        cpu = time.process_time() - started
    if not result.success:
        raise SystemExit("the run failed")
    print(json.dumps({"cpu": cpu}))


if __name__ == "__main__":
    measure(sys.argv[1])
