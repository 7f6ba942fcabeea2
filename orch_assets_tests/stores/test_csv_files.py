"""What is CSV's own: formulas, files that no store wrote, reading block by block."""

import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.stores import LocalPipelineStore, StorageFormat

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "'=1",
    "'",
    "''",
    "a=1",
    "",
    None,
]


def escaping(folder: Path) -> LocalPipelineStore:
    return LocalPipelineStore(folder, format=StorageFormat.CSV, escape_formulas=True)


def test_text_that_is_escaped_and_equal_text_that_is_not_are_told_apart(tmp_path: Path) -> None:
    """Two stores, of which one escapes formulas, may write the same bytes for different tables."""
    plain = LocalPipelineStore(tmp_path, format=StorageFormat.CSV)
    escapes = LocalPipelineStore(tmp_path, format=StorageFormat.CSV, escape_formulas=True)
    for store, text in ((plain, "'=1"), (escapes, "=1"), (plain, "'=1")):
        store.upload(pd.DataFrame({"a": [text]}), "x")
        assert plain.download("x")["a"].tolist() == [text]
    assert len(plain.versions("x")) == 1


def test_no_cell_of_text_begins_as_a_formula_does(tmp_path: Path) -> None:
    frame = pd.DataFrame({"=cmd": FORMULAS, "n": range(-5, len(FORMULAS) - 5)})
    escaping(tmp_path).upload(frame, "x")
    with (tmp_path / "x.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["'=cmd", "n"]
    for row, text in zip(rows, FORMULAS, strict=True):
        assert not row[0].startswith(tuple("=+-@\t\r\n"))
        assert row[0].lstrip("'") == (text or "").lstrip("'")
    assert rows[0][1] == "-5", "a number is no formula"


def test_escaped_text_comes_back_as_it_was(tmp_path: Path) -> None:
    frame = pd.DataFrame({"=cmd": FORMULAS, "arm": pd.Categorical(["=a", "b"] * 6 + ["=a"])})
    store = escaping(tmp_path)
    store.upload(frame, "x")
    assert_frame_equal(store.download("x"), frame)
    assert_frame_equal(LocalPipelineStore(tmp_path, format=StorageFormat.CSV).download("x"), frame)


@settings(deadline=None, max_examples=40)
@given(texts=st.lists(st.text(alphabet="=+-@'\"\t\r\n,ab") | st.none(), min_size=1))
def test_any_escaped_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str | None]
) -> None:
    store = escaping(tmp_path_factory.getbasetemp() / "escaped")
    frame = pd.DataFrame({"t": pd.Series(texts, dtype=object)})
    store.upload(frame, "x")
    assert_frame_equal(store.download("x"), frame)


def test_nothing_is_escaped_unless_asked_for(tmp_path: Path) -> None:
    LocalPipelineStore(tmp_path, format=StorageFormat.CSV).upload(pd.DataFrame({"t": ["=1"]}), "x")
    assert (tmp_path / "x.csv").read_text() == '"t"\n"=1"\n'


def test_a_plain_file_is_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "sites.csv").write_text('id,n,t\r\n001,7,""\n002,,"a\nb"\n')
    found = LocalPipelineStore(tmp_path, "in").download_plain_csv("sites")
    assert found["id"].tolist() == ["001", "002"]
    assert found["n"].isna().tolist() == [False, True]
    assert found["t"].tolist() == ["", "a\nb"]


def test_a_plain_file_is_read_with_types_on_request(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("n,d\n1,0.5\n2,\n")
    found = LocalPipelineStore(tmp_path).download_plain_csv("x", infer_types=True)
    assert [str(dtype) for dtype in found.dtypes] == ["int64", "float64"]


@pytest.mark.parametrize(
    ("data", "infer_types"),
    [
        (b"", False),
        (b"a,b\n1\n", False),
        (b"a\n\xff\n", False),
        (b"a,a,b\n1,2\n", False),
        (b"", True),
        (b"a\n\xff\n", True),
    ],
)
def test_what_is_no_csv_is_refused_without_its_text(
    tmp_path: Path, data: bytes, infer_types: bool
) -> None:
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(ArtifactCorruptError, match="'x' is not a UTF-8 CSV") as caught:
        LocalPipelineStore(tmp_path).download_plain_csv("x", infer_types=infer_types)
    assert caught.value.__suppress_context__


def test_a_plain_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError):
        LocalPipelineStore(tmp_path).download_plain_csv("x")


def test_rows_after_a_very_long_one_come_back(tmp_path: Path) -> None:
    """A row that is longer than a block: what was read with small blocks isn't read twice."""
    store = LocalPipelineStore(tmp_path, format=StorageFormat.CSV)
    frame = pd.DataFrame({"n": range(2_000_000), "t": "abc"})
    frame = pd.concat([frame, pd.DataFrame({"n": [-1, -2], "t": ["x" * (20 << 20), "y"]})])
    frame = frame.reset_index(drop=True)
    store.upload(frame, "x")
    found = store.open_reader("x").read_all().to_pandas()
    assert len(found) == len(frame)
    assert found["n"].equals(frame["n"])
    assert found["t"].str.len().equals(frame["t"].str.len())
