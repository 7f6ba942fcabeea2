"""The rows of an earlier version with the changed rows in their places."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from orch_assets.errors import ImednetError
from orch_assets.imednet.streams import one_batch
from orch_assets.refreshing import StoredTable

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def merged_rows(
    earlier: StoredTable | None,
    rows: "pa.Table",
    replaced: "NDArray[Any]",
    id_column: str,
    total: int | None = None,
) -> "Generator[pa.RecordBatch, None, None]":
    """Yield a part's rows in the order of their IDs; at least one batch.

    A batch of the earlier version in which nothing changes is yielded as it is.

    Args:
        earlier: The part's earlier version, in the order of its IDs; None if it had no rows.
        rows: The part's changed rows, in the order of their IDs.
        replaced: The IDs of all changed rows, in order: those of ``rows``, and those of rows that
            are no longer in this part.
        id_column: The column with the IDs.
        total: How many rows this part must have; None if it isn't known.

    Raises:
        ImednetError: The part has another number of rows.
    """
    import numpy as np
    import pyarrow as pa

    new = rows[id_column].to_numpy()
    done = gone = passed = 0
    for stored in [] if earlier is None else earlier.batches():
        if not stored.num_rows:
            continue
        batch = pa.RecordBatch.from_arrays(stored.columns, schema=rows.schema)
        ids = batch[id_column].to_numpy()
        end = np.searchsorted(new, ids[-1], "right")
        gone_to = np.searchsorted(replaced, ids[-1], "right")
        if gone_to > gone:
            batch = _merged(batch, ids, rows[done:end], new[done:end], replaced[gone:gone_to])
            done, gone = end, gone_to
        passed += batch.num_rows
        if batch.num_rows:
            yield batch
    if done < len(new) or not passed:
        yield one_batch(rows[done:])
    passed += len(new) - done
    if total is not None and passed != total:
        raise ImednetError(
            f"Merging gave {passed} rows instead of {total}: the stored version isn't what its "
            "columns said. Read the table whole: `orch-assets run --full`."
        )


def _merged(
    batch: "pa.RecordBatch",
    ids: "NDArray[Any]",
    rows: "pa.Table",
    new: "NDArray[Any]",
    replaced: "NDArray[Any]",
) -> "pa.RecordBatch":
    import numpy as np
    import pyarrow as pa

    found = np.searchsorted(ids, replaced)  # below len(ids): no replaced ID is above the last
    kept = np.ones(len(ids), bool)
    kept[found[ids[found] == replaced]] = False
    # Positions in the old rows followed by the new ones: each row is copied once.
    places = np.searchsorted(ids[kept], new)
    sources = np.insert(np.flatnonzero(kept), places, np.arange(len(new)) + len(ids))
    (both,) = pa.Table.from_batches([batch, *rows.to_batches()]).combine_chunks().to_batches()
    return both.take(pa.array(sources))
