"""The forms of a study, and which of them a variable or a record belongs to.

A form has an ID and a key, and variables and records refer to it by both; either may be missing.
The forms are the rows of the table ``forms``, and those that only variables or records refer to.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from orch_assets.imednet.form_tables.column_names import Names

if TYPE_CHECKING:
    import pyarrow as pa

_VARIABLE_COLUMNS: Final = (
    "variable_id",
    "variable_name",
    "variable_type",
    "label",
    "sequence",
    "form_id",
    "form_key",
    "form_name",
    "deleted",
    "disabled",
)


@dataclass(frozen=True, eq=False)
class StudyForm:
    """A form and its variables, as rows of the table ``variables``; compared by identity."""

    form_id: int | None
    form_key: str | None
    form_name: str | None = None
    variables: list[dict[str, Any]] = field(default_factory=list)

    def agrees(self, form_id: int | None, form_key: str | None) -> bool:
        """Whether ID or key is the same, and neither of them differs; None agrees with any."""
        pairs = ((self.form_id, form_id), (self.form_key, form_key))
        matches = [own == other for own, other in pairs if None not in (own, other)]
        return bool(matches) and all(matches)


class StudyForms:
    """The forms of a study by ID, then those that only variables or records refer to.

    Args:
        forms: The study's table ``forms``.
        variables: The study's table ``variables``.
    """

    def __init__(self, forms: "pa.Table", variables: "pa.Table") -> None:
        self._forms: dict[tuple[int | None, str | None], StudyForm] = {}
        self._of_records: dict[tuple[int | None, str | None], StudyForm] = {}
        rows = forms.select(["form_id", "form_key", "form_name"]).to_pylist()
        for row in sorted(rows, key=lambda row: _nulls_last(row["form_id"])):
            self._add(row["form_id"], row["form_key"], row["form_name"])
        for row in variables.select(list(_VARIABLE_COLUMNS)).to_pylist():
            # Without a form, or a name, no value in a record can be matched to the variable.
            if row["variable_name"] and (row["form_id"] is not None or row["form_key"]):
                form = self.find(row["form_id"], row["form_key"], row["form_name"])
                form.variables.append(row)
        self._of_dictionary = dict(self._forms)

    def __iter__(self) -> Iterator[StudyForm]:
        return iter(self._forms.values())

    def without_records(self) -> "StudyForms":
        """Return the same forms, without those that only records refer to."""
        study = copy(self)
        vars(study).update(_forms=dict(self._of_dictionary), _of_records={})
        return study

    def by_table_name(self) -> dict[str, StudyForm]:
        """Return the forms known so far by the names of their tables."""
        names = Names()
        return {names.give(_table_name(form)): form for form in self}

    def find(
        self, form_id: int | None, form_key: str | None, form_name: str | None = None
    ) -> StudyForm:
        """Return the form with this ID and key; a new one where there is none.

        Where a form has both, both must agree; an ID or key alone must fit exactly one form.
        """
        form = self._forms.get((form_id, form_key or None))
        if form is None:
            matches = [form for form in self if form.agrees(form_id, form_key or None)]
            form = matches[0] if len(matches) == 1 else None
        return form or self._add(form_id, form_key, form_name)

    def of_records(self, form_id: int | None, form_key: str | None) -> StudyForm:
        """Return the form of the records with this ID and key; the same one each time."""
        if (form_id, form_key) not in self._of_records:
            self._of_records[form_id, form_key] = self.find(form_id, form_key)
        return self._of_records[form_id, form_key]

    def _add(self, form_id: int | None, form_key: str | None, form_name: str | None) -> StudyForm:
        form = StudyForm(form_id, form_key or None, form_name)
        return self._forms.setdefault((form_id, form.form_key), form)


def _table_name(form: StudyForm) -> str:
    return form.form_key or ("no_form" if form.form_id is None else f"form_{form.form_id}")


def _nulls_last(value: int | None) -> tuple[bool, int]:
    return (value is None, value or 0)
