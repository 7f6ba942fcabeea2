"""``orch-assets failures``: why studies failed."""

import click


@click.command()
@click.option("--run", "run_id", metavar="ID", help="Of this run; default: the last over studies.")
@click.option("--study", "study_key", metavar="KEY", help="Of this study alone, one by one.")
def failures(run_id: str | None, study_key: str | None) -> int:
    """Show why studies failed: each cause with its place, studies, pipelines and failure report.

    With --study, each failed pipeline of that study with its error and its failure report.
    """
    from orch_assets.commands.location import read_settings

    read_settings()
    from orch_assets.definitions import graph_keys
    from orch_assets.defs.runs.command_runs import last_runs
    from orch_assets.defs.runs.home import home_instance
    from orch_assets.defs.study_results import failed_steps
    from orch_assets.orchestration.reporting.causes import causes_of

    with home_instance() as instance:
        if run_id is not None and instance.get_run_by_id(run_id) is None:
            raise click.UsageError(f"No run has the ID {run_id}. The UI lists runs with their IDs.")
        runs = (
            [run_id]
            if run_id
            else [run.run_id for run in last_runs(instance, frozenset(graph_keys))]
        )
        failed = [step for each in runs for step in failed_steps(instance, each)]
    if not runs:
        click.echo("No study was run yet; `orch-assets run` begins.")
    elif study_key is None:
        click.echo("\n".join(map(str, causes_of(failed))) or "No study failed.")
    else:
        own = [each for each in failed if each.study_key == study_key]
        lines = [f"- {each.pipeline}: {each.text}" + _report(each.report) for each in own]
        click.echo("\n".join(lines) or f"No pipeline failed for study {study_key}.")
    return 0


def _report(uri: str | None) -> str:
    return f"\n  failure report: {uri}" if uri else ""
