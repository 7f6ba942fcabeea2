"""The rows that the iMednet API returns: one class per endpoint, with every field.

To add a column to a table, add one line here: its name, its type and its description. The name is
the API's in snake_case. The type is one of those in :data:`orch_assets.imednet.fields.FIELD_TYPES`
or a list of rows. The description is what the catalogue and the documentation show; it follows the
API description (``spec/mednet.yaml``).

A field that the API omits or sends as null is None. Keys that the API description does not name
are kept in ``extra``. No repr shows a value, because rows are clinical data.
"""

from datetime import date, datetime
from typing import Annotated, Any

import msgspec


class RegistryRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base class of all rows. Rows compare by value."""

    extra: Annotated[
        dict[str, Any],
        "What the API sent beyond its description, as JSON text; withheld by default.",
    ] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Study(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A study that the keys can see."""

    sponsor_key: Annotated[str | None, "Sponsor key that this study belongs to."] = None
    study_key: Annotated[str | None, "Unique study key."] = None
    study_id: Annotated[int | None, "iMednet study ID (internal numeric identifier)."] = None
    study_name: Annotated[str | None, "Name of the study."] = None
    study_description: Annotated[str | None, "Description of the study."] = None
    study_type: Annotated[str | None, "Type of study (e.g., STUDY)."] = None
    date_created: Annotated[datetime | None, "When the study was created."] = None
    date_modified: Annotated[datetime | None, "When the study was last changed."] = None


class Site(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A site that takes part in a study."""

    study_key: Annotated[str | None, "Unique study key."] = None
    site_id: Annotated[int | None, "Unique site ID."] = None
    site_name: Annotated[str | None, "Name of the site."] = None
    site_enrollment_status: Annotated[str | None, "Enrollment status of the site."] = None
    date_created: Annotated[datetime | None, "When the site was created."] = None
    date_modified: Annotated[datetime | None, "When the site was last changed."] = None


class Form(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A form (eCRF) of a study; ``disabled`` means soft-deleted."""

    study_key: Annotated[str | None, "Unique study key."] = None
    form_id: Annotated[int | None, "iMednet form ID."] = None
    form_key: Annotated[str | None, "User-defined form key."] = None
    form_name: Annotated[str | None, "Name of the form (eCRF)."] = None
    form_type: Annotated[str | None, "Type of the form (e.g., Subject or Site)."] = None
    revision: Annotated[int | None, "Number of revisions of the form metadata."] = None
    embedded_log: Annotated[bool | None, "Whether the form has an embedded log."] = None
    enforce_ownership: Annotated[bool | None, "Whether the form enforces record ownership."] = None
    user_agreement: Annotated[bool | None, "Whether the form requires a user agreement."] = None
    subject_record_report: Annotated[
        bool | None, "Whether the form is a subject record report."
    ] = None
    unscheduled_visit: Annotated[bool | None, "Whether unscheduled visits include the form."] = None
    other_forms: Annotated[bool | None, "Whether the form is in the category Other Forms."] = None
    epro_form: Annotated[
        bool | None, "Whether the form is an ePRO (electronic patient-reported outcome) form."
    ] = None
    allow_copy: Annotated[bool | None, "Whether the form allows copying of data."] = None
    disabled: Annotated[bool | None, "Whether the form is soft-deleted (disabled)."] = None
    date_created: Annotated[datetime | None, "When the form was created."] = None
    date_modified: Annotated[datetime | None, "When the form was last changed."] = None


class IntervalForm(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A form that is scheduled in an interval."""

    form_id: Annotated[int | None, "Form ID scheduled in the interval."] = None
    form_key: Annotated[str | None, "Form key scheduled in the interval."] = None
    form_name: Annotated[str | None, "Form name scheduled in the interval."] = None


class Interval(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """An interval: the definition of a visit. Slacks, due date and grace period are days."""

    study_key: Annotated[str | None, "Unique study key."] = None
    interval_id: Annotated[int | None, "ID of the interval (visit definition)."] = None
    interval_name: Annotated[str | None, "Name of the interval (visit) in the study."] = None
    interval_description: Annotated[str | None, "Description of the interval (visit)."] = None
    interval_sequence: Annotated[int | None, "Position of the interval in the schedule."] = None
    interval_group_id: Annotated[int | None, "ID of the interval group, if grouped."] = None
    interval_group_name: Annotated[str | None, "Name of the interval group."] = None
    timeline: Annotated[
        str | None,
        "Type of interval visit window (e.g., None, Due Date, Start - End Date, Actual Date).",
    ] = None
    defined_using_interval: Annotated[
        str | None, "Baseline interval used for calculating this interval's dates."
    ] = None
    window_calculation_form: Annotated[
        str | None, "Baseline form (name) from which the calculation date is taken."
    ] = None
    window_calculation_date: Annotated[
        str | None, "Baseline field (variable name) from which the calculation date is taken."
    ] = None
    actual_date_form: Annotated[str | None, "Form that holds the interval's actual date."] = None
    actual_date: Annotated[str | None, "Name of the variable that holds the actual date."] = None
    due_date_will_be_in: Annotated[int | None, "Days from calculation date to due date."] = None
    negative_slack: Annotated[int | None, "Days before the due date that are allowed."] = None
    positive_slack: Annotated[int | None, "Days after the due date that are allowed."] = None
    epro_grace_period: Annotated[int | None, "Days after the due date to complete ePRO."] = None
    forms: Annotated[list[IntervalForm] | None, "Forms scheduled in this interval."] = None
    disabled: Annotated[bool | None, "Whether the interval is soft-deleted (disabled)."] = None
    date_created: Annotated[datetime | None, "When the interval was created."] = None
    date_modified: Annotated[datetime | None, "When the interval was last changed."] = None


class Visit(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A subject's visit."""

    study_key: Annotated[str | None, "Unique study key."] = None
    visit_id: Annotated[int | None, "ID of the subject visit instance."] = None
    interval_id: Annotated[int | None, "ID of the interval definition for this visit."] = None
    interval_name: Annotated[str | None, "Name of the visit's interval."] = None
    subject_id: Annotated[int | None, "iMednet subject ID of the subject."] = None
    subject_key: Annotated[str | None, "Protocol-assigned subject identifier."] = None
    start_date: Annotated[date | None, "Start date of the visit window."] = None
    end_date: Annotated[date | None, "End date of the visit window."] = None
    due_date: Annotated[date | None, "Due date of the visit, if applicable."] = None
    visit_date: Annotated[date | None, "Actual date the visit took place."] = None
    visit_date_form: Annotated[str | None, "Name of the form with the actual visit date."] = None
    visit_date_question: Annotated[str | None, "Name of the variable with the visit date."] = None
    deleted: Annotated[bool | None, "Whether the visit instance is marked as deleted."] = None
    date_created: Annotated[datetime | None, "When the visit was created."] = None
    date_modified: Annotated[datetime | None, "When the visit was last changed."] = None


class Keyword(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A keyword on a subject or a record."""

    keyword_name: Annotated[str | None, "Name of the keyword."] = None
    keyword_key: Annotated[str | None, "Key of the keyword (short code)."] = None
    keyword_id: Annotated[int | None, "Internal keyword ID."] = None
    date_added: Annotated[datetime | None, "When this keyword was added."] = None


class Subject(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A subject of a study."""

    study_key: Annotated[str | None, "Unique study key."] = None
    subject_id: Annotated[int | None, "iMednet subject ID (internal numeric ID)."] = None
    subject_oid: Annotated[str | None, "Client-assigned subject object identifier (OID)."] = None
    subject_key: Annotated[str | None, "Protocol-assigned subject identifier (display ID)."] = None
    subject_status: Annotated[str | None, "Current status of the subject (e.g., Enrolled)."] = None
    site_id: Annotated[int | None, "iMednet site ID the subject is associated with."] = None
    site_name: Annotated[str | None, "Name of the site the subject is associated with."] = None
    deleted: Annotated[bool | None, "Whether the subject is marked as deleted."] = None
    enrollment_start_date: Annotated[datetime | None, "Subject's enrollment start date."] = None
    date_created: Annotated[datetime | None, "When the subject was created."] = None
    date_modified: Annotated[datetime | None, "When the subject was last changed."] = None
    keywords: Annotated[list[Keyword] | None, "Keywords of the subject."] = None


class Role(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A user's role; the API writes its dates as arrays of numbers down to the nanosecond."""

    date_created: Annotated[datetime | None, "When the role was assigned."] = None
    date_modified: Annotated[datetime | None, "When the assignment was last changed."] = None
    role_id: Annotated[str | None, "Unique role ID (UUID)."] = None
    community_id: Annotated[int | None, "Community ID or level associated with the role."] = None
    name: Annotated[str | None, "Name of the role."] = None
    description: Annotated[str | None, "Description of the role."] = None
    level: Annotated[int | None, "Role level or hierarchy."] = None
    type: Annotated[str | None, "Role type/category."] = None
    inactive: Annotated[bool | None, "Whether the role is inactive."] = None


class User(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A user of a study, with name and e-mail address."""

    user_id: Annotated[str | None, "Unique user ID (UUID)."] = None
    login: Annotated[str | None, "User login name."] = None
    first_name: Annotated[str | None, "User first name."] = None
    last_name: Annotated[str | None, "User last name."] = None
    email: Annotated[str | None, "User email address."] = None
    user_active_in_study: Annotated[bool | None, "Whether the user is active in this study."] = None
    roles: Annotated[list[Role] | None, "Roles that the user has in the study."] = None


class Variable(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A variable: one field of a form."""

    study_key: Annotated[str | None, "Unique study key."] = None
    variable_id: Annotated[int | None, "iMednet variable ID."] = None
    variable_type: Annotated[str | None, "Type of the variable, e.g., RADIO or TEXT."] = None
    variable_name: Annotated[str | None, "Name of the variable, as in record_data."] = None
    sequence: Annotated[int | None, "Sequence of the variable on the form."] = None
    revision: Annotated[int | None, "Number of revisions (via form metadata revisions)."] = None
    disabled: Annotated[bool | None, "Whether the variable is marked as disabled (deleted)."] = None
    date_created: Annotated[datetime | None, "When the variable was created."] = None
    date_modified: Annotated[datetime | None, "When the variable was last changed."] = None
    form_id: Annotated[int | None, "ID of the form that this variable belongs to."] = None
    variable_oid: Annotated[str | None, "Client-assigned variable OID."] = None
    deleted: Annotated[bool | None, "Whether the variable is marked as deleted."] = None
    form_key: Annotated[str | None, "Form key of the form that this variable belongs to."] = None
    form_name: Annotated[str | None, "Name of the form that this variable belongs to."] = None
    label: Annotated[str | None, "Label of the variable."] = None
    blinded: Annotated[
        bool | None, "Whether the variable is flagged as blinded (hidden in certain contexts)."
    ] = None


class Coding(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A value that was coded with a dictionary such as MedDRA."""

    study_key: Annotated[str | None, "Unique study key."] = None
    site_name: Annotated[str | None, "Name of the site associated with the coded data."] = None
    site_id: Annotated[int | None, "Site ID associated with the coded data."] = None
    subject_id: Annotated[int | None, "Subject ID associated with the coded data."] = None
    subject_key: Annotated[str | None, "Subject key (display ID) of the coded data."] = None
    form_id: Annotated[int | None, "Form ID where the coded data originates."] = None
    form_name: Annotated[str | None, "Name of the form where the coded data originates."] = None
    form_key: Annotated[str | None, "Form key where the coded data originates."] = None
    revision: Annotated[int | None, "Revision number of the coding entry."] = None
    record_id: Annotated[int | None, "Record ID associated with the coded data."] = None
    variable: Annotated[str | None, "Variable name (field) that was coded."] = None
    value: Annotated[str | None, "Original value entered that required coding."] = None
    coding_id: Annotated[int | None, "iMednet coding ID."] = None
    code: Annotated[str | None, "Standardized code assigned (e.g., dictionary term)."] = None
    coded_by: Annotated[str | None, "Name of the user who performed the coding."] = None
    reason: Annotated[str | None, "Reason for coding or any notes on changes."] = None
    dictionary_name: Annotated[str | None, "Name of the dictionary used (e.g., MedDRA)."] = None
    dictionary_version: Annotated[str | None, "Version of the dictionary used."] = None
    date_coded: Annotated[datetime | None, "When the coding was performed."] = None


class QueryComment(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """One step in a query's history."""

    sequence: Annotated[int | None, "Number of the comment/action in the query history."] = None
    annotation_status: Annotated[str | None, "Status after this comment (e.g., Closed)."] = None
    user: Annotated[str | None, "Username of the user who made the comment or action."] = None
    comment: Annotated[str | None, "Text of the comment."] = None
    closed: Annotated[bool | None, "Whether the query was marked closed at this step."] = None
    date: Annotated[datetime | None, "Date of the comment or action."] = None


class Query(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A data query on a subject, a record or a question."""

    study_key: Annotated[str | None, "Unique study key."] = None
    subject_id: Annotated[int | None, "iMednet subject ID of the query (if applicable)."] = None
    subject_oid: Annotated[str | None, "Client-assigned subject OID (if applicable)."] = None
    annotation_type: Annotated[str | None, "Category (e.g., subject, record, question)."] = None
    annotation_id: Annotated[int | None, "ID of the query."] = None
    type: Annotated[str | None, "System identifier of the type (subject, record, question)."] = None
    description: Annotated[str | None, "Description of the query (e.g., reason or context)."] = None
    record_id: Annotated[int | None, "Record ID of the query (if applicable)."] = None
    variable: Annotated[str | None, "Variable name of the query (if applicable)."] = None
    subject_key: Annotated[str | None, "Subject display ID of the query (if applicable)."] = None
    date_created: Annotated[datetime | None, "When the query was created."] = None
    date_modified: Annotated[datetime | None, "When the query was last changed."] = None
    query_comments: Annotated[list[QueryComment] | None, "Comments/actions on the query."] = None


class RecordRevision(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """One entry of a record's audit trail; it holds no old and no new values."""

    study_key: Annotated[str | None, "Unique study key."] = None
    record_revision_id: Annotated[int | None, "ID of the record revision."] = None
    record_id: Annotated[int | None, "ID of the related record."] = None
    record_oid: Annotated[str | None, "Client-assigned record OID (if any)."] = None
    record_revision: Annotated[int | None, "Revision number of the record (of its status)."] = None
    data_revision: Annotated[int | None, "Revision number of the data within the record."] = None
    record_status: Annotated[str | None, "Status at this revision (user-defined label)."] = None
    subject_id: Annotated[int | None, "iMednet subject ID of the record."] = None
    subject_oid: Annotated[str | None, "Client-assigned subject OID of the record."] = None
    subject_key: Annotated[str | None, "Subject display ID of the record."] = None
    site_id: Annotated[int | None, "Site ID of the record."] = None
    form_key: Annotated[str | None, "Form key of the form that the record belongs to."] = None
    interval_id: Annotated[int | None, "Interval ID (visit definition) of the record."] = None
    role: Annotated[str | None, "Role name of the user who saved the record revision."] = None
    user: Annotated[str | None, "Username of the user who saved the record revision."] = None
    reason_for_change: Annotated[str | None, "Reason for change, if given (audit trail)."] = None
    deleted: Annotated[bool | None, "Whether the record was deleted in this revision."] = None
    date_created: Annotated[datetime | None, "When the record revision was created."] = None


class Record(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A record: one form filled in. ``record_data`` is the API's own object, whole."""

    study_key: Annotated[str | None, "Unique study key."] = None
    interval_id: Annotated[int | None, "Interval ID (visit definition) of the record."] = None
    form_id: Annotated[int | None, "Form ID of the record."] = None
    form_key: Annotated[str | None, "Form key of the record."] = None
    site_id: Annotated[int | None, "Site ID of the record."] = None
    record_id: Annotated[int | None, "Unique record ID."] = None
    record_oid: Annotated[str | None, "Client-assigned record OID."] = None
    record_type: Annotated[str | None, "Type of record (e.g., SUBJECT for subject forms)."] = None
    record_status: Annotated[str | None, "Current record status (e.g., Record Complete)."] = None
    deleted: Annotated[bool | None, "Whether the record is marked as deleted."] = None
    date_created: Annotated[datetime | None, "When the record was created."] = None
    date_modified: Annotated[datetime | None, "When the record was last changed."] = None
    subject_id: Annotated[int | None, "iMednet subject ID of the record."] = None
    subject_oid: Annotated[str | None, "Client-assigned subject OID of the record."] = None
    subject_key: Annotated[str | None, "Subject display ID of the record."] = None
    visit_id: Annotated[int | None, "Visit instance ID of the record (if applicable)."] = None
    parent_record_id: Annotated[int | None, "Record ID of the parent (if a subrecord)."] = None
    keywords: Annotated[list[Keyword] | None, "Keywords of the record."] = None
    record_data: Annotated[
        dict[str, Any] | None,
        "Values of the record by variable, as JSON text; withheld variables are left out.",
    ] = None


class Job(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A batch job and its state."""

    job_id: Annotated[str | None, "Unique job ID."] = None
    batch_id: Annotated[str | None, "Batch ID associated with the job."] = None
    state: Annotated[str | None, "State of the job (e.g., completed, pending)."] = None
    date_created: Annotated[datetime | None, "When the job was created."] = None
    date_started: Annotated[datetime | None, "When the job started."] = None
    date_finished: Annotated[datetime | None, "When the job finished."] = None
