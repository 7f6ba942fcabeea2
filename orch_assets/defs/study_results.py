"""``study_results``: the newest result of each study and pipeline, refreshed by a sensor."""

import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from orch_assets.defs.dagster_internals import UnresolvedAssetJobDefinition
from orch_assets.defs.environment import stale_after
from orch_assets.defs.events import COLUMN_SCHEMA
from orch_assets.defs.io.table_types import table_class
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.defs.runs.interrupts import cancelled_by_ctrl_c
from orch_assets.defs.runs.recorded_results import COUNTS, never_ended, new_entries
from orch_assets.defs.runs.run_states import ended_runs, last_end, must_try_again, run_that_waits
from orch_assets.defs.set_in_code import NOTHING
from orch_assets.errors import StoreError
from orch_assets.orchestration.reporting.matrix import (
    COLUMNS,
    MatrixEntry,
    as_columns,
    as_markdown,
    newest,
    with_ages,
)
from orch_assets.orchestration.reporting.portfolio import OLD_AFTER, Portfolio, State
from orch_assets.orchestration.reporting.results import FAILED, SUCCESS

RESULTS_KEY: Final = dg.AssetKey("study_results")

_MOMENT: Final = "timestamp[us, tz=UTC]"
# Types of the columns that aren't text.
_TYPES: Final = {
    **dict.fromkeys(("duration_seconds", "age_hours"), "double"),
    **dict.fromkeys(("finished_at", "succeeded_at"), _MOMENT),
    **dict.fromkeys(("rows", "event_id", *COUNTS), "int64"),
}
_DESCRIPTIONS: Final = {
    "status": "SUCCESS or FAILED",
    "data": "numbers that the pipeline returned, as JSON text; null if the result is stored",
    "error": "why the study failed, without data values; null for a success",
    "duration_seconds": "working time on this study; null if the run ended before it did",
    "rows": "rows of the table; null without one",
    "uri": "address of the artifact; null without one",
    "sha256": "hash of the artifact's bytes",
    "run_id": "the Dagster run",
    "finished_at": "when the result was recorded, by the run that made it",
    "event_id": "number of the event; a later result has a higher one",
    "refresh": "counted, read whole, appended or carried forward; null if made anew",
    "rows_new": "rows that the result before lacks",
    "rows_changed": "rows that changed, including those marked as deleted",
    "rows_deleted": "rows that were marked as deleted",
    "rows_vanished": "rows that iMednet no longer returns",
    "requests_saved": "requests that reading the whole table would have taken beyond those made",
    "skipped": "why the pipeline left the study out; null if it has a real result",
    "succeeded_at": "when the last real result was recorded; null without one",
    "age_hours": "hours from succeeded_at to the moment when this table was made",
    "failure_report": "address of the failure report; null without one",
}


def build_study_results(graph_keys: Iterable[dg.AssetKey]) -> dg.AssetsDefinition:
    """Return the asset ``study_results``: the newest result of each study and pipeline.

    It reads the events since its last materialization and adds them to its own last table. It
    isn't meant to run together with studies: if it is selected with them, Dagster skips it, and
    the sensor refreshes it afterwards.
    """
    keys = sorted(graph_keys)

    @dg.asset(
        key=RESULTS_KEY,
        deps=keys,
        group_name="results",
        kinds={"table"},
        description=(
            "The newest result of each study and pipeline, one row each. `portfolio` in the "
            "metadata of its newest materialization shows them by state and age, why studies "
            "failed, and the oldest results; `matrix` shows the rows of each table."
        ),
        metadata={COLUMN_SCHEMA: dg.TableSchema([_column(name) for name in COLUMNS])},
        required_resource_keys={"io_manager"},
        config_schema=NOTHING,
    )
    @cancelled_by_ctrl_c
    def study_results(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        instance = context.instance
        stored, read_up_to = _stored_results(instance, context.resources.io_manager)
        studies = instance.get_dynamic_partitions(STUDIES_NAME)
        known = [] if _is_of_earlier_release(stored) else stored
        # The order matters: what a run recorded before it ended is among the events read next.
        ended = [*never_ended(instance, keys)]
        new = new_entries(instance, keys, studies, known, read_up_to)
        pipelines = [key.to_user_string() for key in keys]
        found = newest([*stored, *new, *ended], studies, pipelines)
        now = datetime.now(UTC)
        portfolio = Portfolio(with_ages(found, now), pipelines, now, old_after())
        return dg.MaterializeResult(
            value=_table(portfolio.entries), metadata=_metadata(portfolio, read_up_to)
        )

    return study_results


def build_results_sensor(
    job: dg.JobDefinition | UnresolvedAssetJobDefinition, graph_keys: Iterable[dg.AssetKey]
) -> dg.SensorDefinition:
    """Return the sensor that refreshes ``study_results`` after runs of the graph have ended.

    It requests one refresh for all runs that ended since the last tick, and none while a refresh
    waits to begin, because that one will include them. A refresh that failed is requested again
    every ten minutes.
    """
    keys = frozenset(graph_keys)

    @dg.sensor(
        name="study_results_sensor",
        job=job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes study_results after runs of studies have ended.",
    )
    def study_results_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        # The first refresh includes all earlier runs, so the first tick reads only the last ones.
        first = None if context.cursor else last_end(context.instance)
        up_to, seen, left_to = _read_cursor(context.cursor)
        ended = ended_runs(context.instance, keys, first or up_to, time.time())
        # The order matters: a refresh that waits now begins after these runs ended, by any clock.
        waits = run_that_waits(context.instance, job.name)
        lost = left_to not in (None, waits) and _never_began(context.instance, left_to)
        lost = lost or must_try_again(context.instance, job.name)
        due = lost or first is not None or not set(ended.run_ids) <= set(seen)
        skipped = "A refresh waits to begin." if due else "No run of studies has ended."
        is_requested = due and waits is None
        return dg.SensorResult(
            run_requests=[dg.RunRequest()] if is_requested else [],
            skip_reason=None if is_requested else dg.SkipReason(skipped),
            cursor=json.dumps(
                [ended.up_to, ended.seen, waits if due or waits == left_to else None]
            ),
        )

    return study_results_sensor


def _read_cursor(cursor: str | None) -> tuple[float, list[str], str | None]:
    """Return what the last tick knew.

    That is when the last run ended, which runs ended before that, and the refresh to which it left
    some of them.
    """
    up_to, seen, *left_to = json.loads(cursor) if cursor else (0.0, [])
    return up_to, seen, left_to[0] if left_to else None


def _never_began(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Return whether a run ended, or was deleted, before it began."""
    record = instance.get_run_record_by_id(run_id)
    return record is None or (record.dagster_run.is_finished and record.start_time is None)


def old_after() -> timedelta:
    """Return the age from which a result is shown as old (``ORCH_STALE_AFTER``); 7 days if unset.

    Raises:
        SettingError: The setting can't be read.
    """
    return stale_after() or OLD_AFTER


def load_results(
    instance: dg.DagsterInstance, io_manager: dg.IOManager
) -> tuple[list[MatrixEntry], int]:
    """Return the entries of the stored table, and the ID of the last event that it includes.

    Raises:
        StoreError: The table was materialized, but can't be read.
    """
    event = instance.get_latest_materialization_event(RESULTS_KEY)
    materialization = event.asset_materialization if event else None
    if materialization is None:
        return [], 0
    with dg.build_input_context(
        asset_key=RESULTS_KEY,
        dagster_type=dg.PythonObjectDagsterType(table_class("pyarrow.Table")),
    ) as context:
        table = io_manager.load_input(context)
    # A table of an earlier release has fewer columns.
    names = [name for name in COLUMNS if name in table.column_names]
    entries = [MatrixEntry(**row) for row in table.select(names).to_pylist()]
    # The ID is taken from the rows, not from the event: two refreshes at the same time may leave
    # the table of one and the event of the other.
    return entries, max((entry.event_id for entry in entries), default=0)


def _stored_results(
    instance: dg.DagsterInstance, io_manager: dg.IOManager
) -> tuple[list[MatrixEntry], int]:
    """Return the stored results; none if they can't be read, as the events contain all of them."""
    try:
        return load_results(instance, io_manager)
    except StoreError:
        return [], 0


def _is_of_earlier_release(entries: Iterable[MatrixEntry]) -> bool:
    """Return whether a table lacks the moments of the last successes, which events contain."""
    return any(
        each.status == SUCCESS and each.succeeded_at is None and each.skipped is None
        for each in entries
    )


def _table(entries: Sequence[MatrixEntry]) -> Any:
    import pyarrow as pa

    moment = {_MOMENT: pa.timestamp("us", "UTC")}
    types = [(each.name, each.type) for each in map(_column, COLUMNS)]
    schema = pa.schema([(name, moment.get(type_) or type_) for name, type_ in types])
    return pa.table(as_columns(entries), schema=schema)


def _column(name: str) -> dg.TableColumn:
    return dg.TableColumn(
        name, type=_TYPES.get(name, "string"), description=_DESCRIPTIONS.get(name)
    )


def _metadata(portfolio: Portfolio, read_up_to: int) -> dict[str, Any]:
    # Only a refresh needs it, and not whoever loads the code location.
    from orch_assets.orchestration.reporting.portfolio_page import portfolio_page

    entries = portfolio.entries
    failed = {entry.study_key for entry in entries if entry.status == FAILED}
    return {
        "portfolio": dg.MetadataValue.md(portfolio_page(portfolio)),
        "matrix": dg.MetadataValue.md(as_markdown(entries, portfolio.pipelines)),
        "studies": len(portfolio.rows),
        "failed_studies": len(failed),
        "old_results": portfolio.counts[State.OLD],
        "new_results": sum(entry.event_id > read_up_to for entry in entries),
    }
