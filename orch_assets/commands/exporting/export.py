"""``orch-assets export``: writes form tables as files of other tools' formats."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orch_assets.commands.exit_codes import FAILED, SUCCEEDED
from orch_assets.commands.location import (
    code_location,
    location_resources,
    settled_instance,
    store_of,
)

if TYPE_CHECKING:
    import dagster as dg

    from orch_assets.commands.exporting.exported_files import StudySets


@click.command()
@click.option("--study", "study_keys", multiple=True, metavar="KEY", help="Default: all studies.")
@click.option("--form", "forms", multiple=True, metavar="NAME", help="Default: all forms.")
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the files: DIR/FORMAT/STUDY/FORM.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    required=True,
    metavar="FORMAT",
    help="xpt, xpt8, dataset-json, dataset-ndjson, xlsx, csv, parquet or duckdb.",
)
@click.option(
    "--as-of", metavar="MOMENT|MARK", help="Export what was current then, or what a mark holds."
)
@click.option("--strict", is_flag=True, help="Refuse what a format can't hold exactly.")
@click.option(
    "--restricted", is_flag=True, help="Export withheld variables, too, below DIR/restricted."
)
def export(
    study_keys: Sequence[str],
    forms: Sequence[str],
    folder: Path,
    formats: Sequence[str],
    as_of: str | None,
    *,
    strict: bool,
    restricted: bool,
) -> int:
    """Write form tables as files that SAS, R, Excel, Python and SQL read.

    Reads the stored form tables and makes no requests to iMednet. Each file is read back and
    compared with its table before it takes the place of an earlier one. What a format can't hold
    is listed in export_notes.csv beside the files. The exit code is 1 if a study failed; the others
    are exported. --study, --form and --format may be repeated.
    """
    from orch_assets.commands.exporting.exported_files import ExportedFiles, print_files

    formats = _known_formats(formats)
    _check_moment(as_of)
    with settled_instance() as instance:
        studies = _known_studies(instance, study_keys)
        with location_resources(instance) as resources:
            stores = {"": store_of(resources, _io_manager_key())}
            if restricted:
                stores["restricted"] = store_of(resources, "restricted_io_manager")
            files = ExportedFiles(folder, stores, as_of, strict)
            sets = files.find(studies, _skipped(instance, studies) if as_of is None else {})
            files.write(formats, sets, _known_forms(forms, sets))
    print_files(files)
    return FAILED if files.failures else SUCCEEDED


def _check_moment(as_of: str | None) -> None:
    from orch_assets.stores.order.as_of import moment_of
    from orch_assets.stores.order.marks import is_moment

    if as_of is not None and is_moment(as_of):
        try:
            moment_of(as_of)
        except ValueError as error:
            raise click.BadParameter(f"{error} Nothing was exported.") from None


def _known_formats(names: Sequence[str]) -> list[str]:
    from orch_assets.exports.export_format import FORMATS

    _require_known("format", names, FORMATS)
    return [each for each in FORMATS if each in names]


def _known_studies(instance: "dg.DagsterInstance", names: Sequence[str]) -> list[str]:
    from orch_assets.defs.partitions import STUDIES_NAME

    known = instance.get_dynamic_partitions(STUDIES_NAME)
    if not known:
        raise click.UsageError("No study is known yet. Start with `orch-assets run`.")
    _require_known("known study", names, known)
    return [each for each in known if each in names or not names]


def _known_forms(names: Sequence[str], sets: "Iterable[StudySets]") -> frozenset[str] | None:
    """Return the names of form tables, which ignore case; None for all."""
    if not names:
        return None
    known = dict.fromkeys(form for each in sets for form in each.forms)
    wanted = {each.casefold() for each in names}
    found = frozenset(form for form in known if form.casefold() in wanted)
    unknown = wanted - {form.casefold() for form in found}
    _require_known("form of these studies", [n for n in names if n.casefold() in unknown], known)
    return found


def _require_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    from orch_assets.orchestration.defining.similar_names import closest_key, did_you_mean

    known = list(known)
    for name in names:
        if name not in known:
            hint = did_you_mean(closest_key(name, known)) or f" Use {', '.join(known)}."
            raise click.BadParameter(f"{name} is not a {what}.{hint} Nothing was exported.")


def _skipped(instance: "dg.DagsterInstance", studies: Iterable[str]) -> Mapping[str, str]:
    from orch_assets.defs.exports.current_forms import skipped_studies

    return skipped_studies(instance, studies)


def _io_manager_key() -> str:
    """Return the key of the IO manager that stores ``form_tables``."""
    from orch_assets.defs.exports.current_forms import FORM_TABLES

    location = code_location()
    if FORM_TABLES not in location.graph_keys:
        raise click.UsageError("The code location has no form_tables. Add them to `shipped`.")
    metadata = location.defs.resolve_asset_graph().get(FORM_TABLES).metadata
    return str(metadata.get("dagster/io_manager_key", "io_manager"))
