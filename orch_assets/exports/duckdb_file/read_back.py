"""Reads back what a file has beside the rows of studies: names, labels, views, its own tables."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import ExportMismatchError
from orch_assets.exports.duckdb_file.form_views import FormView, StudyTable
from orch_assets.exports.plain_files.duckdb_reading import query_batches
from orch_assets.exports.side_by_side import require_same_rows

if TYPE_CHECKING:
    import pyarrow as pa

_RELATIONS: Final = """
    SELECT schema_name, table_name, comment FROM duckdb_tables() WHERE NOT internal
    UNION ALL SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal"""
_COLUMNS: Final = """
    SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal
    ORDER BY schema_name, table_name, column_index"""

_DEFINITION: Final = "SELECT sql FROM duckdb_views() WHERE NOT internal AND view_name = ?"
# A query as DuckDB writes it. For all studies at once, it would take up to 1 GB of memory.
_WRITTEN: Final = "SELECT json_deserialize_sql(json_serialize_sql(?))"

# By schema and name of a table or view: its comment, then its columns, each with its own.
_Catalog = dict[tuple[str, str], list[tuple[str | None, str | None]]]


def require_catalog(
    connection: Any,
    tables: Sequence[StudyTable],
    views: Sequence[FormView],
    own: Mapping[str, "pa.Schema"],
) -> None:
    """Require that the file has its tables and views with their columns and labels; no others.

    Args:
        connection: Reads the file.
        tables: The tables of studies; at least one.
        views: The views over them.
        own: Columns of the file's own tables, by table.

    Raises:
        ExportMismatchError: A table, a view, a column or a label is missing, or another one.
    """
    expected: _Catalog = {
        ("main", name): [(None, None), *((column, None) for column in schema.names)]
        for name, schema in own.items()
    }
    for table in tables:
        source = table.plain.table
        expected[table.schema_name, source.name] = [(None, source.label), *table.labels.items()]
    for view in views:
        labels = dict.fromkeys(view.schema.names) | view.labels
        expected["main", view.name] = [(None, view.label), *labels.items()]
    found: _Catalog = {}
    for schema, name, comment in connection.execute(_RELATIONS).fetchall():
        found[schema, name] = [(None, comment)]
    for schema, name, column, comment in connection.execute(_COLUMNS).fetchall():
        found[schema, name].append((column, comment))
    for key in [*expected, *found]:
        if expected.get(key) != found.get(key):
            studies = {each.schema_name: each.plain.table.study_key for each in reversed(tables)}
            raise ExportMismatchError(studies.get(key[0], tables[0].plain.table.study_key), key[1])


def require_view(connection: Any, view: FormView, types: Sequence["pa.DataType"]) -> None:
    """Require that a view has its query and its columns, and can be read.

    Its rows were compared in the tables.

    Args:
        connection: Reads the file.
        view: The view.
        types: Types of its columns, as DuckDB returns them.

    Raises:
        ExportMismatchError: It has others.
    """
    mismatch = ExportMismatchError(view.tables[0].plain.table.study_key, view.name)
    if not _has_its_query(connection, view):
        raise mismatch
    none = f"SELECT * FROM {view.sql_name} LIMIT 0"  # noqa: S608 - quoted
    columns = connection.sql(none).to_arrow_table().schema
    if (columns.names, columns.types) != (view.schema.names, [*types]):
        raise mismatch


def _has_its_query(connection: Any, view: FormView) -> bool:
    """Compare a view's query as DuckDB writes it: with brackets and quotes of its own."""
    ((definition,),) = connection.execute(_DEFINITION, [view.name]).fetchall()
    rest, between = _without_nul(definition), []
    for select in view.selects:
        ((written,),) = connection.execute(_WRITTEN, [_without_nul(select)]).fetchall()
        before, _, rest = rest.partition(written)
        between.append(before)
    unions = ["UNION ALL"] * (len(between) - 1)
    expected = [f"CREATE VIEW {view.name} AS", *unions, ";"]
    return [*map(_bare, [*between, rest])] == [*map(_bare, expected)]


def _bare(sql: str) -> str:
    return re.sub(r'["()\s]', "", sql)


def _without_nul(sql: str) -> str:
    """Return SQL as DuckDB's JSON holds it: NUL would end it."""
    return sql.replace("\0", "\ufffd")


def require_own_rows(
    connection: Any,
    tables: Sequence[StudyTable],
    name: str,
    schema: "pa.Schema",
    rows: "Iterator[pa.RecordBatch]",
) -> None:
    """Require the rows of one of the file's own tables.

    Args:
        connection: Reads the file.
        tables: The tables of studies; errors name the study of the first.
        name: Name of the file's own table.
        schema: Its columns.
        rows: The rows that it should have.

    Raises:
        ExportMismatchError: It can't be read, or has other rows.
    """
    as_table = replace(tables[0].plain.table, name=name)
    query = f"SELECT * FROM main.{name}"  # noqa: S608 - a constant
    require_same_rows(as_table, rows, query_batches(connection, as_table, schema, query))
