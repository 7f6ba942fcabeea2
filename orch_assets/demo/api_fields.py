"""The fields of the read API's rows, as they are named and typed there."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "integer", "boolean", "date_time", "date", "integers", "list", "object"]

# What a row can be sorted and filtered by: one value, not a list or an object.
SCALARS: frozenset[Kind] = frozenset({"text", "integer", "boolean", "date_time", "date"})


@dataclass(frozen=True)
class Field:
    """One field of a row.

    Attributes:
        name: as the API spells it.
        kind: its type; ``date_time`` is UTC text without a zone (``2025-06-05 21:12:08``),
            ``integers`` a moment as an array of numbers from the year to the nanosecond.
        fields: of the items of a ``list``.
        optional: the key is left out where it doesn't apply.
        nullable: the value may be null.
    """

    name: str
    kind: Kind
    fields: tuple["Field", ...] = ()
    optional: bool = False
    nullable: bool = False


_CREATED_MODIFIED = (Field("dateCreated", "date_time"), Field("dateModified", "date_time"))

_KEYWORDS = Field(
    "keywords",
    "list",
    (
        Field("keywordName", "text"),
        Field("keywordKey", "text"),
        Field("keywordId", "integer"),
        Field("dateAdded", "date_time"),
    ),
)

STUDY = (
    Field("sponsorKey", "text"),
    Field("studyKey", "text"),
    Field("studyId", "integer"),
    Field("studyName", "text"),
    Field("studyDescription", "text"),
    Field("studyType", "text"),
    *_CREATED_MODIFIED,
)

SITE = (
    Field("studyKey", "text"),
    Field("siteId", "integer"),
    Field("siteName", "text"),
    Field("siteEnrollmentStatus", "text"),
    *_CREATED_MODIFIED,
)

FORM = (
    Field("studyKey", "text"),
    Field("formId", "integer"),
    Field("formKey", "text"),
    Field("formName", "text"),
    Field("formType", "text"),
    Field("revision", "integer"),
    Field("embeddedLog", "boolean"),
    Field("enforceOwnership", "boolean"),
    Field("userAgreement", "boolean"),
    Field("subjectRecordReport", "boolean"),
    Field("unscheduledVisit", "boolean"),
    Field("otherForms", "boolean"),
    Field("eproForm", "boolean"),
    Field("allowCopy", "boolean"),
    Field("disabled", "boolean"),
    *_CREATED_MODIFIED,
)

INTERVAL = (
    Field("studyKey", "text"),
    Field("intervalId", "integer"),
    Field("intervalName", "text"),
    Field("intervalDescription", "text"),
    Field("intervalSequence", "integer"),
    Field("intervalGroupId", "integer"),
    Field("intervalGroupName", "text"),
    Field("disabled", "boolean"),
    *_CREATED_MODIFIED,
    Field("timeline", "text"),
    Field("definedUsingInterval", "text"),
    Field("windowCalculationForm", "text"),
    Field("windowCalculationDate", "text"),
    Field("actualDateForm", "text"),
    Field("actualDate", "text"),
    Field("dueDateWillBeIn", "integer"),
    Field("negativeSlack", "integer"),
    Field("positiveSlack", "integer"),
    Field("eproGracePeriod", "integer"),
    Field(
        "forms",
        "list",
        (Field("formId", "integer"), Field("formKey", "text"), Field("formName", "text")),
    ),
)

VISIT = (
    Field("visitId", "integer"),
    Field("studyKey", "text"),
    Field("intervalId", "integer"),
    Field("intervalName", "text"),
    Field("subjectId", "integer"),
    Field("subjectKey", "text"),
    Field("startDate", "date"),
    Field("endDate", "date"),
    Field("dueDate", "date", nullable=True),
    Field("visitDate", "date", optional=True),
    Field("visitDateForm", "text"),
    Field("deleted", "boolean"),
    Field("visitDateQuestion", "text"),
    *_CREATED_MODIFIED,
)

SUBJECT = (
    Field("studyKey", "text"),
    Field("subjectId", "integer"),
    Field("subjectOid", "text"),
    Field("subjectKey", "text"),
    Field("subjectStatus", "text"),
    Field("siteId", "integer"),
    Field("siteName", "text"),
    Field("deleted", "boolean"),
    Field("enrollmentStartDate", "date_time", optional=True),
    *_CREATED_MODIFIED,
    _KEYWORDS,
)

USER = (
    Field("userId", "text"),
    Field("login", "text"),
    Field("firstName", "text"),
    Field("lastName", "text"),
    Field("email", "text"),
    Field("userActiveInStudy", "boolean"),
    Field(
        "roles",
        "list",
        (
            Field("dateCreated", "integers"),
            Field("dateModified", "integers"),
            Field("roleId", "text"),
            Field("communityId", "integer"),
            Field("name", "text"),
            Field("description", "text"),
            Field("level", "integer"),
            Field("type", "text"),
            Field("inactive", "boolean"),
        ),
    ),
)

VARIABLE = (
    Field("studyKey", "text"),
    Field("variableId", "integer"),
    Field("variableType", "text"),
    Field("variableName", "text"),
    Field("sequence", "integer"),
    Field("revision", "integer"),
    Field("disabled", "boolean"),
    *_CREATED_MODIFIED,
    Field("formId", "integer"),
    Field("variableOid", "text"),
    Field("deleted", "boolean"),
    Field("formKey", "text"),
    Field("formName", "text"),
    Field("label", "text"),
    Field("blinded", "boolean", optional=True, nullable=True),
)

CODING = (
    Field("studyKey", "text"),
    Field("siteName", "text"),
    Field("siteId", "integer"),
    Field("subjectId", "integer"),
    Field("subjectKey", "text"),
    Field("formId", "integer"),
    Field("formName", "text"),
    Field("formKey", "text"),
    Field("revision", "integer"),
    Field("recordId", "integer"),
    Field("variable", "text"),
    Field("value", "text"),
    Field("codingId", "integer"),
    Field("code", "text"),
    Field("codedBy", "text"),
    Field("reason", "text"),
    Field("dictionaryName", "text"),
    Field("dictionaryVersion", "text"),
    Field("dateCoded", "date_time"),
)

QUERY = (
    Field("studyKey", "text"),
    Field("subjectId", "integer"),
    Field("subjectOid", "text"),
    Field("annotationType", "text"),
    Field("annotationId", "integer"),
    Field("type", "text", nullable=True),
    Field("description", "text"),
    Field("recordId", "integer", optional=True),
    Field("variable", "text", optional=True),
    Field("subjectKey", "text"),
    *_CREATED_MODIFIED,
    Field(
        "queryComments",
        "list",
        (
            Field("sequence", "integer"),
            Field("annotationStatus", "text"),
            Field("user", "text"),
            Field("comment", "text"),
            Field("closed", "boolean"),
            Field("date", "date_time"),
        ),
    ),
)

RECORD_REVISION = (
    Field("studyKey", "text"),
    Field("recordRevisionId", "integer"),
    Field("recordId", "integer"),
    Field("recordOid", "text"),
    Field("recordRevision", "integer"),
    Field("dataRevision", "integer"),
    Field("recordStatus", "text"),
    Field("subjectId", "integer"),
    Field("subjectOid", "text"),
    Field("subjectKey", "text"),
    Field("siteId", "integer"),
    Field("formKey", "text"),
    Field("intervalId", "integer", optional=True),
    Field("role", "text"),
    Field("user", "text"),
    Field("reasonForChange", "text"),
    Field("deleted", "boolean"),
    Field("dateCreated", "date_time"),
)

RECORD = (
    Field("studyKey", "text"),
    Field("intervalId", "integer", optional=True),
    Field("formId", "integer"),
    Field("formKey", "text"),
    Field("siteId", "integer"),
    Field("recordId", "integer"),
    Field("recordOid", "text"),
    Field("recordType", "text"),
    Field("recordStatus", "text"),
    Field("deleted", "boolean"),
    *_CREATED_MODIFIED,
    Field("subjectId", "integer"),
    Field("subjectOid", "text"),
    Field("subjectKey", "text"),
    Field("visitId", "integer", optional=True),
    Field("parentRecordId", "integer", optional=True),
    _KEYWORDS,
    Field("recordData", "object"),
)

JOB = (
    Field("jobId", "text"),
    Field("batchId", "text"),
    Field("state", "text"),
    Field("dateCreated", "date_time"),
    Field("dateStarted", "date_time", optional=True),
    Field("dateFinished", "date_time", optional=True),
)
