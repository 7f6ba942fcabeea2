"""What must hold before a study is erased, so that nothing writes or reads its data again.

And what the code location knows about names: which assets are over studies, and what runs were of.
"""

import functools
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.io_manager import PipelineIOManager
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.defs.runs.abandoned_runs import unfinished_runs
from orch_assets.orchestration.selection import StudyFilter

if TYPE_CHECKING:
    from orch_assets.stores.erasing.study_erasure import StudyErasure
    from orch_assets.stores.store import PipelineStore

_LABELS: Final = {"io_manager": "open", "restricted_io_manager": "restricted"}
_PARTITION: Final = "dagster/partition"
OverStudies = Mapping[str, tuple[int, int]]


def study_erasure(
    study_key: str,
    resources: Any,
    stores: "dict[str, PipelineStore]",
    over_studies: OverStudies,
    instance: dg.DagsterInstance,
    study_filter: StudyFilter,
) -> "StudyErasure":
    """Return the erasure of a study from the stores of all IO managers of this package.

    Args:
        study_key: Key of the study.
        resources: The resources of the code location.
        stores: The open and the restricted store.
        over_studies: See :func:`assets_over_studies`.
        instance: Knows runs and partitions.
        study_filter: Selects the studies that are run.
    """
    from orch_assets.stores.erasing.study_erasure import StudyErasure

    everywhere = {**stores}
    for key, resource in resources._asdict().items():
        if isinstance(resource, PipelineIOManager) and key not in _LABELS:
            everywhere[key] = resource.pipeline_store()
    _, _, part = artifact_name(dg.AssetKey("asset"), study_key).partition("/")
    return StudyErasure(
        study_key,
        everywhere,
        [part],
        over_studies=over_studies,
        is_of_run=run_attribution(instance, study_key, over_studies),
        refusals=lambda: refusals(instance, study_key, study_filter),
    )


def assets_over_studies(defs: dg.Definitions) -> dict[str, tuple[int, int]]:
    """Return the assets whose partitions are studies, by their names in stores.

    Returns:
        Which part of a partition's name is the study, from 0, and the number of the parts.
    """
    found: dict[str, tuple[int, int]] = {}
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        partitions = graph.get(key).partitions_def
        dimensions = (
            [each.partitions_def for each in sorted(partitions.partitions_defs, key=_name)]
            if isinstance(partitions, dg.MultiPartitionsDefinition)
            else [partitions]
        )
        places = [place for place, each in enumerate(dimensions) if _is_over_studies(each)]
        if len(places) == 1:
            found[artifact_name(key, None)] = places[0], len(dimensions)
    return found


def refusals(
    instance: dg.DagsterInstance, study_key: str, study_filter: StudyFilter
) -> Iterator[str]:
    """Yield why a study can't be erased yet, and what to do first, as sentences.

    Any run may have read the study before it was retired, and store what it made of it later.
    """
    quoted = shlex.quote(study_key)
    if study_filter.selects(study_key):
        yield (
            f"The study filter selects {study_key}, so its data would be read again. Add it to "
            "IMEDNET_BLACKLIST, or remove it from IMEDNET_WHITELIST, wherever orch-assets runs for "
            "this account."
        )
    for each in unfinished_runs(instance):
        yield (
            f"Run {each.run.run_id} is unfinished ({each.describe()}), and may have read the "
            "study. Wait until it ends, or cancel it; `orch-assets runs` shows whether a process "
            "still executes it."
        )
    if study_key in instance.get_dynamic_partitions(STUDIES_NAME):
        yield (
            f"{study_key} is a partition in Dagster, so that it can be run. Retire it with "
            f"`orch-assets studies retire {quoted}`."
        )


def _name(dimension: Any) -> str:
    return str(dimension.name)


def _is_over_studies(partitions: Any) -> bool:
    is_dynamic = isinstance(partitions, dg.DynamicPartitionsDefinition)
    return is_dynamic and partitions.name == STUDIES_NAME


def run_attribution(
    instance: dg.DagsterInstance, study_key: str, over_studies: OverStudies
) -> Callable[[str], bool | None]:
    """Return what says whether a run was of the study only; None if that isn't known."""

    @functools.cache  # a run has several outputs
    def is_of_run(run_id: str) -> bool | None:
        run = instance.get_run_by_id(run_id)
        partition = run.tags.get(_PARTITION) if run else None
        if run is None or partition is None or not run.asset_selection:
            return None
        names = (artifact_name(key, None) for key in run.asset_selection)
        is_study = all(over_studies.get(name) == (0, 1) for name in names)
        return partition == study_key if is_study else None

    return is_of_run
