"""Runs one pipeline for one study: loads its inputs, calls it and stores its result.

May be called from any thread.
"""

import asyncio
import contextlib
import inspect
import json
import logging
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import dagster as dg

from orch_assets.defs.checks.dictionary_watch import DictionaryWatch
from orch_assets.defs.events import StoredResult, none_withheld, uri_of, value_of, versions_of
from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.event_metadata import SETTINGS, together, value_and_metadata
from orch_assets.defs.io.first_rows import first_rows
from orch_assets.defs.io.io_contexts import input_context
from orch_assets.defs.io.io_manager import PipelineIOManager
from orch_assets.defs.io.output_writer import IN_THE_STORE, OutputWriter, UnchangedTable
from orch_assets.defs.io.previous_results import PreviousResults, carried_over, removed_since
from orch_assets.defs.io.pure_results import PureResults, alike_or_none
from orch_assets.defs.io.refresh_metadata import refresh_line, refresh_of
from orch_assets.defs.io.table_types import as_handed, table_class
from orch_assets.defs.runs.reading_options import ReadingOptions
from orch_assets.defs.runs.study_logs import run_logger
from orch_assets.defs.settings.run_settings import RunSettings
from orch_assets.defs.state_machines.study_executions import StudyExecutions
from orch_assets.errors import ArtifactNotFoundError, UnstorableTableError
from orch_assets.lazy import cached_property
from orch_assets.orchestration.defining.parameters import PREVIOUS
from orch_assets.orchestration.defining.received_types import HISTORY, READER, SPLIT, STORED
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.orchestration.reporting.known_names import allow_names
from orch_assets.orchestration.reporting.results import Failure
from orch_assets.orchestration.returned_values import Skip, SplitTable
from orch_assets.orchestration.steps import OnWorker, StepCall, StepOutput
from orch_assets.refreshing import CARRIED_FORWARD, PreviousResult
from orch_assets.stores import derived_from, noting_inputs, published_by

NOT_WRITTEN: Final = "could not be written"


@dataclass
class PipelineRunner:
    """Runs study pipelines for Dagster; implements ``orchestration.steps.StepRunner``.

    Attributes:
        run_id: the Dagster run.
        registry: source of the data as recorded in metadata: the API's host, or ``demo``.
        sdk: the API client.
        pipelines: pipelines by name.
        keys: asset keys, by pipeline name.
        resources: resources of the run, including IO managers and ``restricted_store``.
        log: log of the run.
        earlier: ``data`` of results of earlier runs that have no artifact, by pipeline and study.
        uris: URIs of results by pipeline and study: those of earlier runs, and those of this run as
            they are stored. None for a result without an artifact.
        none_withheld: pipeline and study of earlier results without a withheld part.
        executions: executions of state machines. None if no pipeline has a state machine.
        definition_metadata: metadata of the assets' definitions.
        versions: hashes of this run's artifacts by URI, by pipeline and study.
        reading: how the run reads tables.
        newest: metadata of the newest results of pure pipelines, by pipeline and study. Empty if
            nothing is to be carried forward.
        skipped: why upstreams were skipped, by pipeline and study: in this run, or in an earlier
            one and not made in this.
        not_current: incremental pipelines and studies whose newest result is a skip.
        settings: the settings of the run.
        launched_by: who launched the run, as a fact for manifests; empty if unknown.
        watch: compares the data dictionary that the run reads with the stored one. None for no
            comparison.
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
    reading: ReadingOptions = field(default_factory=ReadingOptions)
    newest: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    watch: DictionaryWatch | None = None
    skipped: dict[tuple[str, str], str] = field(default_factory=dict)
    not_current: AbstractSet[tuple[str, str]] = frozenset()
    settings: RunSettings = field(default_factory=RunSettings)
    launched_by: Mapping[str, str] = field(default_factory=dict)

    def run(self, call: StepCall) -> StepOutput:
        """Run a synchronous pipeline on a worker thread."""
        pipeline = self.pipelines[call.step.name]
        with self._knowing(pipeline, call.study_key):
            self._check_call(call, pipeline)
            if (current := self._carried_forward(call, pipeline)) is not None:
                return current
            upstreams, inputs = self._upstreams(call, pipeline)
            value = self._call(call.study_key, pipeline, upstreams)
            if inspect.iscoroutine(value):  # an async function behind a plain wrapper
                value = asyncio.run(value)
            return self._finish(call, value, inputs, upstreams.get(PREVIOUS))

    async def run_async(self, call: StepCall, on_worker: OnWorker) -> StepOutput:
        """Run an ``async`` pipeline on the event loop, and its reading and writing on workers."""
        pipeline = self.pipelines[call.step.name]
        with self._knowing(pipeline, call.study_key):
            self._check_call(call, pipeline)
            return await self._run_async(call, pipeline, on_worker)

    async def _run_async(
        self, call: StepCall, pipeline: StudyPipeline, on_worker: OnWorker
    ) -> StepOutput:
        if self.executions is not None and pipeline.machine is not None:
            inputs: Mapping[str, str] = {}
            upstreams: Mapping[str, Any] = {}
            make_input = partial(self._input, pipeline)
            value = await self.executions.output(pipeline, call.study_key, make_input, on_worker)
        else:
            current: StepOutput | None = await on_worker(self._carried_forward, call, pipeline)
            if current is not None:
                return current
            upstreams, inputs = await on_worker(self._upstreams, call, pipeline)
            value = await self._call(call.study_key, pipeline, upstreams)
        previous = upstreams.get(PREVIOUS)
        output: StepOutput = await on_worker(self._finish, call, value, inputs, previous)
        return output

    def report(self, call: StepCall, failure: Failure) -> str:
        """Write a failure report to the restricted store; return its URI."""
        parts = ("failures", self.run_id, call.step.name, call.study_key)
        report = {
            "study": call.study_key,
            "pipeline": call.step.name,
            "run": self.run_id,
            "time": datetime.now(UTC).isoformat(),
            "type": failure.full_kind,
            "place": failure.place,
            "message": failure.message,
            "traceback": failure.trace,
        }
        try:
            return str(self.resources.restricted_store.write_report("/".join(parts), report))
        except Exception:  # noqa: BLE001 - it must not replace the study's own failure
            return NOT_WRITTEN

    def provenance(self, call: StepCall) -> Mapping[str, str]:
        """Return the provenance for the manifests of what the step publishes."""
        pipeline = self.pipelines[call.step.name]
        settings = self.settings.used(pipeline, call.study_key)
        return {
            "run": self.run_id,
            "pipeline": call.step.name,
            "study": call.study_key,
            "registry": self.registry,
            "code_version": pipeline.code_version or "",
            **self.launched_by,
            **({SETTINGS: json.dumps(settings, sort_keys=True)} if settings else {}),
            **self._pure_results.made_by(pipeline, call.study_key),
        }

    def _knowing(
        self, pipeline: StudyPipeline, study_key: str
    ) -> contextlib.AbstractContextManager[None]:
        """Return a context in which errors and metadata may show names of the pipeline's source."""
        assets = [artifact_name(key, None) for key in self.keys.values()]
        read = getattr(self.sdk, "open_variables", None)
        variables = partial(read, study_key) if read else tuple
        return allow_names(pipeline.function, assets, variables, everything=self.registry == "demo")

    def _call(self, study_key: str, pipeline: StudyPipeline, upstreams: Mapping[str, Any]) -> Any:
        settings = self.settings.values(pipeline, study_key)
        resources = {key: getattr(self.resources, key) for key in pipeline.resources}
        further = {**upstreams, **settings, **resources}
        return pipeline.function(study_key, self.sdk, run_logger(study_key), **further)

    # --- inputs ---

    def _check_call(self, call: StepCall, pipeline: StudyPipeline) -> None:
        """Check that a pipeline can be called for a study, before anything is read.

        Raises:
            SettingError: A setting of the study is wrong.
            Skip: An earlier run skipped an upstream.
        """
        self.skipped.update({(name, call.study_key): why for name, why in call.skipped.items()})
        self.settings.values(pipeline, call.study_key)
        self._check_upstreams(pipeline, call.study_key)

    def _check_upstreams(self, pipeline: StudyPipeline, study_key: str) -> None:
        for name in pipeline.upstreams:
            reason = self.skipped.get((name, study_key))
            if reason is not None and name not in pipeline.optional:
                raise Skip.after(name, reason)

    def _upstreams(
        self, call: StepCall, pipeline: StudyPipeline
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """Return the pipeline's arguments, and the hashes of the upstreams' artifacts by URI."""
        found: dict[str, Any] = {}
        inputs: dict[str, str] = {}
        open_parts: dict[str, str] = {}
        for name in pipeline.upstreams:
            if (name, call.study_key) in self.skipped:
                found[name] = None
                continue
            with noting_inputs() as loaded:
                found[name] = self._upstream(call, pipeline, name)
            # What is handed over in memory was not loaded. The open part comes first in both.
            versions = self.versions.get((name, call.study_key), loaded)
            if pipeline.table_type(name) not in {SPLIT, HISTORY, STORED} and versions is not loaded:
                uri = self.uris.get((name, call.study_key))
                versions = {uri: versions[uri]} if uri and uri in versions else {}
            open_parts.update(zip([name], versions.values(), strict=False))
            inputs |= {**loaded, **versions}
        if pipeline.incremental:
            find = self._previous_results.current
            if (pipeline.name, call.study_key) in self.not_current:
                return {**found, PREVIOUS: None}, inputs
            previous = find(pipeline.name, call.study_key, open_parts)
            if pipeline.pure:
                previous = alike_or_none(previous, self.provenance(call))
            found[PREVIOUS] = previous
        return found, inputs

    def _upstream(self, call: StepCall, pipeline: StudyPipeline, name: str) -> Any:
        table_type = pipeline.table_type(name)
        if table_type == HISTORY:
            known = self.versions.get((name, call.study_key), {})
            return self._previous_results.history(name, call.study_key, known)
        if table_type == STORED:
            known = self.versions.get((name, call.study_key), {})
            return self._previous_results.stored(name, call.study_key, known)
        handed = call.upstream_values.get(name, IN_THE_STORE)
        if handed is IN_THE_STORE and call.study_key in self.earlier.get(name, {}):
            return as_handed(self.earlier[name][call.study_key], table_type)
        split = handed if isinstance(handed, SplitTable) else SplitTable(handed, IN_THE_STORE)
        io_manager = self._writer.io_manager(name)
        if table_type != SPLIT:
            return self._part(call, name, split.table, io_manager, table_type)
        table = self._part(call, name, split.table, io_manager, READER)
        withheld = split.withheld
        if withheld is IN_THE_STORE and (name, call.study_key) in self.none_withheld:
            withheld = table.schema.empty_table()
        restricted = self.resources.restricted_io_manager
        return SplitTable(table, self._part(call, name, withheld, restricted, READER))

    def _part(
        self, call: StepCall, name: str, handed: Any, io_manager: dg.IOManager, table_type: str
    ) -> Any:
        """Return a result as the requested type, from memory or else from its store."""
        if isinstance(handed, UnchangedTable):
            handed = handed.table
        if handed is not IN_THE_STORE:
            with contextlib.suppress(UnstorableTableError):  # a user's IO manager may store it
                return as_handed(handed, table_type)
        return self._loaded(call, name, io_manager, table_type)

    def _loaded(self, call: StepCall, name: str, io_manager: dg.IOManager, table_type: str) -> Any:
        """Return a result from its store: in this run's version, if the run has made it."""
        key, python_type = self.keys[name], table_class(table_type)
        make_context = partial(
            input_context, self.resources, self.log, key, call.study_key, python_type
        )
        made = self.versions.get((name, call.study_key))
        with noting_inputs() as loaded:
            value = io_manager.load_input(make_context())
        is_exact = not made or loaded.items() <= made.items()
        if is_exact or not isinstance(io_manager, PipelineIOManager):
            return value
        try:  # another run has published since
            return io_manager.load_input(make_context(made))
        except ArtifactNotFoundError:
            raise removed_since(name, call.study_key) from None

    def _input(self, pipeline: StudyPipeline, study_key: str) -> Any:
        """Return the input of a state machine's execution. By default it has URIs, not data."""
        self._check_upstreams(pipeline, study_key)
        uris = {name: self._uri(study_key, name) for name in pipeline.upstreams}
        returned = self._call(study_key, pipeline, uris)
        return {"study_key": study_key, **uris} if returned is None else returned

    def _uri(self, study_key: str, name: str) -> str | None:
        if (name, study_key) in self.skipped:
            return None
        if (name, study_key) not in self.uris:
            raise ArtifactNotFoundError(
                f"{name} has no result for study {study_key}: materialize it first.", artifact=name
            )
        return self.uris[name, study_key]

    # --- results ---

    def _carried_forward(self, call: StepCall, pipeline: StudyPipeline) -> StepOutput | None:
        """Return the current result of a pure pipeline if it is still right; otherwise None."""
        if not pipeline.pure:
            return None
        name, study_key = call.step.name, call.study_key
        metadata = self._pure_results.still_right(pipeline, study_key, self.provenance(call))
        if metadata is None:
            return None
        if none_withheld(metadata):
            self.none_withheld.add((name, study_key))
        run_logger(study_key).info(f"{name}: {CARRIED_FORWARD}, no input has changed")
        self._note(call, metadata)
        both = SplitTable(IN_THE_STORE, IN_THE_STORE)
        return StepOutput(StoredResult(metadata=metadata, stored=True), handover=both)

    def _note(self, call: StepCall, metadata: Mapping[str, Any]) -> None:
        """Record a result's URI and hashes for later steps."""
        self.skipped.pop((call.step.name, call.study_key), None)
        self.versions[call.step.name, call.study_key] = versions_of(metadata)
        self.uris[call.step.name, call.study_key] = uri_of(metadata)

    def _finish(
        self,
        call: StepCall,
        value: Any,
        inputs: Mapping[str, str],
        previous: PreviousResult | None,
    ) -> StepOutput:
        """Store a result; record its URI, its hashes and the execution that produced it."""
        value, added = value_and_metadata(value)
        if self.watch is not None:
            value = self.watch.watched(call.step.name, call.study_key, value)
        carried = {} if self.pipelines[call.step.name].pure else carried_over(value, previous)
        with derived_from(inputs), published_by(carried):
            output = self._writer.write(call, value)
        if (refresh := refresh_of(value)) is not None and refresh.earlier is not None:
            # Each line of a run's log costs milliseconds, and most tables are unchanged.
            version = value_of(output.result.metadata, "sha256")
            level = logging.DEBUG if version == refresh.earlier.version else logging.INFO
            run_logger(call.study_key).log(level, refresh_line(call.step.name, refresh, version))
        self._note(call, output.result.metadata)
        name, study_key = call.step.name, call.study_key
        details = self.executions.metadata(name, study_key) if self.executions else {}
        shown = first_rows(self.pipelines[name], value, output)
        metadata = together({**output.result.metadata, **details, **shown}, added)
        return replace(output, result=replace(output.result, metadata=metadata))

    @cached_property
    def _writer(self) -> OutputWriter:
        io_manager_keys = {each.name: each.io_manager_key for each in self.pipelines.values()}
        return OutputWriter(
            self.resources, self.run_id, self.keys, io_manager_keys, self.definition_metadata
        )

    @cached_property
    def _pure_results(self) -> PureResults:
        return PureResults(
            self._writer.io_manager,
            self.resources.restricted_io_manager,
            self.keys,
            self.versions,
            self.uris,
            self.none_withheld,
            self.newest,
        )

    @cached_property
    def _previous_results(self) -> PreviousResults:
        restricted = self.resources.restricted_io_manager
        return PreviousResults(self._writer.io_manager, restricted, self.keys, self.reading)
