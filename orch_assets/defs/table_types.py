"""The table types that pipelines return and ask for, told apart without importing either."""

from typing import Any


def type_name(value: Any) -> str:
    """Return a value's class with its package: ``pandas.DataFrame``, ``pyarrow.Table``."""
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"


def is_table(value: Any) -> bool:
    """Whether a value is a pandas frame or an Arrow table."""
    return type_name(value) in {"pandas.DataFrame", "pyarrow.Table"}


def is_table_stream(value: Any) -> bool:
    """Whether a value is a stream of record batches that knows its Arrow schema."""
    schema = getattr(value, "schema", None)
    return (
        not is_table(value) and type_name(schema) == "pyarrow.Schema" and hasattr(value, "__iter__")
    )


def table_class(name: str) -> type:
    """Return the class of ``pandas.DataFrame`` or ``pyarrow.Table``."""
    if name == "pyarrow.Table":
        import pyarrow as pa

        table: type = pa.Table
        return table
    import pandas as pd

    return pd.DataFrame


def as_table_type(value: Any, name: str) -> Any:
    """Return a table as the named type, just as the stores would give it back.

    A frame is copied, so that no pipeline changes what another one receives. What is no table
    comes back as it is.
    """
    kind = type_name(value)
    if kind == "pyarrow.Table" and name == "pandas.DataFrame":
        from orch_assets.stores.frames import arrow_to_frame

        return arrow_to_frame(value)
    if kind == "pandas.DataFrame" and name == "pyarrow.Table":
        import pyarrow as pa

        from orch_assets.stores.frames import frame_to_arrow
        from orch_assets.stores.tables import without_notes

        schema, batches = frame_to_arrow(value)
        return without_notes(pa.Table.from_batches(batches, schema))
    return value.copy() if kind == "pandas.DataFrame" else value
