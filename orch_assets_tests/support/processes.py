"""Real processes on a DAGSTER_HOME of their own, stopped with all that they started."""

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import dagster as dg

from orch_assets.demo import DemoServer
from orch_assets_tests.defs.instances import copy_databases

ROOT = Path(__file__).parents[2]
_SCRIPTS = Path(sys.executable).parent
_STOP_SECONDS = 15


class Home:
    """A DAGSTER_HOME with the project's dagster.yaml, and processes on it.

    Attributes:
        folder: DAGSTER_HOME itself.
        project: the folder that the processes run in.
        environment: all that the processes see of the environment; nothing of ours leaks in.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], project: Path = ROOT) -> None:
        copy_databases(folder)
        shutil.copy(ROOT / "dagster.yaml", folder)
        self.folder = folder
        self.project = project
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DAGSTER_HOME": str(folder),
            "PYTHONUNBUFFERED": "1",
            **settings,
        }

    def run(self, *command: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, from the project's folder."""
        with self.start(*command) as process:
            out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def run_here(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``orch-assets`` in this process, which imports Dagster once for all commands.

        It sees what :meth:`run` would show it of the environment, and nothing else.
        """
        from orch_assets.cli import main

        out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
        os.environ.clear()
        os.environ.update(self.environment)
        try:
            with contextlib.chdir(ROOT), redirect_stdout(out), redirect_stderr(err):
                code = main(list(arguments))
        finally:
            os.environ.clear()
            os.environ.update(before)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    @contextmanager
    def start(self, *command: str, log: Path | None = None) -> Iterator["subprocess.Popen[str]"]:
        """Start a command in a process group of its own; stop the whole group at the end."""
        with open(log, "w") if log else open(os.devnull) as target:  # noqa: PTH123
            process = subprocess.Popen(
                [*_program(command[0]), *command[1:]],
                cwd=self.project,
                env=self.environment,
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=target if log else subprocess.PIPE,
                stderr=subprocess.STDOUT if log else subprocess.PIPE,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                _stop_group(process)

    @contextmanager
    def webserver(self, *workspace: str) -> Iterator[str]:
        """Serve the UI of a workspace, by default the project's; give its URL when it answers."""
        url = f"http://127.0.0.1:{(port := free_port())}"
        log = self.folder / "webserver.log"
        command = ("dagster-webserver", "-h", "127.0.0.1", "-p", str(port))
        with self.start(*command, *(workspace or ("-w", "workspace.yaml")), log=log):
            until(lambda: answers(f"{url}/server_info"), 60, f"a webserver; see {log}")
            yield url

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Give the instance, to look at what the processes left."""
        with dg.DagsterInstance.from_config(str(self.folder)) as real:
            yield real


def registry_settings(server: DemoServer) -> dict[str, str]:
    """Return the variables by which the project reads a server as if it were iMednet."""
    return {
        "IMEDNET_BASE_URL": server.base_url,
        "IMEDNET_API_KEY": server.api_key,
        "IMEDNET_SECURITY_KEY": server.security_key,
    }


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition, looking twice a second.

    Raises:
        TimeoutError: it did not come true in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"Not within {seconds:g} s: {what}")
        time.sleep(0.5)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _program(name: str) -> list[str]:
    return [sys.executable] if name == "python" else [str(_SCRIPTS / name)]


def _stop_group(process: "subprocess.Popen[str]") -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        # The leader is gone: give those that it stops itself a moment, then no more.
        time.sleep(0.5)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    process.wait()
