"""Deploys a state machine, executes it for every study, and prints what came of each."""

# ruff: noqa: T201 - a command prints

import os
import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg

from examples.state_machines.server import credentials, running_server

_BUCKET = "clinical-data"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def main() -> int:
    """Run the demo; return 0 when every study succeeded."""
    os.environ["no_proxy"] = "127.0.0.1,localhost"  # else AWS's library takes a proxy there
    with running_server() as url:
        os.environ |= {
            **credentials(url),
            "ORCH_REGISTRY": "demo",
            "ORCH_STORE": f"s3://{_BUCKET}/demo",
            "ORCH_STEP_FUNCTIONS_ROLE": "arn:aws:iam::123456789012:role/StepFunctionsRole",
        }
        import boto3

        boto3.client("s3").create_bucket(Bucket=_BUCKET)
        with dg.DagsterInstance.get() as instance:
            return 0 if _run(instance) else 1


def _run(instance: dg.DagsterInstance) -> bool:
    from orch_assets.defs.partitions import STUDIES_NAME, range_tags

    print("Reading the registry's studies …")
    _execute(instance, "sync_studies")
    for when in ("Deploying the state machine", "Deploying it again"):
        (event,) = _events(instance, _execute(instance, "deploy"))
        changed = "changed" if event["changed"] else "nothing differs"
        print(f"{when} … {changed}: {event['arn']}")
    studies = instance.get_dynamic_partitions(STUDIES_NAME)
    print(f"Executing it for {len(studies)} studies in one run …\n")
    tags = range_tags(studies[0], studies[-1])
    result = _execute(instance, "study_pipelines", tags)
    results = _events(instance, result, "enrollment")
    for event in sorted(results, key=lambda each: studies.index(each["study"])):
        told = event["data"] if event["error"] is None else event["error"]
        print(f"{event['study']:<12} {event['status']}  {told}")
    arn = event["execution_arn"]
    print(f"\nThe last execution: {arn}\nOn an account, its page: {event['execution']}")
    said = "Every study succeeded." if result.success else "Not every study succeeded."
    print(f"\n{said} The tables were in s3://{_BUCKET}/demo, on moto's server.")
    return result.success


def _execute(
    instance: dg.DagsterInstance, job: str, tags: Mapping[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    from examples.state_machines.location import defs

    return defs.resolve_job_def(job).execute_in_process(
        instance=instance, run_config=_QUIET, tags=dict(tags or {}), raise_on_error=False
    )


def _events(
    instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult, asset: str | None = None
) -> list[dict[str, Any]]:
    """Return the metadata of a run's materializations and of its failures' observations."""
    found: list[dict[str, Any]] = []
    for entry in instance.all_logs(result.run_id):
        event = entry.asset_materialization or entry.asset_observation
        if event and asset in {None, event.asset_key.to_user_string()}:
            values = {name: value.value for name, value in event.metadata.items()}
            found.append({"study": event.partition, **values})
    return found


if __name__ == "__main__":
    sys.exit(main())
