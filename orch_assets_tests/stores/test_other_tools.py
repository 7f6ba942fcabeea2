"""Other tools read stored tables one by one and by a glob, and see each table once."""

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.stores import LocalPipelineStore


def frame(site: str, rows: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "subject": [f"{site}-{row:03d}" for row in range(rows)],
            "weight": [70.5, None, 71.0][:rows],
            "visits": [2**53 + 1, 2, 3][:rows],
            "born": pd.to_datetime(["1950-01-01", None, "1999-12-31"][:rows]),
            "seen": pd.to_datetime(["2024-01-01", None, "2024-06-30"][:rows], utc=True),
            "arm": pd.Categorical(["b", "a", None][:rows], categories=["b", "a"]),
            "comment": [None] * rows,
        }
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two tables, one of them published three times, beside a set and a JSON value."""
    store = LocalPipelineStore(tmp_path, "prod")
    store.upload(frame("x", 2), "tables/a")
    store.upload(frame("A", 2), "tables/a")
    store.upload(frame("A"), "tables/a")
    store.upload(frame("B"), "tables/deep/b")
    store.publish_set({"A": frame("C")}, "sets/all")
    store.publish_json([1], "results/one")
    return tmp_path


SUBJECTS = [f"{site}-{row:03d}" for site in "AB" for row in range(3)]


def test_pandas_reads_a_table(root: Path) -> None:
    found = pd.read_parquet(root / "prod/tables/a.parquet")
    # A column of nothing is text, which pandas 3 has a type of its own for.
    expected = frame("A").assign(comment=found["comment"])
    assert_frame_equal(found, expected, check_categorical=False)
    assert found["comment"].isna().all()
    assert str(found["arm"].dtype) == "category"


def test_pyarrow_reads_a_table_and_a_folder(root: Path) -> None:
    one = pq.read_table(root / "prod/tables/a.parquet")
    assert one["visits"].to_pylist() == [2**53 + 1, 2, 3]
    assert one["comment"].type == pa.string()
    for folder in ("prod/tables", "prod", ""):
        found = pyarrow.dataset.dataset(
            root / folder, format="parquet", exclude_invalid_files=True
        ).to_table(columns=["subject"])
        assert sorted(found["subject"].to_pylist()) == SUBJECTS


def test_duckdb_reads_a_table_and_a_glob(root: Path) -> None:
    one = duckdb.sql(f"select * from '{root}/prod/tables/a.parquet' order by subject").fetchall()
    assert [row[0] for row in one] == SUBJECTS[:3]
    assert one[1][1:6] == (None, 2, None, None, "a")
    assert one[0][2] == 2**53 + 1
    many = duckdb.sql(f"select subject from '{root}/**/*.parquet' order by subject").fetchall()
    assert [row[0] for row in many] == SUBJECTS


def test_polars_reads_a_table_and_a_glob(root: Path) -> None:
    one = pl.read_parquet(root / "prod/tables/a.parquet")
    assert one["visits"].to_list() == [2**53 + 1, 2, 3]
    assert one["arm"].to_list() == ["b", "a", None]
    assert one["seen"].dtype == pl.Datetime(frame("A")["seen"].dt.unit, "UTC")
    many = pl.read_parquet(f"{root}/**/*.parquet")
    assert sorted(many["subject"].to_list()) == SUBJECTS


def test_json_and_csv_globs_see_each_artifact_once(root: Path) -> None:
    store = LocalPipelineStore(root, "prod", "csv")  # type: ignore[arg-type]  # as a setting has it
    store.upload(frame("A"), "tables/a")
    store.upload(frame("B"), "tables/a")
    for pattern in ("**/*.json", "**/*.csv", "**/*.set"):
        assert len([path for path in root.glob(pattern) if path.is_file()]) == 1


def test_duckdb_and_polars_read_csv_with_its_nulls(tmp_path: Path) -> None:
    from orch_assets.stores import StorageFormat

    table = pd.DataFrame({"id": ["001", None, "003"], "n": [1, 2, 3]})
    LocalPipelineStore(tmp_path, format=StorageFormat.CSV).upload(table, "t")
    found = duckdb.sql(f"select * from read_csv('{tmp_path}/t.csv', all_varchar=true)").fetchall()
    assert found == [("001", "1"), (None, "2"), ("003", "3")]
    assert pl.read_csv(tmp_path / "t.csv", infer_schema=False)["id"].to_list() == [
        "001",
        None,
        "003",
    ]
