"""Lambda functions as real processes: AWS's own runtime client and handlers' code, in python.

The server implements https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. As in
Lambda, a process serves one event after the other; one that crashes or takes too long is replaced.
Layers, roles and memory limits aren't supported.
"""

import io
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_RUNTIME = "/2018-06-01/runtime/"


@dataclass(frozen=True)
class Invocation:
    """One invocation of a function.

    Attributes:
        event: as JSON.
        deadline: in milliseconds since 1970.
        answers: gets what the handler returned or raised, as JSON, and whether it raised.
    """

    event: bytes
    deadline: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    answers: "queue.SimpleQueue[tuple[bytes, bool]]" = field(default_factory=queue.SimpleQueue)


class LambdaFunction:
    """A function: its code, and the process that runs it once it is invoked.

    Args:
        arn: the function's.
        handler: ``module.function``.
        code: a zip file.
        timeout: seconds for one event.
    """

    def __init__(self, arn: str, handler: str, code: bytes, timeout: float) -> None:
        self.arn = arn
        self._handler = handler
        self._timeout = timeout
        self._folder = tempfile.TemporaryDirectory()
        zipfile.ZipFile(io.BytesIO(code)).extractall(self._folder.name)
        self._waiting: queue.SimpleQueue[Invocation] = queue.SimpleQueue()
        self._now: Invocation | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._alone = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _runtime_api(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def invoke(self, event: bytes) -> tuple[bytes, bool]:
        """Return what the handler returned or raised, as JSON, and whether it raised."""
        with self._alone:
            if self._process is None or self._process.poll() is not None:
                self._process = self._start()
            invocation = Invocation(event, int((time.time() + self._timeout) * 1000))
            self._waiting.put(invocation)
            return self._answer(invocation, self._process)

    def next(self) -> Invocation:
        """Return the next event; wait for it."""
        self._now = self._waiting.get()
        return self._now

    def answered(self, answer: bytes, *, failed: bool) -> None:
        """Take what a handler answered."""
        assert self._now is not None
        self._now.answers.put((answer, failed))

    def _answer(
        self, invocation: Invocation, process: "subprocess.Popen[bytes]"
    ) -> tuple[bytes, bool]:
        end = time.monotonic() + self._timeout
        while time.monotonic() < end:
            try:
                return invocation.answers.get(timeout=0.02)
            except queue.Empty:
                if process.poll() is not None:
                    return _error("Runtime.ExitError", "Runtime exited"), True
        process.kill()
        process.wait()
        return _error("Sandbox.Timedout", f"Task timed out after {self._timeout} seconds"), True

    def _start(self) -> "subprocess.Popen[bytes]":
        self._waiting = queue.SimpleQueue()  # without what the last process didn't take
        name = self.arn.rpartition(":")[2]
        environment = {
            **os.environ,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._http.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "LAMBDA_TASK_ROOT": self._folder.name,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", self._handler],
            cwd=self._folder.name,
            env=environment,
            stdout=subprocess.DEVNULL,
        )

    def close(self) -> None:
        """End the process. The server ends with its own."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def _runtime_api(function: LambdaFunction) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            assert self.path == f"{_RUNTIME}invocation/next"
            invocation = function.next()
            self._reply(
                200,
                invocation.event,
                {
                    "Lambda-Runtime-Aws-Request-Id": invocation.id,
                    "Lambda-Runtime-Deadline-Ms": str(invocation.deadline),
                    "Lambda-Runtime-Invoked-Function-Arn": function.arn,
                },
            )

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path != f"{_RUNTIME}init/error":  # its process exits
                function.answered(body, failed=self.path.endswith("/error"))
            self._reply(202, b"", {})

        def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            sent = {**headers, "Content-Type": "application/json", "Content-Length": len(body)}
            for name, value in sent.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    return Handler


class LambdaFunctions:
    """All functions of a server, by ARN; a function starts when it is first invoked."""

    def __init__(self) -> None:
        self._running: dict[str, LambdaFunction] = {}
        self._lock = threading.Lock()

    def invoke(self, function: Any, event: bytes) -> tuple[bytes, bool]:
        """Invoke one of moto's functions."""
        arn = function.function_arn
        with self._lock:
            if arn not in self._running:
                self._running[arn] = LambdaFunction(
                    arn, function.handler, function.code_bytes, float(function.timeout)
                )
        return self._running[arn].invoke(event)

    def close(self) -> None:
        """End all processes."""
        for function in self._running.values():
            function.close()
