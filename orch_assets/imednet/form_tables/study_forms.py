"""Which forms a study has, and which of them a variable or a record belongs to.

A form has an ID and a key, and so has every variable and record; any of the two may be missing.
The forms are those of the table ``forms``, and what variables and records name beyond it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

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
    """A form and its variables, as rows of the table ``variables``; equal to itself alone."""

    form_id: int | None
    form_key: str | None
    form_name: str | None = None
    variables: list[dict[str, Any]] = field(default_factory=list)

    def agrees(self, form_id: int | None, form_key: str | None) -> bool:
        """Whether ID or key is the same here, and none of them differs."""
        halves = ((self.form_id, form_id), (self.form_key, form_key))
        given = [own == other for own, other in halves if None not in (own, other)]
        return bool(given) and all(given)


class StudyForms:
    """The forms of a study, by their ID, then those that only variables or records name.

    Args:
        forms: the study's table ``forms``.
        variables: the study's table ``variables``.
    """

    def __init__(self, forms: "pa.Table", variables: "pa.Table") -> None:
        self._forms: dict[tuple[int | None, str | None], StudyForm] = {}
        rows = forms.select(["form_id", "form_key", "form_name"]).to_pylist()
        for row in sorted(rows, key=lambda row: _nulls_last(row["form_id"])):
            self._add(row["form_id"], row["form_key"], row["form_name"])
        for row in variables.select(list(_VARIABLE_COLUMNS)).to_pylist():
            # A variable without a form, or a name, has its values in no record that could be told.
            if row["variable_name"] and (row["form_id"] is not None or row["form_key"]):
                named = row["form_id"], row["form_key"], row["form_name"]
                self.find(*named).variables.append(row)

    def __iter__(self) -> Iterator[StudyForm]:
        return iter(self._forms.values())

    def find(
        self, form_id: int | None, form_key: str | None, form_name: str | None = None
    ) -> StudyForm:
        """Return the form that is meant, a new one if there is none.

        Where both have them, ID as well as key must agree; a half alone must name one form only.
        """
        found = self._forms.get((form_id, form_key or None))
        if found is None:
            alike = [form for form in self if form.agrees(form_id, form_key or None)]
            found = alike[0] if len(alike) == 1 else None
        return found or self._add(form_id, form_key, form_name)

    def _add(self, form_id: int | None, form_key: str | None, form_name: str | None) -> StudyForm:
        form = StudyForm(form_id, form_key or None, form_name)
        return self._forms.setdefault((form_id, form.form_key), form)


def _nulls_last(value: int | None) -> tuple[bool, int]:
    return (value is None, value or 0)
