"""Plants a string where a later test must not find it."""

from orch_assets.demo.changes.study_edit import StudyEdit


def plant_open_terms(edit: StudyEdit, text: str, **options: str) -> None:
    """Open all variables of a study, and enter a text as the term of each adverse event.

    Args:
        edit: An edit of the study.
        text: The text.
        options: Further arguments of the changes, such as their ``reason``.
    """
    for row in list(edit.rows("variables").values()):
        if row.get("blinded") is not False:
            edit.variables.change(row["variableId"], blinded=False)
    for row in list(edit.rows("records").values()):
        if row["formKey"] == "AE":
            edit.records.change(row["recordId"], {"AETERM": text}, **options)
