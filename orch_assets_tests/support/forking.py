"""Programs in processes of their own that needn't import pandas, the clouds and Dagster again.

Importing them takes a second or two of a processor, which is more than most of such programs do.
"""

import atexit
import gc
import importlib
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

_MODULES = ("dagster", "pandas", "pyarrow.parquet", "boto3", "google.cloud.storage")
_ROOT = Path(__file__).parents[2]


class Forks:
    """A process that has imported much, and forks itself for each program."""

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        self._server = server

    def run(
        self,
        program: str,
        *arguments: str,
        folder: Path = _ROOT,
        timeout: float = 200,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program to its end, as ``python -c`` would, with our environment.

        Raises:
            TimeoutError: It didn't end in time.
        """
        with tempfile.TemporaryDirectory() as outputs:
            out, err = Path(outputs, "out"), Path(outputs, "err")
            order = {
                "program": program,
                "arguments": arguments,
                "folder": str(folder),
                "environment": {**os.environ, "PYTHONPATH": str(_ROOT)},
                "out": str(out),
                "err": str(err),
            }
            code = self._answer(json.dumps(order), timeout)
            said = out.read_text("utf-8"), err.read_text("utf-8")
        return subprocess.CompletedProcess(arguments, code, *said)

    def _answer(self, order: str, timeout: float) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(order, file=self._server.stdin, flush=True)
        if not select.select([self._server.stdout], [], [], timeout)[0]:
            raise TimeoutError(f"Not ended within {timeout:g} s: {order}")
        return int(self._server.stdout.readline())


@contextmanager
def forks() -> Iterator[Forks]:
    """Give forks of a new process, which is stopped at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "orch_assets_tests.support.forking"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            yield Forks(server)
        finally:
            server.kill()


def _serve() -> None:
    for module in _MODULES:
        importlib.import_module(module)
    gc.freeze()  # a collection in a fork would copy the memory of all that
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(**json.loads(line))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


def _become(
    program: str,
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    out: str,
    err: str,
) -> NoReturn:
    """Be the process of a program, from its beginning to its end."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, path in enumerate((os.devnull, out, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), descriptor)
    sys.argv = ["-c", *arguments]
    sys.path.insert(0, "")
    code: Any = 0
    try:
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(program, "<string>", "exec"), main.__dict__)  # a program of the tests
        for thread in threading.enumerate():
            if not thread.daemon and thread is not threading.current_thread():
                thread.join()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter shows it
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _serve()
