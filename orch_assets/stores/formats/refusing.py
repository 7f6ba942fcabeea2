"""Errors for values that can't be stored, without any of the data."""

import contextlib
from collections.abc import Iterator

from orch_assets.errors import UnstorableTableError


@contextlib.contextmanager
def storable(label: str, type_name: str) -> Iterator[None]:
    """Turn errors of Arrow into our own, because Arrow's messages hold values.

    Args:
        label: The column. Used in the error message.
        type_name: The type that the values must have. Used in the error message.

    Raises:
        UnstorableTableError: Names the column and the type.
    """
    import pyarrow as pa

    try:
        yield
    except UnstorableTableError:  # already one of ours
        raise
    except (pa.ArrowException, ValueError, TypeError, ArithmeticError):
        raise UnstorableTableError(
            f"{label} holds a value that can't be stored as {type_name}."
        ) from None
