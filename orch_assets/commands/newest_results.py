"""``orch-assets results``: shows the newest result of every study and pipeline."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from orch_assets.commands.exit_codes import SUCCEEDED
from orch_assets.commands.location import (
    code_location,
    location_resources,
    settled_instance,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dagster as dg

    from orch_assets.orchestration.reporting.matrix import MatrixEntry
    from orch_assets.orchestration.reporting.portfolio import Portfolio

_OLDEST: Final = 20


@click.command()
def results() -> int:
    """Show the newest result of every study and pipeline, by state and age.

    Below it are the causes of all failures, and the oldest results. It reads the table
    study_results, which is refreshed after each run.
    """
    from orch_assets.terminal import new_console, say

    with settled_instance() as instance:
        portfolio = _portfolio(instance)
    if not portfolio.entries:
        click.echo("No studies have been run yet. Start with `orch-assets run`.")
        return SUCCEEDED
    from orch_assets.commands.grids import print_portfolio

    console = new_console()
    print_portfolio(console, portfolio)
    for line in (*_causes(portfolio.entries), *_oldest(portfolio)):
        say(console, line)
    return SUCCEEDED


def _portfolio(instance: "dg.DagsterInstance") -> "Portfolio":
    from orch_assets.defs.study_results import load_results, old_after
    from orch_assets.orchestration.reporting.portfolio import Portfolio

    with location_resources(instance) as resources:
        entries, _ = load_results(instance, resources.io_manager)
    pipelines = sorted(key.to_user_string() for key in code_location().graph_keys)
    return Portfolio(entries, pipelines, datetime.now(UTC), old_after())


def _causes(entries: "Sequence[MatrixEntry]") -> list[str]:
    from orch_assets.orchestration.reporting.failed_results import causes_of_entries

    causes, missing = causes_of_entries(entries)
    lines = [f"{cause}\n  newest run: {cause.newest_run}" for cause in causes]
    return ["\nWhy studies failed:", *lines, *missing] if lines or missing else []


def _oldest(portfolio: "Portfolio") -> list[str]:
    lines = [
        f"- {entry.study_key} {entry.pipeline}: "
        f"{portfolio.age(entry.study_key, entry.pipeline)}, since {entry.succeeded_at:%Y-%m-%d}"
        for entry in portfolio.oldest(_OLDEST)
    ]
    return ["\nOldest results:", *lines] if lines else []
