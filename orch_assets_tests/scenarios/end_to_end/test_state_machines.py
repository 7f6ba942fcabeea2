"""State machines through the ``dagster`` command line, as processes."""

import signal
import time

from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets_tests.support.machines import ROLE
from orch_assets_tests.support.processes import Home, until
from orch_assets_tests.support.state_machine_servers import step_functions_server

ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:pausing"
MATERIALIZE = (
    "dagster", "asset", "materialize",
    "-m", "orch_assets_tests.scenarios.end_to_end.state_machines_location",
    "--select",
)  # fmt: skip
STUDIES = [f"S{n}" for n in range(20)]


def test_interrupting_a_run_stops_its_executions_within_ten_seconds(tmp_path):
    with step_functions_server() as server:
        client = server.client("stepfunctions")

        def count(status):
            found = client.list_executions(stateMachineArn=ARN, statusFilter=status)
            return len(found["executions"])

        home = Home(
            tmp_path,
            {
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": server.url,
                "ORCH_STEP_FUNCTIONS_ROLE": ROLE,
            },
        )
        with home.instance() as real:
            real.add_dynamic_partitions(STUDIES_NAME, STUDIES)
        deployed = home.run(*MATERIALIZE, "pausing_machine")
        assert deployed.returncode == 0, deployed.stderr
        log = tmp_path / "run.log"
        everybody = ("pausing", "--partition-range", f"{STUDIES[0]}...{STUDIES[-1]}")
        with home.start(*MATERIALIZE, *everybody, log=log) as process:
            until(lambda: count("RUNNING") == len(STUDIES), 90, f"all executions; see {log}")
            process.send_signal(signal.SIGINT)
            interrupted = time.monotonic()
            process.wait(30)
            assert time.monotonic() - interrupted < 10
        assert count("RUNNING") == 0
        assert count("ABORTED") == len(STUDIES)
