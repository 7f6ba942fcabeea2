"""A study's rows with the changes of an edit that is not committed yet."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orch_assets.demo.row_tables import Row, Table
from orch_assets.demo.studies.plans import StudyPlan, stamp


class StudyDraft:
    """The rows of one study as an edit sees them, and the changes that it collects.

    Attributes:
        plan: The study's plan.
        moment: The date of what is changed next.
        login: The login of the user who makes the next change; None for a user whose role fits.
        changes: The changed rows by endpoint and ID; None for a removed row.
    """

    def __init__(
        self, plan: StudyPlan, tables: Mapping[str, Table], moment: datetime, login: str | None
    ) -> None:
        self.plan = plan
        self.moment = moment
        self.login = login
        self.changes: dict[str, dict[Any, Row | None]] = {}
        self._tables = tables
        self._rows: dict[str, dict[Any, Row]] = {}
        self._last_ids: dict[str, int] = {}
        self._groups: dict[tuple[str, str], dict[Any, list[Any]]] = {}

    @property
    def stamp(self) -> str:
        """The date of what is changed next, as the API writes it."""
        return stamp(self.moment)

    def rows(self, endpoint: str) -> Mapping[Any, Row]:
        """Return an endpoint's rows by ID, in the order of the IDs. Do not change them.

        Raises:
            KeyError: There is no such endpoint.
        """
        if endpoint not in self._rows:
            self._rows[endpoint] = self._tables[endpoint].by_id()
        return self._rows[endpoint]

    def row(self, endpoint: str, row_id: object) -> Row:
        """Return the row with this ID.

        Raises:
            KeyError: There is no such row.
        """
        if row_id not in self.rows(endpoint):
            raise KeyError(f"{endpoint} has no row {row_id!r}")
        return self.rows(endpoint)[row_id]

    def form(self, form_key: str) -> Row:
        """Return the form with this key.

        Raises:
            KeyError: There is no such form.
        """
        for form in self.related("forms", "formKey", form_key):
            return form
        raise KeyError(f"The study has no form {form_key}.")

    def related(self, endpoint: str, field: str, value: object) -> list[Row]:
        """Return the rows whose link ``field`` has a value. Such links never change."""
        rows = self.rows(endpoint)
        if (endpoint, field) not in self._groups:
            groups = self._groups[endpoint, field] = defaultdict(list)
            for row_id, row in rows.items():
                groups[row.get(field)].append(row_id)
        found = self._groups[endpoint, field].get(value, ())
        return [rows[row_id] for row_id in found if row_id in rows]

    def new_id(self, endpoint: str) -> int:
        """Return an ID that no row of the endpoint has or had."""
        last = self._last_ids.get(endpoint) or self._tables[endpoint].last_id
        self._last_ids[endpoint] = new = last + 1 if last else self.plan.first_id(6)
        return new

    def put(self, endpoint: str, row: Row) -> Row:
        """Add a row, or replace the one with its ID. Return it."""
        row_id = row[self._tables[endpoint].id_name]
        if row_id not in self.rows(endpoint):
            for (grouped, field), groups in self._groups.items():
                if grouped == endpoint:
                    groups[row.get(field)].append(row_id)
        self._rows[endpoint][row_id] = row
        self.changes.setdefault(endpoint, {})[row_id] = row
        return row

    def remove(self, endpoint: str, row_id: object) -> None:
        """Remove a row completely.

        Raises:
            KeyError: There is no such row.
        """
        self.row(endpoint, row_id)
        del self._rows[endpoint][row_id]
        self.changes.setdefault(endpoint, {})[row_id] = None

    def user(self, role: str = "", *, kind: str = "SITE") -> Row:
        """Return who makes the next change.

        Args:
            role: The role to prefer if the edit names no user; empty for any.
            kind: The type of the role, used without ``role``.

        Raises:
            KeyError: The edit names a user whom the study does not have.
        """
        for user in self.rows("users").values():
            first = user["roles"][0]
            fits = first["name"] == role if role else first["type"] == kind
            if user["login"] == self.login or (not self.login and fits and not first["inactive"]):
                return user
        raise KeyError(f"The study has no user {self.login or role or kind}.")
