"""What belongs to the records: revisions, codings, queries and jobs."""

import random
from datetime import datetime, timedelta

from orch_assets.demo.studies.plans import (
    DATA_CUT,
    Row,
    StudyPlan,
    chance,
    parsed_stamp,
    random_uuid,
    stamp,
)
from orch_assets.demo.studies.vocabulary import (
    ADVERSE_EVENTS,
    MEDICATIONS,
    REASONS_FOR_CHANGE,
)

_CODED_SHARE = 0.9
_QUERY_SHARE = 0.12
_CLOSED_SHARE = 0.65
DICTIONARIES = {
    "AETERM": ("MedDRA", "27.1", {term: code for term, _, code in ADVERSE_EVENTS}),
    "CMTRT": ("WHODrug", "2025 MAR 1", {name: code for name, _, code, *_ in MEDICATIONS}),
}
"""The dictionary of each coded variable: its name, its version, and the codes by term."""


def make_revisions(plan: StudyPlan, records: list[Row], users: list[Row]) -> list[Row]:
    """Create the audit trail: each record's revisions, from its creation to its final state."""
    rng = plan.random("revisions")
    staff = [user for user in users if user["roles"][0]["type"] == "SITE"]
    rows: list[Row] = []
    for record in records:
        created, modified = record["dateCreated"], record["dateModified"]
        moments = [created] if modified == created else [created, modified]
        if len(moments) > 1 and chance(rng, 0.3):
            between = parsed_stamp(created) + (parsed_stamp(modified) - parsed_stamp(created)) / 2
            moments.insert(1, stamp(between))
        for number, moment in enumerate(moments, start=1):
            last = number == len(moments)
            row = _revision(rng, record, number, moment, rng.choice(staff), last=last)
            row["recordRevisionId"] = plan.first_id(6) + len(rows)
            rows.append(row)
    return rows


def _revision(
    rng: random.Random, record: Row, number: int, moment: str, user: Row, *, last: bool
) -> Row:
    copied = (
        "studyKey",
        "recordId",
        "recordOid",
        "subjectId",
        "subjectOid",
        "subjectKey",
        "siteId",
    )
    row: Row = {
        **{key: record[key] for key in copied},
        "recordRevisionId": 0,
        "recordRevision": number,
        "dataRevision": number,
        "recordStatus": record["recordStatus"] if last else "Record Incomplete",
        "formKey": record["formKey"],
        "role": user["roles"][0]["name"],
        "user": user["login"],
        "reasonForChange": "" if number == 1 else rng.choice(REASONS_FOR_CHANGE),
        "deleted": record["deleted"] if last else False,
        "dateCreated": moment,
    }
    if "intervalId" in record:
        row["intervalId"] = record["intervalId"]
    return row


def make_codings(
    plan: StudyPlan, records: list[Row], forms: list[Row], subjects: list[Row], users: list[Row]
) -> list[Row]:
    """Create the codings of most terms; the other terms are not coded yet."""
    rng = plan.random("codings")
    form_names = {form["formKey"]: form["formName"] for form in forms}
    site_names = {subject["siteId"]: subject["siteName"] for subject in subjects}
    coder = next(user for user in users if user["roles"][0]["name"] == "Medical Coder")
    rows: list[Row] = []
    for record in records:
        for variable, (dictionary, version, codes) in DICTIONARIES.items():
            value = record["recordData"].get(variable)
            if not value or not chance(rng, _CODED_SHARE):
                continue
            revision = rng.choices((1, 2), (9, 1))[0]
            coded = parsed_stamp(record["dateModified"]) + timedelta(hours=rng.randint(1, 200))
            rows.append(
                {
                    "studyKey": plan.key,
                    "siteName": site_names[record["siteId"]],
                    "siteId": record["siteId"],
                    "subjectId": record["subjectId"],
                    "subjectKey": record["subjectKey"],
                    "formId": record["formId"],
                    "formName": form_names[record["formKey"]],
                    "formKey": record["formKey"],
                    "revision": revision,
                    "recordId": record["recordId"],
                    "variable": variable,
                    "value": value,
                    "codingId": plan.first_id(6) + len(rows),
                    "code": codes[value],
                    "codedBy": f"{coder['firstName']} {coder['lastName']}",
                    "reason": "" if revision == 1 else "Typo fix",
                    "dictionaryName": dictionary,
                    "dictionaryVersion": version,
                    "dateCoded": stamp(min(coded, DATA_CUT)),
                }
            )
    return rows


def make_queries(
    plan: StudyPlan,
    records: list[Row],
    subjects: list[Row],
    variables: list[Row],
    users: list[Row],
) -> list[Row]:
    """Create queries on answers, and a few on subjects."""
    rng = plan.random("queries")
    defined = {(row["formKey"], row["variableName"]) for row in variables}
    rows: list[Row] = []
    for record in records:
        if not chance(rng, _QUERY_SHARE):
            continue
        names = [name for name in record["recordData"] if (record["formKey"], name) in defined]
        question = {"recordId": record["recordId"], "variable": rng.choice(names)}
        opened = parsed_stamp(record["dateModified"])
        rows.append(_query(rng, "question", record, users, opened) | question)
    for subject in subjects:
        if chance(rng, 0.05):
            opened = parsed_stamp(subject["dateModified"])
            rows.append(_query(rng, "subject", subject, users, opened))
    first = plan.first_id(5)
    return [row | {"annotationId": first + number} for number, row in enumerate(rows)]


def _query(
    rng: random.Random,
    kind: str,
    target: Row,
    users: list[Row],
    opened: datetime,
) -> Row:
    opened = min(opened + timedelta(hours=rng.randint(1, 400)), DATA_CUT)
    comments = _comments(rng, users, opened)
    return {
        "studyKey": target["studyKey"],
        "subjectId": target["subjectId"],
        "subjectOid": target["subjectOid"],
        "annotationType": kind,
        "annotationId": 0,
        "type": kind if chance(rng, 0.8) else None,
        "description": rng.choice(("Monitor Query", "Edit Check", "Data Manager Query")),
        "subjectKey": target["subjectKey"],
        "dateCreated": stamp(opened),
        "dateModified": comments[-1]["date"],
        "queryComments": comments,
    }


def _comments(rng: random.Random, users: list[Row], opened: datetime) -> list[Row]:
    """Create a query's history: opened, then perhaps answered, then perhaps closed."""
    steps = [("Query Open", "Please check / bitte prüfen.")]
    if chance(rng, _CLOSED_SHARE):
        steps += [("Query Responded", "Corrected."), ("Query Closed", "")]
    elif chance(rng, 0.4):
        steps.append(("Query Responded", "Confirmed as entered."))
    rows, moment = [], opened
    for sequence, (status, text) in enumerate(steps, start=1):
        rows.append(
            {
                "sequence": sequence,
                "annotationStatus": status,
                "user": rng.choice(users)["login"],
                "comment": text,
                "closed": status == "Query Closed",
                "date": stamp(moment),
            }
        )
        moment = min(moment + timedelta(hours=rng.randint(2, 500)), DATA_CUT)
    return rows


def make_jobs(plan: StudyPlan) -> list[Row]:
    """Create a study's batch jobs: one completed, one failed, and one that has not started."""
    rng = plan.random("jobs")
    rows = []
    for state in ("completed", "failed", "created"):
        created = plan.started + timedelta(days=rng.randint(30, 300))
        row = {
            "jobId": random_uuid(rng),
            "batchId": random_uuid(rng),
            "state": state,
            "dateCreated": stamp(created),
        }
        if state != "created":
            row["dateStarted"] = stamp(created + timedelta(seconds=6))
            row["dateFinished"] = stamp(created + timedelta(seconds=9))
        rows.append(row)
    return rows
