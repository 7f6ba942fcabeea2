"""``orch-assets run``: runs the pipelines for every selected study, in this process.

The command runs the jobs of the code location, so it leaves the same records in the Dagster
instance (``DAGSTER_HOME``) as a run from the UI.
"""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from orch_assets.commands.exit_codes import FAILED, INTERRUPTED, NONE_COULD_RUN, SUCCEEDED
from orch_assets.commands.location import code_location, location_resources, read_settings
from orch_assets.commands.unfinished_runs import warn_of_abandoned_runs
from orch_assets.signals import undisturbed

if TYPE_CHECKING:
    import dagster as dg
    from rich.console import Console

    from orch_assets.defs.runs.command_runs import PlannedRun
    from orch_assets.defs.runs.reading_options import ReadingOptions
    from orch_assets.defs.settings.command_settings import CommandSettings

_MAIN_JOB: Final = "study_pipelines"


@click.command()
@click.option(
    "--study", "study_keys", multiple=True, metavar="KEY", help="Run only this study. Repeatable."
)
@click.option(
    "--pipeline",
    "pipelines",
    multiple=True,
    metavar="NAME",
    help="Run only this pipeline, on the stored results of its upstreams. Repeatable.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PIPELINE.NAME=VALUE",
    help="Set a pipeline's setting for all studies of this run. Repeatable.",
)
@click.option(
    "--failed", is_flag=True, help="Run only what failed or was interrupted in the last run."
)
@click.option(
    "--full", is_flag=True, help="Read every table whole, not only what changed since the last run."
)
@click.option(
    "--accept-other-registry",
    is_flag=True,
    help="Replace results that were read from another iMednet account.",
)
def run(
    study_keys: Sequence[str],
    pipelines: Sequence[str],
    settings: Sequence[str],
    *,
    failed: bool,
    full: bool,
    accept_other_registry: bool,
) -> int:
    """Run every pipeline for every selected study.

    Adds studies that are new in the registry. No study is retired. A pipeline that runs on request
    is run only if --pipeline names it. With the simulator, each run except the first, and except
    --failed, is a day after the last one.
    """
    if failed and (study_keys or pipelines or settings):
        raise click.UsageError(
            "--failed can't be combined with --study, --pipeline or --set: what failed runs again "
            "with the settings of its run."
        )
    read_settings()
    selection = _asset_keys(pipelines)
    chosen = _settings(settings, selection)
    from orch_assets.defs.runs.home import home_instance
    from orch_assets.defs.runs.readiness import try_stores
    from orch_assets.defs.runs.reading_options import ReadingOptions
    from orch_assets.defs.settings.launchers import refuse_run_of_command

    reading = ReadingOptions(full, accept_other_registry)
    with home_instance() as instance, location_resources(instance) as resources:
        refuse_run_of_command(instance)
        try_stores(resources._asdict())  # before a run, in which every study would fail
        warn_of_abandoned_runs(instance)
        if failed:
            return _run_failed(instance, resources, reading)
        if resources.registry.is_demo:
            _begin_demo_day(resources.registry)
        return _run_studies(instance, resources, study_keys, selection, reading, chosen)


def _begin_demo_day(registry: Any) -> None:
    """Let the simulator's account change, as an account does between two nights."""
    from orch_assets.demo.demo_days import MOST_DAYS
    from orch_assets.terminal import new_console, say

    if days := registry.begin_demo_day():
        last = " It is the last one: later runs find nothing changed." if days == MOST_DAYS else ""
        say(new_console(), f"Day {days} of the simulator's account.{last}")


def _asset_keys(pipelines: Sequence[str]) -> list["dg.AssetKey"]:
    """Return the asset keys of pipelines by name."""
    if not pipelines:
        return []
    from orch_assets.orchestration.defining.similar_names import closest_key, did_you_mean

    by_name = {key.to_user_string(): key for key in code_location().graph_keys}
    for name in pipelines:
        if name not in by_name:
            hint = did_you_mean(closest_key(name, sorted(by_name)))
            raise click.ClickException(f"There is no pipeline {name}.{hint} Nothing was run.")
    return [by_name[name] for name in pipelines]


def _settings(texts: Sequence[str], selection: Sequence["dg.AssetKey"]) -> "CommandSettings":
    from orch_assets.defs.location.graph_assets import graphs_of
    from orch_assets.defs.settings.command_settings import CommandSettings, command_settings

    if not texts:
        return CommandSettings()
    defs = code_location().defs
    job_keys = defs.resolve_job_def(_MAIN_JOB).asset_layer.selected_asset_keys
    return command_settings(texts, graphs_of(defs), selection or job_keys)


def _run_studies(
    instance: "dg.DagsterInstance",
    resources: Any,
    study_keys: Sequence[str],
    selection: Sequence["dg.AssetKey"],
    reading: "ReadingOptions",
    settings: "CommandSettings",
) -> int:
    """Run the selected pipelines for studies; an empty argument means all of them."""
    from orch_assets.defs.runs.command_runs import plan_runs
    from orch_assets.terminal import new_console, say

    console = new_console()
    try:
        to_run, not_run = _add_studies(instance, resources, study_keys, console)
    except KeyboardInterrupt:
        click.echo(
            "Interrupted before any study ran. Start again with `orch-assets run`.", err=True
        )
        return INTERRUPTED
    if not to_run:
        click.echo("\n".join(not_run) or "The registry lists no studies: nothing to run.", err=True)
        return NONE_COULD_RUN
    say(console, f"Studies ({len(to_run)}): {', '.join(to_run)}")
    # The main job leaves out pipelines that run on request. Dagster's job of all assets, which the
    # UI uses for assets that a person selects, has them.
    of_all_assets = code_location().defs.resolve_implicit_global_asset_job_def().name
    job_name = of_all_assets if selection else _MAIN_JOB
    planned = plan_runs(instance, job_name, to_run, selection, reading, settings)
    return _execute(instance, resources, console, planned, not_run)


def _add_studies(
    instance: "dg.DagsterInstance", resources: Any, study_keys: Sequence[str], console: "Console"
) -> tuple[list[str], list[str]]:
    """Add new studies; return the keys of all studies to run, and why others can't be run."""
    from orch_assets.defs.partitions import STUDIES_NAME
    from orch_assets.defs.study_sensor import look_at_registry, read_selection
    from orch_assets.orchestration.selection import choose_studies
    from orch_assets.terminal import say

    registry, orchestration = resources.registry, resources.orchestration
    say(console, f"Reading the list of studies: {registry.label} …")
    if study_keys:
        choice = choose_studies(read_selection(registry, orchestration), study_keys)
        instance.add_dynamic_partitions(STUDIES_NAME, choice.chosen)
        return choice.chosen, choice.not_runnable
    change = look_at_registry(instance, registry, orchestration, absences={})
    for sentence in (*change.sentences, *change.left_to_sensor):
        say(console, sentence)
    instance.add_dynamic_partitions(STUDIES_NAME, change.add)
    return change.selection.selected, change.selection.not_runnable


def _run_failed(instance: "dg.DagsterInstance", resources: Any, reading: "ReadingOptions") -> int:
    from orch_assets.defs.runs.command_runs import plan_resumption
    from orch_assets.terminal import new_console, say

    console = new_console()
    planned = plan_resumption(instance, code_location().graph_keys, reading)
    if planned is None:
        click.echo("No studies have been run yet. Start with `orch-assets run`.", err=True)
        return NONE_COULD_RUN
    if not planned:
        say(console, "Nothing failed in the last run: nothing to re-execute.")
        return SUCCEEDED
    for each in planned:
        say(console, each.resumption)
    return _execute(instance, resources, console, planned, not_run=[])


def _execute(
    instance: "dg.DagsterInstance",
    resources: Any,
    console: "Console",
    planned: Sequence["PlannedRun"],
    not_run: Sequence[str],
) -> int:
    """Execute the planned runs and print their results; return the exit code."""
    from orch_assets.defs.runs.command_runs import failure_of, new_command_id, run_planned
    from orch_assets.terminal import result_count, say

    location = code_location()
    jobs = {each.job_name: location.defs.resolve_job_def(each.job_name) for each in planned}
    total = sum(each.results(jobs[each.job_name]) for each in planned)
    command_id, failures, remaining = new_command_id(), [], list(planned)
    interrupted = False
    with result_count(console, total) as count:
        try:
            while remaining:
                each = remaining.pop(0)
                job = jobs[each.job_name]
                ended = run_planned(
                    instance,
                    job,
                    each,
                    command_id,
                    origin=location.origin(job.name),
                    on_event=count.on_event,
                )
                failures += [failure] if (failure := failure_of(instance, ended)) else []
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        with undisturbed():
            _print_results(instance, console, command_id)
            return _print_interruption(f"{count.done} of {total}", remaining)
    if failures and not (count.new or any(failure.of_studies for failure in failures)):
        click.echo("\n".join(dict.fromkeys(failure.text for failure in failures)), err=True)
        return NONE_COULD_RUN
    _print_results(instance, console, command_id)
    stored = _store_results(instance)
    for failure in failures:
        say(console, f"\n{failure.text}")
    _print_conclusion(console, resources.io_manager, not_run, failed=bool(failures))
    return SUCCEEDED if stored and not (failures or not_run) else FAILED


def _print_interruption(results: str, not_started: Sequence["PlannedRun"]) -> int:
    click.echo(
        f"Interrupted after {results} results. Completed results are materialized; "
        "`orch-assets run --failed` runs the rest.",
        err=True,
    )
    studies: dict[str, list[str]] = {}  # by the options that runs have in common
    for each in not_started:
        studies.setdefault(_options(each), []).extend(each.study_keys)
    for options, study_keys in studies.items():
        arguments = shlex.join(part for key in study_keys for part in ("--study", key))
        click.echo(f"Not started yet: `orch-assets run {arguments}{options}`.", err=True)
    return INTERRUPTED


def _options(planned: "PlannedRun") -> str:
    """Return the options of the command that starts such a run, but for its studies."""
    names = sorted(key.to_user_string() for key in planned.selection or ())
    options: list[tuple[str, ...]] = [("--pipeline", name) for name in names]
    options += [(option,) for option in _reading_options(planned.reading)]
    options += [("--set", text) for text in planned.settings.texts]
    return "".join(f" {shlex.join(option)}" for option in options)


def _reading_options(reading: "ReadingOptions") -> list[str]:
    """Return the command-line options that say how tables are read."""
    chosen = {
        "--full": reading.read_whole,
        "--accept-other-registry": reading.accept_other_registry,
    }
    return [option for option, is_set in chosen.items() if is_set]


def _print_results(instance: "dg.DagsterInstance", console: "Console", command_id: str) -> None:
    """Print the matrix of results that this command's runs recorded, even if the store is down."""
    from orch_assets.commands.grids import print_matrix
    from orch_assets.defs.runs.command_runs import runs_of_command
    from orch_assets.defs.runs.recorded_results import results_of_runs

    if entries := results_of_runs(instance, runs_of_command(instance, command_id)):
        print_matrix(console, entries)


def _store_results(instance: "dg.DagsterInstance") -> bool:
    """Refresh the stored matrix of all results; return whether that succeeded."""
    from orch_assets.defs.runs.command_runs import failure_of, run_job

    location = code_location()
    job = location.defs.resolve_job_def("refresh_study_results")
    try:
        refreshed = run_job(instance, job, location.origin(job.name))
    except KeyboardInterrupt:
        click.echo(
            "Every result is stored, but the matrix study_results may be out of date.", err=True
        )
        raise
    if failure := failure_of(instance, refreshed):
        click.echo(f"The matrix study_results could not be stored: {failure.text}", err=True)
    return failure is None


def _print_conclusion(
    console: "Console", io_manager: Any, not_run: Sequence[str], *, failed: bool
) -> None:
    from orch_assets.defs.io.io_manager import StudyIOManager
    from orch_assets.terminal import say

    for sentence in not_run:
        say(console, f"\nNot run: {sentence}")
    outcome = "" if failed else "Every study that was run succeeded. "
    if not (failed or not_run):
        outcome = "Every study succeeded. "
    has_store = isinstance(io_manager, StudyIOManager)
    location = f"Artifacts: {io_manager.store.location()}." if has_store else ""
    say(console, f"\n{outcome}{location}")
