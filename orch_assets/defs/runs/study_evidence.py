"""What the event log and the stores say about one study, for a report."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from orch_assets.charts.small_cells import min_cell
from orch_assets.charts.summary_panels import panels
from orch_assets.defs import events
from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.io_manager import PipelineIOManager
from orch_assets.defs.io.previous_results import stored_document, stored_version
from orch_assets.defs.runs.earlier_results import newest_materializations
from orch_assets.defs.runs.recorded_results import never_ended, new_entries
from orch_assets.errors import ArtifactNotFoundError
from orch_assets.orchestration.reporting.matrix import MatrixEntry, newest
from orch_assets.orchestration.reporting.results import SUCCESS, Failure
from orch_assets.reports.study_report import (
    NOT_OPEN,
    ReportedChange,
    ReportedResult,
    ReportedVersion,
    StudyReport,
)

IOManagerOf = Callable[[dg.AssetKey], dg.IOManager]


def study_report(
    instance: dg.DagsterInstance,
    keys: Collection[dg.AssetKey],
    study_key: str,
    io_manager_of: IOManagerOf,
    now: datetime | None = None,
) -> StudyReport | None:
    """Return the report about a study; None if nothing has been run for it.

    Args:
        instance: The Dagster instance.
        keys: Assets of the study graph.
        study_key: The study.
        io_manager_of: Returns the IO manager of an asset.
        now: When the report is made; now by default.

    Raises:
        StoreError: A store can't be read.
    """
    ordered = sorted(keys)
    ended = never_ended(instance, ordered)
    entries = [
        *(each for each in ended if each.study_key == study_key),
        *new_entries(instance, ordered, [study_key], [], 0),
    ]
    if not entries:
        return None
    limit = min_cell()
    found = {key: _materialized(instance, key, study_key) for key in ordered}
    summary = _table(dg.AssetKey("study_summary"), ordered, study_key, io_manager_of)
    return StudyReport(
        study_key=study_key,
        made_at=now or datetime.now(UTC),
        limit=limit,
        results=[
            _result(entry, found[dg.AssetKey.from_user_string(entry.pipeline)])
            for entry in newest(entries, [study_key], [key.to_user_string() for key in ordered])
        ],
        versions=[
            version
            for key, metadata in found.items()
            if (version := _version(key, study_key, io_manager_of(key), metadata)) is not None
        ],
        panels=panels(summary, limit),
        dictionary_changes=list(_changes(ordered, study_key, io_manager_of)),
    )


def _materialized(instance: dg.DagsterInstance, key: dg.AssetKey, study_key: str) -> dict[str, Any]:
    """Return the metadata of a study's newest success; empty without one."""
    for _, record in newest_materializations(instance, key, [study_key]):
        event = record.asset_materialization
        if event is not None:
            return {**event.metadata}
    return {}


def _result(entry: MatrixEntry, metadata: dict[str, Any]) -> ReportedResult:
    succeeded = entry.status == SUCCESS
    cause = None if succeeded else Failure.from_loggable(entry.error or "")
    return ReportedResult(
        pipeline=entry.pipeline,
        succeeded=succeeded,
        finished_at=entry.finished_at,
        run=entry.run_id,
        rows=entry.rows,
        expected=events.value_of(metadata, "expected") if succeeded else None,
        reading=entry.refresh,
        cause=cause.kind if cause else None,
        place=cause.place if cause else "",
        skipped=succeeded and events.skipped(metadata) is not None,
    )


def _version(
    key: dg.AssetKey, study_key: str, io_manager: dg.IOManager, metadata: dict[str, Any]
) -> ReportedVersion | None:
    if events.skipped(metadata) is not None:  # what is stored is no longer current
        return None
    name = artifact_name(key, study_key)
    stored = stored_document(io_manager, name, events.uri_of(metadata))
    stored = stored or stored_version(io_manager, name)
    if stored is None:
        return None
    made = stored.publication
    return ReportedVersion(
        artifact=name,
        sha256=stored.version,
        bytes=stored.bytes,
        published_at=made.published_at,
        run=made.provenance.get("run", ""),
        registry=made.provenance.get("registry", ""),
        libraries=made.libraries,
    )


def _changes(
    keys: Sequence[dg.AssetKey], study_key: str, io_manager_of: IOManagerOf
) -> Iterator[ReportedChange]:
    """Yield the changes of the data dictionary; a variable's name only if it is open now."""
    rows = _table(dg.AssetKey("dictionary_changes"), keys, study_key, io_manager_of)
    known = _table(dg.AssetKey("variables"), keys, study_key, io_manager_of) if rows else []
    names = {row["variable_name"] for row in known}
    names -= {row["variable_name"] for row in known if row["blinded"] is not False}
    for row in reversed(rows):
        name = row["variable_name"]
        shown = name if name is None or name in names else NOT_OPEN
        yield ReportedChange(row["noticed_at"], row["kind"], row["form_key"], shown)


def _table(
    key: dg.AssetKey, keys: Collection[dg.AssetKey], study_key: str, io_manager_of: IOManagerOf
) -> list[dict[str, Any]]:
    """Return the rows of a shipped table; none if the location or the store doesn't have it."""
    io_manager = io_manager_of(key) if key in keys else None
    if not isinstance(io_manager, PipelineIOManager):
        return []
    try:
        table = io_manager.pipeline_store().download_table(artifact_name(key, study_key))
    except ArtifactNotFoundError:
        return []
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
