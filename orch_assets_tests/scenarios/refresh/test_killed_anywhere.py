"""kill -9 at ten points of an incremental run, on a disk and in buckets."""

import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets_tests.scenarios.refresh.studies import study
from orch_assets_tests.scenarios.refresh.test_faults_of_refreshes import NAMES, change

POINTS = 10

# Runs the study in processes of its own: first whole; then, each time that the account has changed,
# once to its end, to count its steps, and ten times until it kills itself. Steps are changes of a
# disk and what is sent to a server, the requests of the refresh among them. Forked, as importing
# all that takes longer than the runs.
RUNS = """
import contextlib, importlib, json, os, signal, sys
from types import SimpleNamespace
from orch_assets_tests.scenarios.refresh.studies import study

facts, location, key, names, points = json.loads(sys.argv[1])
server = SimpleNamespace(**facts)

def run():
    with study(server, location, key) as at:
        return at.succeed(*names)["records"]["refresh"]

def forked(work, *arguments):
    # Returns what the work returns, or the signal that killed it.
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            with os.fdopen(writer, "w") as file:
                json.dump(work(*arguments), file)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        returned = file.read()
    return os.waitpid(child, 0)[1] or json.loads(returned)

def watched(step):
    def watch(event, args):
        if event == "open":
            writes = isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
            if writes and not isinstance(args[0], int):
                step()
        elif event in ("os.rename", "os.link", "os.mkdir", "os.remove", "http.client.send"):
            step()
    sys.addaudithook(watch)

def first():
    run()
    return list(sys.modules)

def counted():
    steps = []
    watched(lambda: steps.append(1))
    return run(), len(steps)

def killed(last):
    left = iter(range(last - 1, -1, -1))
    watched(lambda: next(left) or os.kill(os.getpid(), signal.SIGKILL))
    run()

for module in forked(first):  # else each process would load what a run loads
    with contextlib.suppress(Exception):
        importlib.import_module(module)
print("stored", flush=True)
sys.stdin.readline()
reading, steps = forked(counted)
print(json.dumps([reading, steps]), flush=True)
for number in range(points):
    sys.stdin.readline()
    print(json.dumps(forked(killed, 2 + number * (steps - 2) // points)), flush=True)
"""


@pytest.mark.parametrize("place", ["disk", "s3", "gs"])
def test_after_a_kill_the_next_run_gives_what_a_whole_reading_gives(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    location = str(tmp_path / "stores")
    if place != "disk":
        bucket = request.getfixturevalue("s3_bucket" if place == "s3" else "gcs_bucket")
        location = f"{place}://{bucket}"
    with DemoServer(DemoRegistry(studies=1, subjects=3)) as server, ExitStack() as stack:
        (key,) = server.registry.study_keys()
        facts = {name: getattr(server, name) for name in ("base_url", "api_key", "security_key")}
        arguments = json.dumps([facts, location, key, NAMES, POINTS])
        with subprocess.Popen(
            [sys.executable, "-c", RUNS, arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as runs:
            assert runs.stdin is not None
            assert runs.stdout is not None
            assert runs.stdout.readline() == "stored\n"
            at = stack.enter_context(study(server, location))

            def next_run(number: int) -> Any:
                change(at, number)
                print(file=runs.stdin, flush=True)
                return json.loads(runs.stdout.readline())

            reading, steps = next_run(0)
            assert reading == "counted"
            assert steps > 2 * POINTS
            for number in range(1, POINTS + 1):
                assert next_run(number) == signal.SIGKILL
                if place == "disk" or number % 3 == 0 or number == POINTS:  # buckets are slow
                    at.succeed(*NAMES)
                    at.assert_whole(tmp_path / f"{number}", *NAMES)
            runs.stdin.close()
            assert runs.wait(60) == 0
        # A killed publication may leave data that nothing points at; in a bucket, not each kill is
        # followed by a run that publishes the same.
        problems = at.store("artifacts").verify()
        assert [each for each in problems if place == "disk" or not each.leftover] == []
