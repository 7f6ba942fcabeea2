"""The answers on the forms: one function per form, which makes ``recordData`` for a subject.

The values are as untidy as real ones: empty text and other text in numeric items, numbers in text
items, partial dates, nulls, lists, objects and text in many languages.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orch_assets.demo.studies.form_designs import FormDesign
from orch_assets.demo.studies.plans import chance
from orch_assets.demo.studies.vocabulary import ADVERSE_EVENTS, LABS, MEDICATIONS, Lab

Answers = dict[str, Any]


@dataclass(frozen=True)
class Patient:
    """The facts about a subject on which all its answers agree.

    Attributes:
        country: The country of the site.
        born: The year of birth.
        sex: ``F`` or ``M``.
        weight: The weight in kg.
        arm: The treatment arm; blinded.
        number: The randomisation number, with leading zeros.
        fate: The subject's final status.
    """

    country: str
    born: int
    sex: str
    weight: float
    arm: str
    number: str
    fate: str


def make_patient(rng: random.Random, country: str, number: int, fate: str) -> Patient:
    """Create the facts about a subject on which all its answers agree."""
    return Patient(
        country=country,
        born=rng.randint(1940, 2003),
        sex=rng.choice("FM"),
        weight=round(rng.gauss(76, 13), 1),
        arm=rng.choice(("Active", "Placebo")),
        number=f"{number:04d}",
        fate=fate,
    )


def _number(rng: random.Random, value: float) -> Any:
    """Return the number, or occasionally text with the number, empty text or None."""
    return rng.choices((value, "", str(value), None), (95, 2, 2, 1))[0]


def _date(when: datetime) -> str:
    return f"{when:%Y-%m-%d}"


def _partial_date(rng: random.Random, when: datetime) -> str:
    """Return a date as subjects remember it: sometimes only its year or month, or unknown."""
    return rng.choices((_date(when), f"{when:%Y-%m}", f"{when:%Y}", "UNK"), (85, 9, 4, 2))[0]


def _demographics(rng: random.Random, patient: Patient, when: datetime) -> Answers:
    answers: Answers = {
        "ICDAT": _date(when),
        "BRTHYR": patient.born,
        "AGE": _number(rng, when.year - patient.born),
        "SEX": patient.sex,
        "RACE": rng.choice((["White"], ["Asian"], ["Black", "White"], [])),
        "COUNTRY": patient.country,
        "CHILDPOT": rng.choice(("Yes", "No")) if patient.sex == "F" else None,
        "ICFILE": {"fileName": f"ic_{patient.number}.pdf", "fileSize": rng.randint(9000, 99999)},
    }
    if chance(rng, 0.3):  # entered before the item was deleted
        answers["INITIALS"] = "".join(rng.choices("ABCDEFGHIJKLMNOP", k=2))
    return answers


def _physical_examination(rng: random.Random, _patient: Patient, when: datetime) -> Answers:
    normal = chance(rng, 0.7)
    finding = rng.choice(("Ödem an beiden Knöcheln", 'Mild erythema, "patchy"', "浮腫", 2))
    return {
        "PEDAT": _date(when),
        "PENORM": "Yes" if normal else "No",
        "PEDESC": "" if normal else finding,
        "PEDesc": None if normal else "see above",
    }


def _vital_signs(rng: random.Random, patient: Patient, when: datetime) -> Answers:
    return {
        "VSDAT": _date(when),
        "SYSBP": _number(rng, round(rng.gauss(128, 15))),
        "DIABP": _number(rng, round(rng.gauss(79, 9))),
        "PULSE": _number(rng, round(rng.gauss(72, 10))),
        "TEMP": _number(rng, round(rng.gauss(36.7, 0.4), 1)),
        "WEIGHT": _number(rng, round(patient.weight + rng.gauss(0, 1), 1)),
        "VSND": False,
    }


def _lab_sample(rng: random.Random, _patient: Patient, when: datetime) -> Answers:
    return {
        "LBDAT": _date(when),
        "LBNAM": rng.choice(("Zentrallabor München", "Central Lab Inc.", "LOCAL")),
        "LBFAST": rng.choice(("Yes", "No", "")),
    }


def lab_results(rng: random.Random) -> list[Answers]:
    """Return the results of one sample, each for one child record."""
    return [_lab_result(rng, lab) for lab in rng.sample(LABS, 3)]


def _lab_result(rng: random.Random, lab: Lab) -> Answers:
    spread = (lab.high - lab.low) / 3
    value = round(abs(rng.gauss((lab.low + lab.high) / 2, spread)), 1)
    out = not lab.low <= value <= lab.high
    return {
        "LBTESTCD": lab.code,
        "LBORRES": rng.choices((str(value), value, f"<{lab.low}", ""), (90, 5, 3, 2))[0],
        "LBORRESU": lab.unit,
        "LBORNRLO": lab.low,
        "LBORNRHI": lab.high,
        "LBCLSIG": rng.choice(("Yes", "No")) if out else "",
    }


def _randomisation(rng: random.Random, patient: Patient, when: datetime) -> Answers:
    return {
        "RANDDT": _date(when),
        "RANDNO": patient.number,
        "STRATUM": rng.choice(("<65 years", "≥65 years")),
        "ARM": patient.arm,
        "KITNO": f"{rng.randrange(100000):06d}",
    }


def _quality_of_life(rng: random.Random, _patient: Patient, when: datetime) -> Answers:
    return {
        "QSDAT": f"{when:%Y-%m-%dT%H:%M:%SZ}",
        "QSPAIN": _number(rng, rng.randint(0, 10)),
        "QSSLEEP": _number(rng, rng.randint(0, 10)),
        "QSTEXT": rng.choice(("", "", "", None, "Schlecht geschlafen 😴", "fine,\nthanks")),
    }


def _adverse_event(rng: random.Random, _patient: Patient, when: datetime) -> Answers:
    ongoing = chance(rng, 0.3)
    end = when + timedelta(days=rng.randint(1, 20))
    return {
        "AETERM": rng.choice(ADVERSE_EVENTS)[0],
        "AESTDAT": _partial_date(rng, when),
        "AEENDAT": "" if ongoing else _date(end),
        "AEONGO": ongoing,
        "AESEV": rng.choices(("Mild", "Moderate", "Severe"), (6, 3, 1))[0],
        "AESER": rng.choices(("No", "Yes", ""), (85, 10, 5))[0],
        "AEREL": rng.choice(("Related", "Not related")),
        "AEACN": rng.choice(("None", "Dose reduced", "Drug interrupted", "Drug withdrawn")),
        "AEOUT": "Not recovered" if ongoing else "Recovered",
    }


def _medication(rng: random.Random, _patient: Patient, when: datetime) -> Answers:
    treatment, _, _, indication, dose, unit, route = rng.choice(MEDICATIONS)
    return {
        "CMTRT": treatment,
        "CMINDC": indication,
        "CMDOSE": _number(rng, dose),
        "CMDOSU": unit,
        "CMROUTE": route,
        "CMSTDAT": _partial_date(rng, when),
        "CMENDAT": rng.choice(("", _date(when + timedelta(days=5)))),
    }


def _disposition(rng: random.Random, patient: Patient, when: datetime) -> Answers:
    completed = patient.fate == "Completed"
    return {
        "DSDAT": _date(when),
        "DSTERM": "Completed" if completed else "Discontinued",
        "DSREAS": "" if completed else rng.choice(("Withdrawal by subject", "Adverse event")),
        "DSUNBL": "No",
    }


_WRITERS: dict[str, Callable[[random.Random, Patient, datetime], Answers]] = {
    "DM": _demographics,
    "PE": _physical_examination,
    "VS": _vital_signs,
    "LB": _lab_sample,
    "RAND": _randomisation,
    "QOL": _quality_of_life,
    "AE": _adverse_event,
    "CM": _medication,
    "DS": _disposition,
}

_CHOICES = {
    "OVRESP": ("CR", "PR", "SD", "PD", "NE"),
    "NYHA": ("I", "II", "III", "IV"),
    "IGA": ("0", "1", "2", "3", "4"),
}

_MEANS = {"TLSUM": 60, "LVEF": 42, "PASI": 12, "EDSS": 3, "HBA1C": 7.6, "FEV1": 2.1}


def answers(form: FormDesign, rng: random.Random, patient: Patient, when: datetime) -> Answers:
    """Return the answers of one record of a form, without the keys that the system adds."""
    if form.key in _WRITERS:
        return _WRITERS[form.key](rng, patient, when)
    return _efficacy(form, rng, when)


def _efficacy(form: FormDesign, rng: random.Random, when: datetime) -> Answers:
    date, measure, outcome, assessor = (item.name for item in form.items)
    mean = _MEANS[measure]
    return {
        date: _date(when),
        measure: _number(rng, round(abs(rng.gauss(mean, mean / 5)), 2)),
        outcome: rng.choice(_CHOICES.get(outcome, ("Yes", "No"))),
        assessor: rng.choice(("Dr. Weiß", "Dr. Ōta", "N. N.")),
    }
