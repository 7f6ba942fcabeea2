"""What earlier releases stored comes back from this release's stores."""

import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.stores import LocalPipelineStore
from orch_assets_tests.contracts.store_order import Clock
from orch_assets_tests.stores.frames_of_0_1_0 import arrow_table, frames

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
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


def test_numbered_publications_come_after_those_of_an_earlier_release(store: LocalPipelineStore):
    (before,) = store.versions("levels")
    version, (publication,) = before.content.sha256, before.publications
    changed = frames()["levels"].iloc[:1]
    store.publish(changed, "levels", replaces=version)
    (new,) = store.versions("levels")[-1].publications
    assert (publication.number, new.number, new.replaces) == (None, 1, version)
    then = store.download("levels", as_of=publication.published_at)
    pd.testing.assert_frame_equal(then, frames()["levels"])
    with pytest.raises(ArtifactNotFoundError, match="nothing had been published"):
        store.download("levels", as_of=datetime.fromisoformat(publication.published_at) - SECOND)
    assert len(store.download("levels", as_of=datetime.now(UTC))) == 1
    assert store.verify() == []


def test_a_store_without_numbers_goes_on_with_its_order(tmp_path: Path, clock: Clock):
    """Three versions, then one whose publisher was killed, all by release 0.2.0."""
    store = LocalPipelineStore(tmp_path)
    for number in range(4):
        clock.shows = NOON + number * SECOND
        store.upload(pd.DataFrame({"n": range(number)}), "x")
    without_numbers(tmp_path)
    third = store.versions("x")[2].content.sha256
    (tmp_path / "x.parquet").write_bytes(
        (tmp_path / f".orch/x/parquet/versions/{third}").read_bytes()
    )
    expected = [(number, min(number, 2)) for number in range(4)]
    for _ in range(3):  # as it was, after the next publication, and after the one after that
        for seconds, rows in expected:
            assert len(store.download("x", as_of=NOON + seconds * SECOND)) == rows
        clock.shows += 60 * SECOND
        store.upload(pd.DataFrame({"n": range(len(expected) + 5)}), "x")
        expected.append(((clock.shows - NOON) / SECOND, len(expected) + 5))
    publications = [version.publications[0] for version in store.versions("x")]
    assert [each.number for each in publications] == [None] * 4 + [1, 2, 3]
    assert publications[4].replaces == third
    assert store.verify() == []


def test_the_current_version_of_an_earlier_release_is_published_again(tmp_path: Path, clock: Clock):
    """It takes the first number, since a killed publication may have come after it."""
    store = LocalPipelineStore(tmp_path)
    frame = pd.DataFrame({"n": [1]})
    for seconds in range(3):
        clock.shows = NOON + seconds * SECOND
        store.upload(frame, "x")
    without_numbers(tmp_path)
    before = store.versions("x")[0].publications
    for _ in range(2):
        store.upload(frame, "x")
    (version,) = store.versions("x")
    assert version.publications[:3] == before
    assert [each.number for each in version.publications] == [None, None, None, 1, 1]
    store.retain(keep_last=1)
    assert store.versions("x") == [version]
    assert len(store.download("x", as_of=NOON)) == 1


def without_numbers(root: Path) -> None:
    """Make of a store what release 0.2.0 would have written."""
    for entry in list(root.rglob("manifests/*/*")):
        value = json.loads(entry.read_bytes())
        del value["checksum"]
        for publication in value["publications"]:
            del publication["number"], publication["replaces"]
        _, _, instant, token = entry.name.split("-")
        entry.with_name(f"{instant}0000-{token}").write_text(json.dumps(value))
        entry.unlink()
    for claim in list(root.rglob("places/*")):
        claim.unlink()
    for current in list(root.glob("*.parquet")):
        data = current.read_bytes()
        current.unlink()
        current.write_bytes(data)  # without attributes
