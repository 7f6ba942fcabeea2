"""The CPU and memory of comparing two versions of `records`, beside merely reading both files.

400,000 records of 17 values; 0.7 % of them edited, 0.2 % added, 0.1 % deleted between the versions.
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from types import SimpleNamespace
from typing import Any

from benchmarks.measuring import begin_peak, median, peak_mb, report_of, verdict

MODULE = "benchmarks.history"
REPETITIONS = 3
RECORDS = 400_000
_BATCH = 20_000
_BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
_NAMES = [f"VAR{number}" for number in range(17)]


def main() -> bool:
    """Print the figures; return whether they are within their bounds."""
    with tempfile.TemporaryDirectory() as folder:
        unchanged = report_of(MODULE, "prepare", folder)["seconds"]
        runs = [
            {**report_of(MODULE, "read", folder), **report_of(MODULE, "compare", folder)}
            for _ in range(REPETITIONS)
        ]
    found = {name: median([run[name] for run in runs]) for name in runs[0]}
    print(
        f"two versions of {RECORDS:,} records: {found['rows']:,.0f} changes in "
        f"{found['cpu']:.1f} s of CPU; reading both files takes {found['reading']:.1f} s"
    )
    same = verdict("CPU where nothing was published, ms", unchanged * 1000, 20)
    cpu = verdict("CPU to CPU of reading both files", found["cpu"] / found["reading"], 2.5)
    ratio = found["memory"] / found["reading_memory"]
    memory = verdict("added memory to that of reading both side by side", ratio, 1.25)
    return same and cpu and memory


def prepare(folder: str) -> dict[str, float]:
    """Store two versions of `records`, and `record_changes` as it was after the first one.

    Returns:
        The CPU seconds of comparing where nothing was published.
    """
    from orch_assets import LocalPipelineStore, PreviousResult
    from orch_assets.imednet.arrow import arrow_schema
    from orch_assets.imednet.history.record_history import record_change_tables
    from orch_assets.imednet.models import Record

    store, schema = LocalPipelineStore(folder), arrow_schema(Record)
    store.publish_stream(_batches(RECORDS, schema, edited=False), schema, "records")
    table, _ = record_change_tables(*_inputs(store))
    store.publish(table, "record_changes")
    previous = PreviousResult(store.previous("record_changes"))
    began = time.process_time()
    unchanged, _ = record_change_tables(*_inputs(store), previous)
    seconds = time.process_time() - began
    if not unchanged.refresh.unchanged:
        raise SystemExit("nothing was published, but something changed")
    store.publish_stream(_batches(RECORDS, schema, edited=True), schema, "records")
    return {"seconds": seconds}


def compare(folder: str) -> dict[str, float]:
    """Compare both versions, and read the changes."""
    from orch_assets import LocalPipelineStore, PreviousResult
    from orch_assets.imednet.history.record_history import record_change_tables

    store = LocalPipelineStore(folder)
    previous = PreviousResult(store.previous("record_changes"))
    before, began = begin_peak(), time.process_time()
    table, _ = record_change_tables(*_inputs(store), previous)
    rows = sum(batch.num_rows for batch in table)
    cpu, memory = time.process_time() - began, peak_mb() - before
    return {"cpu": cpu, "rows": rows, "memory": memory}


def read(folder: str) -> dict[str, float]:
    """Read both versions side by side, and do nothing with them."""
    from orch_assets import LocalPipelineStore

    store = LocalPipelineStore(folder)
    versions = [
        store.previous("records", each.content.sha256) for each in store.versions("records")
    ]
    before, began = begin_peak(), time.process_time()
    for _ in zip_longest(*(version.batches() for version in versions)):
        pass
    return {"reading": time.process_time() - began, "reading_memory": peak_mb() - before}


def _inputs(store: Any) -> tuple[Any, Any, Any]:
    from orch_assets import TableHistory

    histories = (TableHistory(store.history(name)) for name in ("records", "record_revisions"))
    records, revisions = histories
    return records, revisions, _DICTIONARY


def _batches(records: int, schema: Any, *, edited: bool) -> Iterator[Any]:
    import pyarrow as pa

    for start in range(0, records, _BATCH):
        rows = (_row(number, edited=edited) for number in range(start, start + _BATCH))
        yield pa.RecordBatch.from_pylist([row for row in rows if row], schema)


def _row(number: int, *, edited: bool) -> dict[str, Any] | None:
    """Return a record, as it was or as it is after the edits; None if it isn't there yet."""
    rng = random.Random(number)
    fate, moment = rng.random(), _BEGAN + timedelta(seconds=number)
    answers = ("Yes", "No", number, "a few words")
    values: dict[str, Any] = {name: rng.choice(answers) for name in _NAMES}
    if fate < 0.002 and not edited:
        return None
    if edited and fate < 0.010:
        moment += timedelta(days=500)
        values |= {"VAR3": number} if fate < 0.009 else {}
    return {
        "study_key": "S",
        "record_id": number,
        "form_id": 1 + number % 20,
        "form_key": f"F{number % 20}",
        "site_id": number % 50,
        "subject_id": number // 100,
        "subject_key": f"001-{number // 100:05}",
        "record_status": "Record Complete",
        "record_type": "SUBJECT",
        "deleted": edited and 0.009 <= fate < 0.010,
        "date_created": _BEGAN,
        "date_modified": moment,
        "record_data": json.dumps(values),
    }


def _variables() -> Any:
    import pyarrow as pa

    rows = [
        {"variable_name": name, "blinded": False, "form_id": 1 + form, "form_key": f"F{form}"}
        for form in range(20)
        for name in _NAMES
    ]
    return pa.Table.from_pylist(rows)


_DICTIONARY: Any = SimpleNamespace(variables=_variables())


if __name__ == "__main__":
    action, where = sys.argv[1:]
    print(json.dumps({"prepare": prepare, "read": read, "compare": compare}[action](where)))
