"""Exports, compared with the libraries' bare writing and reading of the same cells.

A table of 1,000,000 records × 40 columns (Excel: 200,000), as form tables have them, is exported
from a local store. Each part has a process of its own. Memory is what the part adds to the process.

``EXPORT_FORMATS=xpt,xlsx`` measures these formats, ``EXPORT_ROWS=100000`` a smaller table.
"""

import collections
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.bare_exports import office_exports, plain_exports, transport_files
from benchmarks.dagster_run import added_mb, begin, cpu_seconds
from benchmarks.measuring import report_of, verdict
from orch_assets.exports.export_format import FORMATS, format_named
from orch_assets.exports.export_notes import Notes
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.stores import LocalPipelineStore

MODULE: Final = "benchmarks.exports"
ROWS = int(os.environ.get("EXPORT_ROWS", "1000000"))
EXCEL_ROWS: Final = 200_000
CHOSEN = os.environ.get("EXPORT_FORMATS", ",".join(FORMATS)).split(",")
_BATCH: Final = 50_000
_NAME: Final = "AE"
_BARE = [plain_exports, office_exports, transport_files]
WRITE = {name: write for module in _BARE for name, write in module.WRITE.items()}
READ = {name: read for module in _BARE for name, read in module.READ.items()}


def main() -> bool:
    """Print the ratios; return whether all are within their bounds."""
    return all([*itertools.chain.from_iterable(map(_format, CHOSEN))])


def _format(name: str) -> Iterator[bool]:
    rows = min(ROWS, EXCEL_ROWS) if name == "xlsx" else ROWS
    print(f"{name}: {rows:,} records × {len(_columns(1).schema)} columns", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        _fill(LocalPipelineStore(folder), rows)
        parts = ("bare_write", "bare_read", "write", "verify", "table_read")
        figures = {part: report_of(MODULE, part, name, folder) for part in parts}
    for part, found in figures.items():
        seconds, cpu = found["seconds"], found["cpu"]
        print(f"  {part}: {seconds:.1f} s, CPU {cpu:.1f} s, {found['mb']:+.0f} MB", flush=True)
    writing = figures["write"]["seconds"] / figures["bare_write"]["seconds"]
    reading = figures["verify"]["seconds"] / figures["bare_read"]["seconds"]
    both = figures["bare_read"]["cpu"] + figures["table_read"]["cpu"]
    print(f"  CPU of verifying / of reading both, bare: {figures['verify']['cpu'] / both:.2f}")
    yield verdict("writing / bare writing", writing, 1.3)
    yield verdict("verifying / bare reading", reading, 1.3)
    added = max(figures["write"]["mb"], figures["verify"]["mb"])
    if name.startswith("xpt"):
        bare = max(figures["bare_write"]["mb"], figures["bare_read"]["mb"])
        yield verdict("added memory / bare", added / bare, 1.3)
    else:
        yield verdict("added memory", added, 300, unit=" MB")


# --- the table ---


def _fill(store: LocalPipelineStore, rows: int) -> None:
    def batches() -> Iterator[Any]:
        for start in range(0, rows, _BATCH):
            yield from _columns(min(_BATCH, rows - start), start).combine_chunks().to_batches()

    store.publish_stream(batches(), _columns(1).schema, _NAME)


def _columns(rows: int, start: int = 0) -> Any:
    """Return some records: keys, answers with their texts as entered, and free text."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(start)
    columns: dict[str, Any] = {
        "record_id": pa.array(np.arange(start, start + rows)),
        "subject_id": pa.array(random.integers(1, 5_000, rows)),
        "deleted": pa.array(random.random(rows) < 0.01),
        "record_status": _choice(random, ["Record Complete", "Record Incomplete"], rows),
        "date_created": pa.array(
            random.integers(1_600_000_000, 1_750_000_000, rows), pa.timestamp("s")
        ).cast(pa.timestamp("ms", "UTC")),
    }
    columns["date_modified"] = columns["date_created"]
    for number in range(6):
        days = pa.array(random.integers(18_000, 20_000, rows).astype("int32"))
        dates = _sparse(random, days, rows).cast(pa.date32())
        columns[f"DAT{number}"], columns[f"DAT{number}_RAW"] = dates, dates.cast(pa.string())
    for number in range(6):
        values = _sparse(random, pa.array((random.random(rows) * 200).round(1)), rows)
        columns[f"NUM{number}"], columns[f"NUM{number}_RAW"] = values, values.cast(pa.string())
    words = ["Headache", "Nausea and vomiting", "Back pain", "Dizziness", "Rash on both arms"]
    for number in range(10):
        columns[f"TERM{number}"] = _choice(random, words, rows)
    return pa.table(columns)


def _choice(random: Any, words: list[str], rows: int) -> Any:
    import pyarrow as pa

    return pa.array(words).take(pa.array(random.integers(0, len(words), rows)))


def _sparse(random: Any, values: Any, rows: int) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pa.array(random.random(rows) < 0.8), values, pa.scalar(None, values.type))


# --- one part, in a process of its own ---


def _exported(folder: str) -> ExportedTable:
    stored = LocalPipelineStore(folder).previous(_NAME)
    assert stored is not None
    published = stored.publication.published_at
    return ExportedTable.of_stored("ONC-301", _NAME, stored, published)


def _write(name: str, folder: str) -> Callable[[], object]:
    file = format_named(name).prepare([_exported(folder)], {})

    def write() -> None:
        with Notes(Path(folder)) as notes:
            file.write(Path(folder, "ours"), notes)

    return write


def _verify(name: str, folder: str) -> Callable[[], object]:
    file = format_named(name).prepare([_exported(folder)], {})
    return lambda: file.verify(Path(folder, "ours"))


def _bare_write(name: str, folder: str) -> Callable[[], object]:
    table = _exported(folder)
    return lambda: WRITE[name](table.batches(8_192), table.schema, Path(folder, "bare"))


def _bare_read(name: str, folder: str) -> Callable[[], object]:
    return lambda: READ[name](Path(folder, "bare"))


def _table_read(_name: str, folder: str) -> Callable[[], object]:
    """Verifying reads the stored table, too, to compare the file with it."""
    return lambda: collections.deque(_exported(folder).open_batches(), maxlen=0)


_PARTS = {
    "write": _write,
    "verify": _verify,
    "bare_write": _bare_write,
    "bare_read": _bare_read,
    "table_read": _table_read,
}


def _measure(part: str, name: str, folder: str) -> dict[str, float]:
    import pandas  # noqa: F401, ICN001 - not a part of what is measured
    import pyarrow.parquet  # noqa: F401

    work = _PARTS[part](name, folder)
    begin()
    begun = time.perf_counter()
    work()
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "cpu": cpu_seconds(), "mb": added_mb()}


if __name__ == "__main__":
    print(json.dumps(_measure(*sys.argv[1:])))
