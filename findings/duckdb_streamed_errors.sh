#!/usr/bin/env bash
# An error of a DuckDB query is an OSError, and no duckdb.Error, if its rows are read as a stream of
# Arrow batches and the error comes after the first of them.
#
# Versions: duckdb 2.0.1, pyarrow 26.0.1, Python 3.11.
#
# Behaviour: A value of one row can't be converted. `fetchall`, `df` and `to_arrow_table` raise
# duckdb.ConversionException, and so does `to_arrow_reader` if the row is among the first. If it comes
# later, iterating over the reader raises the builtin OSError with the same text, which quotes the
# value. Arrow's stream interface passes on a number and a text, and the number is that of an
# input/output error.
#
# Why it matters: `except duckdb.Error` catches the error of a small table and not of a large one.
# Code that retries or reports an OSError takes it for a fault of the disk, and logs its text, which
# for other OSErrors holds a path; here it holds a subject's result.
#
# Output seen:
#   row 0, fetchall: ConversionException, a duckdb.Error: True, quotes the value: True
#   row 0, to_arrow_table: ConversionException, a duckdb.Error: True, quotes the value: True
#   row 0, to_arrow_reader: ConversionException, a duckdb.Error: True, quotes the value: True
#   row 400000, fetchall: ConversionException, a duckdb.Error: True, quotes the value: True
#   row 400000, to_arrow_table: ConversionException, a duckdb.Error: True, quotes the value: True
#   row 400000, to_arrow_reader: OSError, a duckdb.Error: False, quotes the value: True
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    "duckdb==2.0.1" "pyarrow==26.0.1"

cat >"$folder/check.py" <<'PYTHON'
import duckdb

ways = {
    "fetchall": lambda rows: rows.fetchall(),
    "to_arrow_table": lambda rows: rows.to_arrow_table(),
    "to_arrow_reader": lambda rows: [*rows.to_arrow_reader(10_000)],
}
for row in (0, 400_000):
    connection = duckdb.connect()
    connection.execute(
        f"CREATE TABLE labs AS SELECT i AS record, "
        f"CASE WHEN i = {row} THEN '<5' ELSE (i % 90)::VARCHAR END AS result "
        "FROM range(500_000) numbers(i)"
    )
    for name, read in ways.items():
        try:
            read(connection.sql("SELECT record, CAST(result AS DOUBLE) FROM labs"))
        except Exception as error:
            print(
                f"row {row}, {name}: {type(error).__name__}, "
                f"a duckdb.Error: {isinstance(error, duckdb.Error)}, "
                f"quotes the value: {'<5' in str(error)}"
            )
PYTHON

cd "$folder"
"$folder/venv/bin/python" check.py | tee seen.txt
diff seen.txt - <<'EXPECTED'
row 0, fetchall: ConversionException, a duckdb.Error: True, quotes the value: True
row 0, to_arrow_table: ConversionException, a duckdb.Error: True, quotes the value: True
row 0, to_arrow_reader: ConversionException, a duckdb.Error: True, quotes the value: True
row 400000, fetchall: ConversionException, a duckdb.Error: True, quotes the value: True
row 400000, to_arrow_table: ConversionException, a duckdb.Error: True, quotes the value: True
row 400000, to_arrow_reader: OSError, a duckdb.Error: False, quotes the value: True
EXPECTED
