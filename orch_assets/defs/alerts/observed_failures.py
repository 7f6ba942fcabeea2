"""What alerts are about, as an instance knows it: failures of runs, ticks and checks."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any, Final

import dagster as dg

from orch_assets import errors
from orch_assets.alerts.announced import Pair, RegistryFailure
from orch_assets.defs.dagster_internals import AssetCheckExecutionRecordStatus as CheckStatus
from orch_assets.defs.run_failure import FAILED_STUDIES
from orch_assets.defs.runs.earlier_results import newest_records, records_of_run
from orch_assets.defs.runs.first_runs import REGISTRY_SENSOR, SensorMemory
from orch_assets.defs.runs.recorded_results import failed_steps
from orch_assets.defs.runs.run_states import newest_state
from orch_assets.orchestration.reporting.failure_summary import FailedStep
from orch_assets.orchestration.reporting.results import Failure

# The kind of failures of studies whose run ended before they did.
RUN_ENDED: Final = "RunEnded"

# Seconds. The database sets the time of an evaluation, and rounds it down to a second.
_CLOCKS_DIFFER_BY: Final = 60.0
_PAGE: Final = 200
# The newest ticks of a sensor: one may be going on.
_TICKS: Final = 2
# Errors of ours, by the beginning of their texts in Dagster's log. These texts may be shown.
_OURS: Final = f"{errors.__name__}."


def failures_of(
    instance: dg.DagsterInstance, run_ids: Sequence[str], keys: Iterable[dg.AssetKey]
) -> dict[str, list[FailedStep]]:
    """Return the failures of runs that have ended, those of studies that never ended included.

    A cancelled run has only the failures that it recorded. A deleted run has none.
    """
    records = instance.get_run_records(dg.RunsFilter(run_ids=list(run_ids)))
    # A cancelled queue is thousands of runs that never began: their events needn't be read.
    began = {each.dagster_run.run_id for each in records if each.start_time is not None}
    failures = {
        run_id: [*failed_steps(instance, run_id)] if run_id in began else [] for run_id in run_ids
    }
    reasons = {
        record.dagster_run.run_id: (record, reason)
        for record in records
        if record.dagster_run.status == dg.DagsterRunStatus.FAILURE
        and (reason := _why_ended_early(instance, record.dagster_run.run_id)) is not None
    }
    for run_id, pairs in _never_ended(instance, failures, reasons, keys).items():
        record, reason = reasons[run_id]
        at = record.end_time or record.update_timestamp.replace(tzinfo=UTC).timestamp()
        failure = Failure(RUN_ENDED, explanation=reason)
        failures[run_id] += [FailedStep(study, table, failure, at=at) for study, table in pairs]
    return failures


def successes_since(
    instance: dg.DagsterInstance, failures: Iterable[FailedStep]
) -> dict[Pair, float]:
    """Return when what failed succeeded since: a timestamp for each study and pipeline."""
    failed: dict[str, set[str]] = {}
    oldest = float("inf")
    for step in failures:
        failed.setdefault(step.pipeline, set()).add(step.study_key)
        oldest = min(oldest, step.at)
    event_type = dg.DagsterEventType.ASSET_MATERIALIZATION
    return {
        (study, pipeline): record.timestamp
        for pipeline, studies in failed.items()
        for study, record in newest_records(
            instance, dg.AssetKey(pipeline), studies, event_type, since=oldest
        )
    }


def newest_checks(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, run_ids: Collection[str]
) -> tuple[dict[str, dict[str, str]], set[str]]:
    """Return what a check said of each study in the newest of some runs.

    Returns:
        The studies that failed it, by run, with its description; and the studies that passed it.
    """
    failed: dict[str, dict[str, str]] = {}
    passed: set[str] = set()
    for run_id, evaluation in _evaluations(instance, check, run_ids):
        study = evaluation.partition
        if study is None or study in passed or any(study in each for each in failed.values()):
            continue
        if evaluation.passed:
            passed.add(study)
        else:
            failed.setdefault(run_id, {})[study] = evaluation.description or ""
    return failed, passed


def registry_state(
    instance: dg.DagsterInstance, states: Iterable[Any]
) -> tuple[RegistryFailure | None, Collection[str]] | None:
    """Return why the registry's last tick failed, and which studies it found missing.

    Args:
        instance: The instance.
        states: Its sensors and schedules.

    Returns:
        None if ``study_registry_sensor`` never ticked.
    """
    state = newest_state(states, REGISTRY_SENSOR)
    if state is None:
        return None
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_TICKS)
    ended = [tick for tick in ticks if tick.status.value != "STARTED"]
    if not ended:
        return None
    missing = SensorMemory.read(getattr(state.instigator_data, "cursor", None)).absences
    is_failed = ended[0].status.value == "FAILURE"
    return (_registry_failure(ended[0].error) if is_failed else None), list(missing)


def _registry_failure(error: Any) -> RegistryFailure:
    kind, text = _loggable(error)
    return RegistryFailure(kind or "an error", text)


def _never_ended(
    instance: dg.DagsterInstance,
    failures: Mapping[str, Sequence[FailedStep]],
    runs: Collection[str],
    keys: Iterable[dg.AssetKey],
) -> dict[str, list[Pair]]:
    """Return the studies and tables that failed runs planned, but neither stored nor saw fail."""
    never: dict[str, list[Pair]] = {}
    if not runs:
        return never
    recorded = {
        run_id: {(step.study_key, step.pipeline) for step in failures[run_id]} for run_id in runs
    }
    storage = instance.event_log_storage
    for key in sorted(keys):
        attempts = (
            storage.get_latest_asset_partition_materialization_attempts_without_materializations(
                key
            )
        )
        for study, (run_id, _) in attempts.items():
            pair = (study, key.to_user_string())
            if run_id in recorded and pair not in recorded[run_id]:
                never.setdefault(run_id, []).append(pair)
    return never


def _why_ended_early(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """Return why a failed run ended before its studies; None if each of them has a result."""
    text = "the run ended before this study did"
    for record in records_of_run(instance, run_id, {dg.DagsterEventType.STEP_FAILURE}):
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        data = event.step_failure_data
        if data.user_failure_data and FAILED_STUDIES in data.user_failure_data.metadata:
            return None
        kind, why = _loggable(data.error)
        if why:
            return f"{text} ({kind}: {why})"
    return text


def _loggable(error: Any) -> tuple[str, str]:
    """Return the type of the innermost error, and its text if it is one of ours."""
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "", ""
    name, _, text = error.message.partition(":")
    is_ours = name == f"{_OURS}{error.cls_name}" and hasattr(errors, error.cls_name)
    return error.cls_name or "", text.strip() if is_ours else ""


def _evaluations(
    instance: dg.DagsterInstance,
    check: dg.AssetCheckKey,
    run_ids: Collection[str],
) -> Iterator[tuple[str, dg.AssetCheckEvaluation]]:
    """Yield the evaluations of some runs that have just ended, with the run, newest first.

    All pages since the first of them was created are read: runs that go on may have newer ones.
    """
    storage, cursor = instance.event_log_storage, None
    runs = instance.get_run_records(dg.RunsFilter(run_ids=list(run_ids))) if run_ids else ()
    created = (each.create_timestamp.replace(tzinfo=UTC).timestamp() for each in runs)
    since = min(created, default=float("inf")) - _CLOCKS_DIFFER_BY
    status = {CheckStatus.SUCCEEDED, CheckStatus.FAILED}
    while True:
        page = storage.get_asset_check_execution_history(check, _PAGE, cursor, status)
        for record in page:
            event = record.event and record.event.dagster_event
            if event and record.run_id in run_ids:
                yield record.run_id, event.asset_check_evaluation_data
        if len(page) < _PAGE or page[-1].create_timestamp < since:
            return
        cursor = page[-1].id
