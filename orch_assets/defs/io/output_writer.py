"""Stores what a pipeline returns: numbers in the event, everything else in a store.

May be called from any thread.
"""

import inspect
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.defs.events import ROW_COUNT, URI, StoredResult, entry_of, value_of
from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.event_metadata import Metadata, io_managers_metadata
from orch_assets.defs.io.io_contexts import output_context
from orch_assets.defs.io.io_manager import PipelineIOManager
from orch_assets.defs.io.refresh_metadata import (
    reading_counts,
    rebuild_of,
    refresh_metadata,
    refresh_of,
    row_metadata,
)
from orch_assets.defs.io.table_types import as_result, handed_on, is_table_stream
from orch_assets.errors import (
    ArtifactReplacedError,
    ImednetError,
    StoreError,
    UnstorableTableError,
)
from orch_assets.exports.table_export import TableExport
from orch_assets.imednet.streams import BatchStream, RefreshStream
from orch_assets.lazy import cached_property
from orch_assets.orchestration.reporting.known_names import current_known_names
from orch_assets.orchestration.returned_values import SplitTable, showable
from orch_assets.orchestration.steps import StepCall, StepOutput
from orch_assets.refreshing import StoredTable
from orch_assets.stores.tables import DeferredStream
from orch_assets.study import in_study_context

if TYPE_CHECKING:
    import pyarrow as pa

# Handed to the next pipelines if they must load the result from its store: a stream too large to
# hold in memory, or an object of a user's own IO manager.
IN_THE_STORE: Final = object()

_HELD_BYTES: Final = 16 << 20
# A stored table with more rows is not loaded to be held.
_HELD_ROWS: Final = 100_000
# Keys in the open table's metadata for the metadata of its withheld part.
_WITHHELD: Final = {ROW_COUNT: "withheld_rows", URI: "withheld_uri", "sha256": "withheld_sha256"}


@dataclass(frozen=True)
class OutputWriter:
    """Stores results through the IO managers of a run.

    Attributes:
        resources: resources of the run, including IO managers and ``restricted_io_manager``.
        run_id: the run.
        keys: asset keys, by pipeline name.
        io_manager_keys: resource keys of the IO managers, by pipeline name.
        definition_metadata: metadata of the assets' definitions.
    """

    resources: Any
    run_id: str
    keys: Mapping[str, dg.AssetKey]
    io_manager_keys: Mapping[str, str]
    definition_metadata: Mapping[dg.AssetKey, Mapping[str, Any]] = field(default_factory=dict)

    def write(self, call: StepCall, returned: Any) -> StepOutput:
        """Store a result; return its metadata for the event, and the value to hand on."""
        value = as_result(returned)
        if value is None or (showable(value) and _is_named_by_source(value)):
            return StepOutput(StoredResult(data=value), handover=value)
        if isinstance(value, SplitTable):
            metadata, handover = self._write_split(call, value)
        else:
            metadata, handover = self._write_one(call, self.io_manager(call.step.name), value)
        if (refresh := refresh_of(value)) is not None:
            metadata = {**metadata, **refresh_metadata(refresh, value_of(metadata, "sha256"))}
        if (changes := rebuild_of(value)) is not None:
            metadata = {**metadata, **row_metadata(changes)}
        return StepOutput(StoredResult(metadata=metadata, stored=True), handover=handover)

    def io_manager(self, name: str) -> dg.IOManager:
        """Return the IO manager that stores a pipeline's results."""
        io_manager: dg.IOManager = getattr(self.resources, self.io_manager_keys[name])
        return io_manager

    def _write_one(
        self,
        call: StepCall,
        io_manager: dg.IOManager,
        value: Any,
        before_commit: Callable[[], object] = lambda: None,
    ) -> tuple[Metadata, Any]:
        if not is_table_stream(value):
            metadata = self._store(call, io_manager, value)
            return metadata, value if handed_on(value) else IN_THE_STORE
        if not isinstance(value, BatchStream):
            return self._store(call, io_manager, value), IN_THE_STORE
        held = _HeldBatches(value.schema)
        with value:
            refresh = value.refresh
            stored = refresh.earlier if refresh is not None and refresh.unchanged else None
            if stored is not None:
                metadata = self._unchanged(call, io_manager, value, before_commit)
            else:
                stream = _DelayedCommit(value, held.collect(value), before_commit)
                metadata = self._store(call, io_manager, stream)
        handover = held.table() if stored is None else UnchangedTable(stored)
        return {**metadata, **reading_counts(value.counts)}, handover

    def _unchanged(
        self,
        call: StepCall,
        io_manager: dg.IOManager,
        value: BatchStream,
        before_commit: Callable[[], object],
    ) -> Metadata:
        """Return the metadata of the stored version that is still right; nothing is stored.

        Raises:
            UnstorableTableError: The IO manager is a user's own, so it would store no rows.
        """
        if not isinstance(io_manager, PipelineIOManager):
            raise UnstorableTableError(
                "The table is unchanged since another version of it, which this IO manager "
                "doesn't have. Refresh a table only from the previous result that the pipeline "
                "receives."
            )
        deque(value, maxlen=0)  # no batches, but its end ends the other part
        before_commit()
        return self._store(call, io_manager, value)

    def _write_split(self, call: StepCall, value: SplitTable) -> tuple[Metadata, Any]:
        """Store both parts; commit the withheld part first.

        Readers take an open table as proof that its withheld part exists.
        """
        io_manager = self.io_manager(call.step.name)
        check = partial(self._check_replaceable, call, io_manager, value.table)
        write_withheld = cache(partial(self._write_withheld, call, value, check))
        if isinstance(value.table, BatchStream) and not _is_unchanged(value.table):
            with value.table as table:  # both parts come from the same download
                background = _BackgroundWrite(write_withheld)
                batches = background.feed(table)
                stream = BatchStream(batches, table.counts, table.schema, refresh=table.refresh)
                try:
                    metadata, handover = self._write_one(
                        call, io_manager, stream, background.result
                    )
                finally:
                    table.close()
                    background.wait()  # or a retry would write while this attempt still does
            withheld, withheld_handover = background.result()
        elif isinstance(value.table, TableExport):  # either may be refused
            export = replace(value.table, before_commit=write_withheld)
            metadata, handover = self._write_one(call, io_manager, export)
            withheld, withheld_handover = write_withheld()
        else:
            withheld, withheld_handover = write_withheld()
            metadata, handover = self._write_one(call, io_manager, value.table)
        withheld_metadata = {
            key: entry
            for name, key in _WITHHELD.items()
            if (entry := entry_of(withheld, name)) is not None
        }
        return {**metadata, **withheld_metadata}, SplitTable(handover, withheld_handover)

    def _check_replaceable(self, call: StepCall, io_manager: dg.IOManager, table: Any) -> None:
        """Check that an open part may be committed, before its withheld part is.

        Raises:
            ArtifactReplacedError: Another version than the one that it is to replace is current.
        """
        earlier = (
            table.refresh.earlier if isinstance(table, BatchStream) and table.refresh else None
        )
        if earlier is None or not isinstance(io_manager, PipelineIOManager):
            return
        name = artifact_name(self.keys[call.step.name], call.study_key)
        current = io_manager.pipeline_store().history(name).version
        if current != earlier.version:
            raise ArtifactReplacedError(name, earlier.version, current)

    def _write_withheld(
        self, call: StepCall, value: SplitTable, before_commit: Callable[[], object]
    ) -> tuple[Metadata, Any]:
        """Store a withheld part.

        An optional one without rows is not stored unless there is an earlier version, which would
        otherwise stay the newest. ``withheld_rows`` is then 0 and there is no ``withheld_uri``.
        """
        io_manager = self.resources.restricted_io_manager
        required = not value.withheld_if_any or self._may_exist(call, io_manager)
        if required or _has_rows(value.withheld):
            return self._write_one(call, io_manager, value.withheld, before_commit)
        return {ROW_COUNT: dg.MetadataValue.int(0)}, value.withheld.schema.empty_table()

    def _may_exist(self, call: StepCall, io_manager: dg.IOManager) -> bool:
        """Return whether the IO manager has a table for this step, or might have one."""
        if not isinstance(io_manager, PipelineIOManager):
            return True
        name = artifact_name(self.keys[call.step.name], call.study_key)
        return io_manager.pipeline_store().exists(name)

    def _store(self, call: StepCall, io_manager: dg.IOManager, value: Any) -> Metadata:
        key = self.keys[call.step.name]
        definition_metadata = self.definition_metadata.get(key, {})
        context = output_context(
            self.resources, self.run_id, key, call.study_key, definition_metadata
        )
        events: Any = io_manager.handle_output(context, value)
        if inspect.isgenerator(events):  # Dagster lets an IO manager yield events
            deque(events, maxlen=0)
        return io_managers_metadata(context.get_logged_metadata())


class _HeldBatches:
    """Batches of a stream, held in memory for downstream pipelines up to ``_HELD_BYTES``.

    Args:
        schema: schema of the stream.
    """

    def __init__(self, schema: "pa.Schema") -> None:
        self._schema = schema
        self._batches: list[pa.RecordBatch] | None = []
        self._bytes = 0

    def collect(
        self, batches: "Iterable[pa.RecordBatch]"
    ) -> "Generator[pa.RecordBatch, None, None]":
        """Yield the batches while holding them."""
        for batch in batches:
            self._bytes += batch.nbytes
            if self._bytes > _HELD_BYTES:
                self._batches = None
            if self._batches is not None:
                self._batches.append(batch)
            yield batch

    def table(self) -> Any:
        """Return the table, or ``IN_THE_STORE`` if it was too large to hold."""
        import pyarrow as pa

        if self._batches is None:
            return IN_THE_STORE
        return pa.Table.from_batches(self._batches, self._schema)


class UnchangedTable:
    """The result of a refresh that found no change; loaded for the first pipeline that takes it.

    Args:
        stored: the stored version.
    """

    def __init__(self, stored: StoredTable) -> None:
        self._stored = stored

    @cached_property
    def table(self) -> Any:
        """The table, or ``IN_THE_STORE`` if it is too large to hold or can't be read here."""
        if self._stored.num_rows > _HELD_ROWS:
            return IN_THE_STORE
        try:
            held = _HeldBatches(self._stored.schema)
            deque(held.collect(self._stored.batches()), maxlen=0)
        except StoreError:  # the current object may still be right
            return IN_THE_STORE
        return held.table()


class _DelayedCommit(BatchStream, DeferredStream):
    """A stream whose table may be committed only after something else has finished.

    A store of this package takes the wait and calls it once all rows are written
    (``stores.tables.Incoming``). For other consumers, the stream waits before it ends.

    Args:
        stream: the stream.
        batches: its rows.
        wait: returns when the table may be committed.
    """

    def __init__(
        self,
        stream: BatchStream,
        batches: "Iterable[pa.RecordBatch]",
        wait: Callable[[], object],
    ) -> None:
        rows = self._waited(batches)
        super().__init__(rows, stream.counts, stream.schema, refresh=stream.refresh)
        self._wait = wait
        self._taken = False

    def take_wait(self) -> Callable[[], object]:
        """Return the function to call before the commit. The stream then no longer waits."""
        self._taken = True
        return self._wait

    def _waited(
        self, batches: "Iterable[pa.RecordBatch]"
    ) -> "Generator[pa.RecordBatch, None, None]":
        yield from batches
        if not self._taken:
            self._wait()


def _is_unchanged(table: BatchStream) -> bool:
    """Return whether neither part of a refresh has rows, so that none waits for the other.

    The refresh is planned here, on the study's thread.
    """
    return isinstance(table, RefreshStream) and table.refresh.unchanged


def _has_rows(part: Any) -> bool:
    """Return whether a table or stream has rows; consumes leading empty batches of a stream."""
    if not isinstance(part, BatchStream):
        return bool(part.num_rows)
    while (batch := part.peek()) is not None and not batch.num_rows:
        next(part)
    return batch is not None


class _BackgroundWrite:
    """Writes one part of a result on a thread of its own."""

    def __init__(self, write: Callable[[], tuple[Metadata, Any]]) -> None:
        self._outcome: Future[tuple[Metadata, Any]] = Future()
        thread = threading.Thread(
            target=in_study_context(self._run), args=(write,), name="withheld-part", daemon=True
        )
        thread.start()

    def _run(self, write: Callable[[], tuple[Metadata, Any]]) -> None:
        try:
            self._outcome.set_result(write())
        except BaseException as error:  # noqa: BLE001 - raised by result()
            self._outcome.set_exception(error)

    def feed(self, batches: "Iterable[pa.RecordBatch]") -> "Generator[pa.RecordBatch, None, None]":
        """Yield the batches; reading them also feeds the background write."""
        try:
            yield from batches
        except ImednetError:
            # Each part ends the other. An error that only the background write can raise is the
            # cause, so it takes precedence.
            if not isinstance(self._outcome.exception(), ImednetError):
                self.result()
            raise

    def wait(self) -> None:
        """Wait until the write has ended, whether it succeeded or failed."""
        self._outcome.exception()

    def result(self) -> tuple[Metadata, Any]:
        """Wait for the write; return its metadata and value, or raise its error."""
        return self._outcome.result()


def _is_named_by_source(value: Any) -> bool:
    """Return whether every key of a result appears in the pipeline's source, so none is data."""
    known = current_known_names()
    return known is None or not isinstance(value, Mapping) or all(map(known.knows, value))
