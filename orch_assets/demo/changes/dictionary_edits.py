"""Changes to a study's design: forms, and the variables of its data dictionary.

What the API's documents leave open is assumed here:

- A change moves the date and the revision of its own row only. A variable's change leaves its form
  as it is, and no record gets a new date.
- Answers stay in the records when their variable is deleted, removed, retyped or blinded.
"""

from typing import Any

from orch_assets.demo.changes.table_edits import FieldEdits, FlaggedEdits
from orch_assets.demo.row_tables import Row


class VariableEdits(FlaggedEdits):
    """Changes to ``variables``.

    ``change`` retypes, relabels, blinds and unblinds: ``change(variable_id, blinded=True)``,
    ``change(variable_id, variableType="NUMBER", label="Dose (mg)")``.
    """

    name = "variables"

    def add(
        self,
        form_key: str,
        variable_name: str,
        *,
        variable_type: str = "TEXT",
        label: str = "",
        blinded: bool | None = False,
    ) -> Row:
        """Add a variable at the end of a form. Return it.

        Raises:
            KeyError: There is no such form.
            ValueError: The form has a variable of this name.
        """
        form = self._draft.form(form_key)
        others = self._check_new(form_key, variable_name)
        sequence = max((row["sequence"] for row in others), default=0) + 1
        return self._new(
            variableType=variable_type,
            variableName=variable_name,
            sequence=sequence,
            revision=1,
            disabled=False,
            formId=form["formId"],
            variableOid=f"OID-{form_key}-{sequence}",
            deleted=False,
            formKey=form_key,
            formName=form["formName"],
            label=label,
            blinded=blinded,
        )

    def rename(self, variable_id: int, variable_name: str, *, with_answers: bool = False) -> Row:
        """Rename a variable. Return it.

        Args:
            variable_id: The variable.
            variable_name: Its new name.
            with_answers: Whether the records' answers follow, without a new date of the records.
                The API does not document it. Otherwise they stay under the former name.

        Raises:
            KeyError: There is no such variable.
            ValueError: The form has a variable of this name.
        """
        old = self._row(variable_id)
        self._check_new(old["formKey"], variable_name)
        if with_answers:
            for record in self._draft.related("records", "formKey", old["formKey"]):
                self._rename_answer(record, old["variableName"], variable_name)
        return self._save(old, variableName=variable_name)

    def change(self, row_id: object, **fields: Any) -> Row:
        """Change fields of a variable, but its name. Return the variable.

        Raises:
            KeyError: There is no such variable.
            ValueError: A field is unknown, or other rows depend on it.
        """
        if "variableName" in fields:
            raise ValueError("variables: rename() changes variableName.")
        return super().change(row_id, **fields)

    def _check_new(self, form_key: str, variable_name: str) -> list[Row]:
        others = self._draft.related("variables", "formKey", form_key)
        if variable_name in {row["variableName"] for row in others}:
            raise ValueError(f"Form {form_key} already has a variable {variable_name}.")
        return others

    def _rename_answer(self, record: Row, old: str, new: str) -> None:
        data = record["recordData"]
        if old in data:
            renamed = {new if name == old else name: value for name, value in data.items()}
            self._draft.put("records", {**record, "recordData": renamed})


class FormEdits(FieldEdits):
    """Changes to ``forms``, such as ``change(form_id, formName="…", disabled=True)``."""

    name = "forms"

    def add(self, form_key: str, form_name: str) -> Row:
        """Add a form outside the schedule, without variables. Return it.

        Raises:
            ValueError: The study has a form of this key.
        """
        if self._draft.related("forms", "formKey", form_key):
            raise ValueError(f"The study already has a form {form_key}.")
        off = ("enforceOwnership", "userAgreement", "subjectRecordReport", "unscheduledVisit")
        return self._new(
            formKey=form_key,
            formName=form_name,
            formType="Subject",
            revision=1,
            **dict.fromkeys((*off, "embeddedLog", "eproForm", "disabled"), False),
            otherForms=True,
            allowCopy=True,
        )

    def change(self, row_id: object, **fields: Any) -> Row:
        """Change fields of a form. Return the form.

        Variables, codings and the schedule's intervals repeat its name, and follow without a new
        date.

        Raises:
            KeyError: There is no such form.
            ValueError: A field is unknown, or other rows depend on it.
        """
        form = super().change(row_id, **fields)
        entry = {key: form[key] for key in ("formId", "formKey", "formName")}
        for interval in list(self._draft.rows("intervals").values()):
            forms = [entry if each["formId"] == row_id else each for each in interval["forms"]]
            if forms != interval["forms"]:
                self._draft.put("intervals", {**interval, "forms": forms})
        return form
