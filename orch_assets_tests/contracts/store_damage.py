"""What every store finds if something isn't as it was published."""

import json

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.errors import ArtifactCorruptError, StudyCancelledError, UnstorableTableError
from orch_assets.stores import ArtifactKind, PipelineStore, derived_from
from orch_assets.study import study_context
from orch_assets_tests.contracts.store_fixtures import (
    FRAME,
    OTHER,
    Objects,
    Overwrite,
    Remove,
    StoreFixtures,
)
from orch_assets_tests.contracts.store_places import Killed, dying


class DamageContract(StoreFixtures):
    """Damage, leftovers, and cancelled studies."""

    # Damage

    def test_a_sound_store_has_no_fault(self, store: PipelineStore, objects: Objects) -> None:
        store.upload(FRAME, "x")
        store.upload(OTHER, "x")
        store.publish_set({"a": FRAME}, "deep/y")
        store.publish_json(1, "z")
        seen = []
        assert store.verify(progress=lambda *at: seen.append(at)) == []
        count = len(objects()) - 1  # a copy is read with its set
        assert seen == [(done, count) for done in range(count + 1)]

    def test_verify_finds_every_damage(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        """Flip a bit of each object, truncate it, then restore it."""
        store.upload(FRAME, "x")
        store.publish_set({"a": OTHER}, "deep/y")
        whole = objects()
        for key, data in whole.items():
            for damaged in (bytes([data[0] ^ 1]) + data[1:], data[:-1]):
                overwrite(key, damaged)
                faults = store.verify()
                assert key in {fault.uri[-len(key) :] for fault in faults}
                assert {fault.artifact for fault in faults} == {"x" if "x" in key else "deep/y"}
                overwrite(key, data)
        assert store.verify() == []

    def test_verify_finds_what_is_missing(
        self, store: PipelineStore, objects: Objects, remove: Remove, overwrite: Overwrite
    ) -> None:
        store.upload(FRAME, "x")
        store.publish_set({"a": OTHER}, "y")
        for key, data in objects().items():
            remove(key)
            assert store.verify(), key
            overwrite(key, data)

    def test_verify_finds_a_current_object_that_is_gone(
        self, store: PipelineStore, objects: Objects, remove: Remove
    ) -> None:
        """A first publication may also have been killed before it was current."""
        published = {
            "once": [FRAME],
            "again": [FRAME, FRAME],
            "replaced": [FRAME, OTHER],
            "deleted": [FRAME, OTHER],
            "back": [FRAME, None, OTHER, FRAME],
            "back once": [FRAME, OTHER, None, FRAME],
        }
        for name, frames in published.items():
            for frame in frames:
                store.delete(name) if frame is None else store.upload(frame, name)
        store.publish_set({"a": FRAME}, "set")
        store.delete("deleted")
        for _ in range(2):
            for key in objects():
                if "/.orch/" not in key:
                    remove(key)
            found = {each.artifact: each.leftover for each in store.verify()}
            leftovers = {name for name, leftover in found.items() if leftover}
            assert leftovers == {"once", "back once"}
            assert found.keys() - leftovers == {"again", "replaced", "back", "set"}
            store.retain(keep_last=1)
        for name in published:
            store.restore(name, store.versions(name)[-1].content.sha256)
        store.publish_set({"a": FRAME}, "set")
        assert store.verify() == []

    def test_an_artifact_stays_deleted_after_killed_publications(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        """Retention removes the claim of the deletion, since another one came after it."""
        for frame in (FRAME, FRAME):
            store.upload(frame, "x")
        with pytest.raises(Killed):  # before its manifest
            dying(store, 2).upload(OTHER, "x")
        store.delete("x")
        with pytest.raises(Killed):  # before it became current
            dying(store, 3).upload(FRAME.iloc[:1], "x")
        store.retain(keep_last=2)
        claims = {key.rpartition("/")[2] for key in objects() if "/places/" in key}
        assert claims == {"000000001", "000000002", "000000004"}
        assert [each.leftover for each in store.verify()] == [True]

    def test_verify_looks_below_its_prefix_only(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        for name in ("prod/x", "prod2/x"):
            store.upload(FRAME, name)
        for key in objects():
            if "/prod2/" in key:
                overwrite(key, b"")
        assert store.verify("prod") == []
        assert len(store.verify("prod2")) == 3

    def test_a_removed_manifest_is_found(
        self, store: PipelineStore, objects: Objects, remove: Remove
    ) -> None:
        store.upload(FRAME, "x")
        (key,) = (key for key in objects() if "/manifests/" in key)
        remove(key)
        with pytest.raises(ArtifactCorruptError, match="no manifest"):
            store.download("x")
        faults = store.verify()
        assert len(faults) == 2
        assert all("no manifest" in fault.problem and not fault.leftover for fault in faults)

    def test_what_a_killed_publication_left_is_a_leftover(
        self, store: PipelineStore, objects: Objects, remove: Remove
    ) -> None:
        """Leave the version of a table, and that of a set with the tables that only it has."""
        for frame in (OTHER, FRAME):
            store.upload(frame, "x")
            store.publish_set({"a": frame, "b": FRAME}, "y")
        first = {
            kind: store.versions(name, kind=kind)[0].content.sha256
            for name, kind in (("x", ArtifactKind.TABLE), ("y", ArtifactKind.SET))
        }
        for key in objects():
            if key.split("/")[-2] in first.values():  # a manifest, written after the data
                remove(key)
        found = store.verify()
        assert all(fault.leftover for fault in found)
        uris = [fault.uri for fault in found]
        assert sum("/versions/" in uri for uri in uris) == 2
        assert sum("/members/" in uri for uri in uris) == 1
        assert len(uris) == 3
        assert sorted(store.retain(keep_last=9)) == sorted(uris)
        assert store.verify() == []
        assert_frame_equal(store.download_set("y")["b"], FRAME)

    def test_tables_of_a_set_that_was_never_whole_are_leftovers(self, store: PipelineStore) -> None:
        with pytest.raises(UnstorableTableError):
            store.publish_set({"a": FRAME, "bad": pd.DataFrame({"c": [1j]})}, "y")
        (leftover,) = store.verify()
        assert (leftover.artifact, leftover.leftover) == ("y", True)
        assert store.retain(keep_last=1) == [leftover.uri]
        assert store.verify() == []

    def test_a_version_that_a_manifest_names_is_no_leftover(
        self, store: PipelineStore, objects: Objects, remove: Remove
    ) -> None:
        source = store.publish(OTHER, "x")
        store.upload(FRAME, "x")
        with derived_from({source.uri: source.sha256}):
            store.upload(FRAME, "w")
        (key,) = (key for key in objects() if key.split("/")[-2] == source.sha256)
        remove(key)
        (fault,) = store.verify()
        assert not fault.leftover
        assert "lists as an input" in fault.problem

    def test_any_change_of_the_current_object_is_found(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.upload(FRAME, "x")
        (key,) = (key for key in objects() if "/.orch/" not in key)
        whole = objects()[key]
        for damaged in (b"", whole[:-1], whole + b" ", bytes([whole[0] ^ 1]) + whole[1:]):
            overwrite(key, damaged)
            with pytest.raises(ArtifactCorruptError, match="'x'"):
                store.download("x")
        assert_frame_equal(
            store.download("x", version=store.versions("x")[0].content.sha256), FRAME
        )

    def test_publishing_again_repairs(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        published = store.publish(FRAME, "x")
        for key, data in objects().items():
            if "/manifests/" not in key:
                overwrite(key, data[:-1] + bytes([data[-1] ^ 1]))
        store.upload(FRAME, "x")
        assert_frame_equal(store.download("x"), FRAME)
        assert_frame_equal(store.download("x", version=published.sha256), FRAME)

    def test_a_damaged_version_is_found(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        published = store.publish(FRAME, "x")
        (key,) = (key for key in objects() if "/versions/" in key)
        overwrite(key, b"other")
        with pytest.raises(ArtifactCorruptError, match=published.sha256):
            store.download("x", version=published.sha256)

    def test_a_damaged_manifest_is_found(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.upload(FRAME, "x")
        (key,) = (key for key in objects() if "/manifests/" in key)
        for damaged in (b"", b"[]", b"{}", objects()[key].replace(b'"sha256": "', b'"sha256": "0')):
            overwrite(key, damaged)
            with pytest.raises(ArtifactCorruptError, match="manifest"):
                store.download("x")

    def test_any_change_in_a_manifest_is_found(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        """Those of earlier releases have no checksum, and are valid."""
        for _ in range(3):
            store.upload(FRAME, "x")
        store.retain(keep_last=1)  # compacts the second and the third one
        manifests = {key: data for key, data in objects().items() if "/manifests/" in key}
        assert len(manifests) == 2
        for key, data in manifests.items():
            value = json.loads(data)
            content, publication = value["content"], value["publications"][-1]
            for part, field, other in (
                (content, "rows", 4),
                (content, "columns", []),
                (publication, "inputs", {"a": "0" * 64}),
                (publication, "number", 7),
                (publication, "published_at", "2026-01-01T00:00:00.000000+00:00"),
            ):
                before, part[field] = part[field], other
                overwrite(key, json.dumps(value).encode())
                assert [fault.uri[-len(key) :] for fault in store.verify()] == [key]
                with pytest.raises(ArtifactCorruptError, match="not what was written there"):
                    store.versions("x")
                part[field] = before
            del value["checksum"]
            overwrite(key, json.dumps(value).encode())
            assert store.verify() == []
            assert len(store.versions("x")[0].publications) == 3
            overwrite(key, data)

    def test_bytes_that_nobody_published_are_not_read(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite
    ) -> None:
        store.upload(FRAME, "x")
        (key,) = (key for key in objects() if "/.orch/" not in key)
        overwrite(key.replace("x.", "y."), objects()[key])
        assert store.list_artifacts() == ["x", "y"]
        with pytest.raises(ArtifactCorruptError, match="no manifest"):
            store.download("y")

    # Studies that were given up

    def test_a_study_that_was_given_up_publishes_nothing(self, store: PipelineStore) -> None:
        store.upload(FRAME, "x")
        with study_context("ONC-301") as context:
            context.lease.revoke()
            for publish in (
                lambda: store.publish(OTHER, "x"),
                lambda: store.publish(FRAME, "x"),
                lambda: store.publish_json(1, "x"),
                lambda: store.publish_set({"a": OTHER}, "x"),
            ):
                with pytest.raises(StudyCancelledError, match="ONC-301"):
                    publish()
        assert_frame_equal(store.download("x"), FRAME)
        assert [len(each.publications) for each in store.versions("x")] == [1]
        assert not store.exists("x", kind=ArtifactKind.SET)
        assert not store.exists("x", kind=ArtifactKind.JSON)
