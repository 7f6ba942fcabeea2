"""Types that pipelines return and request, recognized without importing their packages."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from orch_assets.defs.io.loading import LAZY, POLARS
from orch_assets.errors import UnstorableTableError, UnstorableValueError
from orch_assets.exports.table_export import TableExport
from orch_assets.json_values import NotJsonError, exact_json, json_value, to_json
from orch_assets.marked_names import named_type
from orch_assets.orchestration.defining.received_types import ARROW, PANDAS, READER
from orch_assets.orchestration.returned_values import Document, SplitTable
from orch_assets.stores.formats.documents import is_figure, is_png, rendered

_SERIES: Final = frozenset({"pandas.Series", "polars.Series"})


def type_name(value: Any) -> str:
    """Return a value's type and top-level package: ``pandas.DataFrame``, ``pyarrow.Table``."""
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"


def is_table(value: Any) -> bool:
    """Whether a value is a pandas DataFrame or an Arrow table."""
    return type_name(value) in {PANDAS, ARROW}


def is_polars(value: Any) -> bool:
    """Whether the type of a value is from Polars."""
    return type_name(value).startswith("polars.")


def is_table_stream(value: Any) -> bool:
    """Whether a value is a stream of record batches with an Arrow schema."""
    if is_polars(value):  # reading a LazyFrame's schema would resolve its query
        return False
    schema = getattr(value, "schema", None)
    return (
        not is_table(value) and type_name(schema) == "pyarrow.Schema" and hasattr(value, "__iter__")
    )


def table_class(name: str) -> type:
    """Return the class ``pandas.DataFrame``, or the class with this name in ``pyarrow``."""
    package, _, class_name = name.partition(".")
    if package == "pyarrow":
        import pyarrow as pa

        table: type = getattr(pa, class_name)
        return table
    import pandas as pd

    return pd.DataFrame


def as_result(returned: Any) -> Any:
    """Convert what a pipeline or an asset returned to the value that is stored.

    A series becomes a table with one column, named ``value`` if the series has no name. A figure
    becomes a document of bytes. Any other value that is not a table becomes what a round trip
    through JSON returns, with None for NaN. A value that is not JSON-serializable is returned
    unchanged; the IO manager decides about it.

    Raises:
        UnstorableValueError: A document is neither a figure nor bytes with a media type.
    """
    if _is_series(returned):
        return _as_frame(returned)
    if isinstance(returned, SplitTable):
        parts = {"table": as_result(returned.table), "withheld": as_result(returned.withheld)}
        return replace(returned, **parts)
    if is_document(returned):
        return _as_bytes(returned if isinstance(returned, Document) else Document(returned))
    if is_tabular(returned) or isinstance(returned, TableExport):
        return returned
    return _as_plain(returned)


def _as_plain(returned: Any) -> Any:
    if isinstance(returned, Mapping):
        tables = {name: as_result(each) for name, each in returned.items() if _is_series(each)}
        if tables:
            return {**returned, **tables}
    try:
        return json_value(returned, missing_as_null=True)
    except NotJsonError:
        return returned


def is_document(value: Any) -> bool:
    """Whether a value is a document or a figure."""
    return isinstance(value, Document) or is_figure(value)


def handed_on(value: Any) -> bool:
    """Whether the value that the store returns for a result is known without reading it.

    Parquet preserves only dictionary columns of text, and CSV preserves none, so the order of other
    dictionaries is lost.
    """
    if isinstance(value, TableExport):
        return False
    if isinstance(value, Document):
        return True
    members = list(value.values()) if isinstance(value, Mapping) else [value]
    if members and all(map(is_table, members)):
        return not any(type_name(each) == ARROW and _has_dictionary(each) for each in members)
    return exact_json(value)


def as_handed(value: Any, name: str) -> Any:
    """Return a result as the stores would return it, with its tables as the named type.

    Each call returns new objects, so that pipelines don't share them.

    Raises:
        UnstorableTableError: A DataFrame can't be stored.
    """
    if isinstance(value, Document):
        return replace(value, show=False, thumbnail=None)
    if is_table(value):
        return as_table_type(value, name)
    if isinstance(value, Mapping) and value and all(is_table(each) for each in value.values()):
        return {member: as_table_type(table, name) for member, table in value.items()}
    return json.loads(to_json(value))


def as_table_type(value: Any, name: str) -> Any:
    """Return a table as the named type, as the stores would return it.

    Raises:
        UnstorableTableError: The table can't be stored.
    """
    from orch_assets.stores.formats.frames import arrow_to_frame
    from orch_assets.stores.tables import without_notes

    if name == PANDAS:
        return arrow_to_frame(_stored_form(value))
    table = without_notes(_stored_form(value))
    return table.to_reader() if name == READER else table


def is_tabular(value: Any) -> bool:
    """Whether a value is a table, a stream of record batches, or from Polars."""
    return is_table(value) or is_polars(value) or is_table_stream(value)


def as_arrow(value: Any) -> Any:
    """Return a Polars frame or query as an Arrow table, and any other value unchanged.

    Raises:
        UnstorableTableError: Arrow can't hold a column: Python objects, integers of 128 bits.
    """
    if type_name(value) == LAZY:
        value = value.collect()
    if type_name(value) != POLARS:
        return value
    from orch_assets.stores.formats.column_plans import column_label

    for position, column in enumerate(value.clear().get_columns()):
        if not _has_arrow_type(column):
            raise UnstorableTableError(
                f"{column_label(column.name, position)} is of the Polars type "
                f"{named_type(type(column.dtype))}, which can't be stored; convert it to text, "
                "numbers or timestamps."
            )
    return value.to_arrow()


def _has_arrow_type(column: Any) -> bool:
    """Whether Arrow can hold the values of a Polars series without rows."""
    import polars as pl
    import pyarrow as pa

    if column.dtype == pl.Object:  # Polars would make bytes of the objects' addresses
        return False
    try:
        column.to_arrow()
    except pa.ArrowException:
        return False
    return True


def _as_bytes(document: Document) -> Document:
    """Return a document as bytes with their media type."""
    content, media_type = document.content, document.media_type
    if document.thumbnail is not None and not is_png(document.thumbnail):
        raise UnstorableValueError("The thumbnail of a Document must be the bytes of a PNG.")
    if is_figure(content):
        data, media_type = rendered(content, media_type)
        return replace(document, content=data, media_type=media_type)
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise UnstorableValueError(
            f"A Document holds {named_type(type(content))}. Give it a matplotlib or plotly figure, "
            "or bytes; text becomes bytes with .encode()."
        )
    if not isinstance(media_type, str):
        raise UnstorableValueError(
            "A Document of bytes has no media type. Write Document(data, 'application/pdf'), for "
            "example."
        )
    return replace(document, content=bytes(content))


def _stored_form(value: Any) -> Any:
    """Return the Arrow table that the stores would hold of a frame or a table."""
    import pyarrow as pa

    from orch_assets.stores.formats.frames import frame_to_arrow
    from orch_assets.stores.tables import without_notes

    if type_name(value) == ARROW:
        return without_notes(value)
    schema, batches = frame_to_arrow(value)
    return pa.Table.from_batches(batches, schema)


def _is_series(value: Any) -> bool:
    return type_name(value) in _SERIES


def _has_dictionary(table: Any) -> bool:
    import pyarrow as pa

    return any(pa.types.is_dictionary(each) for each in table.schema.types)


def _as_frame(series: Any) -> Any:
    name = series.name
    return series.to_frame("value" if name is None or name == "" else name)
