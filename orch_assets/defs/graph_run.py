"""One run of a study graph. One study and many run the same code and log the same events."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import dagster as dg

from orch_assets.defs import events
from orch_assets.defs.checks import reconciliation_check as reconciliation
from orch_assets.defs.checks.dictionary_checks import DictionaryChecks, warn_of_unknown_studies
from orch_assets.defs.checks.dictionary_watch import dictionary_watch
from orch_assets.defs.dagster_internals import capture_interrupts
from orch_assets.defs.io.pure_results import newest_metadata
from orch_assets.defs.pipeline_runner import NOT_WRITTEN, PipelineRunner
from orch_assets.defs.resources import OrchestrationResource, RegistryResource
from orch_assets.defs.runs.arrow_memory import use_the_system_allocator
from orch_assets.defs.runs.causes_table import causes_table
from orch_assets.defs.runs.earlier_results import (
    carried_events,
    done_in_parent,
    newest_materializations,
)
from orch_assets.defs.runs.past_durations import past_durations
from orch_assets.defs.runs.readiness import try_keys, try_stores
from orch_assets.defs.runs.reading_options import ReadingOptions
from orch_assets.defs.runs.result_log import ResultLog
from orch_assets.defs.state_machines.former_executions import executions_of
from orch_assets.defs.state_machines.study_executions import StudyExecutions
from orch_assets.errors import TableChangedError
from orch_assets.imednet.blinding import extra_fields
from orch_assets.orchestration.lanes import Lanes
from orch_assets.orchestration.ordering import longest_first
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.orchestration.reporting.failure_summary import FailedStep, summarize_failures
from orch_assets.orchestration.reporting.results import CANCELLED, describe_failure
from orch_assets.orchestration.reporting.warning_texts import hide_warning_texts
from orch_assets.orchestration.steps import LaneStep, StepResult

_PROGRESS_SECONDS: Final = 10.0
# Successes are logged together this often.
_FLUSH_SECONDS: Final = 1.0
# Retries of a table whose rows changed while it was read.
_CHANGED_TABLE_RETRIES: Final = 2


@dataclass
class GraphRun:
    """Runs the selected pipelines for the studies of a run and logs the results.

    Only the thread that calls :meth:`execute` logs events.
    """

    context: dg.AssetExecutionContext
    pipelines: Sequence[StudyPipeline]
    keys: Mapping[str, dg.AssetKey]
    failed: dict[str, list[FailedStep]] = field(default_factory=dict)
    reported_at: float = field(default_factory=time.monotonic)
    executions: StudyExecutions | None = None

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
                _step(p, made_up=registry.is_demo)
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
        checks = DictionaryChecks(self.context, self.keys, self.pipelines, watch)
        checks.log({key: {step.name for step in each} for key, each in steps.items()}, self.failed)
        if self.failed:
            raise self._failure(studies)

    @property
    def _selected_keys(self) -> set[dg.AssetKey]:
        return set(self.context.selected_asset_keys)

    def _check_settings(self) -> None:
        """Check stores and keys before the first study, so that a wrong setting fails the run."""
        extra_fields.are_open()
        resources = self.context.resources
        warn_of_unknown_studies(self.context, resources.orchestration.drift_modes())
        keys = [pipeline.io_manager_key for pipeline in self.pipelines]
        keys += ["restricted_io_manager", "restricted_store"]
        try_stores({key: getattr(resources, key) for key in keys})
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
        to_run = {p.name: [key for key in studies if key not in done[p.name]] for p in selected}
        self.executions = executions_of(self.context, selected, self.keys, to_run)
        earlier, uris, none_withheld = self._earlier(selected, studies, done)
        return PipelineRunner(
            run_id=self.context.run.run_id,
            registry=registry.label,
            sdk=registry.sdk,
            pipelines={pipeline.name: pipeline for pipeline in self.pipelines},
            keys=self.keys,
            resources=self.context.resources,
            log=self.context.log,
            earlier=earlier,
            uris=uris,
            none_withheld=none_withheld,
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

    def _earlier(
        self,
        selected: Sequence[StudyPipeline],
        studies: Sequence[str],
        done: Mapping[str, set[str]],
    ) -> tuple[dict[str, dict[str, Any]], dict[tuple[str, str], str | None], set[tuple[str, str]]]:
        """Return what is known of the upstream results that this run does not produce itself.

        Returns:
            ``data`` of results without an artifact, by pipeline and study; URIs of all results;
            results without a withheld part.
        """
        made_here = {pipeline.name for pipeline in selected if not done[pipeline.name]}
        needed = {name for pipeline in selected for name in pipeline.upstreams} - made_here
        earlier: dict[str, dict[str, Any]] = {name: {} for name in needed}
        uris: dict[tuple[str, str], str | None] = {}
        none_withheld: set[tuple[str, str]] = set()
        for name in needed:
            newest = newest_materializations(self.context.instance, self.keys[name], studies)
            for study_key, record in newest:
                alone, data = events.data_alone(record)
                if alone:
                    earlier[name][study_key] = data
                event = record.asset_materialization
                metadata = event.metadata if event else {}
                uris[name, study_key] = events.uri_of(metadata)
                if events.none_withheld(metadata):
                    none_withheld.add((name, study_key))
        return earlier, uris, none_withheld

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
            "%d of %d results, %d studies failed so far.", done, total, len(self.failed)
        )

    def _log_result(self, result: StepResult, registry: str) -> None:
        key, study_key, cause = self.keys[result.step], result.study_key, result.failure
        if cause is None:
            try:
                event = events.success(
                    key, study_key, result.output, result.duration_seconds, registry
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
                self.executions.metadata(result.step, study_key) if self.executions else None,
            )
        )
        if key in self.reconciled:
            check = reconciliation.failed(self.context.instance, key, study_key, cause)
            if check is not None:
                self.context.log_event(check)
        loggable = replace(cause, message="", trace="")  # small: kept until the end of the run
        self._record_failure(FailedStep(study_key, result.step, loggable, result.report))

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

    def _failure(self, studies: Sequence[str]) -> dg.Failure:
        failed = [each for study_key in studies for each in self.failed.get(study_key, ())]
        return dg.Failure(
            f"{summarize_failures(failed, len(studies))}\n"
            f"Successful results are materialized; {self._resumption()}.",
            metadata={
                "studies": len(studies),
                "failed_studies": len(self.failed),
                "causes": causes_table(failed),
            },
            allow_retries=False,
        )

    def _resumption(self) -> str:
        """Return how to run only what failed; the UI can re-execute only a run with an origin."""
        by_command = "use `orch-assets run --failed` (for the last run) to run only the rest"
        if self.context.run.remote_job_origin is None:
            return by_command
        return f"re-execute from failure in the UI, or {by_command}"


def _step(pipeline: StudyPipeline, *, made_up: bool) -> LaneStep:
    return LaneStep(
        pipeline.name,
        upstreams=pipeline.upstreams,
        timeout=pipeline.timeout,
        retries=max(pipeline.retries, _CHANGED_TABLE_RETRIES if pipeline.reconciled else 0),
        retry_on=(*pipeline.retry_on, *((TableChangedError,) if pipeline.reconciled else ())),
        is_async=pipeline.is_async,
        takes=pipeline.taken,
        describe=partial(describe_failure, function=pipeline.function, show_all=made_up),
    )
