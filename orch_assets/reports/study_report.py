"""What a report about a study says: counts and facts about its tables, but none of their values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from orch_assets.charts.summary_panels import Panel

# Tables without a row for each subject, visit or event: their small counts are shown.
_WITHOUT_SUBJECTS: Final = frozenset(
    {
        "dictionary_changes",
        "forms",
        "intervals",
        "sites",
        "study",
        "study_summary",
        "users",
        "variables",
    }
)

# Takes the place of a variable's name that is withheld, or was removed.
NOT_OPEN: Final = "(not open)"


@dataclass(frozen=True)
class ReportedResult:
    """The newest result of a pipeline.

    Attributes:
        pipeline: Name of the pipeline.
        succeeded: Whether it is a success.
        finished_at: When it was recorded, UTC.
        run: ID of the run.
        rows: Rows of the table; None without a table.
        expected: Rows that iMednet counted; None if the result was not read from it.
        reading: How it was read or made, such as ``counted``; None for one that is always made.
        cause: Type of the error; None for a success.
        place: Where the error was raised; empty if unknown.
        skipped: Whether the pipeline left the study out.
    """

    pipeline: str
    succeeded: bool
    finished_at: datetime
    run: str
    rows: int | None = None
    expected: int | None = None
    reading: str | None = None
    cause: str | None = None
    place: str = ""
    skipped: bool = False

    @property
    def reconciled(self) -> bool | None:
        """Whether the table has as many rows as iMednet counted; None if it wasn't read there."""
        return None if self.expected is None or self.rows is None else self.rows == self.expected


@dataclass(frozen=True)
class ReportedVersion:
    """A stored version.

    Attributes:
        artifact: Name of the artifact.
        sha256: SHA-256 of its bytes.
        bytes: Its size.
        published_at: When it was last published, UTC, ISO 8601.
        run: ID of the run that published it; empty if unknown.
        registry: The host that it was read from; empty if unknown.
        libraries: Versions of what wrote it.
    """

    artifact: str
    sha256: str
    bytes: int
    published_at: str
    run: str = ""
    registry: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportedChange:
    """A change of the study's data dictionary.

    Attributes:
        noticed_at: When a run noticed it, UTC.
        kind: What happened, such as ``retyped``.
        form: Key of the form.
        variable: Name of the variable, or ``NOT_OPEN``; None for a form.
    """

    noticed_at: datetime
    kind: str
    form: str | None
    variable: str | None


@dataclass(frozen=True)
class StudyReport:
    """A report about a study.

    Attributes:
        study_key: The study.
        made_at: When the report was made, UTC.
        limit: Smallest count that is shown, see :mod:`orch_assets.charts.small_cells`.
        results: The newest result of each pipeline.
        versions: What is stored now.
        panels: The charts.
        dictionary_changes: Changes of the data dictionary, newest first.
    """

    study_key: str
    made_at: datetime
    limit: int
    results: Sequence[ReportedResult]
    versions: Sequence[ReportedVersion]
    panels: Sequence[Panel]
    dictionary_changes: Sequence[ReportedChange]

    @property
    def failures(self) -> list[ReportedResult]:
        """The results that are failures."""
        return [each for each in self.results if not each.succeeded]

    @property
    def read(self) -> list[ReportedResult]:
        """The results that were read from iMednet."""
        return [each for each in self.results if each.reconciled is not None]

    def shown_rows(self, pipeline: str, rows: int | None) -> str:
        """Return a number of rows as text; without the number if it could identify subjects."""
        if rows is None:
            return "–"
        if 0 < rows < self.limit and pipeline not in _WITHOUT_SUBJECTS:
            return f"fewer than {self.limit}"
        return f"{rows:,}"
