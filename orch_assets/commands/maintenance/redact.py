"""``orch-assets redact``: removes values of blinded variables from older open versions."""

from functools import partial
from typing import TYPE_CHECKING, Final

import click

from orch_assets.commands.exit_codes import FAILED, SUCCEEDED
from orch_assets.commands.location import (
    any_instance,
    location_resources,
    read_settings,
    store_of,
)
from orch_assets.errors import StoreError

if TYPE_CHECKING:
    from orch_assets.defs.checks.redacting import RedactionPlan, RedactionStep

# What is said of a step, before and after it is carried out.
_WOULD: Final = {"rewrite": "would be rewritten without them", "remove": "would be removed"}
_DONE: Final = {"rewrite": "rewritten without them", "remove": "removed"}
_STAYS: Final = {
    "run": "can't be rewritten: run its pipeline again (with --full if it is your own and keeps "
    "rows of its previous result), then redact the older version",
    "needed": "stays until what was made from it, or reads it, has been made again",
    "marked": "is marked: use --marked to redact it, too",
}


@click.command()
@click.option(
    "--study", "studies", multiple=True, metavar="KEY", help="Only this study; repeatable."
)
@click.option("--marked", is_flag=True, help="Redact marked versions, too; their marks follow.")
@click.option("--yes", is_flag=True, help="Do it. Otherwise, only show what would be done.")
def redact(studies: tuple[str, ...], *, marked: bool, yes: bool) -> int:
    """Remove values of blinded variables from older versions.

    Finds the versions in the open store that were made before a variable was blinded. Versions of
    shipped tables are rewritten without its values. Other tables, and JSON values, can't be
    rewritten: older versions are removed, and the current one must be made again first. So must the
    current record_changes. Manifests say what was removed, and who did it. What killed or refused
    publications left behind is removed, too: use --yes while no run is executing. Removed values
    can't be restored. The exit code is 1 if something can't be redacted yet.
    """
    read_settings()
    from orch_assets.defs.checks.redacting import RedactionPlan
    from orch_assets.defs.upkeep.old_runs import is_any_under_way

    with any_instance() as instance, location_resources(instance) as resources:
        is_busy = partial(is_any_under_way, instance, None)
        store = store_of(resources, "io_manager")
        plan = RedactionPlan(store, studies, marked=marked, is_busy=is_busy)
        left = [step for step in plan.steps if not _carried_out(plan, step, yes=yes)]
        leftovers, problems = plan.remove_leftovers(dry_run=not yes)
    for what, count in leftovers:
        became = (_DONE if yes else _WOULD)["remove"]
        click.echo(f"{what}, left by publications that never took effect: {became} ({count})")
    for problem in problems:
        click.echo(problem, err=True)
    if not (plan.steps or leftovers or problems):
        click.echo("No open version holds values of variables that were blinded later.")
    elif not yes:
        click.echo("Nothing was changed. To do it, use --yes; removed values can't be restored.")
    return FAILED if left or problems else SUCCEEDED


def _carried_out(plan: "RedactionPlan", step: "RedactionStep", *, yes: bool) -> bool:
    """Carry out a step if that was asked for, and print it; return whether nothing is left."""
    found, action = step.found, step.action.value
    what = (
        f"{found.artifact}, version {found.version[:12]}{' (current)' if found.is_current else ''}"
    )
    became = _STAYS.get(action) or _WOULD[action]
    is_done = action not in _STAYS
    if yes and is_done:
        try:
            redacted = plan.carry_out(step)
        except (StoreError, KeyError) as error:
            is_done, became = False, f"can't be rewritten: {error}"
            if isinstance(error, KeyError):  # an earlier release named its columns otherwise
                became = "lacks a column, so it can't be rewritten: remove it with store.retain()"
        else:
            new = redacted.version if redacted else None
            became = "holds none of them" if new == found.version else _DONE[action]
            became += f": version {new[:12]}" if new and new != found.version else ""
    click.echo(f"{what}, {', '.join(found.variables)}: {became}")
    return is_done
