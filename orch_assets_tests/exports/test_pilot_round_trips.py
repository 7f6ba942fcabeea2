"""Forms of the CDISC pilot's shape, to each format and back by another library than its writer.

Each cell is as it was in the table, or in ``export_notes``. The reader is not the one that verifies
the file either, except for Dataset-JSON (Python's ``json``) and DuckDB, whose files nothing else
reads. For Excel and version 8 of SAS transport it is the tests' own: pandas can't read the latter,
and the former only with one more library.
"""

import csv
import json
import math
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from orch_assets.exports.export_format import ExportFile, FileHolds, format_named
from orch_assets.exports.export_notes import Notes
from orch_assets.exports.exported_table import ExportedTable
from orch_assets_tests.exports.own_readers import sheet_rows, transport_columns
from orch_assets_tests.exports.pilot_forms import SHAPES, pilot_tables

PILOT = pilot_tables()

# Columns by the names that they have in the table.
Cells = Mapping[str, list[Any]]
Read = Callable[[Path, ExportedTable, ExportFile], Cells]

_R_PROGRAM = """
cells <- foreign::read.xport(commandArgs(TRUE)[1])
for (name in names(cells)) if (is.numeric(cells[[name]]))
    cells[[name]] <- ifelse(is.na(cells[[name]]), "", sprintf("%.17g", cells[[name]]))
write.csv(cells, commandArgs(TRUE)[2], row.names = FALSE, fileEncoding = "UTF-8")
"""
_SAS_EPOCH = datetime(1960, 1, 1)  # noqa: DTZ001 - a clock's time has no zone
_EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - likewise


def by_columns(names: list[str], rows: list[Any]) -> Cells:
    """Return columns by their names."""
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def by_r(path: Path, table: ExportedTable, file: ExportFile) -> Cells:
    """Read SAS transport, version 5, with R's package foreign."""
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript with its package foreign is not installed")
    answer = path.with_suffix(".csv")
    subprocess.run(["Rscript", "-e", _R_PROGRAM, path, answer], check=True)
    with answer.open(encoding="utf-8", newline="") as lines:
        names, *rows = csv.reader(lines)
    found = by_columns(names, rows)
    return {column: found[file.names[table.name][column]] for column in table.schema.names}


def by_record_layout(path: Path, table: ExportedTable, file: ExportFile) -> Cells:
    """Read SAS transport, version 8."""
    found, names = transport_columns(path), file.names.get(table.name, {})
    return {column: found[names.get(column, column)] for column in table.schema.names}


def by_json(path: Path, table: ExportedTable, _file: ExportFile) -> Cells:
    """Read Dataset-JSON."""
    return by_columns(table.schema.names, json.loads(path.read_text())["rows"])


def by_json_lines(path: Path, table: ExportedTable, _file: ExportFile) -> Cells:
    """Read Dataset-JSON in lines."""
    _, *lines = path.read_text().removesuffix("\n").split("\n")
    return by_columns(table.schema.names, [json.loads(line) for line in lines])


def by_polars_csv(path: Path, _table: ExportedTable, _file: ExportFile) -> Cells:
    """Read CSV as text."""
    return pl.read_csv(path, infer_schema=False).to_dict(as_series=False)


def by_polars(path: Path, _table: ExportedTable, _file: ExportFile) -> Cells:
    """Read Parquet."""
    return pl.read_parquet(path).to_dict(as_series=False)


def by_xml(path: Path, table: ExportedTable, _file: ExportFile) -> Cells:
    """Read a sheet of Excel. A date is a number of days since 30 December 1899."""
    names, *rows = sheet_rows(path, table.name)
    found = {name: list(cells) for name, cells in by_columns(names, rows).items()}
    for field in table.schema:
        if pa.types.is_temporal(field.type):
            found[field.name] = [
                _EXCEL_EPOCH + timedelta(milliseconds=round(cell * 86_400_000))
                if isinstance(cell, float)
                else cell
                for cell in found[field.name]
            ]
    return found


def by_sql(path: Path, table: ExportedTable, _file: ExportFile) -> Cells:
    """Read a table of a DuckDB file; DuckDB wrote and verified it, too."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.sql(f'SELECT * FROM "{table.study_key}"."{table.name}"')
        return by_columns(rows.columns, rows.fetchall())


READERS: Mapping[str, Read] = {
    "xpt": by_r,
    "xpt8": by_record_layout,
    "dataset-json": by_json,
    "dataset-ndjson": by_json_lines,
    "csv": by_polars_csv,
    "parquet": by_polars,
    "xlsx": by_xml,
    "duckdb": by_sql,
}


def value_of(found: Any, type_: pa.DataType) -> Any:
    """Return what a reader's cell means in a column of a type."""
    if found is None or found == "" or (isinstance(found, float) and math.isnan(found)):
        return None
    if pa.types.is_string(type_):
        return found
    if pa.types.is_boolean(type_):
        return {"true": True, "false": False, "1": True, "0": False}.get(found, bool(found))
    if pa.types.is_integer(type_):
        # R writes long numbers with an exponent and 17 digits, which name a float.
        return int(float(found)) if "e" in str(found) else int(found)
    if pa.types.is_floating(type_):
        return repr(float(found))
    is_date = pa.types.is_date(type_)
    moment = _moment(found, "days" if is_date else "seconds")
    return moment.date() if is_date else moment


def _moment(found: Any, unit: str) -> datetime:
    """Return a date or time from text of ISO 8601, or from a number of SAS."""
    if isinstance(found, datetime):
        return found
    if isinstance(found, date):
        return datetime.combine(found, datetime.min.time())
    if isinstance(found, str) and found.count("-") > 1:
        return datetime.fromisoformat(found)
    return _SAS_EPOCH + timedelta(**{unit: float(found)})


def expected(cell: Any) -> Any:
    """Return a cell of the table as `value_of` returns it; an empty text may be null."""
    if cell == "" or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return repr(cell) if isinstance(cell, float) else cell


def written(format_name: str, folder: Path) -> tuple[dict[str, tuple[Path, ExportFile]], Any]:
    """Write and verify the pilot's files; return them by table, and the notes."""
    format_ = format_named(format_name)
    tables = [table for table, _ in PILOT]
    groups = [[each] for each in tables] if format_.holds is FileHolds.TABLE else [tables]
    files: dict[str, tuple[Path, ExportFile]] = {}
    with Notes(folder) as notes:
        for group in groups:
            file = format_.prepare(group, {})
            path = folder / f"{group[0].name}.{format_.extension}"
            file.write(path, notes)
            file.verify(path)
            files |= {table.name: (path, file) for table in group}
        return files, notes.table()


def test_the_pilot_has_its_shape() -> None:
    records, variables = (sum(counts) for counts in zip(*SHAPES.values(), strict=True))
    assert (len(PILOT), records, variables) == (9, 16_000, 160)
    assert sum(rows.num_rows for _, rows in PILOT) == 16_000
    assert sum(rows.num_columns - 1 for _, rows in PILOT) == 160


@pytest.mark.parametrize("format_name", READERS)
def test_each_cell_comes_back_or_is_noted(format_name: str, tmp_path: Path) -> None:
    files, notes = written(format_name, tmp_path)
    noted = {(each["form"], each["column"], each["row"]) for each in notes.to_pylist()}
    cells, differ = 0, Counter[str]()
    for table, rows in PILOT:
        path, file = files[table.name]
        found = READERS[format_name](path, table, file)
        for field in table.schema:
            should = rows[field.name].to_pylist()
            was = found[field.name]
            assert len(was) == len(should)
            cells += len(was)
            for row, (left, right) in enumerate(zip(was, should, strict=True), start=1):
                if (table.name, field.name, row) in noted:
                    continue
                if value_of(left, field.type) != expected(right):
                    differ[f"{field.type}"] += 1
    of_cells = sum(row is not None for _, _, row in noted)
    figures = f"{cells:,} cells, {of_cells:,} of them noted, {differ.total()} differ"
    print(f"{format_name}: {figures}")  # noqa: T201 - shown by pytest -s
    assert of_cells < cells / 50  # only one in fifty is odd
    assert cells == sum(rows.num_rows * rows.num_columns for _, rows in PILOT)
    assert differ == {}
