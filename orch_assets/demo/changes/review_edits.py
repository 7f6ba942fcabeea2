"""Changes made while data is reviewed: queries and codings."""

from orch_assets.demo.changes.table_edits import TableEdits
from orch_assets.demo.row_tables import Row
from orch_assets.demo.studies.oversight import DICTIONARIES

OPEN, RESPONDED, CLOSED = "Query Open", "Query Responded", "Query Closed"


class QueryEdits(TableEdits):
    """Changes to ``queries``. Each adds a comment to the query's history and moves its date."""

    name = "queries"

    def open(self, record_id: int, variable: str, text: str) -> Row:
        """Ask about an answer of a record. Return the query.

        Raises:
            KeyError: There is no such record, or it has no such answer.
        """
        record = self._draft.row("records", record_id)
        if variable not in record["recordData"]:
            raise KeyError(f"Record {record_id} has no answer {variable}.")
        return self._open(
            record, "question", "Monitor Query", text, recordId=record_id, variable=variable
        )

    def open_on_subject(self, subject_id: int, text: str) -> Row:
        """Ask about a subject. Return the query.

        Raises:
            KeyError: There is no such subject.
        """
        subject = self._draft.row("subjects", subject_id)
        return self._open(subject, "subject", "Data Manager Query", text)

    def answer(self, query_id: int, text: str) -> Row:
        """Answer a query that is not closed. Return it.

        Raises:
            KeyError: There is no such query.
            ValueError: It is closed.
        """
        return self._comment(query_id, RESPONDED, text, expected=(OPEN, RESPONDED))

    def close(self, query_id: int, text: str = "") -> Row:
        """Close a query. Return it.

        Raises:
            KeyError: There is no such query.
            ValueError: It is closed already.
        """
        return self._comment(query_id, CLOSED, text, expected=(OPEN, RESPONDED))

    def reopen(self, query_id: int, text: str) -> Row:
        """Open a closed query again. Return it.

        Raises:
            KeyError: There is no such query.
            ValueError: It is not closed.
        """
        return self._comment(query_id, OPEN, text, expected=(CLOSED,))

    def _open(self, target: Row, kind: str, description: str, text: str, **question: object) -> Row:
        copied = {key: target[key] for key in ("subjectId", "subjectOid", "subjectKey")}
        return self._new(
            **copied,
            **question,
            annotationType=kind,
            type=kind,
            description=description,
            queryComments=[self._history(1, OPEN, text, "Clinical Research Associate")],
        )

    def _comment(self, query_id: int, status: str, text: str, expected: tuple[str, ...]) -> Row:
        query = self._row(query_id)
        comments = query["queryComments"]
        now = comments[-1]["annotationStatus"]
        if now not in expected:
            raise ValueError(f"Query {query_id} has the status {now}.")
        role = "" if status == RESPONDED else "Clinical Research Associate"
        new = self._history(len(comments) + 1, status, text, role)
        return self._save(query, queryComments=[*comments, new])

    def _history(self, sequence: int, status: str, text: str, role: str) -> Row:
        return {
            "sequence": sequence,
            "annotationStatus": status,
            "user": self._draft.user(role)["login"],
            "comment": text,
            "closed": status == CLOSED,
            "date": self._draft.stamp,
        }


class CodingEdits(TableEdits):
    """Changes to ``codings``, which have no ``dateModified``: ``dateCoded`` moves.

    ``remove`` withdraws a coding: its row disappears until the term is coded again.
    """

    name = "codings"

    def code(self, record_id: int, variable: str, code: str, *, reason: str = "") -> Row:
        """Code an answer. Return the coding.

        Raises:
            KeyError: There is no such record, or no dictionary for the variable.
            ValueError: The record has no such answer, or it is coded already.
        """
        record = self._draft.row("records", record_id)
        dictionary, version, _ = DICTIONARIES[variable]
        codings = self._draft.related("codings", "recordId", record_id)
        value = record["recordData"].get(variable)
        if not value or any(coding["variable"] == variable for coding in codings):
            raise ValueError(f"Record {record_id} has no answer {variable} that waits for coding.")
        copied = ("siteId", "subjectId", "subjectKey", "formId", "formKey", "recordId")
        return self._new(
            **{key: record[key] for key in copied},
            siteName=self._draft.row("subjects", record["subjectId"])["siteName"],
            formName=self._draft.row("forms", record["formId"])["formName"],
            revision=1,
            variable=variable,
            value=value,
            dictionaryName=dictionary,
            dictionaryVersion=version,
            **self._coded(code, reason),
        )

    def change(self, coding_id: int, code: str, *, reason: str = "Typo fix") -> Row:
        """Give a term another code. Return the coding.

        Raises:
            KeyError: There is no such coding.
        """
        return self._save(self._row(coding_id), **self._coded(code, reason))

    def change_back(self, earlier: Row) -> Row:
        """Put a coding back to an earlier row of it, whose ``dateCoded`` is earlier, too.

        The API does not document whether this happens. It can't be found by date.

        Raises:
            KeyError: The coding was withdrawn meanwhile.
        """
        self._row(earlier["codingId"])
        return self._draft.put("codings", earlier)

    def _coded(self, code: str, reason: str) -> Row:
        coder = self._draft.user("Medical Coder")
        return {
            "code": code,
            "codedBy": f"{coder['firstName']} {coder['lastName']}",
            "reason": reason,
            "dateCoded": self._draft.stamp,
        }
