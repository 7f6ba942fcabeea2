"""The stored form tables of studies, for exports."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import dagster as dg

from orch_assets.defs.events import skipped
from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.runs.earlier_results import newest_materializations
from orch_assets.errors import ArtifactNotFoundError
from orch_assets.marked_names import named
from orch_assets.stores.artifacts import ArtifactKind

if TYPE_CHECKING:
    from orch_assets.stores import PipelineStore
    from orch_assets.stores.stored_versions import SetVersion

FORM_TABLES: Final = dg.AssetKey("form_tables")


def skipped_studies(instance: dg.DagsterInstance, studies: Iterable[str]) -> dict[str, str]:
    """Return why ``form_tables`` left studies out; an earlier result of these isn't current."""
    found = {}
    for study_key, record in newest_materializations(instance, FORM_TABLES, studies):
        event = record.asset_materialization
        reason = None if event is None else skipped(event.metadata)
        if reason is not None:
            found[study_key] = reason
    return found


def stored_set(store: "PipelineStore", study_key: str, as_of: str | None = None) -> "SetVersion":
    """Return the stored form tables of a study, of which only the manifest is read.

    Args:
        store: The open or the restricted store.
        study_key: Key of the study.
        as_of: A moment or the name of a mark; None for the current version.

    Raises:
        ArtifactNotFoundError: There are none, or none of that moment or mark.
        StoreError: They can't be read.
    """
    name = artifact_name(FORM_TABLES, study_key)
    version = None
    if as_of is not None:
        version = store.version_as_of(name, as_of, kind=ArtifactKind.SET)
    found = store.previous_members(name, version)
    if found is None:
        raise ArtifactNotFoundError(
            f"form_tables has no result for study {named(study_key, shown=study_key)}. Start with "
            f"`orch-assets run --study {named(study_key, shown=study_key)}`.",
            artifact=name,
        )
    return found
