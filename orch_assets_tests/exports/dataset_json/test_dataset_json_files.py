"""Files are valid against the standard's schema, repeat byte by byte, and are proven."""

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pytest
from hypothesis import given, settings

from orch_assets.errors import ExportError, ExportMismatchError
from orch_assets.exports.export_format import format_named
from orch_assets.exports.export_notes import Notes
from orch_assets_tests.exports.exporting import exported, exported_table, tables

ROOT = Path(__file__).parents[3]
SCHEMAS = next(ROOT.glob(".venv-cdisc/lib/*/site-packages/resources/schema"), None)
needs_schemas = pytest.mark.skipif(
    SCHEMAS is None, reason="the schemas of Dataset-JSON are not here: make .venv-cdisc/.installed"
)
FORMATS = ["dataset-json", "dataset-ndjson"]
ROWS = pa.table(
    {
        "record_id": [7, 8, 9],
        "AETERM": ["Rash\n]}", None, ""],
        "AESTDAT": pa.array([0, None, 1], pa.int32()).view(pa.date32()),
        "DOSE": [1.5, None, -0.0],
    }
)
LABELLED = ROWS.cast(
    pa.schema(
        [ROWS.schema.field(0), ROWS.schema.field(1).with_metadata({"label": "Reported term"})]
        + [ROWS.schema.field(index) for index in (2, 3)],
        {"form_name": "Adverse Events"},
    )
)


def validate(path: Path) -> None:
    """Require that a file fits the schema that cdisc-rules-engine ships."""
    assert SCHEMAS is not None
    lines = path.suffix == ".ndjson"
    name = "dataset-ndjson-schema.json" if lines else "dataset.schema.json"
    schema = json.loads((SCHEMAS / name).read_text())
    text = path.read_text().split("\n")[0] if lines else path.read_text()
    jsonschema.Draft201909Validator(schema).validate(json.loads(text))


@needs_schemas
@pytest.mark.parametrize("format_name", FORMATS)
@given(rows=tables())
@settings(max_examples=30, deadline=None)
def test_files_are_valid(format_name: str, rows: pa.Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        validate(exported(format_name, rows, Path(folder)).path)


def test_the_metadata_names_the_study_the_form_and_each_column(tmp_path: Path) -> None:
    document = json.loads(exported("dataset-json", LABELLED, tmp_path).path.read_text())
    assert document.pop("rows") == [
        [7, "Rash\n]}", "1970-01-01", 1.5],
        [8, None, None, None],
        [9, "", "1970-01-02", -0.0],
    ]
    assert document == {
        "datasetJSONCreationDateTime": "2026-11-29T05:00:00.123456+00:00",
        "datasetJSONVersion": "1.1.0",
        "fileOID": f"ONC-301.AE.{'ab' * 32}",
        "originator": "orch-assets",
        "sourceSystem": {"name": "iMednet", "version": "API v1"},
        "studyOID": "ONC-301",
        "metaDataVersionOID": "MDV.ONC-301",
        "itemGroupOID": "IG.AE",
        "records": 3,
        "name": "AE",
        "label": "Adverse Events",
        "columns": [
            {
                "itemOID": "IT.AE.record_id",
                "name": "record_id",
                "label": "record_id",
                "dataType": "integer",
                "keySequence": 1,
            },
            {
                "itemOID": "IT.AE.AETERM",
                "name": "AETERM",
                "label": "Reported term",
                "dataType": "string",
            },
            {
                "itemOID": "IT.AE.AESTDAT",
                "name": "AESTDAT",
                "label": "AESTDAT",
                "dataType": "date",
                "targetDataType": "integer",
            },
            {"itemOID": "IT.AE.DOSE", "name": "DOSE", "label": "DOSE", "dataType": "double"},
        ],
    }


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_same_version_gives_the_same_bytes(format_name: str, tmp_path: Path) -> None:
    first = exported(format_name, ROWS, tmp_path).path.read_bytes()
    assert exported(format_name, ROWS, tmp_path).path.read_bytes() == first


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(
    "rows",
    [
        ROWS.slice(0, 0),
        ROWS.select(["AETERM"]),
        pa.table({"A": pa.nulls(3, pa.int64()), "B": pa.nulls(3, pa.date32())}),
        pa.table({"A": ["x", "", None, None]}),
        pa.table({"A": pa.nulls(2)}),
    ],
    ids=["no rows", "one column", "all null", "blank last rows", "no type"],
)
def test_sparse_tables_keep_their_rows(format_name: str, rows: pa.Table, tmp_path: Path) -> None:
    path = exported(format_name, rows, tmp_path).path
    text = path.read_text()
    if path.suffix == ".ndjson":
        found = [json.loads(line) for line in text.splitlines()[1:]]
    else:
        found = json.loads(text)["rows"]
    assert found == [[*row.values()] for row in rows.to_pylist()]


def test_a_table_with_other_rows_than_it_says_is_refused(tmp_path: Path) -> None:
    table = exported_table(ROWS)
    wrong = type(table)(**{**vars(table), "num_rows": 4})
    file = format_named("dataset-json").prepare([wrong], {})
    with Notes(tmp_path) as notes, pytest.raises(ExportError, match="has 3 rows, and says 4"):
        file.write(tmp_path / "AE.json", notes)


CHANGES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("a text", lambda text: text.replace(b'"Rash', b'"Hash')),
    ("a number", lambda text: text.replace(b"1.5]", b"1.25]")),
    ("a sign", lambda text: text.replace(b"-0.0]", b"0.0]")),
    ("a type", lambda text: text.replace(b"1.5]", b'"1.5"]')),
    ("an integer for a float", lambda text: text.replace(b"-0.0]", b"0]")),
    ("a date", lambda text: text.replace(b"1970-01-02", b"1970-01-03")),
    ("an empty text", lambda text: text.replace(b'9,""', b"9,null")),
    ("a row", lambda text: re.sub(rb"\[8,.*\n", b"", text)),
    ("the count", lambda text: text.replace(b'"records":3', b'"records":2')),
    ("a label", lambda text: text.replace(b'"label":"DOSE"', b'"label":"Dose"')),
    ("the end", lambda text: text[:-4]),
    ("not a number", lambda text: text.replace(b"1.5]", b"NaN]")),
    ("a cell too many", lambda text: text.replace(b"1.5]", b"1.5,1]")),
]  # fmt: skip


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[n for n, _ in CHANGES])
def test_a_changed_file_is_found(format_name: str, change: Any, tmp_path: Path) -> None:
    result = exported(format_name, ROWS, tmp_path)
    before = result.path.read_bytes()
    result.path.write_bytes(change(before))
    assert result.path.read_bytes() != before
    with pytest.raises(ExportMismatchError) as caught:
        result.file.verify(result.path)
    assert "Rash" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
