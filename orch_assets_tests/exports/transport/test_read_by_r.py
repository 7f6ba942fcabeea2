"""Version 5 is read by R's package foreign, which shares no code with pyreadstat."""

import csv
import io
import math
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from orch_assets_tests.exports.transport.transport_cases import exported

_PROGRAM = """
cells <- foreign::read.xport(commandArgs(TRUE)[1])
for (name in names(cells)) if (is.numeric(cells[[name]]))
    cells[[name]] <- ifelse(is.na(cells[[name]]), "", sprintf("%.17g", cells[[name]]))
write.csv(cells, row.names = FALSE, fileEncoding = "UTF-8")
"""

pytestmark = pytest.mark.skipif(
    shutil.which("Rscript") is None, reason="Rscript with its package foreign is not installed"
)


def _read(table: pa.Table, folder: Path) -> list[list[str]]:
    """Return the names of columns, then the rows, with numbers of 17 digits."""
    path = folder / "AE.xpt"
    path.write_bytes(exported(table, "xpt").content)
    run = subprocess.run(
        ["Rscript", "-e", _PROGRAM, str(path)], capture_output=True, check=True, text=True
    )
    return list(csv.reader(io.StringIO(run.stdout)))


def test_r_reads_all_cells(tmp_path: Path) -> None:
    """Numbers to the last digit, dates as days since 1960, and texts with their letters."""
    numbers = [0.1, None, -1 / 3, math.nextafter(16.0**63, 0), 16.0**-65, 0.0, 2.0**53]
    texts = ["a", None, "é", "b c", "x" * 200, "", "日本"]
    table = pa.table(
        {
            "record_id": pa.array(range(7), pa.int64()),
            "X": numbers,
            "C": texts,
            "D": pa.array([0, None, -3653, 20_000, 1, 2, 3], pa.date32()),
            "E": pa.nulls(7, pa.date32()),
        }
    )
    names, *rows = _read(table, tmp_path)
    assert names == ["RECORDID", "X", "C", "D", "E"]
    assert [int(row[0]) for row in rows] == list(range(7))
    assert [float(row[1]) if row[1] else None for row in rows] == numbers
    assert [row[2] for row in rows] == [text or "" for text in texts]
    assert [row[3] for row in rows] == ["3653", "", "0", "23653", "3654", "3655", "3656"]
    assert {row[4] for row in rows} == {""}


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11])
def test_r_reads_narrow_tables(rows: int, tmp_path: Path) -> None:
    """One column, whose last rows are null."""
    cells = [1.0, *[None] * rows][:rows]
    table = pa.table({"N": pa.array(cells, pa.float64())})
    assert _read(table, tmp_path)[1:] == [["1" if cell else ""] for cell in cells]


def test_r_reads_blank_rows_at_the_end(tmp_path: Path) -> None:
    """A row with a missing number isn't blank."""
    table = pa.table({"N": pa.array([1, None, None], pa.int64()), "C": ["a", None, None]})
    assert _read(table, tmp_path) == [["N", "C"], ["1", "a"], ["", ""], ["", ""]]
