"""``orch-assets report``: writes a report about a study as one HTML file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orch_assets.commands.exit_codes import NONE_COULD_RUN, SUCCEEDED
from orch_assets.commands.location import code_location, location_resources, settled_instance
from orch_assets.commands.study_arguments import require_known

if TYPE_CHECKING:
    import dagster as dg

    from orch_assets.reports.study_report import StudyReport


@click.command()
@click.option("--study", "study_key", required=True, metavar="KEY", help="The study.")
@click.option(
    "--to",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write it. Default: report-KEY.html in the working folder.",
)
def report(study_key: str, path: Path | None) -> int:
    """Write a report about a study as one HTML file.

    The file opens without a network. It says what was read when and whether it reconciled, and has
    counts with charts, failures, changes of the data dictionary, versions and hashes. Counts below
    ORCH_MIN_CELL are merged; it has no values of subjects. Reads the event log and the stores, and
    makes no requests to iMednet. Only you can read the file.
    """
    with settled_instance() as instance:
        require_known(instance, [study_key], "No report was written.")
        made = _report(instance, study_key)
    if made is None:
        click.echo(
            f"Nothing has been run for study {study_key} yet. Start with `orch-assets run --study "
            f"{study_key}`. No report was written.",
            err=True,
        )
        return NONE_COULD_RUN
    target = path or Path(_file_name(study_key))
    _write(target, made)
    click.echo(f"Report about study {study_key}: {target}")
    return SUCCEEDED


def _report(instance: "dg.DagsterInstance", study_key: str) -> "StudyReport | None":
    from orch_assets.defs.runs.study_evidence import study_report

    location = code_location()
    graph = location.defs.resolve_asset_graph()
    with location_resources(instance) as resources:

        def io_manager_of(key: "dg.AssetKey") -> Any:
            name = graph.get(key).metadata.get("dagster/io_manager_key", "io_manager")
            return getattr(resources, name, None)

        return study_report(instance, location.graph_keys, study_key, io_manager_of)


def _file_name(study_key: str) -> str:
    """Return a name that any study key can be part of."""
    from urllib.parse import quote

    return f"report-{quote(study_key, safe=' ')}.html"


def _write(path: Path, made: "StudyReport") -> None:
    from orch_assets.reports.html_page import html_page
    from orch_assets.reports.whole_file import write_whole

    page = html_page(made)
    try:
        write_whole(path, page)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise click.ClickException(f"{path} can't be written: {reason}.") from None
