"""Form tables in a store: the same when they come back, and read by other tools."""

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from orch_assets import LocalPipelineStore, StorageFormat
from orch_assets.imednet.form_tables import build_form_tables
from orch_assets_tests.imednet.form_tables.studies import (
    forms,
    record,
    records,
    variable,
    variables,
)

AE = (1, "AE")


@pytest.fixture
def tables():
    dictionary = variables(
        variable("AESTDAT", "DATE", AE, label="Start date"),
        variable("AEDUR", "NUMBER", AE, label="Dauer (Tage) „ungefähr“"),
        variable("AENO", "INTEGER", AE),
        variable("AETIM", "DATETIME", AE),
        variable("AESOC", "CHECKBOX", AE),
        variable("aestdat", form=AE),
    )
    rows = records(
        record({"AESTDAT": "2025-06-05", "AEDUR": 1.5, "AENO": 2**60, "AESOC": ["a"]}, AE),
        record({"AESTDAT": "2025-06", "AEDUR": "<1", "AETIM": "2025-06-05 21:12:08"}, AE),
        record({"AESTDAT": "", "aestdat": "ä"}, AE),
    )
    return build_form_tables(rows, dictionary, forms(AE, (2, "ae"), (3, "EMPTY")))


@pytest.mark.parametrize("format_", list(StorageFormat))
def test_tables_come_back_with_their_types_and_metadata(tables, tmp_path, format_):
    store = LocalPipelineStore(tmp_path, format=format_)
    store.upload_set(tables, "form_tables/S")
    back = store.download_set_tables("form_tables/S")
    assert list(back) == ["AE", "ae_2", "EMPTY"]
    for name, table in tables.items():
        assert back[name].equals(table, check_metadata=True), name


def test_pandas_has_them_with_nullable_types(tables, tmp_path):
    store = LocalPipelineStore(tmp_path)
    store.upload_set(tables, "form_tables/S")
    frame = store.download_set("form_tables/S")["AE"]
    assert frame["AENO"].tolist() == [2**60, pd.NA, pd.NA]
    assert frame["AENO_RAW"].tolist() == [str(2**60), None, None]
    assert frame["AESTDAT_RAW"].tolist() == ["2025-06-05", "2025-06", ""]
    assert frame["AESTDAT"].isna().tolist() == [False, True, True]


def test_duckdb_reads_them_though_it_is_blind_to_case(tables, tmp_path):
    pq.write_table(tables["AE"], tmp_path / "ae.parquet")
    found = duckdb.sql(
        f"SELECT aestdat_raw, aestdat_2 FROM '{tmp_path}/ae.parquet' ORDER BY record_id"
    ).fetchall()
    assert found == [("2025-06-05", None), ("2025-06", None), ("", "ä")]
