"""Read every endpoint with the public ``imednet`` package, and print what arrived as JSON.

Runs on the interpreter of the peers' environment, which has that package and not this project.
Usage: ``public_client.py STUDY_KEY BATCH_ID`` with the package's environment variables.
"""

import json
import sys
from typing import Any

from imednet import ImednetSDK

STUDY_ENDPOINTS = (
    "sites",
    "forms",
    "intervals",
    "visits",
    "subjects",
    "variables",
    "codings",
    "queries",
    "record_revisions",
    "records",
)


def users(sdk: ImednetSDK, study_key: str) -> list[Any]:
    """Return the users as they came: the package's model takes no dates as arrays of numbers."""
    params = {"size": 500, "includeInactive": "true"}
    answer = sdk._client.get(f"/api/v1/edc/studies/{study_key}/users", params=params)
    rows: list[Any] = answer.json()["data"]
    return rows


def main() -> None:
    study_key, batch_id = sys.argv[1:]
    with ImednetSDK() as sdk:
        rows = {
            name: [
                row.model_dump(mode="json", by_alias=True)
                for row in getattr(sdk, name).list(study_key=study_key)
            ]
            for name in STUDY_ENDPOINTS
        }
        filtered = sdk.subjects.list(study_key=study_key, subject_status=["Completed", "Withdrawn"])
        recent = sdk.records.list(study_key=study_key, date_modified=(">", "2025-01-01T00:00:00Z"))
        normal = sdk.records.list(study_key=study_key, record_data_filter="PENORM==Yes")
        found = {
            "studies": [study.study_key for study in sdk.studies.list()],
            "rows": rows,
            "users": users(sdk, study_key),
            "job": sdk.jobs.get(study_key, batch_id).state,
            "filtered": [subject.subject_id for subject in filtered],
            "recent": [record.record_id for record in recent],
            "normal": [record.record_id for record in normal],
        }
    print(json.dumps(found))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main()
