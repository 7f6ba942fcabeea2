"""A cluster on this machine, of exactly the commands in ``deploy/celery``."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from orch_assets_tests.defs.postgres import postgres_programs
from orch_assets_tests.support.cloud_servers import s3_client, s3_server
from orch_assets_tests.support.graphql import ask_server
from orch_assets_tests.support.processes import ROOT, answers, free_port, until

DEPLOY = ROOT / "deploy" / "celery"
HEARTBEAT = {"heartbeat_seconds": 1.0, "dead_after_seconds": 12.0}
MONITORING = {
    "poll_interval_seconds": 2,
    "cancel_timeout_seconds": 60,
    "free_slots_after_run_end_seconds": 5,
}
STORE, RESTRICTED = "s3://cluster/open", "s3://cluster/restricted"
STOP_SECONDS = 30


def commands(name: str) -> dict[str, str]:
    """Return the commands of a file by the names of their processes."""
    lines = (DEPLOY / name).read_text().splitlines()
    pairs = (tuple(line.split(": ", 1)) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def require_servers() -> None:
    """Skip the test without the packages of a cluster; in CI, fail it."""
    postgres_programs()
    if shutil.which("redis-server") is None:
        reason = "Redis's server is not here (Debian's package redis-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


class Cluster:
    """The processes of a cluster, each of which may be stopped, killed and started again.

    Attributes:
        folder: DAGSTER_HOME and all logs.
        environment: what every process sees of the environment.
        running: the processes by name.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        ports = {name: free_port() for name in ("database", "broker", "code", "web")}
        self.web = f"http://127.0.0.1:{ports['web']}"
        for name in ("broker", "home"):
            (folder / name).mkdir(parents=True)
        # The user "postgres" can't reach the folders of pytest.
        self.database = Path(tempfile.mkdtemp(prefix="cluster-database-"))
        self.environment = {
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), str(postgres_programs()), os.environ["PATH"]]
            ),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "HOME": str(folder),
            "DAGSTER_HOME": str(folder / "home"),
            "CLUSTER_DATABASE_URL": (
                f"postgresql+psycopg2://dagster@127.0.0.1:{ports['database']}/dagster"
            ),
            "CLUSTER_DATABASE_FOLDER": str(self.database),
            "CLUSTER_DATABASE_HOST": "127.0.0.1",
            "CLUSTER_DATABASE_PORT": str(ports["database"]),
            "CLUSTER_DATABASE_AUTH": "trust",
            "CLUSTER_DATABASE_PASSWORD_FILE": "",
            "CLUSTER_DATABASE_CLIENTS": "",
            "CLUSTER_BROKER_URL": f"redis://:PASSWORD@127.0.0.1:{ports['broker']}/0",
            "CLUSTER_BROKER_CONFIG": str(DEPLOY / "redis.conf"),
            "CLUSTER_BROKER_FOLDER": str(folder / "broker"),
            "CLUSTER_BROKER_HOST": "127.0.0.1",
            "CLUSTER_BROKER_PORT": str(ports["broker"]),
            "CLUSTER_CODE_HOST": "127.0.0.1",
            "CLUSTER_CODE_PORT": str(ports["code"]),
            "CLUSTER_WORKSPACE": str(DEPLOY / "workspace.yaml"),
            "CLUSTER_WEB_PORT": str(ports["web"]),
            "CLUSTER_WORKER_RUNS": "1",
            "ORCH_STORE": STORE,
            "ORCH_RESTRICTED_STORE": RESTRICTED,
            **settings,
        }
        shipped = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
        shipped["run_launcher"]["config"].update(HEARTBEAT)
        shipped["run_coordinator"]["config"] = {"dequeue_interval_seconds": 1}
        shipped["run_monitoring"].update(MONITORING)
        shipped["concurrency"]["runs"]["max_concurrent_runs"] = 8  # more than are executed at once
        (folder / "home" / "dagster.yaml").write_text(yaml.safe_dump(shipped))

    def once(self, name: str) -> None:
        """Run a command of ``Procfile.once`` to its end."""
        command = commands("Procfile.once")[name]
        with self.log(name).open("ab") as log:
            subprocess.run(
                ["sh", "-c", command],
                cwd=ROOT if name == "tables" else self.database,
                env=self.environment,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._account(name),
            )

    def start(self, name: str, wrapped: str = "") -> None:
        """Start a process of ``Procfile``; ``worker1`` is a worker of this name."""
        kind = name.rstrip("0123456789")
        with self.log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                ["sh", "-c", wrapped + commands("Procfile")[kind]],
                cwd=self.database if kind == "database" else ROOT,
                env={**self.environment, "CLUSTER_WORKER_NAME": name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._account(kind),
            )

    def send(self, name: str, number: int) -> None:
        """Send a signal to a process and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.running[name].pid, number)

    @contextmanager
    def standing_still(self, name: str) -> Iterator[None]:
        """Let a process and all that it started stand still during the block.

        No transaction is open then, which would hold its locks in the database for as long.
        """
        until(self._has_no_transaction, 60, "no transaction is open")
        self.send(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(name, signal.SIGCONT)

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """Stop a process and all that it started."""
        process = self.running.pop(name)
        for each in (number, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, each)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
                break
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def stop_all(self) -> None:
        """Stop every process that still runs, those first that need the others."""
        for name in reversed([*self.running]):
            self.stop(name, signal.SIGQUIT if name == "database" else signal.SIGKILL)
        shutil.rmtree(self.database, ignore_errors=True)

    def log(self, name: str) -> Path:
        """Return the file that a process writes its words into."""
        return self.folder / f"{name}.log"

    def await_worker(self, name: str) -> None:
        """Wait until a worker says that it is ready, once more than before."""
        self._await_port("CLUSTER_BROKER_PORT")
        until(lambda: " ready." in self.log(name).read_text(), 120, f"{name} is ready")

    def await_database(self) -> None:
        """Wait until the database answers."""
        until(self._is_up, 60, "the database answers")

    def _has_no_transaction(self) -> bool:
        import psycopg2

        port = self.environment["CLUSTER_DATABASE_PORT"]
        connection = psycopg2.connect(host="127.0.0.1", port=port, user="dagster", dbname="dagster")
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                "AND state <> 'idle' AND pid <> pg_backend_pid()"
            )
            return cursor.fetchone() == (0,)

    def _is_up(self) -> bool:
        command = ["pg_isready", "-q", "-h", "127.0.0.1", "-p"]
        command += [self.environment["CLUSTER_DATABASE_PORT"], "-U", "dagster"]
        return subprocess.run(command, env=self.environment, check=False).returncode == 0

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the webserver's answer.

        Its pools of connections know only after a query each that the database has restarted.
        """
        for _ in range(5):
            with suppress(urllib.error.HTTPError):
                return ask_server(self.web, query, **variables)
        return ask_server(self.web, query, **variables)

    def await_web(self) -> None:
        """Wait until the webserver answers."""
        until(lambda: answers(f"{self.web}/server_info"), 120, "the webserver answers")

    def _await_port(self, name: str) -> None:
        until(lambda: _listens(int(self.environment[name])), 60, f"{name} listens")

    def _account(self, name: str) -> dict[str, Any]:
        """Root may not run Postgres: it runs as the user ``postgres`` then."""
        if not name.startswith("database") or os.getuid() != 0:
            return {}
        shutil.chown(self.database, "postgres", "postgres")
        return {"user": "postgres", "group": "postgres", "extra_groups": []}


def _listens(port: int) -> bool:
    import socket

    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2):
        return True
    return False


@contextmanager
def running_cluster(
    folder: Path, settings: Mapping[str, str], *, workers: int = 2
) -> Iterator[Cluster]:
    """Start every process of a cluster but the daemon, and stop them at the end."""
    require_servers()
    with ExitStack() as stack:
        s3 = stack.enter_context(s3_server())
        s3_client(s3).create_bucket(Bucket="cluster")
        cluster = Cluster(folder, {**s3, **settings})
        stack.callback(cluster.stop_all)
        cluster.once("database-folder")
        cluster.once("database-clients")
        cluster.start("database")
        cluster.start("broker")
        cluster.await_database()
        cluster.once("database")
        cluster.once("tables")
        names = [f"worker{number + 1}" for number in range(workers)]
        for name in ("code", *names, "webserver"):
            cluster.start(name)
        for name in names:
            cluster.await_worker(name)
        cluster.await_web()
        yield cluster


@contextmanager
def instance_of(cluster: Cluster) -> Iterator[dg.DagsterInstance]:
    """Give the cluster's instance, to look at what its processes left."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            if name.startswith(("AWS_", "CLUSTER_")):
                patch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(cluster.folder / "home")) as real:
            yield real
