"""The failure that ends a run after all of its studies, for the run's page in the UI."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from orch_assets.orchestration.reporting.failure_summary import (
    MOST_CAUSES,
    FailedStep,
    causes_of,
    summarize_failures,
)

# Metadata that only this failure has.
FAILED_STUDIES: Final = "failed_studies"

_COLUMNS: Final = ("cause", "place", "studies", "pipelines", "failure_report")


def run_failure(failed: Sequence[FailedStep], of_studies: int, *, in_the_ui: bool) -> dg.Failure:
    """Return the failure of a run whose studies have all ended.

    Args:
        failed: All failures, by study.
        of_studies: The number of studies in the run.
        in_the_ui: Whether the UI can re-execute the run, because it has an origin.
    """
    command = "use `orch-assets run --failed` (for the last run) to run only the rest"
    resume = f"re-execute from failure in the UI, or {command}" if in_the_ui else command
    return dg.Failure(
        f"{summarize_failures(failed, of_studies)}\nSuccessful results are materialized; {resume}.",
        metadata={
            "studies": of_studies,
            FAILED_STUDIES: len({each.study_key for each in failed}),
            "causes": _causes_table(failed),
        },
        allow_retries=False,
    )


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
