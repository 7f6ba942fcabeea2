"""How a table is refreshed: decided once, when somebody first asks for its rows."""

import functools
import secrets
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError, ImednetError
from orch_assets.imednet.blinding.split_stream import SplitStream
from orch_assets.imednet.progress import ReadingCounts
from orch_assets.imednet.refresh.basis import Basis, basis_of, is_same_account, why_whole
from orch_assets.imednet.refresh.counted_reading import CountedReading, CountedRows
from orch_assets.imednet.refresh.earlier_rows import EarlierRows, dated_since
from orch_assets.imednet.refresh.merged_rows import merged_rows
from orch_assets.imednet.refresh.part_division import PartDivision
from orch_assets.imednet.refresh.refreshed_table import RefreshedTable
from orch_assets.imednet.refresh.row_digest import digest_of
from orch_assets.imednet.refresh.side_reading import beside
from orch_assets.imednet.refresh.table_state import NewestRows, TableState, before, shape_of
from orch_assets.imednet.refresh.whole_reading import MOST_ROWS, WholeReading, newest_of
from orch_assets.imednet.streams import BatchStream
from orch_assets.refreshing import PartRefresh, PreviousResult, RowChanges, StoredTable

if TYPE_CHECKING:
    import pyarrow as pa

    Batches = Generator[pa.RecordBatch, None, None] | BatchStream


@dataclass(frozen=True)
class PlannedPart:
    """A part of a refreshed table: how it is made, and its rows."""

    refresh: PartRefresh
    rows: "Batches"


class RefreshPlan:
    """Decides how a table is refreshed. Thread-safe.

    Args:
        table: The table.
        previous: The result to start from; None if there is none.
        division: How the table is divided into parts.

    Attributes:
        counts: The counts of the reading.
        schemas: The schemas of the parts.
    """

    def __init__(
        self, table: RefreshedTable, previous: PreviousResult | None, division: PartDivision
    ) -> None:
        self._table = table
        self._previous = previous
        self._division = division
        self._lock = threading.Lock()
        self._decision: Future[Sequence[PlannedPart]] | None = None
        self._changes = RowChanges()
        self._account: Callable[[], str] = table.account
        self._states: list[Mapping[str, Any]] = []
        self.counts = ReadingCounts()
        self.schemas = division.schemas(table.schema)

    def divided(self, division: PartDivision) -> "RefreshPlan":
        """Return a plan of its own for the same table, divided into other parts."""
        return RefreshPlan(self._table, self._previous, division)

    def part(self, number: int) -> PlannedPart:
        """Return a part; the first call decides, and sends requests.

        Raises:
            OtherRegistryError: The earlier version is of another registry or account.
            DictionaryChangedError: What is withheld changed meanwhile.
            RegistryError: The table can't be read completely.
        """
        with self._lock:
            if self._decision is None:
                self._decision = Future()
                try:
                    self._decision.set_result(self._decide())
                except BaseException as error:  # noqa: BLE001 - raised for each part
                    self._decision.set_exception(error)
        return self._decision.result()[number]

    def close(self, number: int) -> None:
        """Stop a part. If nothing has been read yet, nothing will be."""
        with self._lock:
            if self._decision is None:
                self._decision = Future()
                self._decision.set_exception(ImednetError("The stream was closed unread."))
        if self._decision.exception() is None:
            self._decision.result()[number].rows.close()

    def _decide(self) -> Sequence[PlannedPart]:
        table, previous = self._table, self._previous
        if previous is None:  # only the state needs the account: the rows don't wait for it
            self._account = beside(lambda *_: table.account(), self.counts, self._changes)
            return self._whole("there is no earlier version")
        try:
            if not is_same_account(table, previous, self._account()):
                return self._whole("it replaces a table of another account")
            basis = basis_of(table, previous, self._division.blinding, self.schemas)
        except (ArtifactCorruptError, ArtifactNotFoundError):
            return self._whole("the stored version can't be read")
        if isinstance(basis, str):
            return self._whole(basis, previous)
        reason = why_whole(table, previous, basis.state)
        if reason is None:
            reading = CountedReading(table, self._division, basis, self.counts, self._changes)
            found = reading.read()
            if isinstance(found, CountedRows):
                return self._unchanged(basis) if found.unchanged else self._merged(basis, found)
            reason = found
        return self._whole(reason, previous, basis)

    def _unchanged(self, basis: Basis) -> Sequence[PlannedPart]:
        """Return parts without rows. Nothing is published, so no dictionary needs confirmation."""
        return [
            PlannedPart(
                PartRefresh(
                    earlier=stored,
                    # A part that isn't stored has no rows; it may have to be stored nevertheless.
                    unchanged=stored is not None,
                    state=functools.partial(_state_of_unchanged, stored, basis, schema),
                    changes=self._changes,
                ),
                _no_rows(),
            )
            for stored, schema in zip(basis.parts, self.schemas, strict=True)
        ]

    def _merged(self, basis: Basis, found: CountedRows) -> Sequence[PlannedPart]:
        import pyarrow as pa

        self._division.confirm()
        table, rows = self._table, found.rows.table
        date = str(table.rule.date)
        watermark = newest_of([rows], date, found.rows.began, basis.state.watermark)
        since = before(watermark or found.rows.since, table.settings.overlap)
        tail = rows.filter(pa.array(dated_since(rows[date], since), pa.bool_()))
        parts = self._division.divide(rows)
        self._set_states(
            found.total,
            any(part is not None for part in basis.parts[1:])
            or any(part.num_rows for part in parts[1:]),
            NewestRows(watermark, since, tail if tail.num_rows <= MOST_ROWS else None),
            basis.state.read_whole_at,
        )
        ids = rows[table.id_column].to_numpy()
        totals = (found.total, None)  # a withheld part has fewer rows than the table
        return [
            self._planned(number, stored, merged_rows(stored, part, ids, table.id_column, total))
            for number, (stored, part, total) in enumerate(
                zip(basis.parts, parts, totals, strict=False)
            )
        ]

    def _whole(
        self, reason: str, previous: PreviousResult | None = None, basis: Basis | None = None
    ) -> Sequence[PlannedPart]:
        import pyarrow as pa

        counts, changes, table = self.counts, self._changes, self._table
        changes.reason = reason
        counts.expected = None
        counts.arrived = counts.pages = counts.replaced_surrogates = 0
        began = datetime.now(UTC)
        load = functools.partial(_rows_of, table, previous)
        reading = WholeReading(table, counts, changes, load)
        if basis is not None and basis.state.since is None and basis.state.tail is not None:
            rows = reading.all_at_once()
            same = rows is not None and rows.num_rows == basis.state.rows
            if same and self._division.is_tail_of(basis, pa.Table.from_batches([rows])):
                reading.end()
                return self._unchanged(basis)
        stored = (None, None) if previous is None else (previous.table, previous.withheld)
        return [
            self._planned(number, part, rows)
            for number, (part, rows) in enumerate(
                zip(stored, self._whole_parts(reading, began), strict=False)
            )
        ]

    def _whole_parts(self, reading: WholeReading, began: datetime) -> "Sequence[Batches]":
        finish = functools.partial(self._finish, reading, began)
        if self._division.split is None:
            return (_ended_by(reading.rows(), finish),)
        source = BatchStream(reading.rows(), self.counts, self._table.schema)
        split = SplitStream(
            source, self._division.split, lambda: finish(withheld=split.withheld_rows > 0)
        )
        return split.table, split.withheld

    def _finish(self, reading: WholeReading, began: datetime, *, withheld: bool = False) -> None:
        """Note the states when the last row of a whole reading has passed."""
        self._division.confirm()
        self._set_states(reading.newest.rows, withheld, reading.newest.result(), began)

    def _set_states(
        self,
        rows: int,
        withheld: bool,
        newest: NewestRows,
        read_whole_at: datetime,
    ) -> None:
        parts = None if newest.rows is None else self._division.divide(newest.rows)
        pair = secrets.token_hex(8)
        self._states = [
            TableState(
                endpoint=self._table.label,
                rule=self._table.rule.number,
                registry=self._table.access.registry,
                study=self._account(),
                pair=pair,
                blinding=self._division.blinding,
                shape=shape_of(schema),
                rows=rows,
                withheld=withheld,
                watermark=newest.watermark,
                since=newest.since,
                tail=None if parts is None else digest_of(parts[number].columns),
                read_whole_at=read_whole_at,
            ).as_json()
            for number, schema in enumerate(self.schemas)
        ]

    def _planned(self, number: int, stored: StoredTable | None, rows: "Batches") -> PlannedPart:
        refresh = PartRefresh(
            earlier=stored,
            state=functools.partial(self._state, number),
            changes=self._changes,
        )
        return PlannedPart(refresh, rows)

    def _state(self, number: int) -> Mapping[str, Any]:
        """Return a part's state; empty before the last row has been passed on."""
        return self._states[number] if self._states else {}


def _rows_of(table: RefreshedTable, previous: PreviousResult | None) -> EarlierRows | None:
    """Return the earlier version's IDs and dates; None if it is damaged or has none of them."""
    if previous is None:
        return None
    # Of a table read by date, all rows are in the open part.
    withheld = None if table.rule.by_date else previous.withheld
    parts = [part for part in (previous.table, withheld) if part is not None]
    try:
        if all(_has_columns(part, table) for part in parts):
            return EarlierRows(previous.table, table.id_column, table.rule, withheld)
    except (ArtifactCorruptError, ArtifactNotFoundError):
        pass
    return None


def _has_columns(part: StoredTable, table: RefreshedTable) -> bool:
    """Return whether a stored part has the columns that are compared, of the same types."""
    rule, schema = table.rule, part.schema
    names = [name for name in (table.id_column, rule.date, rule.deleted) if name]
    return all(
        name in schema.names and schema.field(name).type == table.schema.field(name).type
        for name in names
    )


def _state_of_unchanged(
    stored: StoredTable | None, basis: Basis, schema: "pa.Schema"
) -> Mapping[str, Any]:
    return stored.state if stored else basis.state.without_rows(schema).as_json()


def _no_rows() -> "Generator[pa.RecordBatch, None, None]":
    yield from ()


def _ended_by(
    batches: "Generator[pa.RecordBatch, None, None]", finish: Any
) -> "Generator[pa.RecordBatch, None, None]":
    yield from batches
    finish()
