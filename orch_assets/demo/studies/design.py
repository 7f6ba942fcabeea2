"""A study's design: forms, variables, and the schedule of intervals."""

import random
from dataclasses import dataclass
from datetime import timedelta

from orch_assets.demo.studies.form_designs import FormDesign, Item, forms_of
from orch_assets.demo.studies.further_forms import further_forms
from orch_assets.demo.studies.plans import DATA_CUT, Row, StudyPlan, stamp


@dataclass(frozen=True)
class PlannedInterval:
    """One interval of the schedule: the definition of a visit.

    Attributes:
        name: The interval's name.
        day: The study day on which the visit is due; None for an unscheduled visit.
        slack: The days before and after the due date that the window allows.
        forms: The keys of its forms.
        disabled: Whether it is no longer used.
    """

    name: str
    day: int | None
    slack: int
    forms: tuple[str, ...]
    disabled: bool = False


SCHEDULE = (
    PlannedInterval("Screening", -14, 7, ("DM", "PE", "VS", "LB")),
    PlannedInterval("Day 1", 0, 0, ("RAND", "VS", "QOL", "EFF")),
    PlannedInterval("Week 2", 14, 2, ("VS", "QOL")),
    PlannedInterval("Week 4", 28, 3, ("VS", "LB", "QOL")),
    PlannedInterval("Week 6", 42, 3, ("VS1",), disabled=True),
    PlannedInterval("Week 8", 56, 5, ("VS", "QOL", "EFF")),
    PlannedInterval("Week 12", 84, 7, ("VS", "LB", "QOL", "EFF")),
    PlannedInterval("End of Study", 112, 7, ("DS", "PE", "VS")),
    PlannedInterval("Unscheduled", None, 0, ("VS",)),
)


@dataclass(frozen=True)
class Design:
    """A study's design: its forms, and the rows made from them and from the schedule.

    Attributes:
        forms: The forms by form key.
        form_ids: The forms' IDs by form key.
        interval_ids: The intervals' IDs by interval name.
        rows: The rows of the endpoints ``forms``, ``variables`` and ``intervals``.
    """

    forms: dict[str, FormDesign]
    form_ids: dict[str, int]
    interval_ids: dict[str, int]
    rows: dict[str, list[Row]]


def make_design(plan: StudyPlan) -> Design:
    """Create a study's design."""
    rng = plan.random("design")
    forms = {form.key: form for form in (*forms_of(plan.area), *further_forms(plan))}
    form_ids = {key: plan.first_id(3) + number for number, key in enumerate(forms)}
    interval_ids = {
        interval.name: plan.first_id(3) + number for number, interval in enumerate(SCHEDULE)
    }
    form_rows = [_form_row(plan, rng, form, form_ids[key]) for key, form in forms.items()]
    rows = {
        "forms": form_rows,
        "variables": _variable_rows(plan, rng, forms, form_rows),
        "intervals": [
            _interval_row(plan, rng, number, interval_ids[interval.name], form_rows)
            for number, interval in enumerate(SCHEDULE)
        ],
    }
    return Design(forms, form_ids, interval_ids, rows)


def _dates(plan: StudyPlan, rng: random.Random) -> dict[str, str]:
    created = plan.started + timedelta(days=rng.randint(1, 60), seconds=rng.randrange(86400))
    modified = created + timedelta(days=rng.choice((0, 0, 30, 200)), seconds=rng.randrange(3600))
    return {"dateCreated": stamp(created), "dateModified": stamp(min(modified, DATA_CUT))}


def _form_row(plan: StudyPlan, rng: random.Random, form: FormDesign, form_id: int) -> Row:
    return {
        "studyKey": plan.key,
        "formId": form_id,
        "formKey": form.key,
        "formName": form.name,
        "formType": form.kind,
        "revision": rng.randint(1, 9),
        "embeddedLog": form.children,
        "enforceOwnership": form.epro,
        "userAgreement": False,
        "subjectRecordReport": form.key == "DM",
        "unscheduledVisit": form.key == "VS",
        "otherForms": form.log,
        "eproForm": form.epro,
        "allowCopy": not form.epro,
        "disabled": form.disabled,
        **_dates(plan, rng),
    }


def _variable_rows(
    plan: StudyPlan, rng: random.Random, forms: dict[str, FormDesign], form_rows: list[Row]
) -> list[Row]:
    items = [
        (form_row, sequence, item)
        for form_row in form_rows
        for sequence, item in enumerate(forms[form_row["formKey"]].items, start=1)
    ]
    first = plan.first_id(4)
    return [
        _variable_row(plan, rng, form_row, sequence, item) | {"variableId": first + number}
        for number, (form_row, sequence, item) in enumerate(items)
    ]


def _variable_row(plan: StudyPlan, rng: random.Random, form: Row, sequence: int, item: Item) -> Row:
    row: Row = {
        "studyKey": plan.key,
        "variableId": 0,
        "variableType": item.type,
        "variableName": item.name,
        "sequence": sequence,
        "revision": rng.randint(1, form["revision"]),
        "disabled": item.disabled,
        **_dates(plan, rng),
        "formId": form["formId"],
        "variableOid": f"OID-{form['formKey']}-{sequence}",
        "deleted": item.deleted,
        "formKey": form["formKey"],
        "formName": form["formName"],
        "label": item.label,
    }
    if item.blinded != "absent":
        row["blinded"] = None if item.blinded == "null" else item.blinded
    return row


def _interval_row(
    plan: StudyPlan, rng: random.Random, number: int, interval_id: int, form_rows: list[Row]
) -> Row:
    interval = SCHEDULE[number]
    scheduled = interval.day is not None
    return {
        "studyKey": plan.key,
        "intervalId": interval_id,
        "intervalName": interval.name,
        "intervalDescription": interval.name
        + (f" (day {interval.day}, ± {interval.slack})" if scheduled else ""),
        "intervalSequence": 10 * (number + 1),
        "intervalGroupId": 10 if scheduled else 20,
        "intervalGroupName": "Schedule" if scheduled else "Other",
        "disabled": interval.disabled,
        **_dates(plan, rng),
        "timeline": "Start Date End Date" if scheduled else "None",
        "definedUsingInterval": "Day 1" if scheduled else "",
        "windowCalculationForm": "Randomisation" if scheduled else "",
        "windowCalculationDate": "RANDDT" if scheduled else "",
        "actualDateForm": "Vital Signs",
        "actualDate": "VSDAT",
        "dueDateWillBeIn": interval.day or 0,
        "negativeSlack": interval.slack,
        "positiveSlack": interval.slack,
        "eproGracePeriod": 2 if "QOL" in interval.forms else 0,
        "forms": [
            {key: form[key] for key in ("formId", "formKey", "formName")}
            for form in form_rows
            if form["formKey"] in interval.forms
        ],
    }
