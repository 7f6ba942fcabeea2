"""Processes that send requests of one account until they are stopped, sharing its limit."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orch_assets.demo import DemoServer
from orch_assets.imednet.request_limits import FileSlots, PostgresSlots, RedisSlots
from orch_assets.imednet.request_limits.slot_places import SlotPlace

_ROOT = Path(__file__).parents[2]


@contextmanager
def requesting(
    server: DemoServer, place: str | None, study: int = 0, *, threads: int = 8, maximum: int = 8
) -> Iterator["subprocess.Popen[str]"]:
    """Start a process, and stop it at the end.

    Args:
        server: The simulator that it reads.
        place: A folder, or the URL of Redis or Postgres; None for a limit of its own.
        study: The number of the study that it reads.
        threads: How many requests it would send at once.
        maximum: The limit of the account.
    """
    options = {
        "keys": (server.api_key, server.security_key, server.base_url),
        "study": server.registry.study_keys()[study],
        "place": place,
        "threads": threads,
        "maximum": maximum,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, json.dumps(options)],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(20)
        finally:
            process.kill()


def place_of(text: str, processes: int = 4) -> SlotPlace:
    """Return a place by its folder or URL."""
    if text.startswith("redis"):
        return RedisSlots(text, processes)
    if text.startswith("postgres"):
        return PostgresSlots(text, processes)
    return FileSlots(Path(text), processes)


def _send_requests(options: dict[str, object]) -> None:
    from orch_assets.imednet import ImednetSDK

    place = options["place"]
    keys: list[str] = options["keys"]  # type: ignore[assignment]
    sdk = ImednetSDK(
        *keys,
        max_requests=int(str(options["maximum"])),
        request_slots=place_of(str(place)) if place else None,
    )
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set():
            list(sdk.sites.list(str(options["study"])))

    threads = [threading.Thread(target=work) for _ in range(int(str(options["threads"])))]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stopped.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    _send_requests(json.loads(sys.argv[1]))
