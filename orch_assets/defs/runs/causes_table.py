"""The causes of a failed run as a table, which Dagster shows with the failure of the run's step."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from orch_assets.orchestration.reporting.failure_summary import MOST_CAUSES, FailedStep, causes_of

_COLUMNS: Final = ("cause", "place", "studies", "pipelines", "failure_report")


def causes_table(failed: Sequence[FailedStep]) -> dg.TableMetadataValue:
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
