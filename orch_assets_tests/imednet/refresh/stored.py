"""The smallest store of refreshed tables: a dictionary of Arrow tables and their states."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from orch_assets import ImednetSDK, SplitTable, split_withheld
from orch_assets.imednet.streams import BatchStream
from orch_assets.refreshing import PartRefresh, PreviousResult, RowChanges
from orch_assets.study import study_context

BATCH_ROWS = 64


@dataclass
class Stored:
    """A version of a table, and what has been read of it."""

    table: pa.Table
    state: Mapping[str, Any]
    version: str = "1"
    uri: str = "memory:table"
    columns_read: list[str] = field(default_factory=list)
    batches_read: int = 0

    @property
    def schema(self) -> pa.Schema:
        return self.table.schema

    @property
    def num_rows(self) -> int:
        return self.table.num_rows

    def columns(self, names: Sequence[str]) -> pa.Table:
        self.columns_read += names
        return self.table.select(names)

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self.table.to_batches(BATCH_ROWS):
            self.batches_read += 1
            yield batch


@dataclass
class Result:
    """A stored result of a refresh, and how it was made."""

    parts: Sequence[Stored]
    refreshes: Sequence[PartRefresh]

    @property
    def changes(self) -> RowChanges:
        return self.refreshes[0].changes

    @property
    def unchanged(self) -> bool:
        return self.refreshes[0].unchanged

    def previous(self, **options: Any) -> PreviousResult:
        return PreviousResult(*self.parts, **options)


class Refresher:
    """Refreshes the tables of a study as runs do, and stores them.

    Args:
        sdk: Reads the account.
        study_key: The study.
        others: Reads whole tables, to compare with; None for the same client.
    """

    def __init__(self, sdk: ImednetSDK, study_key: str, others: ImednetSDK | None = None) -> None:
        self.sdk = sdk
        self.study_key = study_key
        self._others = others or sdk
        self.runs = 0

    def run(
        self, *names: str, previous: Mapping[str, Result | None] | None = None, **options: Any
    ) -> dict[str, Result]:
        """Refresh tables in one run."""
        self.runs += 1
        with study_context(self.study_key, provenance={"run": f"run-{self.runs}"}):
            return {
                name: self.refresh(name, (previous or {}).get(name), **options) for name in names
            }

    def refresh(self, name: str, previous: Result | None = None, **options: Any) -> Result:
        """Refresh a table in both parts, and store them unless they are unchanged."""
        endpoint = getattr(self.sdk, name)
        earlier = previous.previous(**options) if previous else None
        split = split_withheld(name, endpoint.refresh(self.study_key, earlier))
        return stored(split, previous)

    def whole(self, name: str) -> SplitTable:
        """Return both parts of a table that is read whole at once."""
        table = getattr(self._others, name).table(self.study_key).replace_schema_metadata(None)
        return split_withheld(name, table, sdk=self._others, study_key=self.study_key)

    def assert_whole(self, name: str, result: Result) -> None:
        """Both stored parts are what a whole reading gives, in rows and schema."""
        whole = self.whole(name)
        for part, expected in zip(result.parts, (whole.table, whole.withheld), strict=True):
            assert part.table.schema.equals(expected.schema)
            assert part.table.equals(expected), name


def stored(split: SplitTable, previous: Result | None = None) -> Result:
    """Store both parts, read at the same time."""
    parts: Sequence[BatchStream] = (split.table, split.withheld)
    refreshes = [part.refresh for part in parts]
    assert all(refreshes)
    if refreshes[0].unchanged:
        assert previous is not None
        assert [list(part) for part in parts] == [[], []]
        return Result(previous.parts, refreshes)
    with ThreadPoolExecutor(2) as pool:
        tables = list(pool.map(as_table, parts))
    return Result(
        [
            Stored(table.combine_chunks(), refresh.state(), version=f"{id(table)}")
            for table, refresh in zip(tables, refreshes, strict=True)
        ],
        refreshes,
    )


def as_table(part: BatchStream) -> pa.Table:
    return pa.Table.from_batches(list(part), part.schema)
