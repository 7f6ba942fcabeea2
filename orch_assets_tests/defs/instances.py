"""Real Dagster instances, SQLite in a temporary folder, made quickly."""

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool


@contextmanager
def temporary_instance(
    overrides: Mapping[str, Any] | None = None,
) -> Iterator[dg.DagsterInstance]:
    """Give an instance of its own, in the folder that would be its ``DAGSTER_HOME``.

    Args:
        overrides: of its configuration.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy_databases(folder)
        with dg.instance_for_test(overrides, temp_dir=folder) as instance:
            yield instance


def copy_databases(home: Path | str) -> None:
    """Put the databases of an instance into its ``DAGSTER_HOME``, before its first use."""
    shutil.copytree(_empty_databases() / "home", home, dirs_exist_ok=True)


@contextmanager
def quick_databases() -> Iterator[None]:
    """Spare Dagster's instances in this process two thirds of what SQLite costs a small run.

    Dagster makes a database for each run by its migrations: here it begins as a copy of an empty
    one. And for each event it makes an engine, which has compiled no SQL yet: here it is kept.
    """
    make, empty = SqliteEventLogStorage._initdb, _empty_databases() / "run.db"

    def copy(storage: SqliteEventLogStorage, engine: Any, for_index_shard: bool = False) -> None:
        database = Path(engine.url.database)
        if for_index_shard or database.exists():
            make(storage, engine, for_index_shard)
            return
        # Linked under its name when it is whole, and never over another's.
        with tempfile.TemporaryDirectory(dir=database.parent) as folder:
            whole = shutil.copy(empty, folder)
            with contextlib.suppress(FileExistsError):
                os.link(whole, database)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteEventLogStorage, "_initdb", copy)
        for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
            patch.setattr(module, "create_engine", _kept_engine)
        yield


def _kept_engine(url: str, *, poolclass: Any, connect_args: Mapping[str, Any] | None = None) -> Any:
    assert poolclass is NullPool  # it keeps no connection
    return _engine(url, **(connect_args or {}))


@functools.lru_cache(64)
def _engine(url: str, **connect_args: Any) -> Any:
    return create_engine(url, poolclass=NullPool, connect_args=connect_args)


@functools.cache
def _empty_databases() -> Path:
    """Return a folder with those of a home and of a run: to make them takes 0.3 s, to copy none."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "home").mkdir()
    with dg.instance_for_test(temp_dir=str(folder / "home")) as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, SqliteEventLogStorage)
        made = Path(storage.path_for_shard("run"))
        with storage.run_connection("run"):
            pass
        made.rename(folder / "run.db")
    return folder
