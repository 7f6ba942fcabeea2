"""The time of a tick of study_registry_sensor for 1,000 known studies, without its requests."""

import time

import dagster as dg

from benchmarks.measuring import median, verdict
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.defs.resources import OrchestrationResource, RegistryResource
from orch_assets.defs.study_sensor import build_study_sensor
from orch_assets.demo import DemoServer

STUDIES = 1000
REPETITIONS = 7


def main() -> bool:
    """Print the time of a tick; return whether it is within its bound."""
    print(f"a tick of study_registry_sensor for {STUDIES} known studies")

    @dg.asset
    def raw() -> None:
        pass

    sensor = build_study_sensor(dg.define_asset_job("all", selection=[raw]), [raw.key])
    with DemoServer(studies=STUDIES, subjects=0) as server, dg.instance_for_test() as instance:
        instance.add_dynamic_partitions(STUDIES_NAME, server.registry.study_keys())
        own = [_own_seconds(sensor, instance, server) for _ in range(REPETITIONS)]
    return verdict("a tick without its requests", median(own), 1.0, unit=" s")


def _own_seconds(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, server: DemoServer
) -> float:
    """Return the wall-clock seconds of a tick, minus those of reading only the studies."""
    registry = RegistryResource(
        kind="imednet",
        api_key=server.api_key,
        security_key=server.security_key,
        base_url=server.base_url,
    )
    started = time.perf_counter()
    if len(list(registry.sdk.studies.list())) != STUDIES:
        raise SystemExit("the simulator does not list all studies")
    reading = time.perf_counter() - started
    resources = {"registry": registry, "orchestration": OrchestrationResource()}
    started = time.perf_counter()
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        sensor(context)
    tick = time.perf_counter() - started
    print(f"  tick {tick:.3f} s, of which {reading:.3f} s for reading the studies")
    return tick - reading
