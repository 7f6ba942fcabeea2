"""Memory holds a row group, however large the table is."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMON = """
import resource, sys
import numpy as np, pandas as pd, pyarrow as pa
from orch_assets.stores import LocalPipelineStore, StorageFormat

store = LocalPipelineStore(sys.argv[1], format=StorageFormat(sys.argv[2]))
numbers = np.random.default_rng(1)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

store.upload(pd.DataFrame({"a": [1.0], "b": ["x"]}), "warm")
"""
STREAM = """
schema = pa.schema([(f"f{n}", pa.float64()) for n in range(10)])

def batches():
    for _ in range(400):
        yield pa.record_batch([numbers.random(10_000) for _ in schema.names], schema=schema)

before = peak()
published = store.publish_stream(batches(), schema, "big")
assert published.rows == 4_000_000
print(peak() - before)
"""
FRAME = """
frame = pd.DataFrame({f"f{n}": numbers.random(2_000_000) for n in range(16)})
before = peak()
store.publish(frame, "big")
print(peak() - before)
"""


@pytest.mark.parametrize(
    ("what", "format_"),
    [(STREAM, "parquet"), (FRAME, "parquet"), (FRAME[:-1].replace("2_000_000", "500_000"), "csv")],
)
def test_memory_grows_by_less_than_two_row_groups(tmp_path: Path, what: str, format_: str) -> None:
    """Tables of 320, 256 and 64 MB."""
    done = subprocess.run(
        [sys.executable, "-c", COMMON + what, str(tmp_path), format_],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=200,
    )
    assert float(done.stdout) < 130
