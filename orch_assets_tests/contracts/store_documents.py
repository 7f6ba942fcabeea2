"""Documents: pictures, pages and reports, with all that tables have, on every backend."""

import pytest

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError, StoreError
from orch_assets.stores import ArtifactKind, PipelineStore, derived_from
from orch_assets.stores.artifacts import DOCUMENT_KINDS
from orch_assets_tests.contracts.store_fixtures import FRAME, Objects, Overwrite, StoreFixtures

# One of each media type that is stored.
DOCUMENTS = {
    "image/png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "image/svg+xml": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "text/html": "<p>Übersicht</p>".encode(),
    "application/pdf": b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n",
}
NAME = "charts/ONC-301"
PNG, OTHER_PNG = DOCUMENTS["image/png"], DOCUMENTS["image/png"] + b"2"


class DocumentsContract(StoreFixtures):
    @pytest.mark.parametrize("media_type", DOCUMENTS)
    def test_a_document_comes_back_and_its_uri_says_what_it_is(
        self, store: PipelineStore, media_type: str
    ) -> None:
        kind = DOCUMENT_KINDS[media_type]
        published = store.publish_document(DOCUMENTS[media_type], NAME, media_type)
        assert published.uri.endswith(f"/trials/prod/{NAME}.{kind.value}")
        assert store.download_document(NAME, kind=kind) == DOCUMENTS[media_type]
        assert (published.bytes, published.rows) == (len(DOCUMENTS[media_type]), None)
        assert store.list_artifacts() == store.list_artifacts(kind=kind) == [NAME]
        assert store.manifest(NAME, kind=kind).kind == kind.value

    def test_the_same_document_is_the_same_version(self, store: PipelineStore) -> None:
        first = store.publish_document(PNG, NAME, "image/png").sha256
        assert store.publish_document(PNG, NAME, "image/png; q=1").sha256 == first
        (manifest,) = store.versions(NAME, kind=ArtifactKind.PNG)
        assert len(manifest.publications) == 2

    def test_an_earlier_document_is_read_marked_restored_and_retained(
        self, store: PipelineStore
    ) -> None:
        first = store.publish_document(PNG, NAME, "image/png").sha256
        store.mark("interim", {NAME: first}, study="ONC-301")
        second = store.publish_document(OTHER_PNG, NAME, "image/png").sha256
        third = store.publish_document(OTHER_PNG + b"3", NAME, "image/png").sha256

        def read(**at: str) -> bytes:
            return store.download_document(NAME, kind=ArtifactKind.PNG, **at)

        assert (read(version=first), read(as_of="interim")) == (PNG, PNG)
        store.retain(keep_last=1)  # the mark holds the first
        stored = {each.content.sha256 for each in store.versions(NAME, kind=ArtifactKind.PNG)}
        assert stored == {first, third}
        with pytest.raises(ArtifactNotFoundError):
            read(version=second)
        store.restore(NAME, first, kind=ArtifactKind.PNG)
        assert read() == PNG
        assert store.verify() == []

    def test_what_a_document_was_made_from_is_in_its_manifest_and_stays(
        self, store: PipelineStore
    ) -> None:
        table = store.publish(FRAME, "subjects/ONC-301")
        with derived_from({table.uri: table.sha256}):
            store.publish_document(PNG, NAME, "image/png")
        store.publish(FRAME.tail(1), "subjects/ONC-301")
        store.retain(keep_last=1)
        assert len(store.download("subjects/ONC-301", table.sha256)) == len(FRAME)

    def test_a_damaged_document_is_found(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.publish_document(PNG, NAME, "image/png")
        (key,) = (key for key in objects() if "/.orch/" not in key)
        overwrite(key, PNG + b" ")
        with pytest.raises(ArtifactCorruptError, match=f"'{NAME}'"):
            store.download_document(NAME, kind=ArtifactKind.PNG)
        assert [each.artifact for each in store.verify()] == [NAME]

    def test_a_deleted_document_is_gone_and_can_be_restored(self, store: PipelineStore) -> None:
        version = store.publish_document(PNG, NAME, "image/png").sha256
        store.delete(NAME, kind=ArtifactKind.PNG)
        assert not store.exists(NAME, kind=ArtifactKind.PNG)
        store.restore(NAME, version, kind=ArtifactKind.PNG)
        assert store.download_document(NAME, kind=ArtifactKind.PNG) == PNG

    @pytest.mark.parametrize(
        ("data", "media_type", "said"),
        [
            (b"GIF89a", "image/gif", "can't be stored. Use application/pdf, image/png"),
            (b"<p>Jane Doe</p>", "image/png", "something else"),
            (b"", "text/html", "something else"),
        ],
    )
    def test_another_media_type_or_other_bytes_are_refused_without_a_value(
        self, store: PipelineStore, data: bytes, media_type: str, said: str
    ) -> None:
        with pytest.raises(StoreError, match=said) as caught:
            store.publish_document(data, NAME, media_type)
        assert "Jane" not in str(caught.value)
        assert store.list_artifacts() == []

    def test_reading_a_document_as_a_table_says_how_to_read_it(self, store: PipelineStore) -> None:
        store.publish_document(PNG, NAME, "image/png")
        with pytest.raises(ArtifactNotFoundError, match="download_document"):
            store.download(NAME)
