"""kill -9 at ten points of an incremental run, on a disk and in buckets."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets_tests.scenarios.refresh.studies import study
from orch_assets_tests.scenarios.refresh.test_faults_of_refreshes import NAMES, change, same

POINTS = 10

# Runs the study in processes of its own, each on stores of its own: first whole; then, when the
# account has changed, once to its end, to count its steps, and ten times until it kills itself.
# Steps are changes of a disk and what is sent to a server, the requests of the refresh among them.
# Forked, as importing all that takes longer than the runs.
RUNS = """
import contextlib, importlib, json, os, signal, sys
from types import SimpleNamespace
from orch_assets_tests.scenarios.refresh.studies import study

facts, location, key, names, points = json.loads(sys.argv[1])
server = SimpleNamespace(**facts)

def run(*folders):
    for folder in folders:
        with study(server, f"{location}/{folder}", key) as at:
            told = at.succeed(*names)
    return told["records"]["refresh"]

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
    run(*range(points + 1))
    return list(sys.modules)

def counted():
    steps = []
    watched(lambda: steps.append(1))
    return run(0), len(steps)

def killed(folder, last):
    left = iter(range(last - 1, -1, -1))
    watched(lambda: next(left) or os.kill(os.getpid(), signal.SIGKILL))
    run(folder)

for module in forked(first):  # else each process would load what a run loads
    with contextlib.suppress(Exception):
        importlib.import_module(module)
print("stored", flush=True)
sys.stdin.readline()
reading, steps = forked(counted)
ended = [
    forked(killed, number, 1 + number * (steps - 2) // points) for number in range(1, points + 1)
]
print(json.dumps([reading, steps, ended]))
"""


@pytest.mark.parametrize("place", ["disk", "s3", "gs"])
def test_after_a_kill_the_next_run_gives_what_a_whole_reading_gives(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    location = str(tmp_path / "stores")
    if place != "disk":
        bucket = request.getfixturevalue("s3_bucket" if place == "s3" else "gcs_bucket")
        location = f"{place}://{bucket}"
    with DemoServer(DemoRegistry(studies=1, subjects=3)) as server:
        (key,) = server.registry.study_keys()
        facts = {name: getattr(server, name) for name in ("base_url", "api_key", "security_key")}
        arguments = json.dumps([facts, location, key, NAMES, POINTS])
        with subprocess.Popen(
            [sys.executable, "-c", RUNS, arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as runs:
            assert runs.stdout is not None
            assert runs.stdout.readline() == "stored\n"
            with study(server, f"{location}/1") as at:
                earlier = at.stored(NAMES)
                change(at)
            out, _ = runs.communicate("\n", timeout=200)
        reading, steps, ended = json.loads(out)
        assert reading == "counted"
        assert steps > 2 * POINTS
        assert ended == [signal.SIGKILL] * POINTS
        with study(server, str(tmp_path / "anew")) as anew:
            anew.succeed(*NAMES)
            expected = anew.stored(NAMES)
        untouched = 0
        for folder in range(1, POINTS + 1):
            with study(server, f"{location}/{folder}") as at:
                untouched += same(at.stored(NAMES), earlier)
                at.succeed(*NAMES)
                assert same(at.stored(NAMES), expected), folder
                assert at.store("artifacts").verify() == []
        assert 0 < untouched <= POINTS
