"""Streams of any length: the same tables, and memory that does not grow with them."""

import gc

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.registry.form_tables import build_form_tables
from orch_assets_tests.registry.form_tables.studies import (
    forms,
    record,
    records,
    variable,
    variables,
)

F1, F2 = (1, "F1"), (2, "F2")
STUDY = (
    variables(variable("A", "NUMBER"), variable("B", "DATE"), variable("A", "TEXT", F2)),
    forms(F1, F2),
)


def many(count):
    """Return records of two forms in turn, some of which don't fit."""
    return records(
        *(
            record({"A": number if number % 5 else f"<{number}", "B": "UNK"}, (F1, F2)[number % 2])
            for number in range(count)
        )
    )


def stream(table, rows):
    batches = table.to_batches(max_chunksize=rows)
    return pa.RecordBatchReader.from_batches(table.schema, iter(batches))


def same(tables, others):
    return tables.keys() == others.keys() and all(
        tables[name].equals(others[name], check_metadata=True) for name in tables
    )


@given(st.integers(0, 60), st.integers(1, 30), st.sampled_from([0, 1, 500, 5000, 1 << 20]))
def test_a_stream_gives_the_tables_that_a_table_gives(count, rows, memory_bytes):
    """However its batches are cut, and whether they wait in memory or in a file."""
    table = many(count)
    whole = build_form_tables(table, *STUDY)
    assert same(whole, build_form_tables(stream(table, rows), *STUDY, memory_bytes=memory_bytes))


def test_what_waited_in_the_file_is_sorted_too():
    table = many(40).sort_by([("record_id", "descending")])
    tables = build_form_tables(table, *STUDY, memory_bytes=100)
    assert same(tables, build_form_tables(many(40), *STUDY))


def test_only_what_is_promised_is_held_in_memory():
    """The other rows are mapped from a file, and stay when nothing else holds it."""
    table = many(20_000)
    gc.collect()
    before = pa.total_allocated_bytes()
    tables = build_form_tables(stream(table, 500), *STUDY, memory_bytes=1 << 18)
    gc.collect()
    held = pa.total_allocated_bytes() - before
    size = sum(each.nbytes for each in tables.values())
    assert size > 2_000_000
    assert held < 600_000
    assert tables["F1"]["A__misfit"].to_pylist().count(None) == 8000
    del tables
    gc.collect()
    assert pa.total_allocated_bytes() - before < 100_000


def test_the_file_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tables = build_form_tables(many(100), *STUDY, memory_bytes=0)
    assert list(tmp_path.iterdir()) == []
    assert sum(table.num_rows for table in tables.values()) == 100


def test_a_stream_that_breaks_off_gives_no_tables_and_its_own_error():
    def broken():
        yield from many(10).to_batches()
        raise OSError("the wire")

    reader = pa.RecordBatchReader.from_batches(many(0).schema, broken())
    with pytest.raises(OSError, match="the wire"):
        build_form_tables(reader, *STUDY, memory_bytes=0)
