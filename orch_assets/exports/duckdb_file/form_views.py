"""Views over the tables of one form in all studies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orch_assets.exports.duckdb_file.sql_names import (
    folded,
    quoted,
    text_literal,
    unique_names,
)
from orch_assets.exports.export_notes import NoteKind, Notes
from orch_assets.exports.plain_cells import PlainTable
from orch_assets.lazy import cached_property

if TYPE_CHECKING:
    import pyarrow as pa

STUDY_KEY: Final = "study_key"
# Tables of the file that no view may replace.
SOURCES: Final = "export_sources"
NOTES: Final = "export_notes"


@dataclass(frozen=True)
class StudyTable:
    """A table of a study in the file.

    Attributes:
        plain: The table.
        schema_name: Name of the study's schema.
        columns: Names of the columns in the file.
    """

    plain: PlainTable
    schema_name: str
    columns: Sequence[str]

    @property
    def sql_name(self) -> str:
        """The table as SQL names it."""
        return f"{quoted(self.schema_name)}.{quoted(self.plain.table.name)}"

    @property
    def labels(self) -> dict[str, str]:
        """The columns' labels by their names in the file."""
        names = zip(self.columns, self.plain.schema.names, strict=True)
        return {own: self.plain.table.column_label(name) for own, name in names}


@dataclass(frozen=True)
class _ViewColumn:
    """A column of a view: its name, what tables have as this column, and what fills it in others.

    The study's key, a text, stands in for a missing column of this name; null for any other.
    """

    name: str
    found: list[tuple[StudyTable, "pa.Field"]]
    missing: list["pa.DataType"]

    @cached_property
    def is_mixed(self) -> bool:
        """Whether its types differ between studies. It is text then."""
        return len({*self.missing, *(field.type for _, field in self.found)}) > 1

    @property
    def field(self) -> "pa.Field":
        """The column in its plain type."""
        import pyarrow as pa

        return pa.field(self.name, pa.string() if self.is_mixed else self.found[0][1].type)

    @property
    def label(self) -> str:
        """Its label in the first study that has it."""
        table, field = self.found[0]
        return table.plain.table.column_label(field.name)


@dataclass(frozen=True)
class FormView:
    """The rows of a form in all studies.

    Attributes:
        name: Name of the view in the file.
        tables: The form's tables.
    """

    name: str
    tables: Sequence[StudyTable]

    @property
    def sql_name(self) -> str:
        """The view as SQL names it."""
        return f"main.{quoted(self.name)}"

    @property
    def label(self) -> str:
        """The form's name in the first study."""
        return self.tables[0].plain.table.label

    @property
    def labels(self) -> dict[str, str]:
        """The columns' labels by name."""
        return {column.name: column.label for column in self._columns.values()}

    @property
    def schema(self) -> "pa.Schema":
        """The columns in plain types; text where the types differ between studies."""
        import pyarrow as pa

        fields = [column.field for column in self._columns.values()]
        if STUDY_KEY not in self._columns:
            fields = [pa.field(STUDY_KEY, pa.string()), *fields]
        return pa.schema(fields)

    def note(self, notes: Notes) -> None:
        """Note the columns that become text in the view."""
        import pyarrow as pa

        for column in self._columns.values():
            for table, field in column.found if column.is_mixed else ():
                if not pa.types.is_string(field.type):
                    notes.add_column(table.plain.table, field.name, NoteKind.TYPE)

    @property
    def selects(self) -> list[str]:
        """The parts of its query: the rows of each study, in the columns of the view."""
        return [self._select(table) for table in self.tables]

    def statements(self) -> Iterator[str]:
        """Yield the statements that make the view."""
        yield f"CREATE VIEW {self.sql_name} AS {' UNION ALL '.join(self.selects)}"
        yield f"COMMENT ON VIEW {self.sql_name} IS {text_literal(self.label)}"
        for name, label in self.labels.items():
            column = f"{self.sql_name}.{quoted(name)}"
            yield f"COMMENT ON COLUMN {column} IS {text_literal(label)}"

    @cached_property
    def _columns(self) -> dict[str, _ViewColumn]:
        """The columns by their names as DuckDB compares them."""
        import pyarrow as pa

        columns: dict[str, _ViewColumn] = {}
        for table in self.tables:
            for name, field in zip(table.columns, table.plain.schema, strict=True):
                column = columns.setdefault(folded(name), _ViewColumn(name, [], []))
                column.found.append((table, field))
        if STUDY_KEY in columns and len(columns[STUDY_KEY].found) < len(self.tables):
            columns[STUDY_KEY].missing.append(pa.string())
        return columns

    def _select(self, table: StudyTable) -> str:
        """Return the rows of a study, in the columns of the view."""
        own = {folded(column): column for column in table.columns}
        key_of_study = text_literal(table.plain.table.study_key)
        columns = [] if STUDY_KEY in self._columns else [f"{key_of_study} AS {STUDY_KEY}"]
        for key, column in self._columns.items():
            missing = key_of_study if key == STUDY_KEY else "NULL"
            cell = quoted(own[key]) if key in own else missing
            cell = f"CAST({cell} AS VARCHAR)" if column.is_mixed else cell
            columns.append(f"{cell} AS {quoted(column.name)}")
        return f"SELECT {', '.join(columns)} FROM {table.sql_name}"  # noqa: S608 - quoted


def form_views(tables: Sequence[StudyTable]) -> list[FormView]:
    """Return the views over some tables."""
    forms: dict[str, list[StudyTable]] = {}
    for table in tables:
        forms.setdefault(folded(table.plain.table.name), []).append(table)
    first = [each[0].plain.table.name for each in forms.values()]
    names = unique_names(first, {SOURCES, NOTES})
    return [FormView(name, each) for name, each in zip(names, forms.values(), strict=True)]
