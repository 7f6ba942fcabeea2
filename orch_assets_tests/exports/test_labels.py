"""Labels that aren't UTF-8, which pyarrow takes and other tools don't."""

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orch_assets.errors import ExportRefusedError
from orch_assets.exports.export_format import FORMATS
from orch_assets.exports.table_export import TableExport
from orch_assets_tests.exports.exporting import exported_table

LATIN_1 = "Größe".encode("latin-1")
AE = pa.table(
    [["mild"], [7]],
    schema=pa.schema(
        [
            pa.field("AETERM", pa.string(), metadata={"label": LATIN_1, "raw_of": b"\xff"}),
            pa.field("AEDUR", pa.int64(), metadata={"label": "Duration in days"}),
        ],
        {"form_name": LATIN_1},
    ),
)


def export(format_name, **options):
    return TableExport(format_name, [exported_table(AE)], "ONC-301", **options)


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_label_that_is_not_utf_8_is_replaced_and_noted(format_name):
    with export(format_name).written({}) as written:
        notes = written.files["export_notes.csv"].read_text().splitlines()
    assert [line for line in notes if line.endswith('"label"')] == [
        '"ONC-301","AE",,,"AETERM","label"',
        '"ONC-301","AE",,,,"label"',
    ]


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_strict_export_refuses_it(format_name):
    with (
        pytest.raises(ExportRefusedError, match="label 2"),
        export(format_name, strict=True).written({}),
    ):
        pass


def test_polars_reads_the_parquet_file():
    """It reads none with metadata that isn't UTF-8."""
    with export("parquet").written({}) as written:
        path = written.files["AE.parquet"]
        assert pl.read_parquet(path).to_dicts() == AE.to_pylist()
        assert pq.read_schema(path).field("AETERM").metadata[b"label"] == "Gr��e".encode()
