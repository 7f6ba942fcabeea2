"""The command ``orch-assets``: runs the main job and manages its studies.

The command runs the jobs of the code location, so it leaves the same records in the Dagster
instance (``DAGSTER_HOME``) as a run from the UI. Only the subcommands that need Dagster import it,
so that ``--help`` is fast and makes no requests.
"""

import shlex
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from orch_assets.commands.check import check
from orch_assets.commands.failures import failures
from orch_assets.commands.location import location_resources, read_settings
from orch_assets.commands.simulator import demo_server
from orch_assets.commands.unfinished_runs import runs, warn_of_abandoned_runs
from orch_assets.commands.verify import verify
from orch_assets.errors import OrchAssetsError
from orch_assets.signals import interrupting, undisturbed
from orch_assets.version import VERSION

if TYPE_CHECKING:
    import dagster as dg
    from rich.console import Console

    from orch_assets.defs.runs.command_runs import PlannedRun

# Exit codes, as listed in docs/reference/commands.md.
SUCCEEDED: Final = 0
FAILED: Final = 1
NONE_COULD_RUN: Final = 2
INTERRUPTED: Final = 130
TERMINATED: Final = 143

_MAIN_JOB: Final = "study_pipelines"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    Args:
        arguments: Command-line arguments without the command's name. None uses those of the
            process.
    """
    with interrupting(last=arguments is None) as first_signal:
        try:
            code = _exit_code(arguments)
        except KeyboardInterrupt:  # while an error is printed
            code = INTERRUPTED
        is_terminated = code == INTERRUPTED and first_signal() == signal.SIGTERM
    return TERMINATED if is_terminated else code


def _exit_code(arguments: Sequence[str] | None) -> int:
    try:
        return int(cli.main(arguments, prog_name="orch-assets", standalone_mode=False) or SUCCEEDED)
    except click.ClickException as error:
        error.show()
        return NONE_COULD_RUN
    except OrchAssetsError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        return NONE_COULD_RUN
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED


@click.group()
@click.version_option(VERSION, message="orch-assets %(version)s")
def cli() -> None:
    """Clinical-data pipelines over every study of an iMednet account.

    Settings for the API, the study filter and the stores come from environment variables and from
    .env in the working folder. Dagster keeps its state in DAGSTER_HOME.
    """


@cli.command()
@click.option(
    "--study", "study_keys", multiple=True, metavar="KEY", help="Run only this study. Repeatable."
)
@click.option(
    "--failed", is_flag=True, help="Run only what failed or was interrupted in the last run."
)
def run(study_keys: Sequence[str], *, failed: bool) -> int:
    """Run every pipeline for every selected study.

    Adds studies that are new in the registry. No study is retired.
    """
    if failed and study_keys:
        raise click.UsageError("Use either --failed or --study, not both.")
    read_settings()
    from orch_assets.defs.runs.home import home_instance
    from orch_assets.defs.runs.readiness import try_stores

    with home_instance() as instance, location_resources(instance) as resources:
        try_stores(resources._asdict())  # before a run, in which every study would fail
        warn_of_abandoned_runs(instance)
        if failed:
            return _run_failed(instance, resources)
        return _run_studies(instance, resources, study_keys)


def _run_studies(instance: "dg.DagsterInstance", resources: Any, study_keys: Sequence[str]) -> int:
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
    planned = plan_runs(instance, _MAIN_JOB, to_run)
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


def _run_failed(instance: "dg.DagsterInstance", resources: Any) -> int:
    from orch_assets.definitions import graph_keys
    from orch_assets.defs.runs.command_runs import plan_resumption
    from orch_assets.terminal import new_console, say

    console = new_console()
    planned = plan_resumption(instance, graph_keys)
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
    from orch_assets.definitions import defs
    from orch_assets.defs.runs.command_runs import failure_of, new_command_id, run_planned
    from orch_assets.terminal import result_count, say

    jobs = {each.job_name: defs.resolve_job_def(each.job_name) for each in planned}
    total = sum(each.results(jobs[each.job_name]) for each in planned)
    command_id, failures, remaining = new_command_id(), [], list(planned)
    interrupted = False
    with result_count(console, total) as count:
        try:
            while remaining:
                each = remaining.pop(0)
                job = jobs[each.job_name]
                ended = run_planned(instance, job, each, command_id, on_event=count.on_event)
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
    if study_keys := [key for each in not_started for key in each.study_keys]:
        options = " ".join(f"--study {shlex.quote(key)}" for key in study_keys)
        click.echo(f"Not started yet: `orch-assets run {options}`.", err=True)
    return INTERRUPTED


def _print_results(instance: "dg.DagsterInstance", console: "Console", command_id: str) -> None:
    """Print the matrix of results that this command's runs recorded, even if the store is down."""
    from orch_assets.defs.runs.command_runs import runs_of_command
    from orch_assets.defs.study_results import results_of_runs
    from orch_assets.terminal import print_matrix

    if entries := results_of_runs(instance, runs_of_command(instance, command_id)):
        print_matrix(console, entries)


def _store_results(instance: "dg.DagsterInstance") -> bool:
    """Refresh the stored matrix of all results; return whether that succeeded."""
    from orch_assets.definitions import defs
    from orch_assets.defs.runs.command_runs import failure_of, run_job

    try:
        refreshed = run_job(instance, defs.resolve_job_def("refresh_study_results"))
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


@cli.group(invoke_without_command=True)
@click.pass_context
def studies(context: click.Context) -> int:
    """Show which studies would be added or retired, and why. Changes nothing.

    Compares the registry and the study filter with the known studies, which are the partitions in
    DAGSTER_HOME. If DAGSTER_HOME is not set, no study is known yet.
    """
    return SUCCEEDED if context.invoked_subcommand else _show_studies()


def _show_studies() -> int:
    read_settings()
    import dagster as dg

    from orch_assets.defs import environment as settings
    from orch_assets.defs.runs.home import home_instance
    from orch_assets.defs.study_sensor import look_at_registry
    from orch_assets.orchestration.study_sync import TICKS_BEFORE_RETIRING
    from orch_assets.terminal import print_keys

    home = settings.text("DAGSTER_HOME")
    with (
        home_instance() if home else dg.DagsterInstance.ephemeral() as instance,
        location_resources(instance) as resources,
    ):
        change = look_at_registry(
            instance, resources.registry, resources.orchestration, absences={}
        )
        click.echo(f"Registry: {resources.registry.label}")
    selection = change.selection
    hints = {key: f"did you mean {closest}?" for key, closest in selection.closest.items()}
    absent = dict.fromkeys(key for key in change.absences if key not in change.retire)
    print_keys("Selected", dict.fromkeys(selection.selected))
    print_keys("Excluded by the filter", dict.fromkeys(selection.excluded))
    print_keys(
        "In the filter, but not in the registry",
        {key: hints.get(key) for key in selection.unknown},
    )
    print_keys("Refused", selection.refused)
    print_keys("Would be added", dict.fromkeys(change.add, "new in the registry"))
    print_keys("Would be retired", change.retire)
    print_keys(
        "Not in the registry, retired by study_registry_sensor after "
        f"{TICKS_BEFORE_RETIRING} consecutive ticks",
        absent,
    )
    if not home:
        click.echo("DAGSTER_HOME is not set: no study is known yet, so every study is new.")
    click.echo("Nothing was changed.")
    return SUCCEEDED


@studies.command()
@click.argument("study_keys", nargs=-1, metavar="[KEY ...]")
@click.option("--yes", is_flag=True, help="Retire without asking for confirmation.")
def retire(study_keys: Sequence[str], *, yes: bool) -> int:
    """Retire studies: remove their partitions, but not their artifacts.

    Without KEY, retires every known study that the registry no longer lists or that the filter
    excludes.
    """
    read_settings()
    from orch_assets.definitions import graph_keys
    from orch_assets.defs.runs.home import home_instance
    from orch_assets.defs.study_sensor import retire_studies
    from orch_assets.terminal import agreed, print_keys

    with home_instance() as instance:
        reasons = _to_retire(instance, study_keys)
        if not reasons:
            click.echo("Every known study is in the registry and selected: nothing to retire.")
            return SUCCEEDED
        print_keys("To retire", reasons)
        if not yes and not agreed("Retire?", "--yes retires without asking."):
            click.echo("Nothing was retired.", err=True)
            return FAILED
        retire_studies(instance, list(reasons), graph_keys)
    click.echo(f"Retired: {', '.join(reasons)}. Their artifacts are not removed.")
    return SUCCEEDED


def _to_retire(instance: "dg.DagsterInstance", study_keys: Sequence[str]) -> dict[str, str | None]:
    """Return the studies to retire and why; None is the reason for a study that a person named."""
    from orch_assets.defs.partitions import STUDIES_NAME
    from orch_assets.defs.study_sensor import look_at_registry
    from orch_assets.orchestration.selection import closest_key, did_you_mean

    known = instance.get_dynamic_partitions(STUDIES_NAME)
    for key in study_keys:
        if key not in known:
            hint = did_you_mean(closest_key(key, known))
            raise click.BadParameter(f"{key} is not a known study.{hint} Nothing was retired.")
    if study_keys:
        return dict.fromkeys(study_keys)
    with location_resources(instance) as resources:
        change = look_at_registry(
            instance, resources.registry, resources.orchestration, absences={}
        )
    absent = dict.fromkeys(change.absences, "the registry doesn't list it")
    return {**absent, **change.retire}


for _command in (runs, failures, verify, check, demo_server):
    cli.add_command(_command)
