"""The table types that pipelines return and ask for, told apart without importing either."""

import json
from collections.abc import Mapping
from typing import Any

from orch_assets.orchestration.pipeline import ARROW, PANDAS, READER


def type_name(value: Any) -> str:
    """Return a value's class with its package: ``pandas.DataFrame``, ``pyarrow.Table``."""
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"


def is_table(value: Any) -> bool:
    """Whether a value is a pandas frame or an Arrow table."""
    return type_name(value) in {PANDAS, ARROW}


def is_polars(value: Any) -> bool:
    """Whether a value is one of Polars' own."""
    return type_name(value).startswith("polars.")


def is_table_stream(value: Any) -> bool:
    """Whether a value is a stream of record batches that knows its Arrow schema."""
    if is_polars(value):  # a lazy frame would work its schema out
        return False
    schema = getattr(value, "schema", None)
    return (
        not is_table(value) and type_name(schema) == "pyarrow.Schema" and hasattr(value, "__iter__")
    )


def table_class(name: str) -> type:
    """Return the class of ``pandas.DataFrame`` or of a name in ``pyarrow``."""
    package, _, class_name = name.partition(".")
    if package == "pyarrow":
        import pyarrow as pa

        table: type = getattr(pa, class_name)
        return table
    import pandas as pd

    return pd.DataFrame


def as_handed(value: Any, name: str) -> Any:
    """Return a result as the stores would give it back, its tables as the named type.

    Nothing is shared with what is handed to another pipeline: a frame is copied, and what is no
    table goes through JSON where JSON has it.
    """
    if is_table(value):
        return as_table_type(value, name)
    if isinstance(value, Mapping) and value and all(is_table(each) for each in value.values()):
        return {member: as_table_type(table, name) for member, table in value.items()}
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):  # kept by an IO manager of the user's, as what it is
        return value


def as_table_type(value: Any, name: str) -> Any:
    """Return a table as the named type; a frame is a copy."""
    kind = type_name(value)
    if kind == ARROW and name == PANDAS:
        from orch_assets.stores.frames import arrow_to_frame

        return arrow_to_frame(value)
    if kind == PANDAS and name == ARROW:
        import pyarrow as pa

        from orch_assets.stores.frames import frame_to_arrow
        from orch_assets.stores.tables import without_notes

        schema, batches = frame_to_arrow(value)
        return without_notes(pa.Table.from_batches(batches, schema))
    if name == READER:
        return as_table_type(value, ARROW).to_reader()
    return value.copy() if kind == PANDAS else value
