"""What the columns of iMednet's tables mean, by the API's own description."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from orch_assets.imednet.fields import BOOL, DAY, MOMENT, NUMBER, OBJECT, TEXT, FieldType, fields_of
from orch_assets.imednet.models import (
    Coding,
    Form,
    Interval,
    IntervalForm,
    Keyword,
    Query,
    QueryComment,
    Record,
    RecordRevision,
    RegistryRow,
    Role,
    Site,
    Study,
    Subject,
    User,
    Variable,
    Visit,
)

DESCRIPTIONS: Final[Mapping[type[RegistryRow], Mapping[str, str]]] = {
    Study: {
        "sponsor_key": "Sponsor key that this study belongs to.",
        "study_key": "Unique study key.",
        "study_id": "iMednet study ID (internal numeric identifier).",
        "study_name": "Name of the study.",
        "study_description": "Description of the study.",
        "study_type": "Type of study (e.g., STUDY).",
        "date_created": "When the study was created.",
        "date_modified": "When the study was last changed.",
    },
    Site: {
        "study_key": "Unique study key.",
        "site_id": "Unique site ID.",
        "site_name": "Name of the site.",
        "site_enrollment_status": "Enrollment status of the site.",
        "date_created": "When the site was created.",
        "date_modified": "When the site was last changed.",
    },
    Form: {
        "study_key": "Unique study key.",
        "form_id": "iMednet form ID.",
        "form_key": "User-defined form key.",
        "form_name": "Name of the form (eCRF).",
        "form_type": "Type of the form (e.g., Subject or Site).",
        "revision": "Number of modifications (revisions) of the form metadata.",
        "embedded_log": "Whether the form has an embedded log.",
        "enforce_ownership": "Whether the form enforces record ownership.",
        "user_agreement": "Whether the form requires a user agreement.",
        "subject_record_report": "Whether the form is marked as a subject record report.",
        "unscheduled_visit": "Whether the form is included in unscheduled visits.",
        "other_forms": "Whether the form is included in Other Forms category.",
        "epro_form": "Whether the form is an ePRO (electronic patient reported outcome) form.",
        "allow_copy": "Whether the form allows copying of data.",
        "disabled": "Whether the form is soft-deleted (disabled).",
        "date_created": "When the form was created.",
        "date_modified": "When the form was last changed.",
    },
    IntervalForm: {
        "form_id": "Form ID scheduled in the interval.",
        "form_key": "Form key scheduled in the interval.",
        "form_name": "Form name scheduled in the interval.",
    },
    Interval: {
        "study_key": "Unique study key.",
        "interval_id": "ID of the interval (visit definition).",
        "interval_name": "Name of the interval (visit) as defined in the study.",
        "interval_description": "Description of the interval (visit).",
        "interval_sequence": "Sequence number of the interval in the schedule.",
        "interval_group_id": "Identifier for the interval group (if intervals are grouped).",
        "interval_group_name": "Name of the interval group.",
        "timeline": (
            "Type of interval visit window (e.g., None, Due Date, Start - End Date, Actual Date)."
        ),
        "defined_using_interval": "Baseline interval used for calculating this interval's dates.",
        "window_calculation_form": (
            "Baseline form (name) from which the calculation date is taken."
        ),
        "window_calculation_date": (
            "Baseline field (variable name) from which the calculation date is taken."
        ),
        "actual_date_form": "Form used to capture the actual date for this interval.",
        "actual_date": "Field (variable name) used to capture the actual date for this interval.",
        "due_date_will_be_in": (
            "Number of days from the calculation date when the interval is due."
        ),
        "negative_slack": "Number of days before the due date that are allowed (negative window).",
        "positive_slack": "Number of days after the due date that are allowed (positive window).",
        "epro_grace_period": "Number of days of grace period for ePRO completion after due date.",
        "forms": "List of forms that are scheduled in this interval.",
        "disabled": "Whether the interval is soft-deleted (disabled).",
        "date_created": "When the interval was created.",
        "date_modified": "When the interval was last changed.",
    },
    Visit: {
        "study_key": "Unique study key.",
        "visit_id": "ID of the subject visit instance.",
        "interval_id": "ID of the interval definition for this visit.",
        "interval_name": "Name of the interval (visit) for this visit instance.",
        "subject_id": "iMednet subject ID of the subject.",
        "subject_key": "Protocol-assigned subject identifier.",
        "start_date": "Start date of the visit window.",
        "end_date": "End date of the visit window.",
        "due_date": "Due date of the visit, if applicable.",
        "visit_date": "Actual date the visit took place.",
        "visit_date_form": "Name of the form used to capture the actual visit date.",
        "visit_date_question": "Variable name of the field capturing the actual visit date.",
        "deleted": "Whether the visit instance is marked as deleted.",
        "date_created": "When the visit was created.",
        "date_modified": "When the visit was last changed.",
    },
    Keyword: {
        "keyword_name": "Name of the keyword.",
        "keyword_key": "Key of the keyword (short code).",
        "keyword_id": "Internal keyword ID.",
        "date_added": "When this keyword was added.",
    },
    Subject: {
        "study_key": "Unique study key.",
        "subject_id": "iMednet subject ID (internal numeric ID).",
        "subject_oid": "Client-assigned subject object identifier (OID).",
        "subject_key": "Protocol-assigned subject identifier (display ID).",
        "subject_status": "Current status of the subject (e.g., Enrolled).",
        "site_id": "iMednet site ID the subject is associated with.",
        "site_name": "Name of the site the subject is associated with.",
        "deleted": "Whether the subject is marked as deleted.",
        "enrollment_start_date": "Subject's enrollment start date.",
        "date_created": "When the subject was created.",
        "date_modified": "When the subject was last changed.",
        "keywords": "List of keywords associated with the subject.",
    },
    Role: {
        "date_created": "When the role was assigned.",
        "date_modified": "When the assignment was last changed.",
        "role_id": "Unique role ID (UUID).",
        "community_id": "Community ID or level associated with the role.",
        "name": "Name of the role.",
        "description": "Description of the role.",
        "level": "Role level or hierarchy.",
        "type": "Role type/category.",
        "inactive": "Whether the role is inactive.",
    },
    User: {
        "user_id": "Unique user ID (UUID).",
        "login": "User login name.",
        "first_name": "User first name.",
        "last_name": "User last name.",
        "email": "User email address.",
        "user_active_in_study": "Whether the user is active in the given study.",
        "roles": "Roles that the user has in the study.",
    },
    Variable: {
        "study_key": "Unique study key.",
        "variable_id": "iMednet variable ID.",
        "variable_type": "Type of the variable (field type), e.g., RADIO, TEXT, etc.",
        "variable_name": "Name of the variable, as in record_data.",
        "sequence": "Sequence of the variable on the form.",
        "revision": "Number of modifications of the variable (via form metadata revisions).",
        "disabled": "Whether the variable is marked as disabled (deleted).",
        "date_created": "When the variable was created.",
        "date_modified": "When the variable was last changed.",
        "form_id": "ID of the form that this variable belongs to.",
        "variable_oid": "Client-assigned variable OID.",
        "deleted": "Whether the variable is marked as deleted.",
        "form_key": "Form key of the form that this variable belongs to.",
        "form_name": "Name of the form that this variable belongs to.",
        "label": "Label of the variable.",
        "blinded": "Whether the variable is flagged as blinded (hidden in certain contexts).",
    },
    Coding: {
        "study_key": "Unique study key.",
        "site_name": "Name of the site associated with the coded data.",
        "site_id": "Site ID associated with the coded data.",
        "subject_id": "Subject ID associated with the coded data.",
        "subject_key": "Subject key (display ID) associated with the coded data.",
        "form_id": "Form ID where the coded data originates.",
        "form_name": "Name of the form where the coded data originates.",
        "form_key": "Form key where the coded data originates.",
        "revision": "Revision number of the coding entry.",
        "record_id": "Record ID associated with the coded data.",
        "variable": "Variable name (field) that was coded.",
        "value": "Original value entered that required coding.",
        "coding_id": "iMednet coding ID.",
        "code": "Standardized code assigned (e.g., dictionary term).",
        "coded_by": "Name of the user who performed the coding.",
        "reason": "Reason for coding or any notes on changes.",
        "dictionary_name": "Name of the dictionary used (e.g., MedDRA).",
        "dictionary_version": "Version of the dictionary used.",
        "date_coded": "When the coding was performed.",
    },
    QueryComment: {
        "sequence": "Sequence number of the comment/action in the query history.",
        "annotation_status": "Status of the query after this comment (e.g., Open, Closed).",
        "user": "Username of the user who made the comment or action.",
        "comment": "Text of the comment.",
        "closed": "Whether the query was marked closed at this step.",
        "date": "Date of the comment or action.",
    },
    Query: {
        "study_key": "Unique study key.",
        "subject_id": "iMednet subject ID associated with the query (if applicable).",
        "subject_oid": "Client-assigned subject OID (if applicable).",
        "annotation_type": "Category/type of the query (e.g., subject, record, question).",
        "annotation_id": "ID of the query.",
        "type": "System text identifier for the query type/location (subject, record, question).",
        "description": "Description of the query (e.g., reason or context).",
        "record_id": "Record ID associated with the query (if applicable).",
        "variable": "Variable name (field) associated with the query (if applicable).",
        "subject_key": "Subject display ID associated with the query (if applicable).",
        "date_created": "When the query was created.",
        "date_modified": "When the query was last changed.",
        "query_comments": "History of comments/actions on the query.",
    },
    RecordRevision: {
        "study_key": "Unique study key.",
        "record_revision_id": "ID of the record revision.",
        "record_id": "ID of the related record.",
        "record_oid": "Client-assigned record OID (if any).",
        "record_revision": "Revision number of the record (version of the record status).",
        "data_revision": "Revision number of the data within the record.",
        "record_status": "Status of the record at this revision (user-defined status label).",
        "subject_id": "iMednet subject ID related to the record.",
        "subject_oid": "Client-assigned subject OID related to the record.",
        "subject_key": "Subject display ID related to the record.",
        "site_id": "Site ID related to the record.",
        "form_key": "Form key of the form that the record belongs to.",
        "interval_id": "Interval ID (visit definition) related to the record.",
        "role": "Role name of the user who saved the record revision.",
        "user": "Username of the user who saved the record revision.",
        "reason_for_change": "Reason for change, if provided (for audit trail).",
        "deleted": "Whether the record was deleted in this revision.",
        "date_created": "When the record revision was created.",
    },
    Record: {
        "study_key": "Unique study key.",
        "interval_id": "Interval ID (visit definition) that this record is associated with.",
        "form_id": "Form ID of the form this record instance belongs to.",
        "form_key": "Form key of the form for this record instance.",
        "site_id": "Site ID associated with the record.",
        "record_id": "Unique record ID.",
        "record_oid": "Client-assigned record OID.",
        "record_type": "Type of record (e.g., SUBJECT for subject-related forms).",
        "record_status": (
            "Current status of the record (e.g., Record Incomplete, Record Complete)."
        ),
        "deleted": "Whether the record is marked as deleted.",
        "date_created": "When the record was created.",
        "date_modified": "When the record was last changed.",
        "subject_id": "iMednet subject ID that this record is associated with.",
        "subject_oid": (
            "Client-assigned subject OID for the subject this record is associated with."
        ),
        "subject_key": "Subject display ID that this record is associated with.",
        "visit_id": "Visit instance ID that this record is associated with (if applicable).",
        "parent_record_id": (
            "Record ID of the parent record if this record is a subrecord (if applicable)."
        ),
        "keywords": "List of keywords associated with the record.",
        "record_data": (
            "The values of the record by variable, as JSON text; withheld variables are left out."
        ),
    },
}

_TYPES: Final[Mapping[FieldType, str]] = {
    TEXT: "string",
    NUMBER: "int64",
    BOOL: "bool",
    MOMENT: "timestamp[us, tz=UTC]",
    DAY: "date32[day]",
    OBJECT: "string",
}
_EXTRA: Final = "What the API sent beyond its description, as JSON text; withheld by default."


@dataclass(frozen=True)
class DescribedColumn:
    """A column of a table.

    Attributes:
        name: as in the table.
        type: as Arrow writes it.
        description: a sentence.
    """

    name: str
    type: str
    description: str


def described_columns(model: type[RegistryRow]) -> tuple[DescribedColumn, ...]:
    """Return the columns of a model's table, as they are in every study."""
    texts = DESCRIPTIONS[model]
    columns = [
        DescribedColumn(field.name, _type_text(field.kind), texts[field.name])
        for field in fields_of(model)
    ]
    return (*columns, DescribedColumn("extra", "string", _EXTRA))


def _type_text(kind: FieldType) -> str:
    if kind.row is None:
        return _TYPES[kind]
    members = ", ".join(f"{each.name}: {each.type}" for each in described_columns(kind.row))
    return f"list<item: struct<{members}>>"
