"""What the registry's rows are: one class for each, every field of the API description in sight.

A field that the API left out, or sent as null, is None. Keys that the API description doesn't
name are kept in ``extra``. No repr shows a value: rows are clinical data.
"""

from datetime import date, datetime
from typing import Any

import msgspec


class RegistryRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every row; compares by value.

    Attributes:
        extra: what the API sent beyond its description, under its own names.
    """

    extra: dict[str, Any] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Study(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A study that the keys can see."""

    sponsor_key: str | None = None
    study_key: str | None = None
    study_id: int | None = None
    study_name: str | None = None
    study_description: str | None = None
    study_type: str | None = None
    date_created: datetime | None = None
    date_modified: datetime | None = None


class Site(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A site that takes part in a study."""

    study_key: str | None = None
    site_id: int | None = None
    site_name: str | None = None
    site_enrollment_status: str | None = None
    date_created: datetime | None = None
    date_modified: datetime | None = None


class Form(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A form (eCRF) of a study; ``disabled`` means soft-deleted."""

    study_key: str | None = None
    form_id: int | None = None
    form_key: str | None = None
    form_name: str | None = None
    form_type: str | None = None
    revision: int | None = None
    embedded_log: bool | None = None
    enforce_ownership: bool | None = None
    user_agreement: bool | None = None
    subject_record_report: bool | None = None
    unscheduled_visit: bool | None = None
    other_forms: bool | None = None
    epro_form: bool | None = None
    allow_copy: bool | None = None
    disabled: bool | None = None
    date_created: datetime | None = None
    date_modified: datetime | None = None


class IntervalForm(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A form that is scheduled in an interval."""

    form_id: int | None = None
    form_key: str | None = None
    form_name: str | None = None


class Interval(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """An interval: the definition of a visit. Slacks, due date and grace period are days."""

    study_key: str | None = None
    interval_id: int | None = None
    interval_name: str | None = None
    interval_description: str | None = None
    interval_sequence: int | None = None
    interval_group_id: int | None = None
    interval_group_name: str | None = None
    timeline: str | None = None
    defined_using_interval: str | None = None
    window_calculation_form: str | None = None
    window_calculation_date: str | None = None  # a variable's name, no date
    actual_date_form: str | None = None
    actual_date: str | None = None  # a variable's name, no date
    due_date_will_be_in: int | None = None
    negative_slack: int | None = None
    positive_slack: int | None = None
    epro_grace_period: int | None = None
    forms: list[IntervalForm] | None = None
    disabled: bool | None = None
    date_created: datetime | None = None
    date_modified: datetime | None = None


class Visit(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A subject's visit."""

    study_key: str | None = None
    visit_id: int | None = None
    interval_id: int | None = None
    interval_name: str | None = None
    subject_id: int | None = None
    subject_key: str | None = None
    start_date: date | None = None
    end_date: date | None = None
    due_date: date | None = None
    visit_date: date | None = None
    visit_date_form: str | None = None
    visit_date_question: str | None = None
    deleted: bool | None = None
    date_created: datetime | None = None
    date_modified: datetime | None = None


class Keyword(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A keyword on a subject or a record."""

    keyword_name: str | None = None
    keyword_key: str | None = None
    keyword_id: int | None = None
    date_added: datetime | None = None


class Subject(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A subject of a study."""

    study_key: str | None = None
    subject_id: int | None = None
    subject_oid: str | None = None
    subject_key: str | None = None
    subject_status: str | None = None
    site_id: int | None = None
    site_name: str | None = None
    deleted: bool | None = None
    enrollment_start_date: datetime | None = None
    date_created: datetime | None = None
    date_modified: datetime | None = None
    keywords: list[Keyword] | None = None


class Role(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A user's role; the API writes its dates as arrays of numbers down to the nanosecond."""

    date_created: datetime | None = None
    date_modified: datetime | None = None
    role_id: str | None = None
    community_id: int | None = None
    name: str | None = None
    description: str | None = None
    level: int | None = None
    type: str | None = None
    inactive: bool | None = None


class User(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A user of a study, with name and e-mail address."""

    user_id: str | None = None
    login: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    user_active_in_study: bool | None = None
    roles: list[Role] | None = None


class Variable(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A variable: one field of a form."""

    study_key: str | None = None
    variable_id: int | None = None
    variable_type: str | None = None
    variable_name: str | None = None
    sequence: int | None = None
    revision: int | None = None
    disabled: bool | None = None
    date_created: datetime | None = None
    date_modified: datetime | None = None
    form_id: int | None = None
    variable_oid: str | None = None
    deleted: bool | None = None
    form_key: str | None = None
    form_name: str | None = None
    label: str | None = None
    blinded: bool | None = None


class Coding(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A value that was coded with a dictionary such as MedDRA."""

    study_key: str | None = None
    site_name: str | None = None
    site_id: int | None = None
    subject_id: int | None = None
    subject_key: str | None = None
    form_id: int | None = None
    form_name: str | None = None
    form_key: str | None = None
    revision: int | None = None
    record_id: int | None = None
    variable: str | None = None
    value: str | None = None
    coding_id: int | None = None
    code: str | None = None
    coded_by: str | None = None
    reason: str | None = None
    dictionary_name: str | None = None
    dictionary_version: str | None = None
    date_coded: datetime | None = None


class QueryComment(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """One step in a query's history."""

    sequence: int | None = None
    annotation_status: str | None = None
    user: str | None = None
    comment: str | None = None
    closed: bool | None = None
    date: datetime | None = None


class Query(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A data query on a subject, a record or a question."""

    study_key: str | None = None
    subject_id: int | None = None
    subject_oid: str | None = None
    annotation_type: str | None = None
    annotation_id: int | None = None
    type: str | None = None
    description: str | None = None
    record_id: int | None = None
    variable: str | None = None
    subject_key: str | None = None
    date_created: datetime | None = None
    date_modified: datetime | None = None
    query_comments: list[QueryComment] | None = None


class RecordRevision(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """One entry of a record's audit trail; it holds no old and no new values."""

    study_key: str | None = None
    record_revision_id: int | None = None
    record_id: int | None = None
    record_oid: str | None = None
    record_revision: int | None = None
    data_revision: int | None = None
    record_status: str | None = None
    subject_id: int | None = None
    subject_oid: str | None = None
    subject_key: str | None = None
    site_id: int | None = None
    form_key: str | None = None
    interval_id: int | None = None
    role: str | None = None
    user: str | None = None
    reason_for_change: str | None = None
    deleted: bool | None = None
    date_created: datetime | None = None


class Record(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A record: one form filled in. ``record_data`` is the API's own object, whole."""

    study_key: str | None = None
    interval_id: int | None = None
    form_id: int | None = None
    form_key: str | None = None
    site_id: int | None = None
    record_id: int | None = None
    record_oid: str | None = None
    record_type: str | None = None
    record_status: str | None = None
    deleted: bool | None = None
    date_created: datetime | None = None
    date_modified: datetime | None = None
    subject_id: int | None = None
    subject_oid: str | None = None
    subject_key: str | None = None
    visit_id: int | None = None
    parent_record_id: int | None = None
    keywords: list[Keyword] | None = None
    record_data: dict[str, Any] | None = None


class Job(RegistryRow, frozen=True, kw_only=True, rename="camel"):
    """A batch job and how far it is."""

    job_id: str | None = None
    batch_id: str | None = None
    state: str | None = None
    date_created: datetime | None = None
    date_started: datetime | None = None
    date_finished: datetime | None = None
