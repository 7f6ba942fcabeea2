"""What edits of all tables have in common: dates, revisions, copied names, removal."""

from typing import Any, ClassVar

from orch_assets.demo.changes.study_draft import StudyDraft
from orch_assets.demo.read_api import STUDY_ENDPOINTS, Endpoint
from orch_assets.demo.row_tables import Row

# Names that other tables repeat, by their own table and field. The API documents neither that the
# copies follow nor that their rows' dates stay. The simulator assumes both: copies are joined when
# they are read. The audit trail (recordRevisions) keeps what it said.
_COPIES: dict[tuple[str, str], tuple[str, ...]] = {
    ("sites", "siteName"): ("subjects", "codings"),
    ("subjects", "subjectKey"): ("visits", "records", "codings", "queries"),
    ("forms", "formName"): ("variables", "codings"),
    ("intervals", "intervalName"): ("visits",),
}
# The tables that refer to a row by its ID. A row in use can't be removed.
_NEEDED_BY = {
    "sites": ("subjects", "records"),
    "subjects": ("visits", "records", "queries"),
    "visits": ("records",),
    "forms": ("records", "variables"),
    "intervals": ("visits", "records"),
}
# Names that other tables repeat, too, but which nothing here changes: rows refer to them.
_REFERENCES = {"studyKey", "formKey", "revision", "deleted", "dateCreated", "dateModified"}


class TableEdits:
    """The changes to one table that every table allows.

    Attributes:
        name: The table's endpoint.
    """

    name: ClassVar[str] = ""

    def __init__(self, draft: StudyDraft, name: str = "") -> None:
        self._draft = draft
        self._endpoint: Endpoint = STUDY_ENDPOINTS[name or self.name]

    def find(self, **fields: Any) -> Row:
        """Return the first row with these values.

        Raises:
            KeyError: There is no such row.
        """
        for row in self._draft.rows(self._endpoint.name).values():
            if all(row.get(name) == value for name, value in fields.items()):
                return row
        raise KeyError(f"{self._endpoint.name} has no row with {fields}")

    def remove(self, row_id: object) -> None:
        """Remove a row completely: the API does not say that it ever existed.

        Raises:
            KeyError: There is no such row.
            ValueError: Other rows refer to it.
        """
        for endpoint in _NEEDED_BY.get(self._endpoint.name, ()):
            if self._draft.related(endpoint, self._endpoint.id, row_id):
                raise ValueError(f"{self._endpoint.name} {row_id!r} has {endpoint}.")
        self._draft.remove(self._endpoint.name, row_id)

    def _row(self, row_id: object) -> Row:
        return self._draft.row(self._endpoint.name, row_id)

    def _save(self, row: Row, **fields: Any) -> Row:
        """Store new values of a row; its date and its revision move, if it has them."""
        row = {**row, **fields}
        if "dateModified" in row:
            row["dateModified"] = self._draft.stamp
        if "revision" in row:
            row["revision"] += 1
        return self._draft.put(self._endpoint.name, row)

    def _new(self, **fields: Any) -> Row:
        """Add a row; its fields are sent in the order of the API's description."""
        fields["studyKey"] = self._draft.plan.key
        if self._endpoint.id not in fields:
            fields[self._endpoint.id] = self._draft.new_id(self._endpoint.name)
        fields["dateCreated"] = fields["dateModified"] = self._draft.stamp
        known = [field.name for field in self._endpoint.fields]
        return self._draft.put(
            self._endpoint.name, {name: fields[name] for name in known if name in fields}
        )


class FieldEdits(TableEdits):
    """A table whose fields can be changed one by one."""

    def change(self, row_id: object, **fields: Any) -> Row:
        """Change fields of a row, named as the API names them. Return the row.

        Where other tables repeat a changed name, they follow without a new date.

        Raises:
            KeyError: There is no such row.
            ValueError: A field is unknown, or other rows depend on it.
        """
        fixed = {name for name in fields if name.endswith(("Id", "Oid"))} | _REFERENCES
        known = {field.name for field in self._endpoint.fields} - fixed
        if wrong := sorted(set(fields) - known):
            raise ValueError(f"{self._endpoint.name}: can't change {', '.join(wrong)}.")
        row = self._save(self._row(row_id), **fields)
        for name, value in fields.items():
            for endpoint in _COPIES.get((self._endpoint.name, name), ()):
                for copy in self._draft.related(endpoint, self._endpoint.id, row_id):
                    self._draft.put(endpoint, {**copy, name: value})
        return row


class FlaggedEdits(FieldEdits):
    """A table whose rows are deleted softly: they stay, and say so."""

    def delete(self, row_id: object) -> Row:
        """Mark a row as deleted. Return it.

        Raises:
            KeyError: There is no such row.
            ValueError: It is deleted already.
        """
        return self._flag(row_id, deleted=True)

    def restore(self, row_id: object) -> Row:
        """Undo :meth:`delete`, with a new date. Return the row.

        Raises:
            KeyError: There is no such row.
            ValueError: It is not deleted.
        """
        return self._flag(row_id, deleted=False)

    def _flag(self, row_id: object, *, deleted: bool) -> Row:
        row = self._row(row_id)
        if row["deleted"] == deleted:
            raise ValueError(
                f"{self._endpoint.name} {row_id!r} is {'already' if deleted else 'not'} deleted."
            )
        return self._save(row, deleted=deleted)
