"""What a pipeline returns, kept: counts in the event, anything else in a store. Any thread."""

import inspect
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.defs.events import ROW_COUNT, URI, StoredResult, entry_of
from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.io_contexts import output_context
from orch_assets.defs.io.io_manager import PipelineIOManager
from orch_assets.defs.io.table_types import as_result, handed_on, is_table_stream
from orch_assets.errors import ImednetError
from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.streams import BatchStream
from orch_assets.orchestration.reporting.known_names import current_known_names
from orch_assets.orchestration.returned_values import SplitTable, showable
from orch_assets.orchestration.steps import StepCall, StepOutput
from orch_assets.stores.tables import DeferredStream
from orch_assets.study import in_study_context

if TYPE_CHECKING:
    import pyarrow as pa

# Handed on instead of what only its store can give: a stream that was too long to hold, an object
# that a user's own IO manager keeps.
IN_THE_STORE: Final = object()

_HELD_BYTES: Final = 16 << 20
# What an open table's metadata tells of its companion.
_WITHHELD: Final = {ROW_COUNT: "withheld_rows", URI: "withheld_uri", "sha256": "withheld_sha256"}

Metadata = Mapping[str, Any]


@dataclass(frozen=True)
class OutputWriter:
    """Stores results through the IO managers of a run.

    Attributes:
        resources: the run's: IO managers by key, ``restricted_io_manager`` among them.
        run_id: the run.
        keys: the pipelines' asset keys, by name.
        io_manager_keys: which IO manager keeps a pipeline's results, by name.
        definition_metadata: metadata of the assets' definitions.
    """

    resources: Any
    run_id: str
    keys: Mapping[str, dg.AssetKey]
    io_manager_keys: Mapping[str, str]
    definition_metadata: Mapping[dg.AssetKey, Mapping[str, Any]] = field(default_factory=dict)

    def keep(self, turn: StepCall, returned: Any) -> StepOutput:
        """Store a result and return what the event tells of it, and what is handed on."""
        value = as_result(returned)
        if value is None or (showable(value) and _is_named_by_source(value)):
            return StepOutput(StoredResult(data=value), handover=value)
        if isinstance(value, SplitTable):
            metadata, handover = self._keep_split(turn, value)
        else:
            metadata, handover = self._keep_one(turn, self.io_manager(turn.step.name), value)
        return StepOutput(StoredResult(metadata=metadata, stored=True), handover=handover)

    def io_manager(self, name: str) -> dg.IOManager:
        """Return the IO manager that keeps a pipeline's results."""
        io_manager: dg.IOManager = getattr(self.resources, self.io_manager_keys[name])
        return io_manager

    def _keep_one(
        self,
        turn: StepCall,
        io_manager: dg.IOManager,
        value: Any,
        before_commit: Callable[[], object] = lambda: None,
    ) -> tuple[Metadata, Any]:
        if not is_table_stream(value):
            metadata = self._store(turn, io_manager, value)
            return metadata, value if handed_on(value) else IN_THE_STORE
        if not isinstance(value, BatchStream):
            return self._store(turn, io_manager, value), IN_THE_STORE
        held = _Held(value.schema)
        with value:
            batches = _Following(held.passing(value), value.counts, value.schema, before_commit)
            metadata = self._store(turn, io_manager, batches)
        return {**metadata, **_told(value.counts)}, held.table()

    def _keep_split(self, turn: StepCall, value: SplitTable) -> tuple[Metadata, Any]:
        """Commit the withheld part first: the open table alone says that both are there."""
        keep_withheld = partial(self._keep_withheld, turn, value)
        io_manager = self.io_manager(turn.step.name)
        if isinstance(value.table, BatchStream):  # one reading, from which both are fed
            beside = _Beside(keep_withheld)
            fed = BatchStream(beside.fed(value.table), value.table.counts, value.table.schema)
            try:
                metadata, handover = self._keep_one(turn, io_manager, fed, beside.result)
            finally:
                value.table.close()
                beside.wait()  # no try may end before it: the next one would meet it
            withheld, withheld_handover = beside.result()
        else:
            withheld, withheld_handover = keep_withheld()
            metadata, handover = self._keep_one(turn, io_manager, value.table)
        told = {
            key: value
            for name, key in _WITHHELD.items()
            if (value := entry_of(withheld, name)) is not None
        }
        return {**metadata, **told}, SplitTable(handover, withheld_handover)

    def _keep_withheld(self, turn: StepCall, value: SplitTable) -> tuple[Metadata, Any]:
        """Store a withheld part; one without rows not always: ``withheld_rows`` alone tells it."""
        io_manager = self.resources.restricted_io_manager
        wanted = not value.withheld_if_any or self._may_be_stored(turn, io_manager)
        if wanted or _has_rows(value.withheld):
            return self._keep_one(turn, io_manager, value.withheld)
        return {ROW_COUNT: dg.MetadataValue.int(0)}, value.withheld.schema.empty_table()

    def _may_be_stored(self, turn: StepCall, io_manager: dg.IOManager) -> bool:
        """Whether an IO manager has a table of the step's name, as far as can be known."""
        if not isinstance(io_manager, PipelineIOManager):
            return True
        name = artifact_name(self.keys[turn.step.name], turn.study_key)
        return io_manager.pipeline_store().exists(name)

    def _store(self, turn: StepCall, io_manager: dg.IOManager, value: Any) -> Metadata:
        key = self.keys[turn.step.name]
        definition_metadata = self.definition_metadata.get(key, {})
        context = output_context(
            self.resources, self.run_id, key, turn.study_key, definition_metadata
        )
        told_on_the_way: Any = io_manager.handle_output(context, value)
        if inspect.isgenerator(told_on_the_way):  # Dagster lets an IO manager yield its events
            deque(told_on_the_way, maxlen=0)
        told: Metadata = context.get_logged_metadata()
        return told


class _Held:
    """A stream's batches, held for the pipelines behind it while they are few.

    Args:
        schema: the stream's.
    """

    def __init__(self, schema: "pa.Schema") -> None:
        self._schema = schema
        self._batches: list[pa.RecordBatch] | None = []
        self._bytes = 0

    def passing(
        self, batches: "Iterable[pa.RecordBatch]"
    ) -> "Generator[pa.RecordBatch, None, None]":
        """Yield the batches, and hold them."""
        for batch in batches:
            self._bytes += batch.nbytes
            if self._bytes > _HELD_BYTES:
                self._batches = None
            if self._batches is not None:
                self._batches.append(batch)
            yield batch

    def table(self) -> Any:
        """Return the table, or ``IN_THE_STORE`` where it was too large to hold."""
        import pyarrow as pa

        if self._batches is None:
            return IN_THE_STORE
        return pa.Table.from_batches(self._batches, self._schema)


class _Following(BatchStream, DeferredStream):
    """A stream whose table may be committed only after something else.

    A store takes the wait, and waits when all is written (``DeferredStream``). For whoever
    knows nothing of it, the stream waits before it ends.

    Args:
        batches: the rows.
        counts: how their reading goes.
        schema: of every batch.
        wait: returns when the table may be committed.
    """

    def __init__(
        self,
        batches: "Iterable[pa.RecordBatch]",
        counts: ReadingCounts,
        schema: "pa.Schema",
        wait: Callable[[], object],
    ) -> None:
        super().__init__(self._waited(batches), counts, schema)
        self._wait = wait
        self._taken = False

    def take_wait(self) -> Callable[[], object]:
        """Return what is to be called before the commit; the stream itself waits no more."""
        self._taken = True
        return self._wait

    def _waited(
        self, batches: "Iterable[pa.RecordBatch]"
    ) -> "Generator[pa.RecordBatch, None, None]":
        yield from batches
        if not self._taken:
            self._wait()


def _has_rows(part: Any) -> bool:
    """Whether a table, or a stream, has rows; a stream's batches without any are taken."""
    if not isinstance(part, BatchStream):
        return bool(part.num_rows)
    while (batch := part.peek()) is not None and not batch.num_rows:
        next(part)
    return batch is not None


class _Beside:
    """Work for the same study on a thread of its own."""

    def __init__(self, work: Callable[[], tuple[Metadata, Any]]) -> None:
        self._outcome: Future[tuple[Metadata, Any]] = Future()
        thread = threading.Thread(
            target=in_study_context(self._do), args=(work,), name="withheld-part", daemon=True
        )
        thread.start()

    def _do(self, work: Callable[[], tuple[Metadata, Any]]) -> None:
        try:
            self._outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._outcome.set_exception(error)

    def fed(self, batches: "Iterable[pa.RecordBatch]") -> "Generator[pa.RecordBatch, None, None]":
        """Yield the batches that feed the work, too."""
        try:
            yield from batches
        except ImednetError:
            # They end each other; what the work alone can fail of is why.
            if not isinstance(self._outcome.exception(), ImednetError):
                self.result()
            raise

    def wait(self) -> None:
        """Wait for the work, however it ends."""
        self._outcome.exception()

    def result(self) -> tuple[Metadata, Any]:
        """Wait for the work; return what it gave, or raise what ended it."""
        return self._outcome.result()


def _is_named_by_source(value: Any) -> bool:
    """Whether the names of a result's numbers are the pipeline's own, and none of its data."""
    known = current_known_names()
    return known is None or not isinstance(value, Mapping) or all(map(known.knows, value))


def _told(counts: ReadingCounts) -> Metadata:
    """Return how a table was read, for the event."""
    return {
        "expected": dg.MetadataValue.int(counts.expected or 0),
        "arrived": dg.MetadataValue.int(counts.arrived),
        "pages": dg.MetadataValue.int(counts.pages),
        "retries": dg.MetadataValue.int(counts.retries),
        "replaced_surrogates": dg.MetadataValue.int(counts.replaced_surrogates),
    }
