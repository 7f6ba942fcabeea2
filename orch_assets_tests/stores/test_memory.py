"""A table of any size takes no more memory than a row group."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from orch_assets import LocalPipelineStore
from orch_assets.stores.formats import parquet

COMMON = '''
import sys
import numpy as np, pandas as pd, pyarrow as pa
from orch_assets.stores import LocalPipelineStore, StorageFormat

store = LocalPipelineStore(sys.argv[1], format=StorageFormat(sys.argv[2]))
numbers = np.random.default_rng(1)

def peak():  # not ru_maxrss, which begins with that of the process that started this one
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

def begin():
    """Forget the peak so far: making the table may have taken more than storing it does."""
    open("/proc/self/clear_refs", "w").write("5")
    return peak()

store.upload(pd.DataFrame({"a": [1.0], "b": ["x"]}), "warm")
'''
STREAM = """
schema = pa.schema([(f"f{n}", pa.float64()) for n in range(10)])

def batches():
    for _ in range(400):
        yield pa.record_batch([numbers.random(10_000) for _ in schema.names], schema=schema)

before = begin()
published = store.publish_stream(batches(), schema, "big")
assert published.rows == 4_000_000
print(peak() - before)
"""
SET = STREAM.replace(
    'store.publish_stream(batches(), schema, "big")',
    'store.publish_set({n: pa.RecordBatchReader.from_batches(schema, batches()) for n in "ab"}, '
    '"big")',
).replace("range(400)", "range(200)")
FRAME = """
frame = pd.DataFrame({f"f{n}": numbers.random(2_000_000) for n in range(16)})
before = begin()
store.publish(frame, "big")
print(peak() - before)
"""

READ = """
for batch in store.open_reader("warm"):
    batch.to_pandas()
before, rows = begin(), 0
for batch in store.open_reader("big"):
    rows += batch.num_rows
assert rows == 4_000_000
print(peak() - before)
"""
DOWNLOAD = """
frame = pd.DataFrame({f"f{n}": numbers.integers(0, 99, 1_000_000) for n in range(16)})
store.publish_set({"a": frame, "b": frame[::2]}, "set")
store.upload(frame, "big")
total = frame.memory_usage().sum() >> 20
del frame
before = begin()
frame = store.download("big")
assert len(frame) == 1_000_000
print((peak() - before) / total)
"""
DOWNLOAD_SET = DOWNLOAD.replace('store.download("big")', 'store.download_set("set")["a"]')


def growth(what: str, folder: Path, format_: str) -> float:
    """Run a script in a new process; return the memory that it reports, in MB."""
    done = subprocess.run(
        [sys.executable, "-c", COMMON + what, str(folder), format_],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=200,
    )
    return float(done.stdout)


@pytest.mark.parametrize(
    ("what", "format_"),
    [(FRAME, "parquet"), (FRAME[:-1].replace("2_000_000", "500_000"), "csv")],
)
def test_memory_grows_by_less_than_two_row_groups(tmp_path: Path, what: str, format_: str) -> None:
    """Tables of 256 and 64 MB."""
    assert growth(what, tmp_path, format_) < 130


def test_memory_is_returned_after_a_large_table_and_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each small table, returning it took a third as long as encoding the table."""
    returned: list[float] = []
    clock = [1000.0]
    pool = SimpleNamespace(release_unused=lambda: returned.append(clock[0]))
    monkeypatch.setattr(pa, "default_memory_pool", lambda: pool)
    monkeypatch.setattr(parquet.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(parquet, "_released", parquet._Released())
    store = LocalPipelineStore(tmp_path)
    small, large = (pa.table({"n": pa.array(range(rows))}) for rows in (1_000, 3_000_000))
    for clock[0] in (1000.0, 1000.5, 1000.9, 1001.0, 1001.9):
        store.publish(small, "numbers")
    assert returned == [1000.0, 1001.0]
    store.publish(large, "numbers")
    assert returned == [1000.0, 1001.0, 1001.9]


def test_a_stream_takes_less_than_three_row_groups_in_and_two_out(tmp_path: Path) -> None:
    """A table of 320 MB."""
    assert growth(STREAM, tmp_path, "parquet") < 192
    assert growth(READ, tmp_path, "parquet") < 130


def test_streams_of_a_set_take_no_more_than_one_stream(tmp_path: Path) -> None:
    """Two tables of 160 MB."""
    assert growth(SET, tmp_path, "parquet") < 192
    read = READ.replace('open_reader("big")', 'open_reader("big", member="b")')
    assert growth(read.replace("4_000_000", "2_000_000"), tmp_path, "parquet") < 130


@pytest.mark.parametrize("what", [DOWNLOAD, DOWNLOAD_SET])
def test_a_downloaded_frame_takes_little_more_memory_than_its_values(
    tmp_path: Path, what: str
) -> None:
    """The table that was read and the frame made of it are never both in memory as a whole."""
    bound = 1.8 if what == DOWNLOAD else 2.6  # the set holds one and a half frames
    assert growth(what, tmp_path, "parquet") < bound
