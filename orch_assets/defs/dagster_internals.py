"""Everything that this package uses of Dagster beyond its public API.

No other module imports private names of Dagster. A comment at each name says which gap in the
public API it fills. Private names may change in any release, so a test imports and uses each one
with the lowest and the newest release that pyproject.toml allows: if an upgrade breaks a name, that
test fails and shows which one.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

import dagster as dg

# Resources without launch configuration: `configured()` is public, but the fields and their values
# remain visible.
from dagster._config.pythonic_config.io_manager import (
    ConfigurableIOManagerFactoryResourceDefinition,
)
from dagster._config.pythonic_config.resource import (
    ConfigurableResourceFactory,
    ConfigurableResourceFactoryResourceDefinition,
)
from dagster._config.validate import process_config

# A check of a past materialization: `AssetCheckEvaluation` takes this, and no public function
# creates it.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

# A run that is created first and then executed in this process: `execute_in_process` creates runs
# without an origin, which the UI needs to find the job to re-execute.
from dagster._core.definitions.job_base import InMemoryJob

# The type that `define_asset_job` returns has no public name.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# Closing a run whose process is gone, so that no daemon retries it: `report_run_failed` is public,
# but the reason that it takes isn't.
from dagster._core.events import JobFailureData, RunFailureReason, StepMaterializationData
from dagster._core.execution.api import execute_run_iterator

# The input of one partition: `build_input_context` can't take the resources of a run, and creates
# an instance.
from dagster._core.execution.context.input import KeyRangeNoPartitionsDefPartitionsSubset

# What a launcher of runs answers run monitoring: `RunLauncher` is public, but these aren't.
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus

# A job's origin; see `InMemoryJob`.
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

# What a run coordinator's `submit_run` takes: the coordinators are public, but not this.
from dagster._core.run_coordinator import SubmitRunContext

# The failed evaluations of a check alone: `get_asset_check_execution_history` takes this, and no
# public function returns a history.
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

# Unfinished runs: the single statuses are public, but a list of them would miss a new one.
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

# Creating a resource's definition only once: Dagster identifies nested resources by it.
from dagster._utils.cached_method import cached_method

# Cleaning up when a run is interrupted: no public function holds back a second interrupt.
from dagster._utils.interrupts import capture_interrupts

# A module's definitions that are made when it is loaded: `dg.definitions` is public, but the type
# that it returns isn't.
from dagster.components.definitions import LazyDefinitions

__all__ = [
    "NOT_FINISHED_STATUSES",
    "AssetCheckEvaluationTargetMaterializationData",
    "AssetCheckExecutionRecordStatus",
    "CheckRunHealthResult",
    "ConfigurableIOManagerFactoryResourceDefinition",
    "ConfigurableResourceFactory",
    "ConfigurableResourceFactoryResourceDefinition",
    "InMemoryJob",
    "JobFailureData",
    "KeyRangeNoPartitionsDefPartitionsSubset",
    "LaunchRunContext",
    "LazyDefinitions",
    "LoadableTargetOrigin",
    "ManagedGrpcPythonEnvCodeLocationOrigin",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "RunFailureReason",
    "StepMaterializationData",
    "SubmitRunContext",
    "UnresolvedAssetJobDefinition",
    "WorkerStatus",
    "add_to_outputs",
    "added_to_outputs",
    "cached_method",
    "can_store_batches",
    "capture_interrupts",
    "configured_origins",
    "delete_note",
    "execute_created_run",
    "execute_run_iterator",
    "insert_note",
    "keys_of_notes",
    "log_entry",
    "notify_listeners",
    "own_metadata",
    "process_config",
    "replace_note",
    "requested_backfills",
    "step_of",
    "store_batch",
    "stored_ids",
    "tag_backfills",
    "waiting_storages",
]

# The tags of the backfill that a request retries or resumes.
_BACKFILL_TAGS: Final[ContextVar[Mapping[str, str] | None]] = ContextVar(
    "backfill_tags", default=None
)

# Dagster's own storages, whose tables `store_batch` fills as they do. A subclass may do more for
# each event, so it isn't one of them.
_BATCHING: Final = frozenset(
    {
        "dagster._core.storage.event_log.sqlite.sqlite_event_log.SqliteEventLogStorage",
        "dagster_postgres.event_log.event_log.PostgresEventLogStorage",
    }
)


def configured_origins(folder: Path) -> Sequence[Any]:
    """Return the origins of the code locations that Dagster's commands find in a folder.

    They look into ``pyproject.toml`` first, then into ``workspace.yaml``. There is a public command
    for that, but no function.

    Raises:
        Exception: A file can't be read.
    """
    from dagster._core.workspace.load import location_origins_from_yaml_paths
    from dagster._core.workspace.load_target import get_origins_from_toml

    project = folder / "pyproject.toml"
    if project.is_file() and (origins := get_origins_from_toml(str(project))):
        return origins
    workspaces = [folder / name for name in ("workspace.yaml", "workspace.yml")]
    found = [str(each) for each in workspaces if each.is_file()]
    return location_origins_from_yaml_paths(found[:1]) if found else []


def requested_backfills(instance: dg.DagsterInstance) -> Sequence[Any]:
    """Return the backfills that are not finished.

    `get_backfills` is public, but the filter and the status that it takes aren't. Their module is
    imported here, because its import costs a third of the time to load the code location.
    """
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

    requested = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
    return instance.get_backfills(filters=requested)


def step_of(context: dg.InputContext | dg.OutputContext) -> Any:
    """Return the step that an IO manager's context belongs to; None if it belongs to none.

    The inputs and outputs of a step share no other object that lives exactly as long as the step.
    """
    return context._step_context  # noqa: SLF001 - private access is the purpose of this module


def own_metadata(context: dg.OutputContext) -> Mapping[str, Any]:
    """Return the metadata that an asset gave itself for the output that is being stored.

    No public name says what ``context.add_asset_metadata`` was called with.
    """
    step = step_of(context)
    added = step.get_asset_metadata(context.asset_key) if step and context.has_asset_key else None
    return {**context.output_metadata, **(added or {})}


def add_to_outputs(context: dg.InputContext, metadata: Mapping[str, Any]) -> None:
    """Add metadata to the events of all assets that are made from an input.

    `context.add_asset_metadata` is public, but an IO manager that loads an input can't call it.
    """
    step = step_of(context)
    for key in step.assets_def.keys if step and step.assets_def else ():
        step.add_asset_metadata(metadata, asset_key=key)


def added_to_outputs(context: dg.InputContext) -> Mapping[str, Any]:
    """Return what :func:`add_to_outputs` has added so far."""
    step = step_of(context)
    keys = step.assets_def.keys if step and step.assets_def else ()
    return next((step.get_asset_metadata(key) or {} for key in keys), {})


def log_entry(
    context: dg.AssetExecutionContext, event: dg.AssetMaterialization | dg.AssetCheckEvaluation
) -> dg.EventLogEntry:
    """Return an event as the run logs it now.

    ``context.log_event`` adds a kilobyte that describes the step, the same for each event.
    """
    data: StepMaterializationData | dg.AssetCheckEvaluation
    if isinstance(event, dg.AssetMaterialization):
        event_type = dg.DagsterEventType.ASSET_MATERIALIZATION
        message, data = f"Materialized value {event.label}.", StepMaterializationData(event)
    else:
        event_type, data = dg.DagsterEventType.ASSET_CHECK_EVALUATION, event
        outcome = "passed" if event.passed else "did not pass"
        asset = event.asset_key.to_user_string()
        message = f"Asset check '{event.check_name}' on '{asset}' {outcome}."
    run, step_key = context.run, context.get_step_execution_context().step.key
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]  # Dagster's
        error_info=None,
        level=logging.DEBUG,
        user_message="",
        run_id=run.run_id,
        timestamp=time.time(),
        step_key=step_key,
        job_name=run.job_name,
        dagster_event=dg.DagsterEvent(
            event_type_value=event_type.value,
            job_name=run.job_name,
            message=message,
            event_specific_data=data,
            step_key=step_key,
        ),
    )


def can_store_batches(storage: Any) -> bool:
    """Return whether :func:`store_batch` knows this event log storage.

    Dagster's storages have a batch operation of their own, but SQLite's stores one event after the
    other, and that of Postgres takes events of one asset and doesn't return their IDs.
    """
    name = f"{type(storage).__module__}.{type(storage).__qualname__}"
    return name in _BATCHING and hasattr(storage, "_store_asset_event")


def store_batch(storage: Any, entries: Sequence[dg.EventLogEntry]) -> Sequence[int]:
    """Store materializations or evaluations of checks of one run; return their storage IDs.

    A run's own database, which SQLite has, is written first, like ``store_event`` does it. All else
    is one transaction.
    """
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as EventLogs

    rows = [storage._event_to_row(entry) for entry in entries]  # noqa: SLF001
    if storage.is_run_sharded:
        with storage.run_connection(entries[0].run_id) as connection:
            connection.execute(EventLogs.insert(), rows)
    with storage.index_transaction() as connection:
        ids = _insert(storage, connection, EventLogs, rows)
        newest = {}
        for entry, storage_id in zip(entries, ids, strict=True):
            if entry.asset_materialization is None:
                _update_check(storage, connection, entry, storage_id)
            else:
                newest[entry.asset_materialization.asset_key] = entry, storage_id
        if newest:
            storage._store_asset_event_tags(connection, entries, ids)  # noqa: SLF001
        for entry, storage_id in newest.values():  # an asset's own row has only its last event
            storage._store_asset_event(connection, entry, storage_id)  # noqa: SLF001
    return ids


def stored_ids(storage: Any, entries: Sequence[dg.EventLogEntry]) -> Sequence[int]:
    """Return the storage IDs of entries of one run; empty if not all of them are stored.

    An event log can be asked for the events of a run, but not for one event.
    """
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as EventLogs
    from dagster._core.storage.sqlalchemy_compat import db_select

    found = []
    with storage.index_connection() as connection:
        for entry in entries:
            row = storage._event_to_row(entry)  # noqa: SLF001
            same = (EventLogs.c.run_id == row["run_id"]) & (EventLogs.c.event == row["event"])
            found += connection.execute(db_select([EventLogs.c.id]).where(same).limit(1)).all()
    return [row[0] for row in found] if len(found) == len(entries) else []


@contextmanager
def waiting_storages(
    instance: dg.DagsterInstance, wait: Callable[[Callable[[], Any]], Any]
) -> Iterator[None]:
    """Let an instance's connections to its database, and what records an event, wait in a block.

    Dagster tries to connect for ten seconds, and has no setting for that.

    Args:
        instance: The instance, in Postgres or SQLite.
        wait: Makes a call until it succeeds.
    """
    runs: Any = instance.run_storage
    events: Any = instance.event_log_storage
    store, handle = events.store_event, runs.handle_run_event

    def store_once(entry: dg.EventLogEntry) -> None:
        tried = False

        def attempt() -> None:
            nonlocal tried
            known = stored_ids(events, [entry]) if tried else ()
            tried = True
            if not known:
                store(entry)
            elif entry.dagster_event and entry.dagster_event.asset_key:
                events.store_asset_event(entry, known[0])

        wait(attempt)

    with ExitStack() as stack:
        for storage, name in ((runs, "connect"), (events, "_connect")):
            _replace(stack, storage, name, _waiting(getattr(storage, name), wait))
        _replace(stack, events, "store_event", store_once)
        _replace(stack, runs, "handle_run_event", lambda *each: wait(lambda: handle(*each)))
        yield


def _replace(stack: ExitStack, storage: Any, name: str, function: Callable[..., Any]) -> None:
    setattr(storage, name, function)
    stack.callback(delattr, storage, name)


def _waiting(
    connect: Callable[..., AbstractContextManager[Any]], wait: Callable[[Callable[[], Any]], Any]
) -> Callable[..., AbstractContextManager[Any]]:
    """Return a function that connects as another one does, but waits."""

    @contextmanager
    def connecting(*arguments: Any) -> Iterator[Any]:
        with ExitStack() as stack:
            yield wait(lambda: stack.enter_context(connect(*arguments)))

    return connecting


def notify_listeners(instance: dg.DagsterInstance, entries: Sequence[dg.EventLogEntry]) -> None:
    """Pass stored events of a run to its listeners, as an instance does after storing one."""
    for entry in entries:
        for listener in instance._subscribers[entry.run_id]:  # noqa: SLF001
            listener(entry)


def tag_backfills(tags_of: Callable[[dg.DagsterInstance, Any], Mapping[str, str]]) -> None:
    """Tag the backfills that are requested through this process's webserver.

    A run coordinator sees the runs of a backfill only when the daemon submits them, which doesn't
    know the request. Dagster asks its request context for tags, but gives no way to set them.

    Args:
        tags_of: Returns the tags for an instance and a request. They overwrite the request's own.
    """
    from dagster._core.workspace.context import WorkspaceRequestContext

    def viewer_tags(context: Any) -> dict[str, str]:
        return {**tags_of(context.instance, context.source)}

    WorkspaceRequestContext.get_viewer_tags = viewer_tags  # type: ignore[assignment, method-assign]
    if "dagster_graphql" in sys.modules:  # as in a webserver; its import would cost others a second
        _tag_old_backfills(viewer_tags)


def _tag_old_backfills(viewer_tags: Callable[[Any], Mapping[str, str]]) -> None:
    """Tag the backfills that are retried or resumed: Dagster lets them keep the tags of the old.

    They must be tagged when they are stored. Later, the daemon may have submitted their first runs.
    """
    from dagster._core.instance.methods.scheduling_methods import SchedulingMethods
    from dagster_graphql.implementation.execution import backfill as implementation
    from dagster_graphql.schema.roots import mutation

    def tagged(theirs: Callable[..., Any]) -> Callable[..., Any]:
        def resolve(graphene_info: Any, *args: Any, **further: Any) -> Any:
            token = _BACKFILL_TAGS.set(viewer_tags(graphene_info.context))
            try:
                return theirs(graphene_info, *args, **further)
            finally:
                _BACKFILL_TAGS.reset(token)

        return resolve

    def storing(theirs: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def store(instance: dg.DagsterInstance, backfill: Any) -> None:
            tags = _BACKFILL_TAGS.get()
            theirs(
                instance, backfill._replace(tags={**backfill.tags, **tags}) if tags else backfill
            )

        return store

    for name in ("retry_partition_backfill", "resume_partition_backfill"):
        setattr(mutation, name, tagged(getattr(implementation, name)))
    for name in ("add_backfill", "update_backfill"):
        setattr(dg.DagsterInstance, name, storing(getattr(SchedulingMethods, name)))


def insert_note(instance: dg.DagsterInstance, key: str, value: str) -> bool:
    """Store a note under a key that has none, in Dagster's own table; return False if it has one.

    ``set_cursor_values`` of a run storage can't tell the two apart.
    """
    from dagster._core.storage.runs.schema import KeyValueStoreTable as Notes
    from sqlalchemy.exc import IntegrityError

    storage: Any = instance.run_storage
    try:
        with storage.connect() as connection:
            connection.execute(Notes.insert().values(key=key, value=value))
    except IntegrityError:
        return False
    return True


def replace_note(instance: dg.DagsterInstance, key: str, value: str, *, of: str) -> bool:
    """Replace a note that begins with a text; return False if there is none that does."""
    from dagster._core.storage.runs.schema import KeyValueStoreTable as Notes

    storage: Any = instance.run_storage
    own = (Notes.c.key == key) & Notes.c.value.startswith(of, autoescape=True)
    with storage.connect() as connection:
        return bool(connection.execute(Notes.update().where(own).values(value=value)).rowcount)


def keys_of_notes(instance: dg.DagsterInstance, start: str) -> Sequence[str]:
    """Return the keys of the notes that begin with a text; none if they aren't in a table."""
    from dagster._core.storage.runs.schema import KeyValueStoreTable as Notes
    from sqlalchemy import select

    storage: Any = instance.run_storage
    if not hasattr(storage, "connect"):
        return []
    with storage.connect() as connection:
        keys = select(Notes.c.key).where(Notes.c.key.startswith(start, autoescape=True))
        return [str(row[0]) for row in connection.execute(keys)]


def delete_note(instance: dg.DagsterInstance, key: str, *, of: str) -> None:
    """Delete a note that begins with a text, if there is one."""
    from dagster._core.storage.runs.schema import KeyValueStoreTable as Notes

    storage: Any = instance.run_storage
    own = (Notes.c.key == key) & Notes.c.value.startswith(of, autoescape=True)
    with storage.connect() as connection:
        connection.execute(Notes.delete().where(own))


def execute_created_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Execute a run in this process, as the process of a launcher does.

    ``dagster api execute_run`` is public, but takes a serialized argument and creates an instance.
    """
    from dagster._cli.api import _execute_run_command_body

    _execute_run_command_body(run_id, instance, lambda _: None, set_exit_code_on_failure=True)


def _insert(storage: Any, connection: Any, table: Any, rows: Sequence[Any]) -> Sequence[int]:
    """Insert rows into the event log; return their IDs."""
    from dagster._core.storage.sqlalchemy_compat import db_select
    from sqlalchemy import func

    if storage.is_run_sharded:  # SQLite: nobody else writes during the transaction
        connection.execute(table.insert(), rows)
        last = connection.execute(db_select([func.max(table.c.id)])).scalar()
        return range(last - len(rows) + 1, last + 1)
    inserted = connection.execute(table.insert().values(rows).returning(table.c.id))
    return [row[0] for row in inserted]


def _update_check(storage: Any, connection: Any, entry: dg.EventLogEntry, storage_id: int) -> None:
    """Record an evaluation as that of the planned check, in an open transaction."""
    opened = _OpenStorage(storage, connection)
    type(storage)._update_asset_check_evaluation(opened, entry, storage_id)  # noqa: SLF001


class _OpenStorage:
    """A storage whose only connection is one that is open."""

    def __init__(self, storage: Any, connection: Any) -> None:
        self._storage = storage
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    @contextmanager
    def index_connection(self) -> Iterator[Any]:
        """Give the open connection."""
        yield self._connection
