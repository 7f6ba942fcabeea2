"""The metadata of events: which keys are this package's; nobody's entry replaces another's.

Whoever merges metadata of a user with this package's own does it here.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import dagster as dg

from orch_assets.errors import EventMetadataError, UnstorableValueError
from orch_assets.json_values import json_value
from orch_assets.marked_names import named, named_type
from orch_assets.orchestration.returned_values import Result, Skip

Metadata: TypeAlias = Mapping[str, Any]

CARRIED_FROM: Final = "carried_from"
FIRST_RECORDED: Final = "first_recorded_at"

# Keys that Dagster's UI knows.
URI: Final = "dagster/uri"
ROW_COUNT: Final = "dagster/row_count"
COLUMN_SCHEMA: Final = "dagster/column_schema"

# Releases up to 0.2.0 wrote these keys instead, and a user's IO manager may.
EARLIER_KEYS: Final = {URI: "uri", ROW_COUNT: "rows"}

# How a table was refreshed.
REFRESH: Final = "refresh"
# The settings that the pipeline ran with; also in manifests.
SETTINGS: Final = "settings"
# The picture of a document with ``show=True``, and the first rows of a table of the dictionary.
PREVIEW: Final = "preview"
FIRST_ROWS: Final = "first_rows"

# What an asset over all studies lacks; see the module ``pooling``.
GAPS: Final = "study_gaps"
_OF_A_POOL: Final = frozenset({GAPS, "studies_missing", "studies_skipped", "studies_older"})

# What an IO manager says about an artifact; also under the names of earlier releases.
_OF_AN_IO_MANAGER: Final = frozenset(
    {URI, ROW_COUNT, COLUMN_SCHEMA, PREVIEW, "bytes", "sha256", *EARLIER_KEYS.values()}
) | {"export_format", "export_files", "verified_by", "export_notes", "export_notes_by_kind"}
_OF_THE_WITHHELD_PART: Final = frozenset({"withheld_rows", "withheld_uri", "withheld_sha256"})

# All keys that this package writes into a study's event, or reads from one.
RESERVED: Final = frozenset(
    {
        *_OF_AN_IO_MANAGER,
        *_OF_THE_WITHHELD_PART,
        *("status", "data", "error", "duration_seconds", "registry", "failure_report"),
        *(CARRIED_FROM, FIRST_RECORDED),
        *("expected", "arrived", "pages", "retries", "replaced_surrogates"),
        *(REFRESH, "refresh_reason", "requests", "requests_saved"),
        SETTINGS,
        FIRST_ROWS,
        *("rows_new", "rows_changed", "rows_deleted", "rows_vanished", "rows_unchanged"),
        *("execution", "execution_arn"),
    }
)


def entry_of(metadata: Mapping[str, Any], key: str) -> Any:
    """Return a metadata entry by its current key or an earlier one. None if it has neither.

    Args:
        metadata: metadata of an event of any release, or from an IO manager.
        key: the current key, such as ``URI`` or ``ROW_COUNT``.
    """
    return metadata.get(key, metadata.get(EARLIER_KEYS.get(key, key)))


def value_of(metadata: Mapping[str, Any], key: str) -> Any:
    """Return the plain value of :func:`entry_of`."""
    entry = entry_of(metadata, key)
    return getattr(entry, "value", entry)


def users_metadata(metadata: Any) -> dict[str, dg.MetadataValue[Any]]:
    """Return the metadata that a pipeline gives in a ``Result``, as Dagster stores it.

    Scalars of numpy become Python's.

    Raises:
        EventMetadataError: A key is this package's own, or Dagster can't show a value.
    """
    if not isinstance(metadata, Mapping):
        raise EventMetadataError(
            f"A Result has metadata of the type {named_type(type(metadata))}. Give a dict."
        )
    _check_keys(metadata, RESERVED)
    return {
        _text(key, position): _value(key, value, position)
        for position, (key, value) in enumerate(metadata.items(), start=1)
    }


def value_and_metadata(returned: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return what a pipeline returned, and the metadata that it gave beside it.

    Raises:
        EventMetadataError: The metadata can't be added to the event.
        UnstorableValueError: A ``Skip`` was returned.
    """
    is_result = isinstance(returned, Result)
    value = returned.value if is_result else returned
    if isinstance(value, Skip):
        raise UnstorableValueError("The pipeline returned a Skip. Raise it: raise Skip('why').")
    return value, users_metadata(returned.metadata) if is_result else {}


def io_managers_metadata(metadata: Metadata) -> Metadata:
    """Return the metadata that an IO manager gave.

    Raises:
        EventMetadataError: A key is one that this package writes beside it.
    """
    _check_keys(metadata, RESERVED - _OF_AN_IO_MANAGER)
    return metadata


def check_own_metadata(users: Metadata, of_output: Metadata) -> None:
    """Check the metadata that an asset gives itself, before its result is stored.

    Args:
        users: All of it, and what loading its inputs has added.
        of_output: That of its output, in whose place the latter would come.

    Raises:
        EventMetadataError: A key is one that the IO manager writes.
    """
    _check_keys(users, {URI, "bytes", "sha256", PREVIEW})
    _check_keys(of_output, _OF_A_POOL & users.keys() if GAPS in users else ())


def beside_own_metadata(ours: Metadata, users: Metadata) -> Metadata:
    """Return an IO manager's metadata for an asset that gives some itself.

    Dagster's own keys may be in both: the asset's description of its columns stays, and so does its
    number of rows if it is right.

    Raises:
        EventMetadataError: The numbers of rows differ.
    """
    rows = value_of(users, ROW_COUNT)
    if ROW_COUNT in users and rows != value_of(ours, ROW_COUNT):
        raise EventMetadataError(
            f"The asset's metadata has {ROW_COUNT}, but the stored table has another number of "
            "rows. Leave the entry out; the IO manager writes it."
        )
    return {key: ours[key] for key in ours if key not in {ROW_COUNT, COLUMN_SCHEMA} & users.keys()}


def together(ours: Metadata, users: Metadata) -> Metadata:
    """Return this package's metadata and a user's as one.

    Raises:
        EventMetadataError: Both have an entry of the same key.
    """
    _check_keys(users, ours)
    return {**ours, **users}


def of_the_artifact(metadata: Metadata) -> dict[str, Any]:
    """Return what an event says about its artifact, and what its pipeline added to that.

    A picture is left out: it is in the event of the result that was drawn, once for each change.
    """
    about = (_OF_AN_IO_MANAGER - {PREVIEW}) | _OF_THE_WITHHELD_PART
    return {key: metadata[key] for key in metadata if key in about or key not in RESERVED}


def _check_keys(metadata: Mapping[Any, Any], taken: Any) -> None:
    clashing = sorted(key for key in metadata if isinstance(key, str) and key in taken)
    if clashing:
        keys = ", ".join(clashing)  # they are names of this package, so no data
        raise EventMetadataError(
            f"The metadata has {keys}, which orch-assets writes itself. Nobody's entry replaces "
            "another's: use another key."
        )


def _text(key: Any, position: int) -> str:
    if not isinstance(key, str) or not key:
        raise EventMetadataError(f"Key {position} of a Result's metadata is not text, or is empty.")
    return key


def _value(key: Any, value: Any, position: int) -> dg.MetadataValue[Any]:
    try:
        value = _plain(value)
        event = dg.AssetMaterialization("result", metadata={key: value})
        dg.serialize_value(event)
    except Exception:  # noqa: BLE001 - its message may hold the value
        raise EventMetadataError(
            f"Metadata {named(key, f'entry {position}')} is of the type "
            f"{named_type(type(value))}, which Dagster can't show. Use a number, text, a dict or "
            "list of these, or a dagster.MetadataValue."
        ) from None
    found: dg.MetadataValue[Any] = event.metadata[key]
    return found


def _plain(value: Any) -> Any:
    """Return dicts, lists and scalars of numpy as JSON has them; any other value as it is."""
    package = type(value).__module__.partition(".")[0]
    if package in {"numpy", "pandas"} or type(value) in {dict, list}:
        return json_value(value, missing_as_null=True)
    return value
