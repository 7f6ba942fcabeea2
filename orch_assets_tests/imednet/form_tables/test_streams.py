"""Streams of any length: the same tables, and memory that does not grow with them."""

import gc
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.imednet.form_tables import FormStream, build_form_tables
from orch_assets_tests.imednet.form_tables.studies import (
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


def whole(built):
    return {
        name: each.table() if isinstance(each, FormStream) else each for name, each in built.items()
    }


def same(tables, others):
    return tables.keys() == others.keys() and all(
        tables[name].equals(others[name], check_metadata=True) for name in tables
    )


@given(st.integers(0, 60), st.integers(1, 30), st.sampled_from([None, 0, 1, 500, 5000, 1 << 20]))
def test_a_stream_gives_the_tables_that_a_table_gives(count, rows, memory_bytes):
    """However its batches are cut, and whether they wait in memory or in a file."""
    table = many(count)
    built = build_form_tables(stream(table, rows), *STUDY, memory_bytes=memory_bytes)
    assert same(whole(built), build_form_tables(table, *STUDY))


@pytest.mark.parametrize(
    ("memory_bytes", "kind"), [(None, pa.Table), (1 << 30, pa.Table), (100, FormStream)]
)
def test_what_memory_does_not_hold_comes_as_streams(memory_bytes, kind):
    built = build_form_tables(many(50), *STUDY, memory_bytes=memory_bytes)
    assert {type(each) for each in built.values()} == {kind}
    assert {name: each.num_rows for name, each in built.items()} == {"F1": 25, "F2": 25}


def test_a_stream_of_a_form_may_be_read_twice():
    built = build_form_tables(many(50), *STUDY, memory_bytes=100)
    for batches in (list(built["F1"]), list(built["F1"])):
        assert pa.Table.from_batches(batches).num_rows == 25
        assert {batch.schema.metadata[b"misfits"] for batch in batches} == {b"30"}


def test_what_waited_in_the_file_is_sorted_too():
    table = many(40).sort_by([("record_id", "descending")])
    built = build_form_tables(table, *STUDY, memory_bytes=100)
    assert same(whole(built), build_form_tables(many(40), *STUDY))


def test_memory_holds_what_it_is_told_to_and_a_batch():
    table = many(20_000)
    gc.collect()
    before = pa.total_allocated_bytes()
    built = build_form_tables(stream(table, 500), *STUDY, memory_bytes=1 << 18)
    most = rows = size = 0
    for each in built.values():
        for batch in each:
            rows, size = rows + batch.num_rows, size + batch.nbytes
            most = max(most, pa.total_allocated_bytes() - before)
    assert rows == 20_000
    assert size > 2_000_000
    assert most < 600_000


def test_the_file_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    built = build_form_tables(many(100), *STUDY, memory_bytes=0)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before + 1
    assert list(tmp_path.iterdir()) == []
    assert sum(table.num_rows for table in whole(built).values()) == 100
    del built
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_a_stream_that_breaks_off_gives_no_tables_and_its_own_error():
    def broken():
        yield from many(10).to_batches()
        raise OSError("the wire")

    reader = pa.RecordBatchReader.from_batches(many(0).schema, broken())
    with pytest.raises(OSError, match="the wire"):
        build_form_tables(reader, *STUDY, memory_bytes=0)
