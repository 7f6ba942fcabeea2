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
        from orch_assets.defs.alerts.observed_failures import failures_of

        runs = _runs(instance, run_id)
        if not runs:
            click.echo("No studies have been run yet. Start with `orch-assets run`.")
            return SUCCEEDED
        run_ids = [run.run_id for run in runs]
        of_runs = failures_of(instance, run_ids, code_location().graph_keys)
        failed = [step for steps in of_runs.values() for step in steps]
        if study_key is not None:
            failed = [step for step in failed if step.study_key == study_key]
            if not failed:  # a retired study may have failed
                require_known(instance, [study_key], "No failures were shown.")
        not_run = [line for run in runs for line in _not_run(instance, run, of_runs[run.run_id])]
    lines = _causes(failed) if study_key is None else _of_study(failed)
    none = "No study failed." if study_key is None else f"No pipeline failed for study {study_key}."
    click.echo("\n".join([*lines, *not_run]) or none)
    return SUCCEEDED


def _runs(instance: "dg.DagsterInstance", run_id: str | None) -> "Sequence[dg.DagsterRun]":
    from orch_assets.defs.runs.command_runs import last_runs

    if run_id is None:
        return last_runs(instance, frozenset(code_location().graph_keys))
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise click.UsageError(f"No run has the ID {run_id}. The UI lists the IDs of all runs.")
    return [run]


def _not_run(
    instance: "dg.DagsterInstance", run: "dg.DagsterRun", failed: "Sequence[FailedStep]"
) -> list[str]:
    """Return why a run may lack studies, if its failures don't say so: at most one sentence."""
    import dagster as dg

    from orch_assets.defs.runs.command_runs import failure_of

    if not run.is_finished:
        return [f"Run {run.run_id} is in progress: studies may still fail."]
    if run.status == dg.DagsterRunStatus.CANCELED:
        return [f"Run {run.run_id} was cancelled. Studies that hadn't ended have no result of it."]
    ended = failure_of(instance, run)
    return [] if ended is None or failed else [ended.text]


def _causes(failed: "Sequence[FailedStep]") -> list[str]:
    from orch_assets.orchestration.reporting.failure_summary import causes_of

    return [str(cause) for cause in causes_of(failed)]


def _of_study(failed: "Sequence[FailedStep]") -> list[str]:
    lines = []
    for each in failed:
        lines.append(f"- {each.pipeline}: {each.text}")
        lines += [f"  failure report: {each.report}"] if each.report else []
    return lines
