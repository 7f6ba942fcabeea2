"""The Dagster events of a study's result, and what is read back from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from orch_assets.defs.io.event_metadata import (
    CARRIED_FROM,
    COLUMN_SCHEMA,
    EARLIER_KEYS,
    FIRST_RECORDED,
    FIRST_ROWS,
    PREVIEW,
    ROW_COUNT,
    URI,
    entry_of,
    value_of,
)
from orch_assets.orchestration.reporting.results import FAILED, SUCCESS, Failure
from orch_assets.orchestration.returned_values import SKIPPED, is_skipped

__all__ = [
    "CARRIED_FROM",
    "COLUMN_SCHEMA",
    "DATA_VERSION_TAG",
    "ROW_COUNT",
    "URI",
    "StoredResult",
    "carried",
    "data_alone",
    "entry_of",
    "failure",
    "none_withheld",
    "recorded_at",
    "skip",
    "skipped",
    "success",
    "uri_of",
    "value_of",
    "versions_of",
]

DATA_VERSION_TAG: Final = "dagster/data_version"


@dataclass(frozen=True)
class StoredResult:
    """The result of a successful pipeline.

    Attributes:
        data: numbers and booleans for the event. None if the result was stored.
        metadata: metadata that the IO manager added for the artifact. Empty without one.
        stored: whether there is an artifact.
    """

    data: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    stored: bool = False


def success(
    key: dg.AssetKey, study_key: str, result: StoredResult, duration_seconds: float, registry: str
) -> dg.AssetMaterialization:
    """Return the event of a study's success; it materializes the partition."""
    sha256 = result.metadata.get("sha256")
    no_uri = result.stored and not _has_uri(result.metadata)
    return dg.AssetMaterialization(
        asset_key=key,
        partition=study_key,
        metadata={
            **({URI: dg.MetadataValue.null()} if no_uri else {}),
            **result.metadata,
            **_four_fields(SUCCESS, result.data, None, duration_seconds),
            "registry": registry,
        },
        tags={DATA_VERSION_TAG: str(sha256.value)} if sha256 is not None else None,
    )


def skip(reason: str) -> StoredResult:
    """Return the result of a study that a pipeline left out."""
    return StoredResult(data={SKIPPED: reason})


def failure(
    key: dg.AssetKey,
    study_key: str,
    cause: Failure,
    duration_seconds: float,
    registry: str,
    report_uri: str | None,
    details: Mapping[str, Any] | None = None,
) -> dg.AssetObservation:
    """Return the event of a study's failure; it leaves the partition unmaterialized.

    The error text is the exception's type and location. The message is included only if this
    package wrote it.
    """
    # The UI shows them in this order, few at a time: first why, and where to read more.
    metadata: dict[str, dg.MetadataValue[Any]] = {"error": dg.MetadataValue.text(cause.loggable)}
    if report_uri is not None:
        metadata["failure_report"] = dg.MetadataValue.text(report_uri)
    metadata |= details or {}
    metadata |= _four_fields(FAILED, None, cause.loggable, duration_seconds)
    metadata["registry"] = dg.MetadataValue.text(registry)
    return dg.AssetObservation(asset_key=key, partition=study_key, metadata=metadata)


def carried(record: dg.EventLogRecord, study_key: str) -> dg.AssetMaterialization:
    """Return a copy of a partition's newest materialization, for a resumed run to log again."""
    event = record.asset_materialization
    if event is None:  # callers query materializations only
        raise TypeError("no materialization")
    origin = event.metadata.get(CARRIED_FROM) or dg.MetadataValue.dagster_run(record.run_id)
    at = dg.MetadataValue.timestamp(recorded_at(record))
    version = (event.tags or {}).get(DATA_VERSION_TAG)
    return dg.AssetMaterialization(
        asset_key=event.asset_key,
        partition=study_key,
        metadata={**_without_pictures(event.metadata), CARRIED_FROM: origin, FIRST_RECORDED: at},
        tags={DATA_VERSION_TAG: version} if version else None,
    )


def recorded_at(record: dg.EventLogRecord) -> datetime:
    """Return when a result was first recorded, UTC: a copy in a resumed run doesn't count."""
    event = record.asset_materialization
    first = value_of(event.metadata, FIRST_RECORDED) if event else None
    return datetime.fromtimestamp(first or record.timestamp, tz=UTC)


def _without_pictures(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without a picture and first rows: they are logged once for each change."""
    return {key: metadata[key] for key in metadata if key not in {PREVIEW, FIRST_ROWS}}


def _four_fields(
    status: str, data: Any, error: str | None, duration_seconds: float
) -> dict[str, dg.MetadataValue[Any]]:
    return {
        "status": dg.MetadataValue.text(status),
        "data": _data_value(data),
        "error": dg.MetadataValue.null() if error is None else dg.MetadataValue.text(error),
        "duration_seconds": dg.MetadataValue.float(round(duration_seconds, 6)),
    }


def _data_value(data: Any) -> dg.MetadataValue[Any]:
    if data is None:
        return dg.MetadataValue.null()
    if isinstance(data, bool):  # before int, of which bool is a subclass
        return dg.MetadataValue.bool(data)
    if isinstance(data, int):
        return dg.MetadataValue.int(data)
    return dg.MetadataValue.float(data) if isinstance(data, float) else dg.MetadataValue.json(data)


def uri_of(metadata: Mapping[str, Any]) -> str | None:
    """Return the URI of an event's artifact. None without one."""
    uri = value_of(metadata, URI)
    return None if uri is None else str(uri)


def none_withheld(metadata: Mapping[str, Any]) -> bool:
    """Return whether a result has no withheld part because no value was withheld."""
    return value_of(metadata, "withheld_rows") == 0 and "withheld_uri" not in metadata


def versions_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes of a result's artifacts by URI, including the withheld part."""
    pairs = ((URI, "sha256"), ("withheld_uri", "withheld_sha256"))
    found = [(value_of(metadata, uri), value_of(metadata, sha256)) for uri, sha256 in pairs]
    return {str(uri): str(sha256) for uri, sha256 in found if uri and sha256}


def data_alone(record: dg.EventLogRecord) -> tuple[bool, Any]:
    """Return whether a materialization has no artifact but only ``data``, and that data.

    The event of a stored result always has the key ``URI``, possibly with a null value.
    """
    event = record.asset_materialization
    if event is None or _has_uri(event.metadata) or "data" not in event.metadata:
        return False, None
    return True, event.metadata["data"].value


def skipped(metadata: Mapping[str, Any]) -> str | None:
    """Return why the pipeline left the study out (``Skip``). None if it has a real result."""
    data = value_of(metadata, "data")
    # A number of this name is a pipeline's own count.
    return str(data[SKIPPED]) if is_skipped(data) else None


def _has_uri(metadata: Mapping[str, Any]) -> bool:
    return not metadata.keys().isdisjoint({URI, EARLIER_KEYS[URI]})
