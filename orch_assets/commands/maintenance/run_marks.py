"""``orch-assets mark`` and ``marks``: names what finished runs stored, and shows these names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from orch_assets.commands.exit_codes import FAILED, SUCCEEDED
from orch_assets.commands.location import (
    code_location,
    location_resources,
    settled_instance,
    store_of,
)
from orch_assets.commands.study_arguments import require_known

if TYPE_CHECKING:
    import dagster as dg

    from orch_assets.defs.runs.study_runs import StudyRuns
    from orch_assets.stores.order.marks import Mark
    from orch_assets.stores.store import PipelineStore


@click.command()
@click.argument("name")
@click.option(
    "--study", "study_keys", multiple=True, metavar="KEY", help="Mark this study. Repeatable."
)
@click.option("--all", "all_studies", is_flag=True, help="Mark every known study.")
@click.option("--run", "run_id", metavar="ID", help="Mark this run. Default: each study's last.")
def mark(name: str, study_keys: Sequence[str], *, all_studies: bool, run_id: str | None) -> int:
    """Mark what the last run of a study stored as NAME.

    NAME can then be read with as_of=NAME, and `retain` keeps the versions, open and restricted. A
    mark never moves: a study has one of a name. A study is refused while a run of it is open, or if
    something of it failed in the run.
    """
    from orch_assets.stores.order.marks import check_mark_name

    check_mark_name(name)
    if bool(study_keys) == all_studies:
        raise click.UsageError("Give --study KEY, once or several times, or --all.")
    with settled_instance() as instance, location_resources(instance) as resources:
        chosen = _known(instance, study_keys)
        runs, stores = _study_runs(instance, chosen), _stores(resources)
        refused = [not _mark_study(runs, stores, name, study, run_id) for study in chosen]
    if not chosen:
        click.echo("No study is known yet. Start with `orch-assets run`.")
    return FAILED if any(refused) else SUCCEEDED


def _mark_study(
    runs: "StudyRuns", stores: "list[PipelineStore]", name: str, study_key: str, run_id: str | None
) -> bool:
    """Mark a study and print what was marked, or why it was not; return whether it was."""
    from orch_assets.defs.runs.study_runs import mark_run
    from orch_assets.errors import ArtifactNotFoundError, MarkError

    try:
        run = runs.finished_run(study_key, run_id)
        withheld, in_open = mark_run(run, name, stores)
    except (MarkError, ArtifactNotFoundError) as error:
        click.echo(f"Not marked: {error}", err=True)
        return False
    restricted = f", {withheld} in the restricted store" if withheld else ""
    click.echo(
        f"Marked {name}: study {study_key}, run {run.run_id}, {in_open} artifacts{restricted}."
    )
    return True


@click.group(invoke_without_command=True)
@click.pass_context
def marks(context: click.Context) -> int:
    """Show the marks in the stores, with their studies and runs."""
    return SUCCEEDED if context.invoked_subcommand else _show_marks()


def _show_marks() -> int:
    from orch_assets.terminal import print_keys

    with settled_instance() as instance, location_resources(instance) as resources:
        restricted, in_open = (
            {(each.name, each.study): each for each in store.marks()}
            for store in _stores(resources)
        )
    found = {**restricted, **in_open}
    for name in sorted({name for name, _ in found}):
        lines = {
            study: _described(each, is_complete=(name, study) in in_open)
            for (other, study), each in sorted(found.items())
            if other == name
        }
        print_keys(name, dict(lines))
    if not found:
        click.echo("There are no marks. `orch-assets mark NAME --study KEY` sets one.")
    return SUCCEEDED


@marks.command()
@click.argument("name")
@click.option(
    "--study", "study_keys", multiple=True, metavar="KEY", help="Only of this study. Repeatable."
)
@click.option("--yes", is_flag=True, help="Remove without asking for confirmation.")
def remove(name: str, study_keys: Sequence[str], *, yes: bool) -> int:
    """Remove the mark NAME of some studies, or of all.

    The versions stay until `retain` removes them.
    """
    from orch_assets.orchestration.defining.similar_names import closest_key, did_you_mean
    from orch_assets.terminal import agreed, print_keys

    with settled_instance() as instance, location_resources(instance) as resources:
        stores = _stores(resources)[::-1]  # readers need the open one
        found = [(store, each) for store in stores for each in store.marks()]
        names = {each.name for _, each in found}
        if name not in names:
            hint = did_you_mean(closest_key(name, sorted(names)))
            raise click.BadParameter(f"there is no mark {name}.{hint} Nothing was removed.")
        studies = {each.study: str(each) for _, each in found if each.name == name}
        for key in study_keys:
            if key not in studies:
                raise click.BadParameter(f"study {key} has no mark {name}. Nothing was removed.")
        chosen = {key: studies[key] for key in study_keys or sorted(studies)}
        print_keys(f"To remove of {name}", dict(chosen))
        if not yes and not agreed("Remove?", "--yes removes without asking."):
            click.echo("Nothing was removed.", err=True)
            return FAILED
        for store, each in found:
            if each.name == name and each.study in chosen:
                store.remove_mark(name, study=each.study)
    click.echo(f"Removed {name} of {', '.join(chosen)}. No version was removed.")
    return SUCCEEDED


def _described(mark: "Mark", *, is_complete: bool) -> str:
    text = f"run {mark.run}, {len(mark.versions)} artifacts, set by {mark.user} at {mark.marked_at}"
    if is_complete:
        return text
    return f"{text}; only in the restricted store, because the command was killed: set it again"


def _known(instance: "dg.DagsterInstance", study_keys: Sequence[str]) -> list[str]:
    """Return the chosen studies; all known ones without a choice."""
    known = require_known(instance, study_keys, "Nothing was marked.")
    return list(dict.fromkeys(study_keys)) or known


def _study_runs(instance: "dg.DagsterInstance", study_keys: Sequence[str]) -> "StudyRuns":
    from orch_assets.defs.runs.study_runs import StudyRuns

    found = code_location()
    main = found.defs.resolve_job_def("study_pipelines").asset_layer.selected_asset_keys
    return StudyRuns(instance, study_keys, found.graph_keys, main)


def _stores(resources: Any) -> "list[PipelineStore]":
    """Return the restricted and the open store: marks are set in this order."""
    return [store_of(resources, "restricted_io_manager"), store_of(resources, "io_manager")]
