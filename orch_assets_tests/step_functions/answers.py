"""A server that answers the calls that moto lacks and forwards all others to moto's server.

moto 5.2 answers 500 to RedriveExecution, StartSyncExecution, ValidateStateMachineDefinition,
ListStateMachineVersions and PublishStateMachineVersion, and can't start an execution by an alias.
A test defines their answers; the client's requests are real, over loopback.
"""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orch_assets_tests.support.state_machine_servers import Server

Answer = Callable[[dict[str, Any]], dict[str, Any] | None]
_FORWARDED = ("X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date")


class RefusedError(Exception):
    """Makes the server answer with an error.

    Args:
        code: AWS's error code.
    """

    def __init__(self, code: str) -> None:
        self.code = code


class AnsweringServer(Server):
    """A server in front of moto's.

    Attributes:
        answers: by name of the call. Each takes the request and returns the answer, or raises a
            :class:`RefusedError`; None forwards the call to moto.
        asked: the calls that were answered here, and their requests.
    """

    def __init__(self, url: str, moto: Server) -> None:
        super().__init__(url)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.moto = moto

    def reply(self, headers: Any, body: bytes) -> tuple[int, bytes]:
        """Return the status and body of an answer."""
        call = headers.get("X-Amz-Target", "").rpartition(".")[2]
        if call not in self.answers:
            return self._forward(headers, body)
        self.asked.append((call, json.loads(body)))
        try:
            answer = self.answers[call](json.loads(body))
        except RefusedError as refusal:
            return 400, json.dumps({"__type": refusal.code, "message": "planted words"}).encode()
        if answer is None:
            return self._forward(headers, body)
        return 200, json.dumps(answer).encode()

    def _forward(self, headers: Any, body: bytes) -> tuple[int, bytes]:
        kept = {name: headers[name] for name in _FORWARDED if name in headers}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.moto.url, body, kept), timeout=60
            ) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


@contextmanager
def answering_server(moto: Server) -> Iterator[AnsweringServer]:
    """Run a server in front of moto's, on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = server.reply(self.headers, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = AnsweringServer(f"http://127.0.0.1:{http.server_address[1]}", moto)
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
