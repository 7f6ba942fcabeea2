"""Additional forms, for studies with many of them: all types of variables, and untidy names."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from orch_assets.demo.studies.form_designs import Blinded, FormDesign, Item, forms_of
from orch_assets.demo.studies.plans import StudyPlan, chance

Answers = dict[str, Any]
Write = Callable[[random.Random, datetime], Any]

# Names as people choose them: equal except for case, not ASCII, long, or equal to our own columns.
_NAMES = (
    "q{number}",
    "Q{number}",
    "{number}. Größe (cm)",
    "体重 {number}",
    "How would you rate your general state of health today? ({number})",
    "How would you rate your general state of health yesterday? ({number})",
    "record_id",
    "RECORD_DATA_EXTRA",
    "{form}_{number}_RAW",
)
_KEYS = ("X{number:03d}", "x{previous:03d}", "Form {number}", "{number}-Übersicht", "Y{number}")
_BLINDED: tuple[Blinded, ...] = (*[False] * 17, True, "null", "absent")


def further_forms(plan: StudyPlan) -> tuple[FormDesign, ...]:
    """Return the forms to add to a study's own, to reach the planned numbers.

    Raises:
        ValueError: The planned numbers of forms and variables are impossible.
    """
    if not plan.forms:
        return ()
    own = forms_of(plan.area)
    count = plan.forms - len(own)
    variables = plan.variables - sum(len(form.items) for form in own)
    if not 0 < count <= variables:
        raise ValueError(f"A study can't have {plan.forms} forms and {plan.variables} variables.")
    rng = plan.random("further forms")
    sizes = [variables // count + (number < variables % count) for number in range(count)]
    return tuple(_form(rng, number, size) for number, size in enumerate(sizes, start=1))


def _form(rng: random.Random, number: int, size: int) -> FormDesign:
    key = _KEYS[number % len(_KEYS)].format(number=number, previous=number - 1)
    items: dict[str, Item] = {}
    for position in range(1, size + 1):
        item = _item(rng, key, position)
        if item.name in items:
            item = replace(item, name=f"{key}_{position}")
        items[item.name] = item
    return FormDesign(
        key,
        f"Further form {number}",
        tuple(items.values()),
        log=number % 3 == 0,
        children=number % 7 == 0,
        disabled=number % 20 == 0,
    )


def _item(rng: random.Random, form_key: str, position: int) -> Item:
    untidy = rng.choice(_NAMES).format(form=form_key, number=position // 2)
    return Item(
        untidy if chance(rng, 0.3) else f"{form_key}_{position}",
        rng.choice(tuple(_WRITERS)),
        f"Question {position}",
        blinded=rng.choice(_BLINDED),
        deleted=chance(rng, 0.03),
        disabled=chance(rng, 0.03),
    )


def further_answers(form: FormDesign, rng: random.Random, when: datetime) -> Iterator[Answers]:
    """Yield the answers of each record of a subject. With children, the first is the parent."""
    if form.disabled:
        return
    minimum = 0 if form.log else 1
    for _ in range(rng.randint(minimum, 3) if form.log or form.children else 1):
        first, *others = form.items
        answered = [first, *(item for item in others if not chance(rng, 0.1))]
        yield {item.name: _answer(rng, item, when) for item in answered}


def _answer(rng: random.Random, item: Item, when: datetime) -> Any:
    kind = rng.choices(("own", "empty", "null", "other"), (88, 6, 3, 3))[0]
    if kind == "own":
        return _WRITERS[item.type](rng, when)
    if kind == "other":
        return _WRITERS[rng.choice(tuple(_WRITERS))](rng, when)
    return "" if kind == "empty" else None


def _number(rng: random.Random, _when: datetime) -> Any:
    value = rng.choice((rng.randint(-5, 300), round(rng.uniform(0, 99), rng.randint(1, 4))))
    return rng.choice((value, value, value, str(value), f"{value}0", f"<{value}"))


def _integer(rng: random.Random, _when: datetime) -> Any:
    value = rng.randint(-9, 10**12)
    return rng.choice((value, value, value, str(value), float(value), value + 0.5, 2**70))


def _date(rng: random.Random, when: datetime) -> str:
    formats = ("%Y-%m-%d",) * 6 + ("%Y-%m", "%Y", "%d-%b-%Y", "%Y-%m-%dT00:00:00", "%m/%d/%Y")
    return when.strftime(rng.choice(formats))


def _date_time(rng: random.Random, when: datetime) -> str:
    formats = ("%Y-%m-%d %H:%M:%S",) * 4 + ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
    return (when + timedelta(seconds=rng.randrange(86400))).strftime(rng.choice(formats))


def _choices(rng: random.Random, _when: datetime) -> Any:
    return rng.choice((True, False, ["White"], ["Black", "White"], [], "1", "A|B"))


def _text(rng: random.Random, _when: datetime) -> Any:
    return rng.choice(("fine,\nthanks", 'said "no"', "浮腫", " 7 ", "null", "Ödem", 2, 0.5))


def _choice(rng: random.Random, _when: datetime) -> str:
    return rng.choice(("Yes", "No", "Unknown"))


def _file(rng: random.Random, _when: datetime) -> Any:
    return {"fileName": f"scan_{rng.randint(1, 99)}.pdf", "fileSize": rng.randint(9000, 99999)}


_WRITERS: dict[str, Write] = {
    "NUMBER": _number,
    "INTEGER": _integer,
    "DECIMAL": _number,
    "DATE": _date,
    "DATETIME": _date_time,
    "TEXT": _text,
    "TEXTAREA": _text,
    "RADIO": _choice,
    "DROPDOWN": _choice,
    "CHECKBOX": _choices,
    "FILE": _file,
    "SLIDER": _number,
}
