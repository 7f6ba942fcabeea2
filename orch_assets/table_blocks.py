"""The number of rows in a block: the unit in which tables are read from the API and stored.

A batch that is read with this many rows is stored as one block, without a copy.
"""

_BLOCK_CELLS = 1 << 18
_MAX_BLOCK_ROWS = 1 << 14
_MIN_BLOCK_ROWS = 1 << 8


def block_rows(columns: int) -> int:
    """Return the rows per block: a power of two, 16,384 up to 16 columns, and at least 256."""
    rows = _MAX_BLOCK_ROWS
    while rows > _MIN_BLOCK_ROWS and rows * columns > _BLOCK_CELLS:
        rows //= 2
    return rows
