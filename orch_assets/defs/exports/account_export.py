"""``form_tables_duckdb``: the form tables of all studies in one file.

It runs on request, and isn't part of ``study_pipelines``: it is written as a whole, so it would be
written again after each run of a single study.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.defs.exports.current_forms import FORM_TABLES, skipped_studies, stored_set
from orch_assets.defs.exports.export_pipelines import OF_ACCOUNT, export_asset_name
from orch_assets.defs.exports.stored_exports import export_metadata, publish_export
from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.defs.io.asset_names import with_known_names_only
from orch_assets.defs.io.event_metadata import REFRESH, ROW_COUNT, SETTINGS, URI
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.defs.run_coordinator import launched_by
from orch_assets.defs.runs.interrupts import cancelled_by_ctrl_c
from orch_assets.errors import ArtifactNotFoundError
from orch_assets.exports.stored_forms import stored_forms
from orch_assets.exports.table_export import TableExport
from orch_assets.orchestration.reporting.known_names import names_known_to
from orch_assets.refreshing import CARRIED_FORWARD
from orch_assets.version import source_digest

if TYPE_CHECKING:
    from orch_assets.stores import PipelineStore
    from orch_assets.stores.stored_versions import DescribedVersion, SetVersion

ACCOUNT_KEY: Final = dg.AssetKey(export_asset_name(OF_ACCOUNT))
# A fact in the manifest: what wrote the file. Another release may write it otherwise.
_WRITTEN_BY: Final = "written_by"
_STRICT: Final = "Fail if a file can't hold something, and don't publish it. Default: false."


def build_account_export() -> dg.AssetsDefinition:
    """Return the asset ``form_tables_duckdb``."""

    @dg.asset(
        key=ACCOUNT_KEY,
        deps=[FORM_TABLES],
        group_name="exports",
        kinds={"duckdb"},
        description="The form tables of all studies in one DuckDB file: a schema for each study, "
        "and a view for each form over all studies. It is made on request. Studies without form "
        "tables are in its metadata. Withheld variables are in the file of the same name in the "
        "restricted store.",
        required_resource_keys={"io_manager", "restricted_io_manager"},
        config_schema={"strict": dg.Field(bool, default_value=False, description=_STRICT)},
    )
    @cancelled_by_ctrl_c
    def form_tables_duckdb(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        studies = context.instance.get_dynamic_partitions(STUDIES_NAME)
        skipped = skipped_studies(context.instance, studies)
        asked = [each for each in studies if each not in skipped]
        resources = context.resources
        strict = bool(context.op_execution_context.op_config["strict"])
        restricted = resources.restricted_io_manager.pipeline_store()
        run = {"run": context.run.run_id, "asset": ACCOUNT_KEY.to_user_string()}
        run |= launched_by(context.instance, context.run)
        run |= {_WRITTEN_BY: source_digest() or "", SETTINGS: json.dumps({"strict": strict})}
        publish = partial(_published, studies=asked, facts=run, strict=strict)
        # Published when both are written, and first, for readers of the open one.
        publish_withheld = cache(partial(publish, restricted, restricted=True))
        known = replace(names_known_to(build_account_export), others=frozenset(asked))
        with with_known_names_only(known):
            opened = resources.io_manager.pipeline_store()
            missing, metadata = publish(opened, before_commit=publish_withheld)
            _, withheld = publish_withheld()
        if REFRESH not in withheld:
            metadata.pop(REFRESH, None)
        if missing:
            context.log.warning("%d of %d studies have no form tables.", len(missing), len(asked))
        return dg.MaterializeResult(
            metadata={
                **metadata,
                SETTINGS: dg.MetadataValue.json({"strict": strict}),
                "withheld_uri": withheld[URI],
                "withheld_sha256": withheld["sha256"],
                "withheld_rows": withheld[ROW_COUNT],
                "studies": len(asked) - len(missing),
                "studies_missing": dg.MetadataValue.json(missing),
                "studies_skipped": dg.MetadataValue.json(sorted(skipped)),
            }
        )

    return form_tables_duckdb


def _published(
    store: "PipelineStore",
    studies: Iterable[str],
    facts: Mapping[str, str],
    *,
    strict: bool,
    restricted: bool = False,
    before_commit: Callable[[], object] = lambda: None,
) -> tuple[list[str], dict[str, Any]]:
    """Publish the file of a store, unless it is still right; return what it lacks, and metadata."""
    sets: dict[str, SetVersion] = {}
    missing = []
    for study_key in studies:
        try:
            sets[study_key] = stored_set(store, study_key)
        except ArtifactNotFoundError:
            missing.append(study_key)
    name = artifact_name(ACCOUNT_KEY, None)
    inputs = {each.uri: each.version for each in sets.values()}
    previous = store.previous_files(name)
    if previous is not None and previous.inputs == inputs and _is_right(previous, facts, strict):
        about = {**export_metadata(previous.state), REFRESH: CARRIED_FORWARD}
        size, rows = previous.bytes, previous.num_rows
        return missing, {**_metadata(previous.uri, size, previous.version, rows), **about}
    tables = [table for key, each in sets.items() for table in stored_forms(key, each)]
    export = TableExport(OF_ACCOUNT, tables, None, strict, restricted, before_commit)
    published, about = publish_export(store, export, name, facts, inputs)
    size, rows = published.bytes, published.rows or 0
    return missing, {**_metadata(published.uri, size, published.sha256, rows), **about}


def _is_right(previous: "DescribedVersion", facts: Mapping[str, str], strict: bool) -> bool:
    """Return whether a file of the same tables is as it would be written now."""
    written_by = previous.publication.provenance.get(_WRITTEN_BY)
    has_notes = bool(previous.state.get("notes"))
    return bool(written_by) and written_by == facts[_WRITTEN_BY] and not (strict and has_notes)


def _metadata(uri: str, size: int, sha256: str, rows: int) -> dict[str, Any]:
    return {URI: dg.MetadataValue.text(uri), "bytes": size, "sha256": sha256, ROW_COUNT: rows}
