"""``orch-assets failures``: shows why studies failed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from orch_assets.commands.exit_codes import SUCCEEDED
from orch_assets.commands.location import code_location, settled_instance
from orch_assets.commands.study_arguments import require_known

if TYPE_CHECKING:
    import dagster as dg

    from orch_assets.orchestration.reporting.failure_summary import FailedStep


@click.command()
@click.option(
    "--run",
    "run_id",
    metavar="ID",
    help="Show failures of this run. Default: the last run of studies.",
)
@click.option(
    "--study", "study_key", metavar="KEY", help="Show each failed pipeline of this study."
)
def failures(run_id: str | None, study_key: str | None) -> int:
    """Show why studies failed.

    Groups the failures by cause, and shows each cause with its location in the code, studies,
    pipelines and failure report. With --study, shows the error and the failure report of each
    failed pipeline of that study.
    """
    with settled_instance() as instance:
        from orch_assets.defs.runs.recorded_results import failed_steps

        runs = _runs(instance, run_id)
        failed = [step for each in runs for step in failed_steps(instance, each)]
        if study_key is not None:
            failed = [step for step in failed if step.study_key == study_key]
            if runs and not failed:  # a retired study may have failed
                require_known(instance, [study_key], "No failures were shown.")
    if not runs:
        click.echo("No studies have been run yet. Start with `orch-assets run`.")
    else:
        click.echo(_causes(failed) if study_key is None else _of_study(failed, study_key))
    return SUCCEEDED


def _runs(instance: "dg.DagsterInstance", run_id: str | None) -> list[str]:
    from orch_assets.defs.runs.command_runs import last_runs

    if run_id is None:
        return [run.run_id for run in last_runs(instance, frozenset(code_location().graph_keys))]
    if instance.get_run_by_id(run_id) is None:
        raise click.UsageError(f"No run has the ID {run_id}. The UI lists the IDs of all runs.")
    return [run_id]


def _causes(failed: "Sequence[FailedStep]") -> str:
    from orch_assets.orchestration.reporting.failure_summary import causes_of

    return "\n".join(map(str, causes_of(failed))) or "No study failed."


def _of_study(failed: "Sequence[FailedStep]", study_key: str) -> str:
    lines = []
    for each in failed:
        lines.append(f"- {each.pipeline}: {each.text}")
        lines += [f"  failure report: {each.report}"] if each.report else []
    return "\n".join(lines) or f"No pipeline failed for study {study_key}."
