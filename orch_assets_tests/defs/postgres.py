"""A PostgreSQL server of its own, of Debian's package, and Dagster instances in it."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orch_assets_tests.support.processes import free_port

_USER = "dagster"


@contextmanager
def postgres_server() -> Iterator[dict[str, Any]]:
    """Start a server on a free loopback port; give what Dagster must know of it.

    Root may not run PostgreSQL: the server runs as the user ``postgres`` then. Without the
    package the test is skipped, in CI it fails.
    """
    programs = postgres_programs()
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    account: dict[str, Any] = {}
    if os.getuid() == 0:
        account = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")

    def call(program: str, *arguments: str) -> None:
        command = [str(programs / program), *arguments]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, **account)

    data, log, port = folder / "data", folder / "log", free_port()
    options = f"-c listen_addresses=127.0.0.1 -c fsync=off -p {port} -k {folder}"
    try:
        call("initdb", "-D", str(data), "-U", _USER, "--auth=trust", "--no-sync")
        call("pg_ctl", "-D", str(data), "-l", str(log), "-o", options, "-w", "start")
        try:
            yield {"hostname": "127.0.0.1", "port": port, "username": _USER, "password": ""}
        finally:
            call("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgres_instance(server: dict[str, Any]) -> Iterator[dg.DagsterInstance]:
    """Give an instance in a new database of the server."""
    import psycopg2

    name = f"dagster_{uuid.uuid4().hex}"
    connection = psycopg2.connect(
        host=server["hostname"], port=server["port"], user=_USER, dbname="postgres"
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    # The driver by name: SQLAlchemy 2.1 takes "postgresql" for psycopg 3.
    database = {**server, "db_name": name, "scheme": "postgresql+psycopg2"}
    overrides = {"storage": {"postgres": {"postgres_db": database}}}
    with dg.instance_for_test(overrides) as instance:
        yield instance


def postgres_programs() -> Path:
    """Return the folder of the newest installed server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if found:
        return found[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).parent
    reason = "PostgreSQL's server is not here (Debian's package postgresql)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _version(program: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in program.parts[-3].split("."))
