"""All parameters and results of a store have plain names; only URIs are escaped."""

import json

import pytest
from pandas.testing import assert_frame_equal

from orch_assets.errors import ArtifactNameError, ArtifactNotFoundError
from orch_assets.stores import ArtifactKind, PipelineStore, StorageFormat, derived_from
from orch_assets_tests.contracts.store_fixtures import (
    FRAME,
    OTHER,
    Objects,
    OpenStore,
    Overwrite,
    StoreFixtures,
)

PLAIN = ["S", "onc-301", "ONC-301", "R&D-118", "KARDIO-Ü2", "a:b ?", "CON", "_x", "e\u0301", "é"]
PLAIN += ["ß" * 33, "aB" * 50]  # as long as a study's key may be


class NamesContract(StoreFixtures):
    """Names come back as they were typed."""

    @pytest.mark.parametrize("study", ["S", "onc-301", "R&D-118", "KARDIO-Ü2"])
    def test_a_plain_name_goes_through_everything(
        self, store: PipelineStore, overwrite: Overwrite, objects: Objects, study: str
    ) -> None:
        """It holds for every method, and for lineage."""
        name = f"subjects/{study}"
        published = store.publish(FRAME, name)
        assert published.artifact == name
        assert_frame_equal(store.download(name), FRAME)
        assert store.open_reader(name).read_all().num_rows == 3
        assert store.exists(name)
        assert store.list_artifacts() == store.list_artifacts("subjects/") == [name]
        with derived_from({published.uri: published.sha256}):
            store.upload(OTHER, name)
        assert [each.artifact for each in store.versions(name)] == [name, name]
        assert store.manifest(name).publications[0].inputs == {published.uri: published.sha256}
        assert store.retain("subjects", keep_last=1) == []  # the other one is its input
        assert store.restore(name, published.sha256).uri == published.uri
        assert store.verify("subjects") == []
        (key,) = (key for key in objects() if "/.orch/" not in key)
        whole = objects()[key]
        overwrite(key, b"")
        assert {fault.artifact for fault in store.verify()} == {name}
        overwrite(key, whole)
        store.delete(name, history=True)
        assert objects() == {}
        with pytest.raises(ArtifactNotFoundError) as caught:
            store.download(name)
        assert repr(name) in str(caught.value)
        assert caught.value.artifact == name

    def test_names_that_a_disk_would_mix_up_are_different_artifacts(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        names = [f"{asset}/{study}" for asset in ("labs", "Labs") for study in PLAIN]
        for number, name in enumerate(names):
            store.publish_json(number, name)
        assert [store.download_json(name) for name in names] == list(range(len(names)))
        assert store.list_artifacts() == sorted(names)
        assert store.list_artifacts("labs") == sorted(n for n in names if n.startswith("labs/"))
        keys = list(objects())
        assert len({key.lower() for key in keys}) == len(keys)
        assert all(key.isascii() for key in keys)

    def test_the_seeds_uri_is_prefix_name_and_format_to_the_letter(
        self, open_store: OpenStore
    ) -> None:
        store = open_store(prefix="clinops/Prod/v2")
        uri = store.upload(FRAME, "features/windows_2024_01")
        assert uri.endswith("/clinops/Prod/v2/features/windows_2024_01.parquet")
        assert store.upload(FRAME, "ae2/ONC-301").endswith("/ae2/ONC-301.parquet")
        assert "/AE2/" in store.upload(FRAME, "AE2/ONC-301")

    def test_a_listing_has_sets_and_values_too(self, store: PipelineStore) -> None:
        store.upload_set({"AE": FRAME}, "form_tables/ONC-301")
        store.upload(FRAME, "form_tables/ONC-302")
        store.publish_json(1, "form_tables/ONC-302")
        assert store.list_artifacts("form_tables") == ["form_tables/ONC-301", "form_tables/ONC-302"]
        assert store.list_artifacts("form_tables", kind=ArtifactKind.SET) == ["form_tables/ONC-301"]
        assert store.list_artifacts("form") == []
        assert list(store.members("form_tables/ONC-301")) == ["AE"]

    def test_what_is_stored_otherwise_than_asked_for_says_how_to_read_it(
        self, store: PipelineStore, open_store: OpenStore
    ) -> None:
        store.upload_set({"AE": FRAME}, "set")
        store.publish_json(1, "value")
        other = set(StorageFormat) - {StorageFormat(store.upload(FRAME, "x").rpartition(".")[2])}
        open_store(prefix="trials/prod", format=other.pop()).upload(FRAME, "table")
        store.upload(FRAME, "subjects/onc-301")
        for name, said in (
            ("set", "set of tables: read it with download_set"),
            ("value", "read it with download_json"),
            ("table", "open the store with that format"),
            ("subjects/onc-301~~7", "'subjects/onc-301' is: names are plain"),
        ):
            with pytest.raises(ArtifactNotFoundError, match=said) as caught:
                store.download(name)
            assert caught.value.artifact == name

    # Stores of development versions

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("ae2~~3/ONC-301", "ae2/ONC-301"),
            ("subjects/S1", "subjects/S1"),
            ("Features/My Table", "Features/My Table"),
            ("a~2eb/x", "a.b/x"),
        ],
    )
    def test_a_name_of_a_development_version_is_told_and_never_taken_for_nothing(
        self,
        store: PipelineStore,
        objects: Objects,
        overwrite: Overwrite,
        path: str,
        name: str,
    ) -> None:
        """Listing, reading, asking and deleting raise an error, and verify says what to do."""
        uri = store.upload(FRAME, "old/x")
        folder, _, leaf = path.rpartition("/")
        for key, data in objects().items():
            overwrite(key.replace("/old/", f"/{folder}/").replace("/x", f"/{leaf}"), data)
        store.delete("old/x", history=True)
        for use in (
            store.list_artifacts,
            lambda: store.download(name),
            lambda: store.exists(name),
            lambda: store.versions(name),
            lambda: store.delete(name),
            lambda: store.open_reader(name),
        ):
            with pytest.raises(ArtifactNameError, match="development version stored it") as caught:
                use()
            assert caught.value.artifact == name
        (fault,) = store.verify()
        assert (fault.artifact, fault.leftover) == (name, False)
        assert f"publish {name!r} again, then remove this object and " in fault.problem
        assert store.retain(keep_last=1) == []
        assert uri.rpartition(".")[2] in fault.uri
        store.upload(OTHER, name)
        assert_frame_equal(store.download(name), OTHER)

    def test_a_file_that_no_store_published_is_not_told_as_an_earlier_one(
        self, store: PipelineStore, overwrite: Overwrite
    ) -> None:
        """It is listed under its own name, by which ``download_plain_csv`` reads it."""
        overwrite("trials/prod/raw/My Data.csv", b"n\n1\n")
        assert store.download_plain_csv("raw/My Data")["n"].tolist() == ["1"]
        if store.upload(FRAME, "raw/x").endswith(".csv"):
            assert store.list_artifacts("raw") == ["raw/My Data", "raw/x"]
        assert not store.exists("raw/My Data")
        with pytest.raises(ArtifactNotFoundError):
            store.download("raw/My Data")
        (fault,) = store.verify()
        assert "no manifest has the hash of its bytes" in fault.problem

    def test_a_store_that_begins_further_down_is_told_from_an_earlier_one(
        self, open_store: OpenStore
    ) -> None:
        """Its prefix is a folder with capitals, which a name's path would mark at its end."""
        open_store(prefix="Trials").upload(FRAME, "subjects/ONC-301")
        above = open_store()
        assert above.verify() == []
        for use in (above.list_artifacts, lambda: above.download("Trials/subjects/ONC-301")):
            with pytest.raises(ArtifactNameError, match="a store that begins further down"):
                use()
        assert open_store(prefix="Trials").list_artifacts() == ["subjects/ONC-301"]

    def test_names_of_a_development_version_that_are_the_same_now_are_read(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        """The manifests hold the old spelling, and the plain one is returned."""
        store.upload(FRAME, "subjects/onc-301")
        (key,) = (key for key in objects() if "/manifests/" in key)
        value = json.loads(objects()[key])
        assert value["artifact"] == "subjects/onc-301"
        del value["checksum"]
        overwrite(key, json.dumps({**value, "artifact": "subjects/onc-301~~7"}).encode())
        assert store.manifest("subjects/onc-301").artifact == "subjects/onc-301"
        assert store.verify() == []
