"""Other tools read stored tables one by one and by a glob, and see each table once.

The tables of sets are tables like others to them.
"""

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
    """Two tables, one of them published three times, beside sets and a JSON value."""
    store = LocalPipelineStore(tmp_path, "prod")
    store.upload(frame("x", 2), "tables/a")
    store.upload(frame("A", 2), "tables/a")
    store.upload(frame("A"), "tables/a")
    store.upload(frame("B"), "tables/deep/b")
    for study in ("C", "D"):
        store.publish_set({"AE": frame("x"), "DM": frame("x")}, f"form_tables/ONC-{ord(study)}")
        store.publish_set({"AE": frame(study)}, f"form_tables/ONC-{ord(study)}")
    store.publish_json([1], "results/one")
    return tmp_path


SUBJECTS = [f"{site}-{row:03d}" for site in "AB" for row in range(3)]
OF_SETS = [f"{site}-{row:03d}" for site in "CD" for row in range(3)]


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
    for folder, of_sets in (("prod/tables", []), ("prod", OF_SETS), ("", OF_SETS)):
        found = pyarrow.dataset.dataset(
            root / folder, format="parquet", exclude_invalid_files=True
        ).to_table(columns=["subject"])
        assert sorted(found["subject"].to_pylist()) == SUBJECTS + of_sets


def test_duckdb_reads_a_table_and_a_glob(root: Path) -> None:
    one = duckdb.sql(f"select * from '{root}/prod/tables/a.parquet' order by subject").fetchall()
    assert [row[0] for row in one] == SUBJECTS[:3]
    assert one[1][1:6] == (None, 2, None, None, "a")
    assert one[0][2] == 2**53 + 1
    many = duckdb.sql(f"select subject from '{root}/**/*.parquet' order by subject").fetchall()
    assert [row[0] for row in many] == SUBJECTS + OF_SETS


def test_polars_reads_a_table_and_a_glob(root: Path) -> None:
    one = pl.read_parquet(root / "prod/tables/a.parquet")
    assert one["visits"].to_list() == [2**53 + 1, 2, 3]
    assert one["arm"].to_list() == ["b", "a", None]
    assert one["seen"].dtype == pl.Datetime(frame("A")["seen"].dt.unit, "UTC")
    many = pl.read_parquet(f"{root}/**/*.parquet")
    assert sorted(many["subject"].to_list()) == SUBJECTS + OF_SETS


def test_pandas_reads_a_table_of_a_set_and_a_glob(root: Path) -> None:
    one = pd.read_parquet(root / "prod/form_tables/ONC-67/AE.parquet")
    assert one["subject"].to_list() == OF_SETS[:3]
    assert one["visits"].to_list() == [2**53 + 1, 2, 3]
    paths = sorted(root.glob("prod/form_tables/*/AE.parquet"))
    many = pd.concat(map(pd.read_parquet, paths))
    assert many["subject"].to_list() == OF_SETS


def test_polars_reads_a_table_of_a_set_and_a_glob(root: Path) -> None:
    one = pl.read_parquet(root / "prod/form_tables/ONC-67/AE.parquet")
    assert one["seen"].dtype == pl.Datetime(frame("C")["seen"].dt.unit, "UTC")
    assert one["visits"].to_list() == [2**53 + 1, 2, 3]
    many = pl.read_parquet(f"{root}/prod/form_tables/*/AE.parquet")
    assert sorted(many["subject"].to_list()) == OF_SETS


def test_duckdb_reads_a_table_of_a_set_and_a_glob(root: Path) -> None:
    one = f"select visits from '{root}/prod/form_tables/ONC-67/AE.parquet' order by subject"
    assert duckdb.sql(one).fetchall() == [(2**53 + 1,), (2,), (3,)]
    many = duckdb.sql(
        "select split_part(filename, '/', -2), subject from "
        f"read_parquet('{root}/prod/form_tables/*/AE.parquet', filename=true) order by all"
    ).fetchall()
    assert many == [(f"ONC-{ord(each[0])}", each) for each in OF_SETS]


def test_pyarrow_reads_a_table_of_a_set_and_a_glob(root: Path) -> None:
    one = pq.read_table(root / "prod/form_tables/ONC-67/AE.parquet")
    assert one["visits"].to_pylist() == [2**53 + 1, 2, 3]
    paths = sorted(root.glob("prod/form_tables/*/AE.parquet"))
    many = pyarrow.dataset.dataset(paths).to_table()
    assert many["subject"].to_pylist() == OF_SETS


def test_the_tables_of_a_set_are_read_as_csv(tmp_path: Path) -> None:
    store = LocalPipelineStore(tmp_path, format="csv")  # type: ignore[arg-type]
    table = pd.DataFrame({"id": ["001", None]})
    for study in ("A-1", "A-2"):
        store.publish_set({"AE": table}, f"form_tables/{study}")
    glob = f"{tmp_path}/form_tables/*/AE.csv"
    found = duckdb.sql(f"select * from read_csv('{glob}', all_varchar=true) order by id")
    assert found.fetchall() == [("001",), ("001",), (None,), (None,)]
    assert pl.read_csv(glob, infer_schema=False)["id"].null_count() == 2


def test_json_and_csv_globs_see_each_artifact_once(root: Path) -> None:
    store = LocalPipelineStore(root, "prod", "csv")  # type: ignore[arg-type]  # as a setting has it
    store.upload(frame("A"), "tables/a")
    store.upload(frame("B"), "tables/a")
    for pattern, count in (("**/*.json", 1), ("**/*.csv", 1), ("**/*.set", 2)):
        assert len([path for path in root.glob(pattern) if path.is_file()]) == count


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
