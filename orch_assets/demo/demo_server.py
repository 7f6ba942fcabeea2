"""The simulator as an HTTP server in this process, by default on a loopback port."""

import asyncio
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

import uvicorn

from orch_assets.demo.app import Keys, create_app
from orch_assets.demo.demo_registry import DemoRegistry
from orch_assets.demo.faults import Faults
from orch_assets.demo.middleware import SimulatorMiddleware
from orch_assets.demo.traffic import Traffic

_START_SECONDS = 30.0
_STOP_SECONDS = 10


class DemoServer:
    """The simulator over HTTP, in a daemon thread.

    Args:
        registry: The data to serve. None creates it from the next four arguments.
        studies: See :class:`DemoRegistry`.
        subjects: See :class:`DemoRegistry`.
        seed: See :class:`DemoRegistry`.
        days: See :class:`DemoRegistry`.
        host: The address to listen on.
        port: The port; 0 for a free one.
        api_key: The expected value of the header ``x-api-key``.
        security_key: The expected value of the header ``x-imn-security-key``.

    Attributes:
        registry: The data, which may change while the server runs.
        faults: The faults that are switched on.
        traffic: The log of requests, and the limit of requests in flight.

    Example:
        >>> import httpx
        >>> with DemoServer(studies=2, subjects=3) as server:
        ...     answer = httpx.get(f"{server.base_url}/api/v1/edc/studies", headers=server.headers)
        >>> [study["studyKey"] for study in answer.json()["data"]]
        ['CARD-202', 'ONC-301']
    """

    def __init__(
        self,
        registry: DemoRegistry | None = None,
        *,
        studies: int = 12,
        subjects: int = 40,
        seed: int = 7,
        days: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = "demo-api-key",
        security_key: str = "demo-security-key",
    ) -> None:
        self.registry = registry or DemoRegistry(studies, subjects, seed, days)
        self.api_key = api_key
        self.security_key = security_key
        self.faults = Faults()
        self.traffic = Traffic()
        self._host = host
        self._port = port
        self._middleware: SimulatorMiddleware | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT``, without the API's path.

        Raises:
            RuntimeError: The server was never started, so its port is not known.
        """
        if not self._port:
            raise RuntimeError("The demo server has no port yet. Call start() first.")
        return f"http://{self._host}:{self._port}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that every request must send."""
        return {"x-api-key": self.api_key, "x-imn-security-key": self.security_key}

    def start(self) -> Self:
        """Start the server, and return when it accepts requests.

        Raises:
            OSError: The port is in use.
            RuntimeError: The server is already running, or did not start in time.
        """
        if self._thread is not None:
            raise RuntimeError("The demo server is already running.")
        listener = self._listen()
        self._server = server = self._make_server()
        self._thread = threading.Thread(
            target=server.run, args=([listener],), name="demo-registry", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("The demo server did not start.")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Stop the server, its thread and its connections; may be called more than once."""
        if self._server is None or self._thread is None or self._middleware is None:
            return
        self._middleware.stop()
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        self._server = self._thread = self._middleware = None

    def _make_server(self) -> uvicorn.Server:
        app = create_app(self.registry, Keys(self.api_key, self.security_key))
        self._middleware = SimulatorMiddleware(
            app, self.registry.clock, self.traffic, self.faults, self._find_transport
        )
        config = uvicorn.Config(
            self._middleware,
            host=self._host,
            port=self._port,
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_STOP_SECONDS // 2,
        )
        return uvicorn.Server(config)

    def _listen(self) -> socket.socket:
        listener = socket.create_server((self._host, self._port), backlog=2048)
        # asyncio sets this only on sockets that it creates. Without it, small answers take 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port = listener.getsockname()[1]
        return listener

    def _find_transport(self, client: object) -> asyncio.Transport:
        assert self._server is not None  # noqa: S101 - a request arrived, so it runs
        connections: Any = self._server.server_state.connections
        transport: asyncio.Transport = next(
            each.transport for each in connections if each.client == client
        )
        return transport

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
