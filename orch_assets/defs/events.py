"""The events of a study's result: what Dagster shows of an ``OrchestratorResult``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg

from orch_assets.orchestration.reporting.results import FAILED, SUCCESS, Failure

DATA_VERSION_TAG: Final = "dagster/data_version"
CARRIED_FROM: Final = "carried_from"

# Where Dagster's UI looks for them.
URI: Final = "dagster/uri"
ROW_COUNT: Final = "dagster/row_count"
COLUMN_SCHEMA: Final = "dagster/column_schema"

# Releases up to 0.2.0, and perhaps a user's IO manager, have these keys instead.
_OTHER_KEYS: Final = {URI: "uri", ROW_COUNT: "rows"}


@dataclass(frozen=True)
class StoredResult:
    """What a pipeline's success left behind.

    Attributes:
        data: numbers and booleans for the event; None where there is only an artifact.
        metadata: what the IO manager told of the artifact; empty without one.
        stored: whether there is an artifact.
    """

    data: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    stored: bool = False


def success(
    key: dg.AssetKey, study_key: str, kept: StoredResult, duration_seconds: float, registry: str
) -> dg.AssetMaterialization:
    """Return the event of a study's success; it materializes the partition."""
    sha256 = kept.metadata.get("sha256")
    no_uri = kept.stored and not _has_uri(kept.metadata)
    return dg.AssetMaterialization(
        asset_key=key,
        partition=study_key,
        metadata={
            **({URI: dg.MetadataValue.null()} if no_uri else {}),
            **kept.metadata,
            **_four_fields(SUCCESS, kept.data, None, duration_seconds),
            "registry": registry,
        },
        tags={DATA_VERSION_TAG: str(sha256.value)} if sha256 is not None else None,
    )


def failure(
    key: dg.AssetKey,
    study_key: str,
    cause: Failure,
    duration_seconds: float,
    registry: str,
    report_uri: str | None,
    more: Mapping[str, Any] | None = None,
) -> dg.AssetObservation:
    """Return the event of a study's failure; it leaves the partition unmaterialized.

    Its error text is ours: the exception's type and place, and the message only where this
    package wrote it.
    """
    metadata = {**(more or {}), **_four_fields(FAILED, None, cause.loggable, duration_seconds)}
    if report_uri is not None:
        metadata["failure_report"] = dg.MetadataValue.text(report_uri)
    metadata["registry"] = dg.MetadataValue.text(registry)
    return dg.AssetObservation(asset_key=key, partition=study_key, metadata=metadata)


def carried(record: dg.EventLogRecord, study_key: str) -> dg.AssetMaterialization:
    """Return a partition's newest materialization, to be logged again by a resumed run."""
    event = record.asset_materialization
    if event is None:  # the caller asked the storage for materializations only
        raise TypeError("no materialization")
    origin = event.metadata.get(CARRIED_FROM) or dg.MetadataValue.dagster_run(record.run_id)
    version = (event.tags or {}).get(DATA_VERSION_TAG)
    return dg.AssetMaterialization(
        asset_key=event.asset_key,
        partition=study_key,
        metadata={**event.metadata, CARRIED_FROM: origin},
        tags={DATA_VERSION_TAG: version} if version else None,
    )


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
    if isinstance(data, bool):  # a bool is an int, too
        return dg.MetadataValue.bool(data)
    if isinstance(data, int):
        return dg.MetadataValue.int(data)
    return dg.MetadataValue.float(data) if isinstance(data, float) else dg.MetadataValue.json(data)


def entry_of(metadata: Mapping[str, Any], key: str) -> Any:
    """Return a metadata entry, under its present key or an earlier one; None if there is none.

    Args:
        metadata: of an event of any release, or of an IO manager.
        key: the present key, such as ``URI`` or ``ROW_COUNT``.
    """
    return metadata.get(key, metadata.get(_OTHER_KEYS.get(key, key)))


def value_of(metadata: Mapping[str, Any], key: str) -> Any:
    """Return the plain value of :func:`entry_of`."""
    entry = entry_of(metadata, key)
    return getattr(entry, "value", entry)


def uri_of(metadata: Mapping[str, Any]) -> str | None:
    """Return the address of an event's artifact; None where there is none."""
    uri = value_of(metadata, URI)
    return None if uri is None else str(uri)


def none_withheld(metadata: Mapping[str, Any]) -> bool:
    """Return whether a result has no withheld part because nothing was withheld."""
    return value_of(metadata, "withheld_rows") == 0 and "withheld_uri" not in metadata


def versions_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash of each of a result's artifacts by URI, the withheld part's included."""
    pairs = ((URI, "sha256"), ("withheld_uri", "withheld_sha256"))
    found = [(value_of(metadata, uri), value_of(metadata, sha256)) for uri, sha256 in pairs]
    return {str(uri): str(sha256) for uri, sha256 in found if uri and sha256}


def data_alone(record: dg.EventLogRecord) -> tuple[bool, Any]:
    """Return whether a materialization's result is its ``data`` alone, and that data.

    The event of a stored result has a URI, if only a null one.
    """
    event = record.asset_materialization
    if event is None or _has_uri(event.metadata) or "data" not in event.metadata:
        return False, None
    return True, event.metadata["data"].value


def _has_uri(metadata: Mapping[str, Any]) -> bool:
    return not metadata.keys().isdisjoint({URI, _OTHER_KEYS[URI]})
