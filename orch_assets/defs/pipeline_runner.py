"""The work of one step of one lane: call the pipeline, keep what it returns. Any thread."""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, Final

import dagster as dg

from orch_assets.defs.events import uri_of, versions_of
from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.io_contexts import input_context
from orch_assets.defs.io.output_writer import IN_THE_STORE, OutputWriter
from orch_assets.defs.io.table_types import as_handed, table_class
from orch_assets.defs.state_machines.study_executions import StudyExecutions
from orch_assets.errors import ArtifactNotFoundError, UnstorableTableError
from orch_assets.orchestration.pipeline import READER, SPLIT, StudyPipeline
from orch_assets.orchestration.reporting.known_names import allow_names
from orch_assets.orchestration.reporting.results import Failure
from orch_assets.orchestration.returned_values import SplitTable
from orch_assets.orchestration.steps import OnWorker, StepCall, StepOutput
from orch_assets.stores import derived_from, noting_inputs
from orch_assets.study import StudyContextLogAdapter

NOT_WRITTEN: Final = "could not be written"


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
        uris: of artifacts, by pipeline and study: those of earlier runs, and this run's as they
            come; None for a result without one.
        none_withheld: results of earlier runs that have no withheld part, by pipeline and study.
        executions: of state machines; None where no pipeline has one.
        definition_metadata: metadata of the assets' definitions.
    """

    run_id: str
    registry: str
    sdk: Any
    pipelines: Mapping[str, StudyPipeline]
    keys: Mapping[str, dg.AssetKey]
    resources: Any
    log: dg.DagsterLogManager
    earlier: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    uris: dict[tuple[str, str], str | None] = field(default_factory=dict)
    none_withheld: set[tuple[str, str]] = field(default_factory=set)
    executions: StudyExecutions | None = None
    definition_metadata: Mapping[dg.AssetKey, Mapping[str, Any]] = field(default_factory=dict)
    versions: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)

    def run(self, turn: StepCall) -> StepOutput:
        """Run a plain pipeline on a worker."""
        pipeline = self.pipelines[turn.step.name]
        with self._knowing(pipeline, turn.study_key):
            upstreams, inputs = self._upstreams(turn, pipeline)
            value = self._call(turn.study_key, pipeline, upstreams)
            if inspect.iscoroutine(value):  # an async function in a plain wrapper, which hides it
                value = asyncio.run(value)
            return self._finish(turn, value, inputs)

    async def run_async(self, turn: StepCall, on_worker: OnWorker) -> StepOutput:
        """Run an ``async`` pipeline on the event loop; reading and writing happen on workers."""
        pipeline = self.pipelines[turn.step.name]
        with self._knowing(pipeline, turn.study_key):
            return await self._run_async(turn, pipeline, on_worker)

    async def _run_async(
        self, turn: StepCall, pipeline: StudyPipeline, on_worker: OnWorker
    ) -> StepOutput:
        if self.executions is not None and pipeline.machine is not None:
            inputs: Mapping[str, str] = {}
            make_input = partial(self._input, pipeline)
            value = await self.executions.output(pipeline, turn.study_key, make_input, on_worker)
        else:
            upstreams, inputs = await on_worker(self._upstreams, turn, pipeline)
            value = await self._call(turn.study_key, pipeline, upstreams)
        output: StepOutput = await on_worker(self._finish, turn, value, inputs)
        return output

    def report(self, turn: StepCall, failure: Failure) -> str:
        """Write the whole traceback to the restricted store; return its URI."""
        parts = ("failures", self.run_id, turn.step.name, turn.study_key)
        report = {
            "study": turn.study_key,
            "pipeline": turn.step.name,
            "run": self.run_id,
            "time": datetime.now(UTC).isoformat(),
            "type": failure.full_kind,
            "place": failure.place,
            "message": failure.message,
            "traceback": failure.trace,
        }
        try:
            return str(self.resources.restricted_store.write_report("/".join(parts), report))
        except Exception:  # noqa: BLE001 - the study's own failure is what must come through
            return NOT_WRITTEN

    def provenance(self, turn: StepCall) -> Mapping[str, str]:
        """Return who publishes, for the manifests."""
        return {
            "run": self.run_id,
            "pipeline": turn.step.name,
            "study": turn.study_key,
            "registry": self.registry,
            "code_version": self.pipelines[turn.step.name].code_version or "",
        }

    def _knowing(
        self, pipeline: StudyPipeline, study_key: str
    ) -> contextlib.AbstractContextManager[None]:
        """Return a context in which errors and metadata name what the pipeline's source has."""
        assets = [artifact_name(key, None) for key in self.keys.values()]
        read = getattr(self.sdk, "open_variables", None)
        variables = partial(read, study_key) if read else tuple
        return allow_names(pipeline.function, assets, variables, everything=self.registry == "demo")

    def _call(self, study_key: str, pipeline: StudyPipeline, upstreams: Mapping[str, Any]) -> Any:
        logger = _RunLogAdapter(logging.getLogger("orch_assets.study"), study_key)
        return pipeline.function(study_key, self.sdk, logger, **upstreams)

    # --- what goes in ---

    def _upstreams(
        self, turn: StepCall, pipeline: StudyPipeline
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """Return the upstreams' results, and the versions of the artifacts that hold them."""
        with noting_inputs() as inputs:
            found = {name: self._upstream(turn, pipeline, name) for name in pipeline.upstreams}
        for name in found:  # handed on, so not read
            inputs.update(self.versions.get((name, turn.study_key), {}))
        return found, inputs

    def _upstream(self, turn: StepCall, pipeline: StudyPipeline, name: str) -> Any:
        wanted = pipeline.table_type(name)
        handed = turn.upstream_values.get(name, IN_THE_STORE)
        if handed is IN_THE_STORE and turn.study_key in self.earlier.get(name, {}):
            return as_handed(self.earlier[name][turn.study_key], wanted)
        split = handed if isinstance(handed, SplitTable) else SplitTable(handed, IN_THE_STORE)
        io_manager = self._keeping.io_manager(name)
        if wanted != SPLIT:
            return self._part(turn, name, split.table, io_manager, wanted)
        table = self._part(turn, name, split.table, io_manager, READER)
        withheld = split.withheld
        if withheld is IN_THE_STORE and (name, turn.study_key) in self.none_withheld:
            withheld = table.schema.empty_table()
        restricted = self.resources.restricted_io_manager
        return SplitTable(table, self._part(turn, name, withheld, restricted, READER))

    def _part(
        self, turn: StepCall, name: str, handed: Any, io_manager: dg.IOManager, wanted: str
    ) -> Any:
        """Return a result as the type that is wanted: the one handed on, else the stored one."""
        if handed is not IN_THE_STORE:
            with contextlib.suppress(UnstorableTableError):  # for an IO manager that takes more
                return as_handed(handed, wanted)
        key, python_type = self.keys[name], table_class(wanted)
        context = input_context(self.resources, self.log, key, turn.study_key, python_type)
        return io_manager.load_input(context)

    def _input(self, pipeline: StudyPipeline, study_key: str) -> Any:
        """Return the input of a state machine's execution: where the data is, not the data."""
        uris = {name: self._uri(study_key, name) for name in pipeline.upstreams}
        made = self._call(study_key, pipeline, uris)
        return {"study_key": study_key, **uris} if made is None else made

    def _uri(self, study_key: str, name: str) -> str | None:
        if (name, study_key) not in self.uris:
            raise ArtifactNotFoundError(
                f"{name} has no result for study {study_key}: materialize it first.", artifact=name
            )
        return self.uris[name, study_key]

    # --- what comes out ---

    def _finish(self, turn: StepCall, value: Any, inputs: Mapping[str, str]) -> StepOutput:
        """Keep a result, and note where it is, and the execution that it came from."""
        with derived_from(inputs):
            output = self._keeping.keep(turn, value)
        name, study_key = turn.step.name, turn.study_key
        self.versions[name, study_key] = versions_of(output.result.metadata)
        self.uris[name, study_key] = uri_of(output.result.metadata)
        if self.executions is None:
            return output
        metadata = {**output.result.metadata, **self.executions.metadata(name, study_key)}
        return replace(output, result=replace(output.result, metadata=metadata))

    @cached_property
    def _keeping(self) -> OutputWriter:
        io_manager_keys = {each.name: each.io_manager_key for each in self.pipelines.values()}
        return OutputWriter(
            self.resources, self.run_id, self.keys, io_manager_keys, self.definition_metadata
        )
