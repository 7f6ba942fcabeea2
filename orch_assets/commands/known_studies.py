"""``orch-assets studies``: shows and retires the studies that this installation knows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from orch_assets.commands.exit_codes import FAILED, SUCCEEDED
from orch_assets.commands.location import (
    any_instance,
    code_location,
    location_resources,
    read_settings,
)
from orch_assets.commands.study_arguments import require_known

if TYPE_CHECKING:
    import dagster as dg


@click.group(invoke_without_command=True)
@click.pass_context
def studies(context: click.Context) -> int:
    """Show which studies would be added or retired, and why. Changes nothing.

    Compares the registry and the study filter with the known studies, which are the partitions in
    DAGSTER_HOME. If DAGSTER_HOME is not set, no study is known yet.
    """
    return SUCCEEDED if context.invoked_subcommand else _show_studies()


def _show_studies() -> int:
    read_settings()
    from orch_assets.defs import environment as settings
    from orch_assets.defs.study_sensor import look_at_registry
    from orch_assets.orchestration.study_sync import TICKS_BEFORE_RETIRING
    from orch_assets.terminal import print_keys

    home = settings.text("DAGSTER_HOME")
    with any_instance() as instance, location_resources(instance) as resources:
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
        "Not in the registry, retired by study_registry_sensor, if it is on, after "
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
        retire_studies(instance, list(reasons), code_location().graph_keys)
    click.echo(f"Retired: {', '.join(reasons)}. Their artifacts are not removed.")
    return SUCCEEDED


def _to_retire(instance: "dg.DagsterInstance", study_keys: Sequence[str]) -> dict[str, str | None]:
    """Return the studies to retire and why; None is the reason for a study that a person named."""
    from orch_assets.defs.study_sensor import look_at_registry

    require_known(instance, study_keys, "Nothing was retired.")
    if study_keys:
        return dict.fromkeys(study_keys)
    with location_resources(instance) as resources:
        change = look_at_registry(
            instance, resources.registry, resources.orchestration, absences={}
        )
    absent = dict.fromkeys(change.absences, "the registry doesn't list it")
    return {**absent, **change.retire}
