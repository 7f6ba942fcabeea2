"""One run of a study graph. One study and many run the same code and log the same events."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import dagster as dg

from orch_assets.defs import events
from orch_assets.defs.checks import reconciliation_check as reconciliation
from orch_assets.defs.checks.dictionary_checks import DictionaryChecks, warn_of_unknown_studies
from orch_assets.defs.checks.dictionary_watch import dictionary_watch
from orch_assets.defs.dagster_internals import capture_interrupts
from orch_assets.defs.io.event_metadata import SETTINGS
from orch_assets.defs.io.pure_results import newest_metadata
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.defs.pipeline_runner import NOT_WRITTEN, PipelineRunner
from orch_assets.defs.resources import OrchestrationResource, RegistryResource
from orch_assets.defs.run_coordinator import launched_by
from orch_assets.defs.run_failure import run_failure
from orch_assets.defs.runs.arrow_memory import use_the_system_allocator
from orch_assets.defs.runs.earlier_results import carried_events, done_in_parent
from orch_assets.defs.runs.lane_steps import lane_step
from orch_assets.defs.runs.past_durations import past_durations
from orch_assets.defs.runs.readiness import launcher_warnings, try_keys, try_stores
from orch_assets.defs.runs.reading_options import ReadingOptions
from orch_assets.defs.runs.result_log import ResultLog
from orch_assets.defs.runs.upstream_results import skipped_before, upstream_results
from orch_assets.defs.settings.run_settings import RunSettings, SettingSources
from orch_assets.defs.state_machines.former_executions import executions_of
from orch_assets.defs.state_machines.study_executions import StudyExecutions
from orch_assets.imednet.blinding import extra_fields
from orch_assets.orchestration.defining.study_patterns import is_for
from orch_assets.orchestration.lanes import Lanes
from orch_assets.orchestration.ordering import longest_first
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.orchestration.reporting.failure_summary import FailedStep
from orch_assets.orchestration.reporting.results import CANCELLED, describe_failure
from orch_assets.orchestration.reporting.warning_texts import hide_warning_texts
from orch_assets.orchestration.steps import LaneStep, StepResult

_PROGRESS_SECONDS: Final = 10.0
# Successes are logged together this often.
_FLUSH_SECONDS: Final = 1.0


@dataclass
class GraphRun:
    """Runs the selected pipelines for the studies of a run and logs the results.

    Only the thread that calls :meth:`execute` logs events.

    Attributes:
        context: Of the run's only step.
        pipelines: The graph's, in dependency order.
        keys: Their asset keys, and those of their upstreams, by pipeline name.
        all_pipelines: The code location's.
        sources: Settings for single studies.
        settings: The settings of this run.
        failed: The failures so far, by study.
        reported_at: When the progress was last logged.
        executions: Executions of state machines; None before the run, and without state machines.
        skips: The number of skipped results so far.
    """

    context: dg.AssetExecutionContext
    pipelines: Sequence[StudyPipeline]
    keys: Mapping[str, dg.AssetKey]
    all_pipelines: Sequence[StudyPipeline]
    sources: SettingSources
    settings: RunSettings = field(default_factory=RunSettings)
    failed: dict[str, list[FailedStep]] = field(default_factory=dict)
    reported_at: float = field(default_factory=time.monotonic)
    executions: StudyExecutions | None = None
    skips: int = 0

    def __post_init__(self) -> None:
        self.reconciled = {self.keys[each.name] for each in self.pipelines if each.reconciled}
        self.successes = ResultLog(self.context, self.reconciled)
        self.reading = ReadingOptions.of(self.context.run.tags)

    def execute(self) -> None:
        """Run the studies.

        Raises:
            dagster.Failure: studies failed (the message lists them), or the run has no studies.
        """
        use_the_system_allocator()
        studies = self._studies()
        selected = [p for p in self.pipelines if self.keys[p.name] in self._selected_keys]
        done = self._carry(selected, studies)
        self._check_settings()
        registry: RegistryResource = self.context.resources.registry
        if not registry.is_demo:
            hide_warning_texts()
        orchestration: OrchestrationResource = self.context.resources.orchestration
        steps = {
            study_key: [
                lane_step(p, made_up=registry.is_demo)
                for p in selected
                if study_key not in done[p.name]
            ]
            for study_key in self._in_order(studies, selected, orchestration.workers())
        }
        watch = dictionary_watch(self.context.resources, self.keys, self.pipelines, selected)
        runner = replace(self._runner(registry, selected, studies, done), watch=watch)
        lanes = Lanes(runner, orchestration.workers())
        try:
            self._log_results(lanes, steps, registry.label)
        finally:
            if self.executions is not None:
                with capture_interrupts():
                    self.executions.close()
        for text in lanes.unattributed:
            self.context.log.error("A failure belongs to no study: %s", text)
        add = self.successes.add_check
        checks = DictionaryChecks(self.context, add, self.keys, self.pipelines, watch)
        names = {key: {step.name for step in each} for key, each in steps.items()}
        checks.add_all(names, self.failed)
        self.successes.flush()
        if self.skips:
            self.context.log.info("%d results were skipped.", self.skips)
        if self.failed:
            failed = [each for study_key in studies for each in self.failed.get(study_key, ())]
            in_the_ui = self.context.run.remote_job_origin is not None
            raise run_failure(failed, len(studies), in_the_ui=in_the_ui)

    @property
    def _selected_keys(self) -> set[dg.AssetKey]:
        return set(self.context.selected_asset_keys)

    def _check_settings(self) -> None:
        """Check what a run needs before its first study, so that a wrong setting fails the run."""
        launched = self.context.op_execution_context.op_config or {}
        self.settings = self.sources.for_run(self.all_pipelines, launched)
        for text in self.settings.warnings(
            self.context.instance.get_dynamic_partitions(STUDIES_NAME)
        ):
            self.context.log.warning(text)
        extra_fields.are_open()
        resources = self.context.resources
        warn_of_unknown_studies(self.context, resources.orchestration.drift_modes())
        keys = [pipeline.io_manager_key for pipeline in self.pipelines]
        keys += ["restricted_io_manager", "restricted_store"]
        stores = {key: getattr(resources, key) for key in keys}
        try_stores(stores)
        for text in launcher_warnings(stores, resources.registry, self.context.instance):
            self.context.log.warning(text)
        try_keys(resources.registry)

    def _studies(self) -> list[str]:
        if not (self.context.has_partition_key or self.context.has_partition_key_range):
            raise dg.Failure(
                "This run has no study. Select partitions in the launch dialog, "
                "pass --partition or --partition-range to `dagster asset materialize`, or use "
                "`orch-assets run`.",
                allow_retries=False,
            )
        # Read once: the list changes if a study is added or deleted during the run.
        studies = list(self.context.partition_keys)
        if not studies:
            bounds = self.context.partition_key_range
            raise dg.Failure(
                f"The range {bounds.start}...{bounds.end} contains no study: {bounds.end} comes "
                f"before {bounds.start} in partition order. Swap them.",
                allow_retries=False,
            )
        return studies

    def _in_order(
        self, studies: Sequence[str], selected: Sequence[StudyPipeline], workers: int
    ) -> Sequence[str]:
        """Return the studies, those that took longest in earlier runs first."""
        if len(studies) <= workers:
            return studies  # all start at once
        keys = [self.keys[pipeline.name] for pipeline in selected]
        resources = self.context.resources
        return longest_first(
            studies, past_durations(self.context.instance, keys, studies, resources)
        )

    def _carry(
        self, selected: Sequence[StudyPipeline], studies: Sequence[str]
    ) -> dict[str, set[str]]:
        """Log again the results that a resumed run carries forward; return the studies by pipeline.

        This comes first: whatever ends this run later, earlier successes stay materialized.
        """
        instance = self.context.instance
        names = {self.keys[pipeline.name]: pipeline.name for pipeline in selected}
        carried: dict[str, set[str]] = {name: set() for name in names.values()}
        for key, study_keys in done_in_parent(instance, self.context.run, names).items():
            for event in carried_events(instance, key, study_keys & set(studies)):
                self.successes.add(event)
                carried[names[key]].add(str(event.partition))
        self.successes.flush()
        return carried

    def _runner(
        self,
        registry: RegistryResource,
        selected: Sequence[StudyPipeline],
        studies: Sequence[str],
        done: Mapping[str, set[str]],
    ) -> PipelineRunner:
        to_run = {
            p.name: [key for key in studies if key not in done[p.name] and is_for(key, p.studies)]
            for p in selected
        }
        self.executions = executions_of(self.context, selected, self.keys, to_run)
        # What this run makes itself isn't looked up: an earlier result of it no longer counts.
        needed = {name: done.get(name, studies) for each in selected for name in each.upstreams}
        instance, keys = self.context.instance, self.keys
        earlier = upstream_results(instance, keys, needed)
        pipelines = {pipeline.name: pipeline for pipeline in self.pipelines}
        return PipelineRunner(
            run_id=self.context.run.run_id,
            registry=registry.label,
            sdk=registry.sdk,
            pipelines=pipelines,
            keys=keys,
            resources=self.context.resources,
            log=self.context.log,
            earlier=earlier.data,
            uris=earlier.uris,
            none_withheld=earlier.none_withheld,
            skipped=earlier.skipped,
            not_current=skipped_before(instance, pipelines, keys, selected, studies),
            settings=self.settings,
            launched_by=launched_by(instance, self.context.run),
            executions=self.executions,
            definition_metadata={spec.key: spec.metadata for spec in self.context.assets_def.specs},
            reading=self.reading,
            newest=self._newest_pure(selected, studies),
        )

    def _newest_pure(
        self, selected: Sequence[StudyPipeline], studies: Sequence[str]
    ) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return the metadata of results that might be carried forward: none in a full run."""
        pipelines = [] if self.reading.read_whole else selected
        return newest_metadata(self.context.instance, pipelines, self.keys, studies)

    def _log_results(
        self, lanes: Lanes, steps: Mapping[str, Sequence[LaneStep]], registry: str
    ) -> None:
        """Log results as they arrive; after an interrupt, also those that had finished."""
        logged: set[tuple[str, str]] = set()
        lanes.call_every(_FLUSH_SECONDS, self.successes.flush)
        try:
            for result in lanes.run(steps):
                self._log_result(result, registry)
                logged.add((result.study_key, result.step))
                self._report_progress(len(logged), steps)
            self.successes.flush()
        except BaseException:
            with capture_interrupts():
                for result in lanes.cancel_and_drain():
                    ended = result.failure is None or result.failure.kind != CANCELLED
                    if ended and (result.study_key, result.step) not in logged:
                        self._log_result(result, registry)
                self.successes.flush()
            raise

    def _report_progress(self, done: int, steps: Mapping[str, Sequence[LaneStep]]) -> None:
        if time.monotonic() - self.reported_at < _PROGRESS_SECONDS:
            return
        self.reported_at = time.monotonic()
        total = sum(len(each) for each in steps.values())
        self.context.log.info(
            "%d of %d results, %d studies failed so far%s.",
            done,
            total,
            len(self.failed),
            f", {self.skips} results skipped" if self.skips else "",
        )

    def _log_result(self, result: StepResult, registry: str) -> None:
        key, study_key, cause = self.keys[result.step], result.study_key, result.failure
        details = self._details(result)
        if cause is None:
            output = result.output if result.skipped is None else events.skip(result.skipped)
            self.skips += result.skipped is not None
            try:
                event = events.success(
                    key,
                    study_key,
                    replace(output, metadata={**output.metadata, **details}),
                    result.duration_seconds,
                    registry,
                )
                self.successes.add(event)
            except Exception as error:  # noqa: BLE001 - a user's IO manager gave bad metadata
                cause = describe_failure(error, show_all=registry == "demo")
            else:
                return
        self.context.log_event(
            events.failure(
                key,
                study_key,
                cause,
                result.duration_seconds,
                registry,
                result.report,
                details,
            )
        )
        if key in self.reconciled:
            check = reconciliation.failed(self.context.instance, key, study_key, cause)
            if check is not None:
                self.context.log_event(check)
        loggable = replace(cause, message="", trace="")  # small: kept until the end of the run
        self._record_failure(FailedStep(study_key, result.step, loggable, result.report))

    def _details(self, result: StepResult) -> dict[str, dg.MetadataValue[Any]]:
        """Return what the event of a result says about how it was made."""
        pipeline = self.settings.pipelines[result.step]
        used = self.settings.used(pipeline, result.study_key)
        details: dict[str, dg.MetadataValue[Any]] = {}
        if used:
            details[SETTINGS] = dg.MetadataValue.json(used)
        if self.executions is None or result.failure is None:  # a success has them already
            return details
        return {**self.executions.metadata(result.step, result.study_key), **details}

    def _record_failure(self, failed: FailedStep) -> None:
        """Record a failure for the run's message and log it."""
        self.failed.setdefault(failed.study_key, []).append(failed)
        if failed.is_consequence:
            return
        report = f"Failure report: {failed.report}" if failed.report else ""
        if failed.report == NOT_WRITTEN:
            report = (
                "The failure report could not be written to the restricted store "
                "(ORCH_RESTRICTED_STORE)."
            )
        self.context.log.error(
            "[%s] %s failed: %s %s", failed.study_key, failed.pipeline, failed.text, report
        )
