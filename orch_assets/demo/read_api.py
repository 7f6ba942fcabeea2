"""The endpoints of the registry's read API.

One table for everybody: the routes, the sort and filter rules, and the API's own description
(:mod:`.openapi`) are all built from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from orch_assets.demo import api_fields as fields
from orch_assets.demo.api_fields import SCALARS, ApiField

BASE_PATH = "/api/v1/edc"


@dataclass(frozen=True)
class Endpoint:
    """One list of the API.

    Attributes:
        name: last segment of its path.
        item: what one row is called.
        fields: of a row.
        id: the field that identifies a row.
        sort: the field that rows come by when the request doesn't say, where the API's examples
            show another than the ID.
        parameters: query parameters beyond ``page``, ``size`` and ``sort``.
    """

    name: str
    item: str
    fields: tuple[ApiField, ...]
    id: str
    sort: str = ""
    parameters: tuple[str, ...] = ("filter",)

    @property
    def path(self) -> str:
        """The path, with ``{study_key}`` where it is below a study."""
        return f"{BASE_PATH}/studies" + (
            "" if self.name == "studies" else f"/{{study_key}}/{self.name}"
        )

    @property
    def default_sort(self) -> str:
        """The field that rows come by when the request doesn't say."""
        return self.sort or self.id

    @property
    def scalars(self) -> dict[str, ApiField]:
        """What rows can be sorted and filtered by, by name."""
        return {field.name: field for field in self.fields if field.kind in SCALARS}


STUDIES = Endpoint("studies", "Study", fields.STUDY, id="studyId", sort="studyKey")
SITES = Endpoint("sites", "Site", fields.SITE, id="siteId")
FORMS = Endpoint("forms", "Form", fields.FORM, id="formId")
INTERVALS = Endpoint("intervals", "Interval", fields.INTERVAL, id="intervalId")
VISITS = Endpoint("visits", "Visit", fields.VISIT, id="visitId")
SUBJECTS = Endpoint("subjects", "Subject", fields.SUBJECT, id="subjectId")
USERS = Endpoint(
    "users", "User", fields.USER, id="userId", sort="login", parameters=("includeInactive",)
)
VARIABLES = Endpoint("variables", "Variable", fields.VARIABLE, id="variableId")
CODINGS = Endpoint("codings", "Coding", fields.CODING, id="codingId", sort="recordId")
QUERIES = Endpoint("queries", "Query", fields.QUERY, id="annotationId")
RECORD_REVISIONS = Endpoint(
    "recordRevisions", "RecordRevision", fields.RECORD_REVISION, id="recordRevisionId"
)
RECORDS = Endpoint(
    "records", "Record", fields.RECORD, id="recordId", parameters=("filter", "recordDataFilter")
)
# Asked for one at a time, by their batch; the API has no list of them.
JOBS = Endpoint("jobs", "Job", fields.JOB, id="batchId", parameters=())


def _by_name(endpoints: Iterable[Endpoint]) -> dict[str, Endpoint]:
    return {endpoint.name: endpoint for endpoint in endpoints}


STUDY_ENDPOINTS = _by_name(
    (
        SITES,
        FORMS,
        INTERVALS,
        VISITS,
        SUBJECTS,
        USERS,
        VARIABLES,
        CODINGS,
        QUERIES,
        RECORD_REVISIONS,
        RECORDS,
    )
)
"""The lists below a study."""

ENDPOINTS = {STUDIES.name: STUDIES, **STUDY_ENDPOINTS, JOBS.name: JOBS}
