"""The fields of the read API's rows, with the API's names and types.

This list repeats the fields of :mod:`orch_assets.imednet.models` on purpose. Both were written from
the vendor's API description, and neither is made from the other: a wrong name or type in the client
then fails the tests, instead of being repeated by the simulator. The simulator also needs facts
that the client does not: the order in which fields are sent, and which may be null or missing.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "integer", "boolean", "date_time", "date", "integers", "list", "object"]

# Rows can be sorted and filtered by fields of these kinds: single values, not lists or objects.
SCALARS: frozenset[Kind] = frozenset({"text", "integer", "boolean", "date_time", "date"})


@dataclass(frozen=True)
class ApiField:
    """One field of a row.

    Attributes:
        name: The API's name.
        kind: Its type. ``date_time`` is UTC text without a zone (``2025-06-05 21:12:08``);
            ``integers`` is a date and time as an array of numbers from the year to the nanosecond.
        fields: The fields of a list's items; empty for other kinds.
        optional: Whether the key is omitted where it does not apply.
        nullable: Whether the value may be null.
    """

    name: str
    kind: Kind
    fields: tuple["ApiField", ...] = ()
    optional: bool = False
    nullable: bool = False


_CREATED_MODIFIED = (ApiField("dateCreated", "date_time"), ApiField("dateModified", "date_time"))

_KEYWORDS = ApiField(
    "keywords",
    "list",
    (
        ApiField("keywordName", "text"),
        ApiField("keywordKey", "text"),
        ApiField("keywordId", "integer"),
        ApiField("dateAdded", "date_time"),
    ),
)

STUDY = (
    ApiField("sponsorKey", "text"),
    ApiField("studyKey", "text"),
    ApiField("studyId", "integer"),
    ApiField("studyName", "text"),
    ApiField("studyDescription", "text"),
    ApiField("studyType", "text"),
    *_CREATED_MODIFIED,
)

SITE = (
    ApiField("studyKey", "text"),
    ApiField("siteId", "integer"),
    ApiField("siteName", "text"),
    ApiField("siteEnrollmentStatus", "text"),
    *_CREATED_MODIFIED,
)

FORM = (
    ApiField("studyKey", "text"),
    ApiField("formId", "integer"),
    ApiField("formKey", "text"),
    ApiField("formName", "text"),
    ApiField("formType", "text"),
    ApiField("revision", "integer"),
    ApiField("embeddedLog", "boolean"),
    ApiField("enforceOwnership", "boolean"),
    ApiField("userAgreement", "boolean"),
    ApiField("subjectRecordReport", "boolean"),
    ApiField("unscheduledVisit", "boolean"),
    ApiField("otherForms", "boolean"),
    ApiField("eproForm", "boolean"),
    ApiField("allowCopy", "boolean"),
    ApiField("disabled", "boolean"),
    *_CREATED_MODIFIED,
)

INTERVAL = (
    ApiField("studyKey", "text"),
    ApiField("intervalId", "integer"),
    ApiField("intervalName", "text"),
    ApiField("intervalDescription", "text"),
    ApiField("intervalSequence", "integer"),
    ApiField("intervalGroupId", "integer"),
    ApiField("intervalGroupName", "text"),
    ApiField("disabled", "boolean"),
    *_CREATED_MODIFIED,
    ApiField("timeline", "text"),
    ApiField("definedUsingInterval", "text"),
    ApiField("windowCalculationForm", "text"),
    ApiField("windowCalculationDate", "text"),
    ApiField("actualDateForm", "text"),
    ApiField("actualDate", "text"),
    ApiField("dueDateWillBeIn", "integer"),
    ApiField("negativeSlack", "integer"),
    ApiField("positiveSlack", "integer"),
    ApiField("eproGracePeriod", "integer"),
    ApiField(
        "forms",
        "list",
        (ApiField("formId", "integer"), ApiField("formKey", "text"), ApiField("formName", "text")),
    ),
)

VISIT = (
    ApiField("visitId", "integer"),
    ApiField("studyKey", "text"),
    ApiField("intervalId", "integer"),
    ApiField("intervalName", "text"),
    ApiField("subjectId", "integer"),
    ApiField("subjectKey", "text"),
    ApiField("startDate", "date"),
    ApiField("endDate", "date"),
    ApiField("dueDate", "date", nullable=True),
    ApiField("visitDate", "date", optional=True),
    ApiField("visitDateForm", "text"),
    ApiField("deleted", "boolean"),
    ApiField("visitDateQuestion", "text"),
    *_CREATED_MODIFIED,
)

SUBJECT = (
    ApiField("studyKey", "text"),
    ApiField("subjectId", "integer"),
    ApiField("subjectOid", "text"),
    ApiField("subjectKey", "text"),
    ApiField("subjectStatus", "text"),
    ApiField("siteId", "integer"),
    ApiField("siteName", "text"),
    ApiField("deleted", "boolean"),
    ApiField("enrollmentStartDate", "date_time", optional=True),
    *_CREATED_MODIFIED,
    _KEYWORDS,
)

USER = (
    ApiField("userId", "text"),
    ApiField("login", "text"),
    ApiField("firstName", "text"),
    ApiField("lastName", "text"),
    ApiField("email", "text"),
    ApiField("userActiveInStudy", "boolean"),
    ApiField(
        "roles",
        "list",
        (
            ApiField("dateCreated", "integers"),
            ApiField("dateModified", "integers"),
            ApiField("roleId", "text"),
            ApiField("communityId", "integer"),
            ApiField("name", "text"),
            ApiField("description", "text"),
            ApiField("level", "integer"),
            ApiField("type", "text"),
            ApiField("inactive", "boolean"),
        ),
    ),
)

VARIABLE = (
    ApiField("studyKey", "text"),
    ApiField("variableId", "integer"),
    ApiField("variableType", "text"),
    ApiField("variableName", "text"),
    ApiField("sequence", "integer"),
    ApiField("revision", "integer"),
    ApiField("disabled", "boolean"),
    *_CREATED_MODIFIED,
    ApiField("formId", "integer"),
    ApiField("variableOid", "text"),
    ApiField("deleted", "boolean"),
    ApiField("formKey", "text"),
    ApiField("formName", "text"),
    ApiField("label", "text"),
    ApiField("blinded", "boolean", optional=True, nullable=True),
)

CODING = (
    ApiField("studyKey", "text"),
    ApiField("siteName", "text"),
    ApiField("siteId", "integer"),
    ApiField("subjectId", "integer"),
    ApiField("subjectKey", "text"),
    ApiField("formId", "integer"),
    ApiField("formName", "text"),
    ApiField("formKey", "text"),
    ApiField("revision", "integer"),
    ApiField("recordId", "integer"),
    ApiField("variable", "text"),
    ApiField("value", "text"),
    ApiField("codingId", "integer"),
    ApiField("code", "text"),
    ApiField("codedBy", "text"),
    ApiField("reason", "text"),
    ApiField("dictionaryName", "text"),
    ApiField("dictionaryVersion", "text"),
    ApiField("dateCoded", "date_time"),
)

QUERY = (
    ApiField("studyKey", "text"),
    ApiField("subjectId", "integer"),
    ApiField("subjectOid", "text"),
    ApiField("annotationType", "text"),
    ApiField("annotationId", "integer"),
    ApiField("type", "text", nullable=True),
    ApiField("description", "text"),
    ApiField("recordId", "integer", optional=True),
    ApiField("variable", "text", optional=True),
    ApiField("subjectKey", "text"),
    *_CREATED_MODIFIED,
    ApiField(
        "queryComments",
        "list",
        (
            ApiField("sequence", "integer"),
            ApiField("annotationStatus", "text"),
            ApiField("user", "text"),
            ApiField("comment", "text"),
            ApiField("closed", "boolean"),
            ApiField("date", "date_time"),
        ),
    ),
)

RECORD_REVISION = (
    ApiField("studyKey", "text"),
    ApiField("recordRevisionId", "integer"),
    ApiField("recordId", "integer"),
    ApiField("recordOid", "text"),
    ApiField("recordRevision", "integer"),
    ApiField("dataRevision", "integer"),
    ApiField("recordStatus", "text"),
    ApiField("subjectId", "integer"),
    ApiField("subjectOid", "text"),
    ApiField("subjectKey", "text"),
    ApiField("siteId", "integer"),
    ApiField("formKey", "text"),
    ApiField("intervalId", "integer", optional=True),
    ApiField("role", "text"),
    ApiField("user", "text"),
    ApiField("reasonForChange", "text"),
    ApiField("deleted", "boolean"),
    ApiField("dateCreated", "date_time"),
)

RECORD = (
    ApiField("studyKey", "text"),
    ApiField("intervalId", "integer", optional=True),
    ApiField("formId", "integer"),
    ApiField("formKey", "text"),
    ApiField("siteId", "integer"),
    ApiField("recordId", "integer"),
    ApiField("recordOid", "text"),
    ApiField("recordType", "text"),
    ApiField("recordStatus", "text"),
    ApiField("deleted", "boolean"),
    *_CREATED_MODIFIED,
    ApiField("subjectId", "integer"),
    ApiField("subjectOid", "text"),
    ApiField("subjectKey", "text"),
    ApiField("visitId", "integer", optional=True),
    ApiField("parentRecordId", "integer", optional=True),
    _KEYWORDS,
    ApiField("recordData", "object"),
)

JOB = (
    ApiField("jobId", "text"),
    ApiField("batchId", "text"),
    ApiField("state", "text"),
    ApiField("dateCreated", "date_time"),
    ApiField("dateStarted", "date_time", optional=True),
    ApiField("dateFinished", "date_time", optional=True),
)
