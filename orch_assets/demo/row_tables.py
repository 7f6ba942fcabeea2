"""The rows of one endpoint: encoded once, changed by replacing, read without a lock."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from orch_assets.demo.page_request import Sort
from orch_assets.demo.read_api import Endpoint

Row = dict[str, Any]

# Filtered or sorted orders that are kept for the next page of the same request.
_ORDERS_KEPT = 32


@dataclass(frozen=True)
class RowSelection:
    """Which rows of a table, in which order.

    Attributes:
        sort: fields and directions; ties stay in the order of the IDs.
        key: the request's filters as text; equal keys select the same rows.
        holds: whether a row is selected; None takes all of them.
    """

    sort: Sort
    key: tuple[object, ...] = ()
    holds: Callable[[Row], bool] | None = None


@dataclass(frozen=True)
class _Snapshot:
    rows: Sequence[Row]
    encoded: Sequence[bytes]
    orders: dict[object, Sequence[bytes]]


class Table:
    """Rows in the order of their IDs.

    One thread at a time may change a table (the registry's lock sees to that); any may read it.
    """

    def __init__(self, endpoint: Endpoint, rows: Iterable[Row]) -> None:
        self._endpoint = endpoint
        self._encoder = msgspec.json.Encoder()
        self._keep(sorted(rows, key=self._id))

    @property
    def rows(self) -> Sequence[Row]:
        """All rows, in the order of their IDs; not to be changed."""
        return self._snapshot.rows

    def select(self, selection: RowSelection) -> Sequence[bytes]:
        """Return the selected rows as JSON."""
        snapshot = self._snapshot
        if selection.holds is None and selection.sort == ((self._endpoint.id, "ASC"),):
            return snapshot.encoded
        key = (selection.sort, selection.key)
        if key not in snapshot.orders:
            if len(snapshot.orders) >= _ORDERS_KEPT:
                snapshot.orders.clear()
            snapshot.orders[key] = _in_order(snapshot, selection)
        return snapshot.orders[key]

    def get(self, row_id: object) -> Row | None:
        """Return the row of that ID; None where there is none."""
        return next((row for row in self.rows if self._id(row) == row_id), None)

    def insert(self, row: Row) -> None:
        """Add a row at its ID's place."""
        self._keep(sorted([*self.rows, row], key=self._id))

    def update(self, row_id: object, changes: Mapping[str, Any]) -> None:
        """Change fields of the row of that ID.

        Raises:
            KeyError: there is none.
        """
        old = self._existing(row_id)
        self._keep([{**row, **changes} if row is old else row for row in self.rows])

    def delete(self, row_id: object) -> None:
        """Remove the row of that ID.

        Raises:
            KeyError: there is none.
        """
        old = self._existing(row_id)
        self._keep([row for row in self.rows if row is not old])

    def _existing(self, row_id: object) -> Row:
        row = self.get(row_id)
        if row is None:
            raise KeyError(f"{self._endpoint.name} has no row {row_id!r}")
        return row

    def _id(self, row: Row) -> Any:
        return row[self._endpoint.id]

    def _keep(self, rows: Sequence[Row]) -> None:
        self._snapshot = _Snapshot(rows, [self._encode(row) for row in rows], {})

    def _encode(self, row: Row) -> bytes:
        try:
            return self._encoder.encode(row)
        except UnicodeEncodeError:  # half of a surrogate pair: JSON has it as an escape
            return json.dumps(row).encode()


def _in_order(snapshot: _Snapshot, selection: RowSelection) -> Sequence[bytes]:
    holds = selection.holds
    pairs = [
        (row, encoded)
        for row, encoded in zip(snapshot.rows, snapshot.encoded, strict=True)
        if holds is None or holds(row)
    ]
    for name, direction in reversed(selection.sort):  # a stable sort: the last field goes first
        pairs.sort(key=lambda pair: _sortable(pair[0].get(name)), reverse=direction == "DESC")
    return [encoded for _, encoded in pairs]


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)
