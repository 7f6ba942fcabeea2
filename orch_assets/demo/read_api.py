"""The endpoints of the read API.

The routes, the rules for sorting and filtering, and the API description (:mod:`.openapi`) are all
built from this table.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from orch_assets.demo import api_fields as fields
from orch_assets.demo.api_fields import SCALARS, ApiField

BASE_PATH = "/api/v1/edc"


@dataclass(frozen=True)
class Endpoint:
    """One endpoint of the API.

    Attributes:
        name: The last segment of its path.
        item: The name of one row's type.
        fields: The fields of a row.
        id: The field that identifies a row.
        sort: The field that rows are sorted by if the request names none. Empty for the ID; set
            where the API's examples show another order.
        parameters: The query parameters other than ``page``, ``size`` and ``sort``.
    """

    name: str
    item: str
    fields: tuple[ApiField, ...]
    id: str
    sort: str = ""
    parameters: tuple[str, ...] = ("filter",)

    @property
    def path(self) -> str:
        """The path, with ``{study_key}`` if the endpoint belongs to a study."""
        return f"{BASE_PATH}/studies" + (
            "" if self.name == "studies" else f"/{{study_key}}/{self.name}"
        )

    @property
    def default_sort(self) -> str:
        """The field that rows are sorted by if the request names none."""
        return self.sort or self.id

    @property
    def scalars(self) -> dict[str, ApiField]:
        """The fields that rows can be sorted and filtered by, by name."""
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
# A job is requested by its batch ID; the API has no list of jobs.
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
"""The endpoints of a study that return lists of rows."""

ENDPOINTS = {STUDIES.name: STUDIES, **STUDY_ENDPOINTS, JOBS.name: JOBS}
