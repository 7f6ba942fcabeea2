"""Refusing a table without a word of its data."""

import contextlib
from collections.abc import Iterator

from orch_assets.errors import UnstorableTableError


@contextlib.contextmanager
def storable(label: str, type_name: str) -> Iterator[None]:
    """Turn what Arrow says about a column into our error: Arrow's own text holds values.

    Args:
        label: how the error names the column.
        type_name: the type, for an error's text, that the column's values must fit.
    """
    import pyarrow as pa

    try:
        yield
    except UnstorableTableError:  # said already
        raise
    except (pa.ArrowException, ValueError, TypeError, ArithmeticError):
        raise UnstorableTableError(
            f"{label} holds a value that can't be stored as {type_name}."
        ) from None
