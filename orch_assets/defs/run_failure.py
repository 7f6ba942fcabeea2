"""The failure that ends a run after all of its studies, if one or more of them failed."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from orch_assets.defs.events import FAILED_STUDIES
from orch_assets.orchestration.reporting.failure_summary import (
    MOST_CAUSES,
    FailedStep,
    causes_of,
    summarize_failures,
)

_COLUMNS: Final = ("cause", "place", "studies", "pipelines", "failure_report")


def run_failure(failed: Sequence[FailedStep], studies: int, run: dg.DagsterRun) -> dg.Failure:
    """Return the failure of a run: the causes in its text, and as a table in its metadata.

    Args:
        failed: Every failed step, in the order of the studies; at least one.
        studies: Number of studies in the run.
        run: The run.
    """
    return dg.Failure(
        f"{summarize_failures(failed, studies)}\n"
        f"Successful results are materialized; {_resumption(run)}.",
        metadata={
            "studies": studies,
            FAILED_STUDIES: len({each.study_key for each in failed}),
            "causes": _causes_table(failed),
        },
        allow_retries=False,
    )


def _resumption(run: dg.DagsterRun) -> str:
    """Return how to run only what failed; the UI can re-execute only a run with an origin."""
    by_command = "use `orch-assets run --failed` (for the last run) to run only the rest"
    if run.remote_job_origin is None:
        return by_command
    return f"re-execute from failure in the UI, or {by_command}"


def _causes_table(failed: Sequence[FailedStep]) -> dg.TableMetadataValue:
    """Return the causes of a run's failures as a table: why, where, which studies, what to read.

    The UI doesn't break long addresses, so the failure report is in the last column.
    """
    causes = causes_of(failed)
    records = [
        dg.TableRecord(
            {
                "cause": cause.text.removesuffix(f" (at {cause.place})"),
                "place": cause.place or None,
                "studies": cause.of_studies,
                "pipelines": cause.of_pipelines,
                "failure_report": cause.report[1] if cause.report else None,
            }
        )
        for cause in causes[:MOST_CAUSES]
    ]
    if causes[MOST_CAUSES:]:
        more = {"cause": f"{len(causes) - MOST_CAUSES} more: see the errors in the run's log"}
        records.append(dg.TableRecord({**dict.fromkeys(_COLUMNS), **more}))
    schema = dg.TableSchema([dg.TableColumn(name, "string") for name in _COLUMNS])
    return dg.MetadataValue.table(records, schema=schema)
