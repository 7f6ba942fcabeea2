"""Inputs of assets over all studies: which studies are given, and which are not or are older.

A short table that looks complete is worse than a failed run. So the studies that a pooled table
lacks are in the metadata of whatever is made from it, and an input can require all of them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

import dagster as dg

from orch_assets.defs.dagster_internals import add_to_outputs, added_to_outputs, step_of
from orch_assets.defs.io.event_metadata import GAPS
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.errors import SettingError, StoreError, StudiesMissingError, some
from orch_assets.orchestration.study_tables import StudyGaps

REQUIRE_ALL: Final = "require_all"
_UNLESS_SKIPPED: Final = "unless skipped"


@dataclass(frozen=True)
class Pool:
    """The studies of an input over all studies.

    Attributes:
        given: Studies whose artifact is to be loaded.
        data: Results without an artifact, by study: numbers and booleans.
        gaps: Studies that are not given, or not in their newest state.
    """

    given: Sequence[str]
    data: dict[str, Any] = field(default_factory=dict)
    gaps: StudyGaps = field(default_factory=StudyGaps)

    @property
    def total(self) -> int:
        """Number of studies, given or not."""
        left_out = len(self.gaps.missing) + len(self.gaps.skipped)
        return len(self.given) + len(self.data) + left_out

    def refuse_data(self, context: dg.InputContext) -> None:
        """Refuse results without an artifact, for an input that is one table.

        Raises:
            StoreError: There are some, which the table would lack.
        """
        if self.data:
            asset = context.asset_key.to_user_string()
            raise StoreError(
                f"{asset} is no table for {some(list(self.data))}, but numbers. Annotate the input "
                "as a dict.",
                artifact=asset,
            )


def is_over_studies(context: dg.InputContext) -> bool:
    """Return whether an input's partitions are studies, and nothing else."""
    return getattr(context.asset_partitions_def, "name", None) == STUDIES_NAME


def pool_studies(
    context: dg.InputContext, artifacts: Mapping[str, str], stored: Collection[str]
) -> Pool:
    """Return which studies an input is given, and note the others in what is made from it.

    Args:
        context: The input.
        artifacts: Names of the artifacts, by study.
        stored: Names of the artifacts that are stored.

    Raises:
        StudiesMissingError: The input requires all studies, and some are missing or older.
    """
    step = step_of(context)
    if step is None:  # nobody knows more than what is stored
        given = [study for study, name in artifacts.items() if name in stored]
        pool = Pool(given, gaps=StudyGaps(tuple(sorted(artifacts.keys() - {*given}))))
    else:
        pool = _pool(step.instance, context.asset_key, artifacts, stored)
    _require(context, pool.gaps)
    if step is not None:
        _note(context, pool)
    return pool


def _pool(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    artifacts: Mapping[str, str],
    stored: Collection[str],
) -> Pool:
    # Imported here, since only an input over studies needs them.
    from orch_assets.defs.events import data_alone, recorded_at, skipped
    from orch_assets.defs.runs.earlier_results import newest_materializations

    newest = dict(newest_materializations(instance, key, artifacts))
    storage = instance.event_log_storage
    # Studies whose newest run has not made this result: it failed, was cancelled or isn't over.
    undone = storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        key
    )
    given, missing, left_out = [], [], []
    data: dict[str, Any] = {}
    older: dict[str, datetime | None] = {}
    for study, name in artifacts.items():
        record = newest.get(study)
        event = record.asset_materialization if record else None
        alone, value = data_alone(record) if record else (False, None)
        if event is not None and skipped(event.metadata) is not None:
            left_out.append(study)
            continue
        if alone and value is not None:
            data[study] = value
        elif name in stored and not alone:
            given.append(study)
        else:
            missing.append(study)
            continue
        if record is None or study in undone:
            older[study] = recorded_at(record) if record else None
    return Pool(given, data, StudyGaps(tuple(missing), tuple(left_out), older))


def _require(context: dg.InputContext, gaps: StudyGaps) -> None:
    metadata = context.definition_metadata or {}
    _check_spelling(metadata)
    required = metadata.get(REQUIRE_ALL, False)
    required = getattr(required, "value", required)  # Dagster may have made it a metadata value
    if required not in (True, False, _UNLESS_SKIPPED):
        raise SettingError(
            REQUIRE_ALL, f"in an input's metadata must be True, False or '{_UNLESS_SKIPPED}'."
        )
    left_out = () if required == _UNLESS_SKIPPED else gaps.skipped
    if required and (gaps.missing or gaps.older or left_out):
        asset = context.asset_key.to_user_string()
        raise StudiesMissingError(asset, gaps.missing, left_out, tuple(gaps.older))


def _check_spelling(metadata: Collection[str]) -> None:
    """Refuse a misspelt ``require_all``, without which a table may be short unnoticed."""
    for key in metadata:
        if key != REQUIRE_ALL and get_close_matches(key.casefold(), [REQUIRE_ALL], cutoff=0.85):
            raise SettingError(
                REQUIRE_ALL, f"is misspelt as {key} in an input's metadata. Correct or rename it."
            )


def _note(context: dg.InputContext, pool: Pool) -> None:
    """Add the studies to the metadata of the assets that the step makes, and to its log."""
    gaps, name = pool.gaps, context.asset_key.to_user_string()
    groups = {
        "missing": list(gaps.missing),
        "skipped": list(gaps.skipped),
        "older": {study: at and at.isoformat(" ", "seconds") for study, at in gaps.older.items()},
    }
    noted = added_to_outputs(context).get(GAPS)
    by_input = {**(noted.value if noted else {}), name: groups}
    counts = {
        f"studies_{group}": len(set().union(*(each[group] for each in by_input.values())))
        for group in groups
    }
    add_to_outputs(context, {**counts, GAPS: dg.MetadataValue.json(by_input)})
    found = ", ".join(f"{len(each)} {group}" for group, each in groups.items() if each)
    if found:
        context.log.warning("%s: of %d studies, %s; see %s.", name, pool.total, found, GAPS)
