"""The metadata of a Dataset-JSON file: what the dataset and its columns are.

Names, types and what must be there are those of the standard's JSON Schema, version 1.1. It allows
no other attributes, and a reader that checks it shows an invalid file as an empty table.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from orch_assets.exports.exported_table import RECORD_ID
from orch_assets.exports.plain_cells import PlainTable

if TYPE_CHECKING:
    import pyarrow as pa


def dataset_metadata(plain: PlainTable, long_integers: Collection[str]) -> dict[str, Any]:
    """Return all attributes but ``rows``.

    They are the same for the same version of the table: ``datasetJSONCreationDateTime`` is when
    that version was published.

    Args:
        plain: The table.
        long_integers: Names of the columns of whole numbers of which some exceed 2^53.
    """
    table = plain.table
    group = f"IG.{table.name}"
    return {
        "datasetJSONCreationDateTime": table.published_at,
        "datasetJSONVersion": "1.1.0",
        "fileOID": f"{table.study_key}.{table.name}.{table.version}",
        "originator": "orch-assets",
        "sourceSystem": {"name": "iMednet", "version": "API v1"},
        "studyOID": table.study_key,
        "metaDataVersionOID": f"MDV.{table.study_key}",
        "itemGroupOID": group,
        "records": table.num_rows,
        "name": table.name,
        "label": table.label,
        "columns": [
            _column(plain, field, f"IT.{table.name}.{field.name}", long_integers)
            for field in plain.schema
        ],
    }


def _column(
    plain: PlainTable, field: "pa.Field", item: str, long_integers: Collection[str]
) -> dict[str, Any]:
    source = plain.table.schema.field(field.name).type
    type_ = "decimal" if field.name in long_integers else _data_type(field.type, source)
    column: dict[str, Any] = {
        "itemOID": item,
        "name": field.name,
        "label": plain.table.column_label(field.name),
        "dataType": type_,
    }
    # The logical type, where it differs: in SAS and in R, dates and times are numbers.
    target = {"decimal": "decimal", "date": "integer", "time": "integer", "datetime": "integer"}
    if type_ in target:
        column["targetDataType"] = target[type_]
    if field.name == RECORD_ID:
        column["keySequence"] = 1
    return column


def _data_type(type_: "pa.DataType", source: "pa.DataType") -> str:
    """Return the standard's name of a plain type; a long decimal is text already."""
    import pyarrow.types as t

    if t.is_decimal(type_) or t.is_decimal(source):
        return "decimal"
    names = {
        t.is_boolean: "boolean",
        t.is_integer: "integer",
        t.is_float32: "float",
        t.is_float64: "double",
        t.is_date: "date",
        t.is_time: "time",
        t.is_timestamp: "datetime",
    }
    return next((name for is_kind, name in names.items() if is_kind(type_)), "string")
