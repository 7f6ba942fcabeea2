"""A DuckDB file: written and read back by DuckDB, each with a connection of its own."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import ExportError, ExportMismatchError
from orch_assets.exports.duckdb_file.form_views import (
    NOTES,
    SOURCES,
    STUDY_KEY,
    StudyTable,
    form_views,
)
from orch_assets.exports.duckdb_file.read_back import (
    require_catalog,
    require_own_rows,
    require_view,
)
from orch_assets.exports.duckdb_file.sql_names import (
    folded,
    quoted,
    text_literal,
    unique_names,
)
from orch_assets.exports.export_format import ColumnNames, FileHolds
from orch_assets.exports.export_notes import NoteKind, Notes, notes_schema
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.plain_cells import PlainTable
from orch_assets.exports.plain_files.duckdb_reading import duckdb_release, query_batches
from orch_assets.exports.plain_types import HeldByFormat
from orch_assets.exports.side_by_side import require_same_rows
from orch_assets.exports.two_at_once import closing
from orch_assets.extras import needing
from orch_assets.marked_names import named

if TYPE_CHECKING:
    import pyarrow as pa

_HELD: Final = HeldByFormat(
    not_finite=True, binary=True, nanosecond_times=False, long_decimals=False
)
_BATCH_ROWS: Final = 32_768
# Schemas and catalogs that every DuckDB connection has (the file's own is `account`); views are in
# main.
_RESERVED: Final = frozenset(
    {"main", "information_schema", "pg_catalog", "temp", "system", "account"}
)
# Columns of small tables, of 4 KB each, stay in memory until then.
_COLUMNS_IN_MEMORY: Final = 4_000
_LIMITS: Final = {
    "memory_limit": "128MB",
    "threads": "1",
    # Files of many small tables are a third as large as with the default, and others as quick.
    "default_block_size": "65536",
    # By default, only DuckDB 2 can open what DuckDB 2 wrote. Older files take longer to write.
    "storage_compatibility_version": "v1.4.0",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def export_format(_name: str) -> "DuckdbFormat":
    """Return the format."""
    return DuckdbFormat()


@dataclass(frozen=True)
class DuckdbFormat:
    """Writes all tables of all studies into one file."""

    name: str = "duckdb"
    extension: str = "duckdb"
    holds: FileHolds = FileHolds.ACCOUNT

    @property
    def reader(self) -> str:
        """DuckDB and its release."""
        return duckdb_release()

    def prepare(self, tables: Sequence[ExportedTable], _earlier: ColumnNames) -> "DuckdbFile":
        """Return the file of some tables.

        Raises:
            ExportError: A table has no columns or no name, or two of a study have the same name.
        """
        _check_names(tables)
        studies = list(dict.fromkeys(table.study_key for table in tables))
        schemas = dict(zip(studies, unique_names(studies, _RESERVED), strict=True))
        return DuckdbFile([_study_table(table, schemas[table.study_key]) for table in tables])


def _check_names(tables: Sequence[ExportedTable]) -> None:
    taken: dict[tuple[str, str], str] = {}
    for table in tables:
        study = named(table.study_key, shown=table.study_key)
        if not table.name:
            raise ExportError(
                f"A table of study {study} has no name, and DuckDB has no such tables. Name it in "
                "the pipeline that makes it. Nothing was written."
            )
        key = table.study_key, folded(table.name)
        if key in taken:
            raise ExportError(
                f"{named(taken[key])} and {named(table.name)} of study {study} can't both be in a "
                "file of DuckDB, which ignores the case of A to Z in names. Rename one of them in "
                "the pipeline that makes them, or export them in another format. Nothing was "
                "written."
            )
        taken[key] = table.name


def _study_table(table: ExportedTable, schema_name: str) -> StudyTable:
    if not len(table.schema):
        raise ExportError(
            f"{named(table.name)} of study {named(table.study_key, shown=table.study_key)} has no "
            "columns, and DuckDB has no such tables. Choose other forms with --form."
        )
    return StudyTable(PlainTable(table, _HELD), schema_name, unique_names(table.schema.names))


@dataclass(frozen=True)
class DuckdbFile:
    """The file of an account. Its bytes differ from time to time; its tables don't."""

    tables: Sequence[StudyTable]

    @property
    def names(self) -> ColumnNames:
        """Nothing: the file holds nearly all names."""
        return {}

    def write(self, path: Path, notes: Notes) -> None:
        """Write the tables, the views, and where the tables come from."""
        with self._connected(path) as connection:
            for name in dict.fromkeys(table.schema_name for table in self.tables):
                connection.execute(f"CREATE SCHEMA {quoted(name)}")
            in_memory = 0
            for table in self.tables:
                _note_names(table, notes)
                _write_table(connection, table, notes)
                in_memory += len(table.columns)
                if in_memory > _COLUMNS_IN_MEMORY:
                    connection.execute("CHECKPOINT")
                    in_memory = 0
            for view in form_views(self.tables):
                view.note(notes)
                with _at_once(connection):
                    for statement in view.statements():
                        connection.execute(statement)
            sources = _sources(self.tables)
            _insert(connection, f"main.{SOURCES}", sources.schema, iter(sources.to_batches()))
            _insert(connection, f"main.{NOTES}", notes_schema(), notes.batches())
            # Closing does it, too, but without a word if it fails; the rows stay in another file.
            connection.execute("CHECKPOINT")
        _require_whole(path)
        # Read back here, since `verify` doesn't know the notes.
        with self._connected(path, read_only=True) as connection:
            require_own_rows(connection, self.tables, NOTES, notes_schema(), notes.batches())

    def verify(self, path: Path) -> None:
        """Read all tables in a new connection and compare them."""
        _require_whole(path)
        with self._connected(path, read_only=True) as connection:
            for each in self.tables:
                schema = _stored_schema(each.plain.schema)
                query = f"SELECT * FROM {each.sql_name}"  # noqa: S608 - quoted
                columns = connection.sql(f"{query} LIMIT 0").to_arrow_table().schema
                if [*map(_read_type, columns.types)] != [*map(_read_type, schema.types)]:
                    raise ExportMismatchError(each.plain.table.study_key, each.plain.table.name)
                found = query_batches(connection, each.plain.table, schema, query)
                require_same_rows(each.plain.table, _stored_batches(each, None), found)
            views = form_views(self.tables)
            sources = _sources(self.tables)
            own = {SOURCES: sources.schema, NOTES: notes_schema()}
            require_catalog(connection, self.tables, views, own)
            for view in views:
                require_view(
                    connection, view, [*map(_read_type, _stored_schema(view.schema).types)]
                )
            rows = iter(sources.to_batches())
            require_own_rows(connection, self.tables, SOURCES, sources.schema, rows)

    @contextlib.contextmanager
    def _connected(self, path: Path, *, read_only: bool = False) -> Iterator[Any]:
        """Yield a connection whose errors become ours, since DuckDB's may hold values."""
        with needing("exports"):
            import duckdb
        config: dict[str, Any] = {
            **_LIMITS,
            "temp_directory": str(path.parent / "duckdb-temporary"),
        }
        try:
            with duckdb.connect(str(path), read_only=read_only, config=config) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                yield connection
        except duckdb.Error as error:
            no_memory = isinstance(error, duckdb.OutOfMemoryException)
            advice = "E" if no_memory else "Check the disk; if it has space, e"
            raise ExportError(
                f"DuckDB can't {'read' if read_only else 'write'} the file of the account "
                f"({type(error).__name__}). {advice}xport fewer forms with --form."
            ) from None


@contextlib.contextmanager
def _at_once(connection: Any) -> Iterator[None]:
    """Execute statements in one transaction; one for each takes twice as long."""
    connection.execute("BEGIN")
    yield
    connection.execute("COMMIT")


def _require_whole(path: Path) -> None:
    """Raise if rows of the file are in its write-ahead log, which isn't published.

    Raises:
        ExportError: They are.
    """
    if path.with_name(f"{path.name}.wal").exists():
        raise ExportError(
            "DuckDB could not write all rows into the file of the account. Check the disk. Nothing "
            "was published."
        )


def _note_names(table: StudyTable, notes: Notes) -> None:
    source = table.plain.table
    if table.schema_name != source.study_key:
        notes.add_table(source, NoteKind.NAME)
    for name, own in zip(source.schema.names, table.columns, strict=True):
        if name != own:
            notes.add_column(source, name, NoteKind.NAME)


def _write_table(connection: Any, table: StudyTable, notes: Notes) -> None:
    table.plain.note_columns(notes)
    schema = _stored_schema(table.plain.schema)
    named_schema = _renamed(schema, table.columns)
    rows = (each.rename_columns(table.columns) for each in _stored_batches(table, notes))
    _insert(connection, table.sql_name, named_schema, rows)
    form = text_literal(table.plain.table.label)
    with _at_once(connection):
        connection.execute(f"COMMENT ON TABLE {table.sql_name} IS {form}")
        for name, label in table.labels.items():
            column = f"{table.sql_name}.{quoted(name)}"
            connection.execute(f"COMMENT ON COLUMN {column} IS {text_literal(label)}")


def _insert(
    connection: Any, sql_name: str, schema: "pa.Schema", batches: "Iterator[pa.RecordBatch]"
) -> None:
    """Create a table of some rows.

    Raises what ``batches`` raise, which DuckDB would wrap into an error of its own.
    """
    import pyarrow as pa

    with needing("exports"):
        import duckdb
    errors: list[Exception] = []

    def rows() -> "Iterator[pa.RecordBatch]":
        try:
            yield from batches
        except Exception as error:
            errors.append(error)
            raise

    connection.register("orch_assets_rows", pa.RecordBatchReader.from_batches(schema, rows()))
    try:
        create = f"CREATE TABLE {sql_name} AS SELECT * FROM orch_assets_rows"  # noqa: S608 - quoted
        with closing(batches):
            connection.execute(create)
    except duckdb.Error:
        if not errors:
            raise
    finally:
        connection.unregister("orch_assets_rows")
    if errors:
        raise errors[0] from None


def _stored_schema(plain: "pa.Schema") -> "pa.Schema":
    """Return the columns as DuckDB holds them: it has no nanoseconds with a zone."""
    import pyarrow as pa

    fields = [
        field.with_type(pa.timestamp("us", "UTC")) if _is_too_fine(field.type) else field
        for field in plain
    ]
    return pa.schema(fields)


def _read_type(type_: "pa.DataType") -> "pa.DataType":
    """Return the type in which DuckDB returns a column: it has fewer units, and names UTC anew."""
    import pyarrow as pa

    if pa.types.is_time(type_):
        return pa.time64("us")
    if pa.types.is_large_string(type_):
        return pa.string()
    return pa.timestamp("us", "UTC") if getattr(type_, "tz", None) else type_


def _is_too_fine(type_: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_timestamp(type_) and type_.unit == "ns" and type_.tz)


def _stored_batches(table: StudyTable, notes: Notes | None) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.compute as pc

    schema, first_row = _stored_schema(table.plain.schema), 1
    for batch in table.plain.batches(_BATCH_ROWS, notes):
        columns = []
        for field, cells in zip(batch.schema, batch.columns, strict=True):
            held = cells
            if _is_too_fine(field.type):
                held = cells.cast(pa.timestamp("us", "UTC"), safe=False)
                if notes is not None:
                    lost = pc.not_equal(
                        pc.multiply(held.view(pa.int64()), 1000), cells.view(pa.int64())
                    )
                    rows = (table.plain.table, batch, first_row)
                    notes.add_cells(*rows, field.name, NoteKind.ROUNDED, lost)
            columns.append(held)
        first_row += batch.num_rows
        yield pa.record_batch(columns, schema=schema)


def _renamed(schema: "pa.Schema", names: Sequence[str]) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([field.with_name(own) for field, own in zip(schema, names, strict=True)])


def _sources(tables: Sequence[StudyTable]) -> "pa.Table":
    """Return where each table comes from."""
    import pyarrow as pa

    rows = [
        {
            STUDY_KEY: each.plain.table.study_key,
            "form": each.plain.table.name,
            "table_name": each.sql_name,
            "rows": each.plain.table.num_rows,
            "uri": each.plain.table.uri,
            "version": each.plain.table.version,
            "published_at": each.plain.table.published_at,
        }
        for each in tables
    ]
    return pa.Table.from_pylist(rows)
