"""What release 0.1.0 stored comes back from this release's stores."""

import zipfile
from pathlib import Path

import pandas as pd
import pytest

from orch_assets.stores import LocalPipelineStore
from orch_assets_tests.stores.frames_of_0_1_0 import arrow_table, frames

STORED = Path(__file__).with_name("stored_by_0.1.0.zip")


@pytest.fixture(scope="module", params=["parquet", "csv"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> LocalPipelineStore:
    folder = tmp_path_factory.mktemp("stored")
    with zipfile.ZipFile(STORED) as stored:
        stored.extractall(folder)
    return LocalPipelineStore(folder / request.param, "", request.param)


@pytest.mark.parametrize("name", frames())
def test_frames_come_back_equal(store: LocalPipelineStore, name: str):
    expected = frames()[name]
    pd.testing.assert_frame_equal(
        store.download(name), expected, check_freq=True, check_column_type="exact"
    )


def test_a_level_with_missing_numbers_keeps_its_type(store: LocalPipelineStore):
    """A frame makes floats of whole numbers beside a missing one; the level's own are whole."""
    index = store.download("levels").index
    assert isinstance(index, pd.MultiIndex)
    expected = frames()["levels"].index
    assert isinstance(expected, pd.MultiIndex)
    assert list(map(str, index.levels[1])) == list(map(str, expected.levels[1]))
    assert index.levels[1].dtype == expected.levels[1].dtype


def test_arrow_tables_json_and_sets_come_back_equal(store: LocalPipelineStore):
    assert store.download_table("arrow").equals(arrow_table())
    assert store.download_json("json") == {"a": [1, None]}
    tables = store.download_set("set")
    pd.testing.assert_frame_equal(tables["AE"], frames()["range"])
    assert list(tables) == ["AE", "CM"]


def test_a_publication_of_the_same_frame_follows_the_earlier_one(store: LocalPipelineStore):
    (before,) = store.versions("range")
    store.upload(frames()["range"], "range")
    assert before.content.sha256 in {each.content.sha256 for each in store.versions("range")}
    pd.testing.assert_frame_equal(store.download("range", before.content.sha256), frames()["range"])
