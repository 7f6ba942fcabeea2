"""The work of one step of one lane: call the pipeline, keep what it returns. Any thread."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

import dagster as dg

from orch_assets.defs.events import Kept
from orch_assets.defs.io_contexts import input_context, output_context
from orch_assets.defs.table_types import as_handed, is_table_stream, table_class
from orch_assets.orchestration.kept import SplitTable, as_plain, showable
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.orchestration.result import Failure
from orch_assets.orchestration.steps import OnWorker, StepOutput, StepTurn
from orch_assets.stores.names import encode_part
from orch_assets.study import StudyContextLogAdapter

NOT_WRITTEN: Final = "could not be written"

# Handed on instead of a stream, which its store has used up.
_IN_THE_STORE: Final = object()

# What an open table's metadata tells of its companion.
_WITHHELD: Final = frozenset({"rows", "uri", "sha256"})


class _RunLogAdapter(StudyContextLogAdapter):
    """Puts the study before the message: Dagster's log shows no ``extra``."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        # A key may hold "%", which is a placeholder only where there are arguments.
        key = self.study_key.replace("%", "%%") if args else self.study_key
        super().log(level, f"[{key}] {msg}", *args, **kwargs)


@dataclass
class PipelineRunner:
    """Runs study pipelines for Dagster; implements ``orchestration.steps.StepRunner``.

    Attributes:
        run_id: the Dagster run.
        registry: what the metadata says the data came from: a host, or ``demo``.
        sdk: the registry's client.
        pipelines: by name.
        keys: the pipelines' asset keys, by name.
        resources: the run's resources: IO managers by key, the restricted store among them.
        log: the run's log.
        earlier: ``data`` of results that this run does not make itself and that have no
            artifact, by pipeline and study.
    """

    run_id: str
    registry: str
    sdk: Any
    pipelines: Mapping[str, StudyPipeline]
    keys: Mapping[str, dg.AssetKey]
    resources: Any
    log: dg.DagsterLogManager
    earlier: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def run(self, turn: StepTurn) -> StepOutput:
        """Run a plain pipeline on a worker."""
        pipeline = self.pipelines[turn.step.name]
        value = self._call(turn, pipeline, self._upstreams(turn, pipeline))
        if inspect.iscoroutine(value):  # an async function in a plain wrapper, which hides it
            value = asyncio.run(value)
        return self._keep(turn, value)

    async def run_async(self, turn: StepTurn, on_worker: OnWorker) -> StepOutput:
        """Run an ``async`` pipeline on the event loop; reading and writing happen on workers."""
        pipeline = self.pipelines[turn.step.name]
        upstreams = await on_worker(self._upstreams, turn, pipeline)
        output: StepOutput = await on_worker(
            self._keep, turn, await self._call(turn, pipeline, upstreams)
        )
        return output

    def report(self, turn: StepTurn, failure: Failure) -> str:
        """Write the whole traceback to the restricted store; return its URI."""
        parts = ("failures", self.run_id, turn.step.name, turn.study_key)
        report = {
            "study": turn.study_key,
            "pipeline": turn.step.name,
            "run": self.run_id,
            "time": datetime.now(timezone.utc).isoformat(),
            "type": failure.kind,
            "place": failure.place,
            "message": failure.message,
            "traceback": failure.trace,
        }
        try:
            name = "/".join(encode_part(part) for part in parts)
            return str(self.resources.restricted_store.write_report(name, report))
        except Exception:  # noqa: BLE001 - the study's own failure is what must come through
            return NOT_WRITTEN

    def provenance(self, turn: StepTurn) -> Mapping[str, str]:
        """Return who publishes, for the manifests."""
        return {
            "run": self.run_id,
            "pipeline": turn.step.name,
            "study": turn.study_key,
            "registry": self.registry,
            "code_version": self.pipelines[turn.step.name].code_version or "",
        }

    def _call(self, turn: StepTurn, pipeline: StudyPipeline, upstreams: Mapping[str, Any]) -> Any:
        logger = _RunLogAdapter(logging.getLogger("orch_assets.study"), turn.study_key)
        return pipeline.function(turn.study_key, self.sdk, logger, **upstreams)

    # --- what goes in ---

    def _upstreams(self, turn: StepTurn, pipeline: StudyPipeline) -> dict[str, Any]:
        return {name: self._upstream(turn, pipeline, name) for name in pipeline.upstreams}

    def _upstream(self, turn: StepTurn, pipeline: StudyPipeline, name: str) -> Any:
        wanted = pipeline.table_type(name)
        if name in turn.handed and turn.handed[name] is not _IN_THE_STORE:
            return as_handed(turn.handed[name], wanted)
        if turn.study_key in self.earlier.get(name, {}):
            return self.earlier[name][turn.study_key]
        return self._load(turn.study_key, name, wanted)

    def _load(self, study_key: str, name: str, wanted: str) -> Any:
        context = input_context(
            self.resources, self.log, self.keys[name], study_key, table_class(wanted)
        )
        return self._io_manager(name).load_input(context)

    # --- what comes out ---

    def _keep(self, turn: StepTurn, returned: Any) -> StepOutput:
        value = as_plain(returned)
        if value is None or showable(value):
            return StepOutput(Kept(data=value), handover=value)
        if isinstance(value, SplitTable):
            return self._keep_split(turn, value)
        metadata = self._store(turn, self._io_manager(turn.step.name), value)
        handover = _IN_THE_STORE if is_table_stream(value) else value
        return StepOutput(Kept(_rows(metadata), metadata, stored=True), handover=handover)

    def _keep_split(self, turn: StepTurn, value: SplitTable) -> StepOutput:
        """Store the withheld part first: the open table alone says that both are there."""
        withheld = self._store(turn, self.resources.restricted_io_manager, value.withheld)
        metadata = {
            **self._store(turn, self._io_manager(turn.step.name), value.table),
            **{f"withheld_{name}": told for name, told in withheld.items() if name in _WITHHELD},
        }
        return StepOutput(Kept(_rows(metadata), metadata, stored=True), handover=value.table)

    def _io_manager(self, name: str) -> dg.IOManager:
        io_manager: dg.IOManager = getattr(self.resources, self.pipelines[name].io_manager_key)
        return io_manager

    def _store(
        self, turn: StepTurn, io_manager: dg.IOManager, value: Any
    ) -> Mapping[str, dg.MetadataValue[Any]]:
        key = self.keys[turn.step.name]
        context = output_context(self.resources, self.run_id, key, turn.study_key)
        told_on_the_way: Any = io_manager.handle_output(context, value)
        if inspect.isgenerator(told_on_the_way):  # Dagster lets an IO manager yield its events
            deque(told_on_the_way, maxlen=0)
        told: Mapping[str, dg.MetadataValue[Any]] = context.get_logged_metadata()
        return told


def _rows(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    rows = metadata.get("rows")
    return None if rows is None else {"rows": rows.value}
