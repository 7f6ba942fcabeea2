"""The rows of one endpoint, encoded once; a change replaces them, and readers need no lock."""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from orch_assets.demo.read_api import Endpoint

Row = dict[str, Any]
Sort = tuple[tuple[str, str], ...]

# How many filtered or sorted selections are cached for the further pages of the same request.
_CACHED_SELECTIONS = 32


@dataclass(frozen=True)
class RowSelection:
    """Which rows of a table are selected, and in which order.

    Attributes:
        sort: Pairs of field and direction. Equal rows stay in the order of the IDs.
        key: The request's filters as text. Equal keys select the same rows.
        matches: Returns whether a row is selected; None selects all rows.
    """

    sort: Sort
    key: tuple[object, ...] = ()
    matches: Callable[[Row], bool] | None = None


@dataclass(frozen=True)
class _Snapshot:
    rows: Sequence[Row]
    encoded: Sequence[bytes]
    selections: dict[object, Sequence[bytes]]


class Table:
    """Rows in the order of their IDs.

    Any thread may read a table. One thread at a time may change it; the registry's lock ensures
    this.
    """

    def __init__(self, endpoint: Endpoint, rows: Iterable[Row]) -> None:
        self._endpoint = endpoint
        self._encoder = msgspec.json.Encoder()
        self._last_id = 0
        self._keep(sorted(rows, key=self._id))

    @property
    def id_name(self) -> str:
        """The field that holds a row's ID."""
        return self._endpoint.id

    @property
    def last_id(self) -> int:
        """The largest number that was ever a row's ID; 0 if there was none."""
        return self._last_id

    @property
    def rows(self) -> Sequence[Row]:
        """All rows, in the order of their IDs. Do not change them."""
        return self._snapshot.rows

    def select(self, selection: RowSelection) -> Sequence[bytes]:
        """Return the selected rows as JSON."""
        snapshot = self._snapshot
        if selection.matches is None and selection.sort == ((self._endpoint.id, "ASC"),):
            return snapshot.encoded
        key = (selection.sort, selection.key)
        if key not in snapshot.selections:
            if len(snapshot.selections) >= _CACHED_SELECTIONS:
                snapshot.selections.clear()
            snapshot.selections[key] = _in_order(snapshot, selection)
        return snapshot.selections[key]

    def get(self, row_id: object) -> Row | None:
        """Return the row with this ID; None if there is none."""
        return next((row for row in self.rows if self._id(row) == row_id), None)

    def by_id(self) -> dict[Any, Row]:
        """Return a new dictionary of all rows by ID, in the order of the IDs."""
        return {row[self.id_name]: row for row in self.rows}

    def insert(self, row: Row) -> None:
        """Add a row, in the order of the IDs."""
        self._keep(sorted([*self.rows, row], key=self._id))

    def update(self, row_id: object, changes: Mapping[str, Any]) -> None:
        """Change fields of the row with this ID.

        Raises:
            KeyError: There is no such row.
        """
        self.apply({row_id: {**self._existing(row_id), **changes}})

    def delete(self, row_id: object) -> None:
        """Remove the row with this ID.

        Raises:
            KeyError: There is no such row.
        """
        self._existing(row_id)
        self.apply({row_id: None})

    def apply(self, changes: Mapping[Any, Row | None]) -> None:
        """Replace, add and remove rows at once; the other rows are not encoded again.

        Args:
            changes: The new rows by the ID of the row that they replace or add. None removes it.
        """
        rows, encoded = list(self._snapshot.rows), list(self._snapshot.encoded)
        positions = {row[self.id_name]: position for position, row in enumerate(rows)}
        removed = []
        for row_id, row in changes.items():
            position = positions.get(row_id)
            if position is None:
                continue
            if row is None:
                removed.append(position)
            else:
                rows[position], encoded[position] = row, self._encode(row)
        for position in sorted(removed, reverse=True):
            del rows[position], encoded[position]
        for row_id, row in changes.items():
            if row is not None and row_id not in positions:
                position = bisect_left(rows, self._id(row), key=self._id)
                rows.insert(position, row)
                encoded.insert(position, self._encode(row))
        self._publish(rows, encoded, changes)

    def _existing(self, row_id: object) -> Row:
        row = self.get(row_id)
        if row is None:
            raise KeyError(f"{self._endpoint.name} has no row {row_id!r}")
        return row

    def _id(self, row: Row) -> Any:
        return row[self._endpoint.id]

    def _keep(self, rows: Sequence[Row]) -> None:
        self._publish(rows, [self._encode(row) for row in rows], map(self._id, rows))

    def _publish(self, rows: Sequence[Row], encoded: Sequence[bytes], ids: Iterable[Any]) -> None:
        numbers = (row_id for row_id in ids if isinstance(row_id, int))
        self._last_id = max(self._last_id, max(numbers, default=0))
        self._snapshot = _Snapshot(rows, encoded, {})

    def _encode(self, row: Row) -> bytes:
        try:
            return self._encoder.encode(row)
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON escapes
            return json.dumps(row).encode()


def _in_order(snapshot: _Snapshot, selection: RowSelection) -> Sequence[bytes]:
    matches = selection.matches
    pairs = [
        (row, encoded)
        for row, encoded in zip(snapshot.rows, snapshot.encoded, strict=True)
        if matches is None or matches(row)
    ]
    # Sorting is stable, so the rows are sorted by the last field first.
    for name, direction in reversed(selection.sort):
        pairs.sort(key=lambda pair: _sortable(pair[0].get(name)), reverse=direction == "DESC")
    return [encoded for _, encoded in pairs]


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)
