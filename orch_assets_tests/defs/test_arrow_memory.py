"""Arrow's memory in a run's process."""

import os
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pytest

from orch_assets import study_pipeline
from orch_assets_tests.support.harness import definitions, execute, instance


@pytest.fixture(autouse=True)
def other_allocator():
    """Begin with an allocator that isn't the system's, where Arrow was built with one."""
    before = pa.default_memory_pool()
    for backend in ("mimalloc", "jemalloc"):
        if backend in pa.supported_memory_backends():
            pa.set_memory_pool(getattr(pa, f"{backend}_memory_pool")())
            break
    else:
        pytest.skip("Arrow has no allocator but the system's")
    yield
    pa.set_memory_pool(before)


@study_pipeline
def raw(study_key, sdk, study_logger):
    """Raw."""
    return pd.DataFrame({"age": [41, 52]})


def allocator_after_a_run(tmp_path):
    with instance("S1") as real:
        assert execute(definitions(tmp_path, raw), real, "S1").is_success
    return pa.default_memory_pool().backend_name


def test_a_run_returns_memory_that_arrow_freed_to_the_system(tmp_path, monkeypatch):
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    assert allocator_after_a_run(tmp_path) == "system"


def test_an_allocator_that_the_user_chose_stays(tmp_path, monkeypatch):
    before = pa.default_memory_pool().backend_name
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", before)
    assert allocator_after_a_run(tmp_path) == before


WRITE = """
import os
from orch_assets.defs.runs.arrow_memory import use_the_system_allocator

use_the_system_allocator()
import io, pyarrow as pa, pyarrow.parquet as pq

pq.write_table(pa.table({"text": ["x" * n for n in range(1_000)]}), io.BytesIO())
others = {*pa.supported_memory_backends()} - {"system"}
used = [name for name in others if getattr(pa, f"{name}_memory_pool")().max_memory()]
print(pa.default_memory_pool().backend_name, used, "ARROW_DEFAULT_MEMORY_POOL" in os.environ)
"""


def test_parquet_files_are_written_with_the_same_allocator():
    """Their writer takes the allocator that Arrow found when it was loaded."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("ARROW_")}
    command = [sys.executable, "-c", WRITE]
    said = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    assert said == "system [] False\n"
