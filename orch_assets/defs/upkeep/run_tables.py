"""What Dagster's tables hold of single runs: which must stay, how large one is, and its removal.

``instance.delete_run`` removes a run first and its events next, so that a kill in between leaves
events of no run. It leaves the evaluations of checks, and on SQLite the run's own database file. So
this module does it, in another order. Its SQL is the same for SQLite and Postgres; a test holds it
on both.
"""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import dagster as dg

from orch_assets.defs.partitions import STUDIES_NAME

_SUCCESS: Final = dg.DagsterEventType.ASSET_MATERIALIZATION
# A later success of the same partition says that they are over.
_ATTEMPTS: Final = (
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_OBSERVATION,
)
# By asset and type: only so do both databases answer from an index, and read no event.
_OF_NEWEST_EVENTS: Final = """
SELECT partition, id, run_id FROM event_logs WHERE id IN (
  SELECT MAX(id) FROM event_logs
  WHERE asset_key = :asset AND dagster_event_type = :type AND partition IS NOT NULL {of_runs}
  GROUP BY partition
  UNION
  SELECT MAX(id) FROM event_logs
  WHERE asset_key = :asset AND dagster_event_type = :type AND partition IS NULL {of_runs})
"""
# Of each check the newest that was planned, and the newest that was evaluated.
_OF_NEWEST_CHECKS: Final = """
SELECT DISTINCT asset_key, partition, run_id FROM asset_check_executions WHERE id IN (
  SELECT MAX(id) FROM asset_check_executions GROUP BY asset_key, check_name, partition
  UNION
  SELECT MAX(id) FROM asset_check_executions WHERE execution_status != 'PLANNED'
  GROUP BY asset_key, check_name, partition)
"""
_SIZE: Final = """
SELECT COUNT(*), COALESCE(SUM(LENGTH(event)), 0) FROM event_logs WHERE run_id = :run_id
"""
_REMOVALS: Final = (
    """DELETE FROM asset_event_tags WHERE event_id IN
    (SELECT id FROM event_logs WHERE run_id = :run_id)""",
    # By each check, since no index has the run alone.
    """DELETE FROM asset_check_executions WHERE id IN (
    SELECT one.id FROM (SELECT DISTINCT asset_key, check_name FROM asset_check_executions) checks
    JOIN asset_check_executions one ON one.asset_key = checks.asset_key
    AND one.check_name = checks.check_name AND one.run_id = :run_id)""",
    "DELETE FROM event_logs WHERE run_id = :run_id",
)


def has_tables(instance: dg.DagsterInstance) -> bool:
    """Return whether the event log is in the tables that this module knows."""
    return hasattr(instance.event_log_storage, "index_transaction")


def runs_of_newest_events(
    instance: dg.DagsterInstance, by_study: Collection[dg.AssetKey] = ()
) -> set[str]:
    """Return the runs that wrote the events that the state of an asset's partition depends on.

    These are its newest success, and its newest failure and plan if no success followed; of a check
    the newest evaluation and plan. Without them, Dagster, ``study_results`` and the sensors would
    take another state for it. An event that belongs to no run isn't counted, since nothing removes
    it, and an older one may be needed once its asset is wiped.

    Args:
        instance: The instance.
        by_study: Assets whose partitions are the studies: nobody needs the state of a retired one.
    """
    storage: Any = instance.event_log_storage
    studies = {*instance.get_dynamic_partitions(STUDIES_NAME)}
    # None at all may be a fault, and all of them would go.
    judged = {each.to_string() for each in by_study} if studies else set()

    def is_needed(asset: str, partition: str | None) -> bool:
        return partition is None or asset not in judged or partition in studies

    with storage.index_transaction() as connection:
        assets = [row[0] for row in _execute(connection, "SELECT asset_key FROM asset_keys")]
        found = {
            str(run_id)
            for asset, partition, run_id in _execute(connection, _OF_NEWEST_CHECKS)
            if is_needed(asset, partition)
        }
        for asset in assets:
            newest = _newest_events(connection, asset)
            found |= {run for partition, run in newest if is_needed(asset, partition)}
    return found


def _newest_events(connection: Any, asset: str) -> Iterator[tuple[str | None, str]]:
    """Yield the partition and the run of each event that the state of an asset depends on."""
    made = _newest_of(connection, asset, _SUCCESS)
    for partition, (_, run_id) in made.items():
        yield partition, run_id
    for attempt in _ATTEMPTS:
        for partition, (event_id, run_id) in _newest_of(connection, asset, attempt).items():
            if partition not in made or event_id > made[partition][0]:
                yield partition, run_id


def _newest_of(
    connection: Any, asset: str, event_type: dg.DagsterEventType
) -> dict[str | None, tuple[int, str]]:
    """Return ID and run of the newest event of a type that a run wrote, by partition."""
    parameters = {"asset": asset, "type": event_type.value}

    def newest(of_runs: str) -> dict[str | None, tuple[int, str]]:
        query = _OF_NEWEST_EVENTS.format(of_runs=of_runs)
        rows = _execute(connection, query, **parameters)
        return {partition: (event_id, str(run_id or "")) for partition, event_id, run_id in rows}

    found = newest("")
    # Then the newest event of a run counts, which takes longer to find.
    of_no_run = any(not run_id for _, run_id in found.values())
    return newest("AND run_id != ''") if of_no_run else found


def size_of_run(instance: dg.DagsterInstance, run_id: str) -> tuple[int, int]:
    """Return the number of a run's events, and the bytes that they take."""
    storage: Any = instance.event_log_storage
    with storage.index_transaction() as connection:
        count, size = _execute(connection, _SIZE, run_id=run_id).one()
    files = _own_files(storage, run_id)
    if files and files[0].exists():  # it has all of the run's events, the index only some of them
        with storage.run_connection(run_id) as connection:
            count, _ = _execute(connection, _SIZE, run_id=run_id).one()
    return int(count), int(size) + sum(_size(file) for file in files)


def delete_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete a run that has ended, with all that the tables hold of it.

    The run itself goes last: if the process is killed, the next upkeep finds it again.
    """
    storage: Any = instance.event_log_storage
    with storage.index_transaction() as connection:
        for removal in _REMOVALS:
            _execute(connection, removal, run_id=run_id)
    for file in _own_files(storage, run_id):
        file.unlink(missing_ok=True)
    instance.run_storage.delete_run(run_id)


def compute_logs_of(instance: dg.DagsterInstance, run_id: str) -> tuple[int, int]:
    """Return the number of a run's files with captured output, and their bytes.

    Both are 0 if the manager of compute logs doesn't keep them on this machine.
    """
    manager: Any = instance.compute_log_manager
    if not hasattr(manager, "get_captured_local_path"):
        return 0, 0
    folder = Path(manager.get_captured_local_path([run_id, "compute_logs"], "out")).parent
    files = [each for each in folder.rglob("*") if each.is_file()]
    return len(files), sum(map(_size, files))


def delete_compute_logs(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete what a run's steps have printed."""
    instance.compute_log_manager.delete_logs(prefix=[run_id])


def _execute(connection: Any, query: str, **parameters: str) -> Any:
    import sqlalchemy

    return connection.execute(sqlalchemy.text(query), parameters)


def _own_files(storage: Any, run_id: str) -> list[Path]:
    """Return the files of a run's own database, which only SQLite has; the database first."""
    if not getattr(storage, "is_run_sharded", False) or not hasattr(storage, "path_for_shard"):
        return []
    path = str(storage.path_for_shard(run_id))
    return [Path(f"{path}{end}") for end in ("", "-wal", "-shm")]


def _size(file: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return file.stat().st_size
    return 0
