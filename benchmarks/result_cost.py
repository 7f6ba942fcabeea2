"""What a result costs: one run of the shipped pipelines over tiny studies of a simulated account.

A *result* is what one pipeline makes of one study. Counted for each are CPU milliseconds of the run
(user and system, with those of Postgres' backends), SQL statements, and bytes of the event log with
its indexes. The simulator is a process of its own and isn't counted; nor are imports.

``python -m benchmarks.result_cost COMMIT [STUDIES [RUNS]]`` compares this tree with an earlier
commit, in turn, on SQLite and on Postgres. The clone must have the commit.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
STUDIES = 200
SUBJECTS = 5
RUNS = 3
# Of this tree / the commit before, 2d6f6d3.
BOUNDS = {"cpu": 0.75, "statements": 0.9, "bytes": 0.5}
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

Figures = dict[str, float]


def main() -> bool:
    """Print the ratios; return whether they are within their bounds."""
    commit, *options = sys.argv[1:]
    studies, runs = ([int(each) for each in options] + [STUDIES, RUNS][len(options) :])[:2]
    from benchmarks.earlier import checkout

    within = []
    with checkout(commit) as before, _account(studies) as account:
        for name, server in _servers():
            with server as database:
                pairs = [
                    (_figures(HERE, account, database), _figures(before, account, database))
                    for _ in range(runs)
                ]
            print(f"{studies} studies × the shipped pipelines on {name}, of each result:")
            within += _verdicts(name, pairs)
    return all(within)


def _verdicts(name: str, pairs: Sequence[tuple[Figures, Figures]]) -> Iterator[bool]:
    from benchmarks.measuring import median, verdict

    for figure, bound in BOUNDS.items():
        now, then = (median([pair[side][figure] for pair in pairs]) for side in (0, 1))
        print(f"  {figure}: {now:.4g}, before {then:.4g}", flush=True)
        ratio = median([mine[figure] / theirs[figure] for mine, theirs in pairs])
        yield verdict(f"{name}, {figure}", ratio, bound)


def _servers() -> Iterator[tuple[str, AbstractContextManager[dict[str, Any] | None]]]:
    from orch_assets_tests.defs.postgres import postgres_server

    yield "SQLite", nullcontext()
    yield "Postgres", postgres_server()


def _figures(tree: Path, account: Mapping[str, Any], database: Mapping[str, Any] | None) -> Figures:
    """Run the pipelines once in a tree, in a process of its own."""
    command = [sys.executable, __file__, json.dumps([account, database])]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"The run failed in {tree}:\n{done.stderr[-3000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


@contextmanager
def _account(studies: int) -> Iterator[dict[str, Any]]:
    """Serve a simulated account in a process; give its address, keys and studies."""
    text = f"""
import json, sys
from orch_assets.demo import DemoServer
with DemoServer(studies={studies}, subjects={SUBJECTS}) as server:
    keys = ("base_url", "api_key", "security_key")
    environment = {{"IMEDNET_" + key.upper(): getattr(server, key) for key in keys}}
    account = {{"environment": environment, "studies": server.registry.study_keys()}}
    print(json.dumps(account), flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", text]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=HERE, text=True, **pipes) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())
        server.communicate()


def measure(account: Mapping[str, Any], database: Mapping[str, Any] | None) -> Figures:
    """Run the shipped pipelines once; return what a result cost.

    It runs in the tree of an earlier commit too, so it uses only names that both have.
    """
    import dagster as dg
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    statements: list[str] = []
    event.listen(Engine, "before_cursor_execute", lambda *all_: statements.append(all_[2]))
    studies: Sequence[str] = account["studies"]
    tags = {
        "dagster/asset_partition_range_start": studies[0],
        "dagster/asset_partition_range_end": studies[-1],
    }
    with tempfile.TemporaryDirectory() as home:
        os.environ.update({**account["environment"], "DAGSTER_HOME": home})
        from orch_assets.definitions import defs

        job = defs.resolve_job_def("study_pipelines")
        results = len(studies) * len(job.asset_layer.executable_asset_keys)
        with dg.instance_for_test(_overrides(database), temp_dir=home) as instance:
            instance.add_dynamic_partitions("studies", list(studies))
            statements.clear()
            before = time.process_time() + _backend_seconds(database)
            run = job.execute_in_process(instance=instance, tags=tags, run_config=_QUIET)
            cpu = time.process_time() + _backend_seconds(database) - before
            count = len(statements)
            materialized = sum(
                len(instance.get_materialized_partitions(key))
                for key in job.asset_layer.executable_asset_keys
            )
            size = _table_bytes(instance) if database else 0
        size = size or sum(each.stat().st_size for each in Path(home, "history").rglob("*"))
    if not run.success or materialized != results:
        raise SystemExit(f"{materialized} of {results} results")
    return {
        "cpu": cpu * 1000 / results,
        "statements": count / results,
        "bytes": size / results,
    }


def _overrides(database: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the instance's configuration for a new database of a server; None for SQLite."""
    if database is None:
        return None
    import psycopg2

    name = f"results_{os.getpid()}"
    where = {"host": database["hostname"], "port": database["port"], "user": database["username"]}
    connection = psycopg2.connect(dbname="postgres", **where)
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {name}")
    connection.close()
    chosen = {**database, "db_name": name, "scheme": "postgresql+psycopg2"}
    return {"storage": {"postgres": {"postgres_db": chosen}}}


def _backend_seconds(database: Mapping[str, Any] | None) -> float:
    """Return the CPU seconds of the server's processes, those that have ended included."""
    if database is None:
        return 0.0
    import psutil

    for process in psutil.process_iter(["name", "cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if process.info["name"] == "postgres" and f"-p {database['port']} " in command:
            own = process.cpu_times()
            living = [each.cpu_times() for each in process.children()]
            ended = own.children_user + own.children_system
            return ended + sum(each.user + each.system for each in living)
    raise SystemExit("no Postgres server")


def _table_bytes(instance: Any) -> int:
    from sqlalchemy import text

    tables = ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions")
    total = " + ".join(f"pg_total_relation_size('{table}')" for table in tables)
    with instance.event_log_storage.index_connection() as connection:
        return int(connection.execute(text(f"select {total}")).scalar())


if __name__ == "__main__":
    if sys.argv[1].startswith("["):
        print(json.dumps(measure(*json.loads(sys.argv[1]))))
    else:
        sys.exit(0 if main() else 1)
