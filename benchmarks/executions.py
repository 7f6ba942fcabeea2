"""500 executions of a state machine in one Dagster run, on moto's server.

The CPU time of this package's code is that of the run, minus two others: that of the same AWS calls
made by a bare client (boto3's share), and that of a loop that logs the same events (Dagster's
share).
"""

import itertools
import json
import os
import sys
import threading
import time
from collections import Counter
from typing import Any, Self

import dagster as dg

from benchmarks.measuring import report_of, verdict
from orch_assets import study_pipeline
from orch_assets.defs.events import StoredResult, success
from orch_assets.defs.partitions import range_tags, studies
from orch_assets_tests.support.harness import in_state
from orch_assets_tests.support.machines import BAD_DAY, ROLE, States, deploy, location, machine
from orch_assets_tests.support.state_machine_servers import Server, step_functions_server

STUDIES = [f"S-{number:03}" for number in range(500)]
FAILING = set(STUDIES[::50])
WAIT_SECONDS = 45
CHECK_SECONDS = 0.25
# The rate of calls is measured in intervals of this length.
INTERVAL_SECONDS = 5
POLLING_CALLS = ("ListExecutions", "DescribeExecution", "GetExecutionHistory")
KEY = dg.AssetKey("executed")


def main() -> bool:
    """Print the figures; return whether they are within their bounds."""
    print(f"{len(STUDIES)} executions in one run, {len(FAILING)} of which fail")
    with step_functions_server() as server:
        os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        run = report_of("benchmarks.executions", "run", server.url)
        made = json.dumps(run["calls"])
        calls = report_of("benchmarks.executions", "calls", server.url, made, str(run["listed"]))
    events = report_of("benchmarks.executions", "events", "-")
    own = (run["cpu"] - calls["cpu"] - events["cpu"]) / len(STUDIES) * 1000
    print(
        f"  {run['seconds']:.0f} s; CPU: run {run['cpu']:.2f} s, its calls {calls['cpu']:.2f} s, "
        f"its events {events['cpu']:.2f} s; calls: {run['calls']}"
    )
    verdicts = [
        verdict("partitions in a wrong state", run["wrong"], 0),
        verdict("waiting threads, including the main one", run["threads"], 3),
        verdict("calls to poll them", run["rate"], 10, unit="/s"),
        verdict("CPU of orch-assets for each", own, 10, unit=" ms"),
    ]
    return all(verdicts)


def run(url: str) -> dict[str, Any]:
    """Run the executions once and return the figures."""
    route = {"Type": "Choice", "Default": "Good"}
    route["Choices"] = [
        {"Variable": "$.study_key", "StringEquals": study, "Next": "Bad"} for study in FAILING
    ]
    wait = {"Type": "Wait", "Seconds": WAIT_SECONDS, "Next": "Route"}
    good = {"Type": "Pass", "Result": {"rows": 3}, "End": True}

    @study_pipeline(
        name="executed",
        machine=machine(States({"Wait": wait, "Route": route, "Good": good, "Bad": BAD_DAY})),
    )
    def executed(study_key: str, sdk: object, study_logger: object) -> None:
        """Use the default input of an execution."""

    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder, dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("studies", STUDIES)
        defs = location(Path(folder), url, executed)
        deploy(defs, instance, "executed")
        _ = defs.resources["registry"].sdk  # starts the simulator, which has a thread
        job = defs.resolve_job_def("everything").get_subset(asset_selection={KEY})
        with Watch() as watch:
            job.execute_in_process(
                instance=instance,
                tags=range_tags(STUDIES[0], STUDIES[-1]),
                run_config=_QUIET,
                raise_on_error=False,
            )
        wrong = set(in_state(instance, "executed", "FAILED")) ^ FAILING
        wrong |= set(in_state(instance, "executed", "MATERIALIZED")) ^ (set(STUDIES) - FAILING)
    return {**watch.figures(), "wrong": len(wrong)}


_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Watch:
    """Counts threads and AWS calls during a run; the CPU time for counting is negligible."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, str]] = []
        self.listed: list[int] = []
        self.threads = 0
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        import boto3.session

        make = boto3.session.Session.client

        def client(*args: Any, **kwargs: Any) -> Any:
            made = make(*args, **kwargs)
            made.meta.events.register("before-call.stepfunctions", self._count_call)
            made.meta.events.register("after-call.stepfunctions.ListExecutions", self._count_listed)
            return made

        boto3.session.Session.client = client  # type: ignore[method-assign]
        self._before = {*threading.enumerate()}
        self._thread = threading.Thread(target=self._count_threads)
        self._thread.start()
        self._cpu, self._started = time.process_time(), time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu = time.process_time() - self._cpu
        self.seconds = time.monotonic() - self._started
        self._ended.set()
        self._thread.join()

    def figures(self) -> dict[str, Any]:
        """Return the counts and times."""
        intervals = Counter(
            int(at / INTERVAL_SECONDS) for at, name in self.calls if name in POLLING_CALLS
        )
        return {
            "cpu": self.cpu,
            "seconds": self.seconds,
            "threads": self.threads,
            "rate": max(intervals.values()) / INTERVAL_SECONDS,
            "calls": dict(Counter(name for _, name in self.calls)),
            "listed": max(1, round(sum(self.listed) / max(1, len(self.listed)))),
        }

    def _count_call(self, model: Any, **_: object) -> None:
        self.calls.append((time.monotonic(), model.name))

    def _count_listed(self, parsed: Any, **_: object) -> None:
        self.listed.append(len(parsed["executions"]))

    def _count_threads(self) -> None:
        """Count threads when all executions wait: the main one, and those that the run started.

        The workers of the pool are not counted: they are idle and don't wait for executions.
        """
        while not self._ended.wait(CHECK_SECONDS):
            started = Counter(name for _, name in [*self.calls])["StartExecution"]
            if started >= len(STUDIES):
                new_threads = {*threading.enumerate()} - self._before - {self._thread}
                names = [t.name for t in new_threads if not t.name.startswith("orch-assets-worker")]
                self.threads = max(self.threads, 1 + len(names))


def calls(url: str, counts: str, listed: str) -> dict[str, Any]:
    """Make the same number of calls of each kind with a bare client; lists have the mean length."""
    client = Server(url).client("stepfunctions")
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
    arn = client.create_state_machine(name="bare", definition=definition, roleArn=ROLE)[
        "stateMachineArn"
    ]
    body = json.dumps({"study_key": STUDIES[0]})
    execution = client.start_execution(stateMachineArn=arn, input=body, name="first")[
        "executionArn"
    ]
    numbers = itertools.count()
    make = {
        "StartExecution": lambda: client.start_execution(
            stateMachineArn=arn, input=body, name=f"bare-{next(numbers)}"
        ),
        "ListExecutions": lambda: client.list_executions(
            stateMachineArn=arn, maxResults=int(listed)
        ),
        "DescribeExecution": lambda: client.describe_execution(executionArn=execution),
        "GetExecutionHistory": lambda: client.get_execution_history(executionArn=execution),
        "DescribeStateMachine": lambda: client.describe_state_machine(stateMachineArn=arn),
    }
    started = time.process_time()
    for name, times in sorted(json.loads(counts).items(), reverse=True):  # StartExecution first
        for _ in range(times):
            make[name]()
    return {"cpu": time.process_time() - started}


def events(_: str) -> dict[str, Any]:
    """Log the same events in a loop."""

    @dg.multi_asset(
        specs=[dg.AssetSpec(KEY, partitions_def=studies, skippable=True)],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def bare(context: dg.AssetExecutionContext) -> Any:
        for study in context.partition_keys:
            arn = f"arn:aws:states:us-east-1:123456789012:execution:machine:{study}"
            metadata = {"execution": dg.MetadataValue.url(f"https://{arn}"), "execution_arn": arn}
            context.log_event(
                success(KEY, study, StoredResult({"rows": 3}, metadata), 0.001, "demo")
            )
        yield from ()

    job = dg.Definitions(assets=[bare]).resolve_implicit_global_asset_job_def()
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("studies", STUDIES)
        started = time.process_time()
        job.execute_in_process(
            instance=instance, tags=range_tags(STUDIES[0], STUDIES[-1]), run_config=_QUIET
        )
        return {"cpu": time.process_time() - started}


if __name__ == "__main__":
    measured = {"run": run, "calls": calls, "events": events}[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(measured))
