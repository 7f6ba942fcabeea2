"""What must hold before a study is erased, so that nothing writes or reads its data again."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.io_manager import PipelineIOManager
from orch_assets.defs.partitions import STUDIES_NAME, is_run_over_studies, range_of
from orch_assets.defs.runs.abandoned_runs import unfinished_runs
from orch_assets.defs.runs.earlier_results import records_of_run
from orch_assets.orchestration.selection import StudyFilter

if TYPE_CHECKING:
    from orch_assets.stores.erasing.study_erasure import StudyErasure
    from orch_assets.stores.store import PipelineStore

_PLANNED: Final = {dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED}
_LABELS: Final = {"io_manager": "open", "restricted_io_manager": "restricted"}


def study_erasure(
    study_key: str, resources: Any, stores: "dict[str, PipelineStore]"
) -> "StudyErasure":
    """Return the erasure of a study from the stores of all IO managers of this package.

    Args:
        study_key: Key of the study.
        resources: The resources of the code location.
        stores: The open and the restricted store.
    """
    from orch_assets.stores.erasing.study_erasure import StudyErasure

    everywhere = {**stores}
    roots = {store.study_store().root for store in stores.values()}
    for key, resource in resources._asdict().items():
        if isinstance(resource, PipelineIOManager) and key not in _LABELS:
            store = resource.pipeline_store()
            if (root := store.study_store().root) not in roots:
                everywhere[key] = store
                roots.add(root)
    _, _, part = artifact_name(dg.AssetKey("asset"), study_key).partition("/")
    return StudyErasure(study_key, everywhere, [part])


def refusals(
    instance: dg.DagsterInstance, study_key: str, study_filter: StudyFilter
) -> Iterator[str]:
    """Yield why a study can't be erased yet, and what to do first, as sentences."""
    quoted = shlex.quote(study_key)
    if study_filter.selects(study_key):
        yield (
            f"The study filter selects {study_key}, so its data would be read again. Add it to "
            "IMEDNET_BLACKLIST, or remove it from IMEDNET_WHITELIST, wherever orch-assets runs for "
            "this account."
        )
    for each in unfinished_runs(instance):
        if is_run_over_studies(each.run) and _is_of_study(instance, each.run, study_key):
            yield (
                f"Run {each.run.run_id} of the study is unfinished ({each.describe()}). Wait until "
                "it ends, or cancel it; `orch-assets runs` shows whether a process still executes "
                "it."
            )
    if study_key in instance.get_dynamic_partitions(STUDIES_NAME):
        yield (
            f"{study_key} is a partition in Dagster, so that it can be run. Retire it with "
            f"`orch-assets studies retire {quoted}`."
        )


def _is_of_study(instance: dg.DagsterInstance, run: dg.DagsterRun, study_key: str) -> bool:
    """Return whether a run is over a study, which may have been retired since."""
    known = list(instance.get_dynamic_partitions(STUDIES_NAME))
    first, last = range_of(run)
    if study_key in {first, last}:
        return True
    if {first, last, study_key} <= {*known}:
        return study_key in known[known.index(first) : known.index(last) + 1]
    planned = records_of_run(instance, run.run_id, _PLANNED)
    return any(record.partition_key == study_key for record in planned)
