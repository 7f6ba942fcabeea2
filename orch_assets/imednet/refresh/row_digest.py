"""A digest of rows: the same for equal rows however Arrow holds them, and different for others."""

import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from orch_assets.imednet.blinding.masking import one_array

if TYPE_CHECKING:
    import pyarrow as pa


def digest_of(columns: "Sequence[pa.Array | pa.ChunkedArray]") -> str:
    """Return the digest of rows, which depends on their values, nulls, types and order.

    Args:
        columns: All columns of the rows. Their batches, offsets and unused bits don't matter.
    """
    if columns and not len(columns[0]):  # withheld parts mostly have no rows
        return _digest_of_nothing(tuple(column.type for column in columns))
    return _digest(map(one_array, columns))


@functools.lru_cache
def _digest_of_nothing(types: tuple[Any, ...]) -> str:
    import pyarrow as pa

    return _digest(pa.array([], type_) for type_ in types)


def _digest(arrays: Iterable[Any]) -> str:
    hashed = hashlib.blake2b(digest_size=32)
    for array in arrays:
        _add(hashed, array)
    return hashed.hexdigest()


def _add(hashed: Any, array: Any) -> None:
    import numpy as np
    import pyarrow as pa

    hashed.update(f"{array.type}/{len(array)}/".encode())
    if array.null_count:
        valid = array.is_valid().to_numpy(zero_copy_only=False)
    else:
        valid = np.ones(len(array), bool)  # each of Arrow's functions costs more than few rows do
    hashed.update(np.packbits(valid).tobytes())
    if pa.types.is_struct(array.type):
        for child in array.flatten():  # nulls of the struct are nulls of its fields
            _add(hashed, child)
    elif pa.types.is_list(array.type):
        _add_lengths(hashed, array)
        _add(hashed, array.flatten())  # without what null lists hold
    elif pa.types.is_string(array.type):
        _add_lengths(hashed, array)
        hashed.update(_text_of(array.drop_null() if array.null_count else array))
    else:
        hashed.update(_numbers_of(array).tobytes())


def _add_lengths(hashed: Any, array: Any) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    is_text = pa.types.is_string(array.type)
    lengths = pc.binary_length(array) if is_text else pc.list_value_length(array)
    hashed.update(_without_nulls(lengths).tobytes())


def _text_of(texts: "pa.StringArray") -> Any:
    """Return all texts, one after the other."""
    import numpy as np

    _, offsets, values = texts.buffers()
    if values is None or not len(texts):
        return b""
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(values)[ends[0] : ends[-1]]


def _numbers_of(array: Any) -> Any:
    """Return numbers, booleans, dates or times; 0 for null."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_timestamp(kind):
        array = array.view(pa.int64())
    elif pa.types.is_date32(kind):
        array = array.view(pa.int32())
    elif pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    elif not pa.types.is_integer(kind):
        raise TypeError(f"Rows with {kind} have no digest.")
    return _without_nulls(array)


def _without_nulls(numbers: Any) -> Any:
    return (numbers.fill_null(0) if numbers.null_count else numbers).to_numpy()
