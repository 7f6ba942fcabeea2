"""Views over the tables of one form in all studies."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orch_assets.exports.duckdb_file.sql_names import quoted, text_literal, unique_names
from orch_assets.exports.export_notes import NoteKind, Notes
from orch_assets.exports.plain_cells import PlainTable

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


def view_statements(tables: Sequence[StudyTable], notes: Notes) -> Iterable[str]:
    """Yield the statements that make the views, and note the columns that become text in them."""
    forms: dict[str, list[StudyTable]] = {}
    for table in tables:
        forms.setdefault(table.plain.table.name.casefold(), []).append(table)
    first = [each[0].plain.table.name for each in forms.values()]
    for name, each in zip(unique_names(first, {SOURCES, NOTES}), forms.values(), strict=True):
        yield from _view(name, each, notes)


def _view(name: str, tables: Sequence[StudyTable], notes: Notes) -> Iterable[str]:
    types: dict[str, list[tuple[StudyTable, pa.Field]]] = {}
    names: dict[str, str] = {}
    for table in tables:
        for column, field in zip(table.columns, table.plain.schema, strict=True):
            types.setdefault(column.casefold(), []).append((table, field))
            names.setdefault(column.casefold(), column)
    texts = {key for key, found in types.items() if len({field.type for _, field in found}) > 1}
    for key in texts:
        for table, field in types[key]:
            _note_text(table, field, notes)
    view = f"main.{quoted(name)}"
    selects = " UNION ALL ".join(_select(table, names, texts) for table in tables)
    yield f"CREATE VIEW {view} AS {selects}"
    label = tables[0].plain.table.label
    yield f"COMMENT ON VIEW {view} IS {text_literal(label)}"
    for key, found in types.items():
        table, field = found[0]
        label = text_literal(table.plain.table.column_label(field.name))
        yield f"COMMENT ON COLUMN {view}.{quoted(names[key])} IS {label}"


def _note_text(table: StudyTable, field: "pa.Field", notes: Notes) -> None:
    import pyarrow as pa

    if not pa.types.is_string(field.type):
        notes.add_column(table.plain.table, field.name, NoteKind.TYPE)


def _select(table: StudyTable, names: dict[str, str], texts: set[str]) -> str:
    """Return the rows of a study, in the columns of the view."""
    own = {column.casefold(): column for column in table.columns}
    columns = []
    if STUDY_KEY not in names:
        columns.append(f"{text_literal(table.plain.table.study_key)} AS {STUDY_KEY}")
    for key, name in names.items():
        missing = text_literal(table.plain.table.study_key) if key == STUDY_KEY else "NULL"
        cell = quoted(own[key]) if key in own else missing
        columns.append(f"{f'CAST({cell} AS VARCHAR)' if key in texts else cell} AS {quoted(name)}")
    return f"SELECT {', '.join(columns)} FROM {table.sql_name}"  # noqa: S608 - quoted
