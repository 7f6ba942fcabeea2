"""``orch-assets upkeep``: removes what is old from the stores and from Dagster."""

from typing import TYPE_CHECKING, Any

import click

from orch_assets.commands.exit_codes import FAILED, SUCCEEDED
from orch_assets.commands.location import (
    code_location,
    location_resources,
    settled_instance,
    store_of,
)

if TYPE_CHECKING:
    from orch_assets.stores.store import PipelineStore


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing; show what would be removed.")
def upkeep(*, dry_run: bool) -> int:
    """Remove what is old and no longer needed.

    Of both stores: manifests between the first and the last one of a version, failure reports, what
    killed publications left behind, and, only if ORCH_KEEP_VERSION_DAYS is set, versions. Of
    Dagster: runs with their events and compute logs, except those that a state depends on. Nothing
    that is current, marked or an input of what stays. The exit code is 1 if something couldn't be
    removed.
    """
    from datetime import UTC, datetime

    from orch_assets.defs.upkeep.keep_days import KeepDays
    from orch_assets.defs.upkeep.whole_upkeep import Upkeep, in_words

    with settled_instance() as instance, location_resources(instance) as resources:
        cutoffs = KeepDays.from_environment().cutoffs(datetime.now(UTC))
        stores = (_store(resources, "io_manager"), _store(resources, "restricted_io_manager"))
        work = Upkeep(instance, stores, dry_run=dry_run, by_study=code_location().graph_keys)
        count = size = 0
        for line in work.run(cutoffs):
            click.echo(str(line))
            count, size = count + line.freed.count, size + line.freed.bytes
    for problem in work.problems:
        click.echo(problem, err=True)
    verb = "To remove" if dry_run else "Removed"
    click.echo(f"{verb}: {count} things, {in_words(size)}." if count else "Nothing is old.")
    return FAILED if work.problems else SUCCEEDED


def _store(resources: Any, key: str) -> "PipelineStore | None":
    from orch_assets.errors import SettingError

    try:
        return store_of(resources, key)
    except SettingError as error:
        click.echo(f"{error} Its store was left out.", err=True)
        return None
