"""The forms of a study and their items, as a data manager would specify them."""

from dataclasses import dataclass
from typing import Literal

from orch_assets.demo.studies.vocabulary import (
    CARDIOLOGY,
    DERMATOLOGY,
    ENDOCRINOLOGY,
    NEUROLOGY,
    ONCOLOGY,
    RESPIRATORY,
    Area,
)

# Older variables have no flag ("absent") or a null. It is not known whether those are blinded.
Blinded = Literal[True, False, "null", "absent"]


@dataclass(frozen=True)
class Item:
    """One question of a form.

    Attributes:
        name: The variable's name, which is the key in ``recordData``.
        type: The variable's type, with the API's name.
        label: The question.
        blinded: The variable's flag.
        deleted: Whether the item was deleted from the form. Older records may still have answers.
        disabled: Whether the form's designer soft-deleted the item.
    """

    name: str
    type: str
    label: str
    blinded: Blinded = False
    deleted: bool = False
    disabled: bool = False


@dataclass(frozen=True)
class FormDesign:
    """One form (eCRF).

    Attributes:
        key: The form key.
        name: The title.
        items: The questions.
        log: Whether the form is filled in as often as needed, outside the schedule.
        children: Whether a parent record (the sampling) has child records (one per result).
        epro: Whether the subject fills in the form.
        kind: ``Subject`` or ``Site``.
        disabled: Whether the form is no longer used.
    """

    key: str
    name: str
    items: tuple[Item, ...]
    log: bool = False
    children: bool = False
    epro: bool = False
    kind: Literal["Subject", "Site"] = "Subject"
    disabled: bool = False


_EFFICACY: dict[Area, tuple[str, tuple[Item, ...]]] = {
    ONCOLOGY: (
        "Tumour Assessment (RECIST 1.1)",
        (
            Item("TLSUM", "NUMBER", "Sum of target lesions (mm)"),
            Item("OVRESP", "RADIO", "Overall response"),
        ),
    ),
    CARDIOLOGY: (
        "Echocardiogram",
        (
            Item("LVEF", "NUMBER", "Left ventricular ejection fraction (%)"),
            Item("NYHA", "RADIO", "NYHA class"),
        ),
    ),
    DERMATOLOGY: (
        "PASI and IGA",
        (
            Item("PASI", "NUMBER", "PASI total score"),
            Item("IGA", "RADIO", "Investigator's global assessment"),
        ),
    ),
    NEUROLOGY: (
        "Neurological Assessment",
        (
            Item("EDSS", "NUMBER", "Disability score"),
            Item("RELAPSE", "RADIO", "Relapse since last visit"),
        ),
    ),
    ENDOCRINOLOGY: (
        "Glycaemic Control",
        (
            Item("HBA1C", "NUMBER", "HbA1c (%)"),
            Item("HYPO", "RADIO", "Hypoglycaemia since last visit"),
        ),
    ),
    RESPIRATORY: (
        "Spirometry",
        (
            Item("FEV1", "NUMBER", "FEV1 (L)"),
            Item("EXACERB", "RADIO", "Exacerbation since last visit"),
        ),
    ),
}


def forms_of(area: Area) -> tuple[FormDesign, ...]:
    """Return the forms of a study: those of every study, and the efficacy form of its area."""
    name, items = _EFFICACY[area]
    efficacy = FormDesign(
        "EFF",
        name,
        (
            Item("EFFDAT", "DATE", "Date of assessment"),
            *items,
            Item("EFFASSR", "TEXT", "Assessor", blinded="absent"),
        ),
    )
    return (*_COMMON, efficacy)


_COMMON = (
    FormDesign(
        "DM",
        "Demographics",
        (
            Item("ICDAT", "DATE", "Date of informed consent"),
            Item("BRTHYR", "NUMBER", "Year of birth"),
            Item("AGE", "NUMBER", "Age at consent"),
            Item("SEX", "RADIO", "Sex"),
            Item("RACE", "CHECKBOX", "Race (all that apply)"),
            Item("COUNTRY", "DROPDOWN", "Country"),
            Item("CHILDPOT", "RADIO", "Of childbearing potential"),
            Item("ICFILE", "FILE", "Signed consent, redacted"),
            Item("INITIALS", "TEXT", "Initials", deleted=True),
        ),
    ),
    FormDesign(
        "PE",
        "Physical Examination",
        (
            Item("PEDAT", "DATE", "Date of examination"),
            Item("PENORM", "RADIO", "All body systems normal"),
            Item("PEDESC", "TEXTAREA", "Findings"),
            # Its name differs from the one above only in case; tables keep both.
            Item("PEDesc", "TEXT", "Findings, short (protocol version 1)", disabled=True),
        ),
    ),
    FormDesign(
        "VS",
        "Vital Signs",
        (
            Item("VSDAT", "DATE", "Date of assessment"),
            Item("SYSBP", "NUMBER", "Systolic blood pressure (mmHg)"),
            Item("DIABP", "NUMBER", "Diastolic blood pressure (mmHg)"),
            Item("PULSE", "NUMBER", "Pulse (beats/min)"),
            Item("TEMP", "NUMBER", "Temperature (°C)"),
            Item("WEIGHT", "NUMBER", "Weight (kg)"),
            Item("VSND", "CHECKBOX", "Not done"),
        ),
    ),
    FormDesign(
        "LB",
        "Laboratory Results",
        (
            Item("LBDAT", "DATE", "Date of sampling"),
            Item("LBNAM", "TEXT", "Laboratory"),
            Item("LBFAST", "RADIO", "Fasting"),
            Item("LBTESTCD", "DROPDOWN", "Test"),
            Item("LBORRES", "TEXT", "Result"),
            Item("LBORRESU", "TEXT", "Unit"),
            Item("LBORNRLO", "NUMBER", "Lower limit of normal"),
            Item("LBORNRHI", "NUMBER", "Upper limit of normal"),
            Item("LBCLSIG", "RADIO", "Clinically significant", blinded="null"),
        ),
        children=True,
    ),
    FormDesign(
        "RAND",
        "Randomisation",
        (
            Item("RANDDT", "DATE", "Date of randomisation"),
            Item("RANDNO", "TEXT", "Randomisation number"),
            Item("STRATUM", "DROPDOWN", "Stratum"),
            Item("ARM", "TEXT", "Treatment arm", blinded=True),
            Item("KITNO", "TEXT", "Kit number", blinded=True),
        ),
    ),
    FormDesign(
        "QOL",
        "Quality of Life Diary",
        (
            Item("QSDAT", "DATETIME", "Completed at"),
            Item("QSPAIN", "NUMBER", "Worst pain in the last 24 hours (0 to 10)"),
            Item("QSSLEEP", "NUMBER", "Quality of sleep (0 to 10)"),
            Item("QSTEXT", "TEXTAREA", "Anything else"),
        ),
        epro=True,
    ),
    FormDesign(
        "AE",
        "Adverse Events",
        (
            Item("AETERM", "TEXT", "Adverse event"),
            Item("AESTDAT", "DATE", "Start date"),
            Item("AEENDAT", "DATE", "End date"),
            Item("AEONGO", "CHECKBOX", "Ongoing"),
            Item("AESEV", "RADIO", "Severity"),
            Item("AESER", "RADIO", "Serious"),
            Item("AEREL", "RADIO", "Related to study treatment"),
            Item("AEACN", "DROPDOWN", "Action taken"),
            Item("AEOUT", "DROPDOWN", "Outcome"),
        ),
        log=True,
    ),
    FormDesign(
        "CM",
        "Concomitant Medication",
        (
            Item("CMTRT", "TEXT", "Medication"),
            Item("CMINDC", "TEXT", "Indication"),
            Item("CMDOSE", "NUMBER", "Dose"),
            Item("CMDOSU", "TEXT", "Unit"),
            Item("CMROUTE", "DROPDOWN", "Route"),
            Item("CMSTDAT", "DATE", "Start date"),
            Item("CMENDAT", "DATE", "End date"),
        ),
        log=True,
    ),
    FormDesign(
        "DS",
        "Disposition",
        (
            Item("DSDAT", "DATE", "Date of completion or discontinuation"),
            Item("DSTERM", "RADIO", "Status at the end of the study"),
            Item("DSREAS", "TEXT", "Reason for discontinuation"),
            Item("DSUNBL", "RADIO", "Emergency unblinding", blinded=True),
        ),
    ),
    FormDesign(
        "SIV",
        "Site Initiation",
        (Item("SIVDAT", "DATE", "Date of site initiation visit"),),
        kind="Site",
    ),
    FormDesign(
        "VS1",
        "Vital Signs (protocol version 1)",
        (Item("VSDAT", "DATE", "Date of assessment"), Item("BP", "TEXT", "Blood pressure")),
        disabled=True,
    ),
)
