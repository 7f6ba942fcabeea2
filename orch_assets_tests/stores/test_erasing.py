"""Erasing a study from folders: what is its own, what stands against it, what happens meanwhile."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from orch_assets.errors import ArtifactCorruptError, ErasureRefusedError, StoreError
from orch_assets.stores import ArtifactKind, LocalPipelineStore, derived_from, open_store
from orch_assets.stores.erasing.study_erasure import StudyErasure
from orch_assets.stores.formats.checked_json import digest
from orch_assets.study import study_context
from orch_assets_tests.contracts.store_documents import DOCUMENTS
from orch_assets_tests.contracts.store_erasing import (
    OTHER,
    STUDY,
    Disk,
    holding,
    holds_answer,
    table,
)
from orch_assets_tests.contracts.store_places import Killed

# Keys that are like the study's.
ALIKE = (OTHER, "s1", "S1~x", "S1.csv", "S1-2", "%S1", "S1 b")


@pytest.fixture(params=["stores/open/restricted", "stores/restricted"])
def trial(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    """The restricted store may be a folder of the open one."""
    stores = {
        "open": LocalPipelineStore(tmp_path / "stores/open"),
        "restricted": LocalPipelineStore(tmp_path / request.param, private=True),
    }
    return Disk(stores, tmp_path)


def test_nothing_of_the_study_is_left_and_studies_of_similar_keys_stay(trial: Disk) -> None:
    trial.publish(STUDY, times=2)
    trial.open.publish_document(DOCUMENTS["image/png"], f"charts/{STUDY}", "image/png")
    trial.open.publish(table(STUDY), f"visits/{STUDY}/2026-01")
    with study_context(STUDY):  # a name of the pipeline's own
        trial.open.publish(table(STUDY), "features/by-window")
    with study_context(OTHER):  # another study's, whatever its name
        trial.open.publish(table(OTHER), f"arms/{STUDY}")
    for study in ALIKE:
        with study_context(study):
            trial.open.publish(table(study), f"records/{study}")
            trial.restricted.publish_json({}, f"failures/run/{STUDY}/{study}")
            trial.open.publish_set({STUDY: table(study)}, f"form_tables/{study}")
    versions = trial.open.versions(f"form_tables/{STUDY}", kind=ArtifactKind.SET)
    before = trial.objects()
    plan = trial.erasure().plan()
    assert plan.blocked == ()
    assert plan.newest == max(
        each.published_at
        for version in trial.open.versions("features/by-window")
        for each in version.publications
    )
    assert trial.objects() == before
    certificate = trial.erase()
    after = trial.objects()
    assert [key for key in holding(after) if "arms" not in key and "form_tables" not in key] == []
    assert not any(map(holds_answer, after.values()))
    new = after.keys() - before.keys()
    assert all("/erasures/" in key for key in new)
    assert all(after[key] == before[key] for key in after.keys() - new)
    assert len(before.keys() - after.keys()) == plan.objects
    kept = [f"records/{each}" for each in ALIKE]
    assert trial.open.list_artifacts("records") == sorted(kept)
    assert trial.open.exists(f"arms/{STUDY}")
    assert (certificate.faults, trial.faults()) == ((), [])
    hidden = (trial.folder / "stores/open").rglob(f".orch/{STUDY}~~1")
    assert [each for each in hidden if each.parent.parent.name not in {"arms", "erasures"}] == []
    value = certificate.value
    assert value["sha256"] == digest({k: v for k, v in value.items() if k != "sha256"})
    (forms,) = (
        each
        for each in value["stores"][0]["artifacts"]
        if each["artifact"] == f"form_tables/{STUDY}"
    )
    assert [each["sha256"] for each in forms["versions"]] == [v.content.sha256 for v in versions]
    assert forms["versions"][0]["first_published_at"] == versions[0].publications[0].published_at
    assert trial.erasure().plan().artifacts == []


def test_what_needs_the_study_stands_against_its_erasure(trial: Disk) -> None:
    trial.publish(STUDY)
    trial.publish(OTHER)
    trial.account(STUDY, OTHER)
    record = trial.open.previous(f"records/{STUDY}")
    assert record
    with study_context(OTHER), derived_from({record.uri: record.version}):
        trial.restricted.publish(table(OTHER), f"peers/{OTHER}")
    trial.open.mark("interim", {f"records/{STUDY}": record.version}, study=STUDY)
    before = trial.objects()
    with pytest.raises(ErasureRefusedError) as caught:
        trial.erase()
    assert trial.objects() == before
    text = str(caught.value)
    assert "The current version of 'study_results' has rows of the study" in text
    assert f"'form_tables_duckdb' was made from form_tables/{STUDY}" in text
    assert f"'peers/{OTHER}' was made from records/{STUDY}, and belongs to another" in text
    assert "The mark 'interim'" in text
    assert f"orch-assets marks remove interim --study {STUDY}" in text
    trial.open.remove_mark("interim", study=STUDY)
    trial.restricted.delete(f"peers/{OTHER}", history=True)
    old = trial.open.manifest("study_results").content.sha256
    trial.account(OTHER)
    trial.open.mark("results", {"study_results": old}, study=OTHER)
    (blocked,) = trial.erasure().plan().blocked
    assert f"orch-assets marks remove results --study {OTHER}" in str(blocked)
    trial.open.remove_mark("results", study=OTHER)
    assert trial.erase().faults == ()
    assert holding(trial.objects()) == []
    assert len(trial.open.versions("study_results")) == 1
    assert len(trial.open.versions("form_tables_duckdb", kind=ArtifactKind.FILES)) == 1


def test_what_was_made_from_what_goes_stands_against_it_too(trial: Disk) -> None:
    """A chain of inputs leads from the study, over the whole account, to the restricted store."""
    trial.publish(STUDY)
    trial.account(STUDY)
    results = trial.open.previous("study_results")
    assert results
    with derived_from({results.uri: results.version}):
        trial.restricted.publish_json(1, "summary")
    trial.account(OTHER)
    assert any("summary" in str(each) for each in trial.erasure().plan().blocked)
    trial.restricted.publish_json(2, "summary")
    plan = trial.erasure().plan()
    assert plan.blocked == ()
    assert "summary" in {each.artifact for each in plan.artifacts if not each.whole}


def test_what_nobody_can_judge_is_named(trial: Disk) -> None:
    trial.publish(STUDY)
    trial.open.publish_json([1], "figures")
    trial.open.publish_json([1], "monthly/2026-01")
    with study_context(OTHER):
        trial.open.publish_json([1], f"note/{OTHER}")
        trial.open.publish_json([1], f"arms/{STUDY}")
    trial.open.publish_json([1], f"plain/{OTHER}")
    foreign = trial.folder / f"stores/open/notes/{STUDY}/monitoring.txt"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("by hand")
    certificate = trial.erase()
    assert certificate.value["not_examined"] == [f"arms/{STUDY}", "figures", "monthly/2026-01"]
    assert certificate.value["not_erased"] == [foreign.as_uri()]
    assert foreign.exists()


def test_a_damaged_study_can_be_erased_but_not_beside_a_damaged_manifest(trial: Disk) -> None:
    trial.publish(STUDY)
    trial.publish(OTHER)
    root = trial.folder / "stores/open"
    (own,) = root.glob(f"records/.orch/{STUDY}~~1/parquet/manifests/*/*")
    (others,) = root.glob(f"records/.orch/{OTHER}~~1/parquet/manifests/*/*")
    own.write_bytes(b"{")
    whole = others.read_bytes()
    others.write_bytes(b"{")
    (blocked,) = trial.erasure().plan().blocked
    assert f"'records/{OTHER}' has a manifest that can't be read" in str(blocked)
    others.write_bytes(whole)
    assert trial.erase().faults == ()
    assert holding(trial.objects()) == []


def test_killed_before_each_of_its_changes_it_is_completed(trial: Disk) -> None:
    trial.open.publish_set({"a": table(STUDY)}, f"form_tables/{STUDY}")
    trial.restricted.publish(table(STUDY), f"records/{STUDY}")
    trial.open.publish(table(OTHER), f"records/{OTHER}")
    before = trial.objects()
    plan = trial.erasure().plan()
    for changes in range(1, 100):
        for key, data in before.items():
            path = trial.folder / "stores" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        trial.open.delete(f"erasures/{STUDY}", kind=ArtifactKind.JSON, history=True)
        try:
            trial.dying(changes).erase()
        except Killed:
            is_begun = any("/_erasures/" in key for key in trial.objects())
            assert any("is unfinished" in each for each in trial.faults()) is is_begun
            assert (trial.erasure().plan().unfinished is not None) is is_begun
        else:
            break
        stores = trial.erase().value["stores"]
        assert holding(trial.objects()) == []
        assert [each["objects"] for each in stores] == [
            sum(len(each.keys) for each in artifacts) for artifacts in plan.stores.values()
        ]
        assert trial.faults() == []
    assert changes > plan.objects


def test_what_another_study_publishes_before_it_is_completed_stays(trial: Disk) -> None:
    """The name was only of this study's pipeline, and then is of another's."""
    with study_context(STUDY):
        old = trial.open.publish(table(STUDY), "features/by-window").sha256
    with pytest.raises(Killed):
        trial.dying(6).erase()  # two tries, two records, the current object, the manifest
    assert holding(trial.objects())
    assert trial.open.versions("features/by-window") == []
    with study_context(OTHER):
        trial.open.publish(table(OTHER), "features/by-window")
    before = trial.objects()
    certificate = trial.erase()
    assert certificate.faults == ()
    assert old in json.dumps(certificate.value)
    assert trial.open.download_table("features/by-window").equals(table(OTHER))
    assert holding(trial.objects()) == []
    assert trial.faults() == []
    gone = before.keys() - trial.objects().keys()
    assert {key.rpartition("/")[2] for key in gone} == {old, f"{STUDY}~~1"}


def test_what_is_published_meanwhile_goes_too(trial: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    trial.publish(STUDY)
    verify, published = StudyErasure._verified, []

    def publishing(self: StudyErasure, *args: Any) -> Any:
        if not published:
            published.append(trial.open.publish(table(STUDY, n=7), f"late/{STUDY}").sha256)
        return verify(self, *args)

    monkeypatch.setattr(StudyErasure, "_verified", publishing)
    certificate = trial.erase()
    assert holding(trial.objects()) == []
    assert published[0] in json.dumps(certificate.value)
    assert trial.faults() == []


def test_who_never_stops_publishing_leaves_it_unfinished(
    trial: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.publish(STUDY)
    verify = StudyErasure._verified

    def publishing(self: StudyErasure, *args: Any) -> Any:
        trial.open.publish(table(STUDY), f"late/{STUDY}")
        return verify(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(StudyErasure, "_verified", publishing)
        with pytest.raises(ErasureRefusedError, match="is being published while"):
            trial.erase()
    assert any("is unfinished" in each for each in trial.faults())
    assert trial.erase().faults == ()
    assert holding(trial.objects()) == []


def test_a_publisher_that_races_it_is_refused_or_its_work_goes_too(trial: Disk) -> None:
    trial.publish(STUDY)
    trial.publish(OTHER)
    refused, others = [], {k: data for k, data in trial.objects().items() if OTHER in k}

    def publish() -> None:
        for n in range(40):
            try:
                trial.open.publish_set({"AE": table(STUDY, n=n)}, f"form_tables/{STUDY}")
            except StoreError as error:
                refused.append(error)

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        trial.erase()
    except ErasureRefusedError:
        assert any("is unfinished" in each for each in trial.faults())
    publisher.join()
    assert trial.erase().faults == ()
    assert holding(trial.objects()) == []
    assert {k: data for k, data in trial.objects().items() if OTHER in k} == others
    assert trial.faults() == []


def test_a_damaged_record_is_named(trial: Disk) -> None:
    trial.publish(STUDY)
    record = trial.folder / f"stores/open/.orch/_erasures/{STUDY}~~1"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    with pytest.raises(ArtifactCorruptError, match="record of an erasure"):
        trial.erasure().plan()


def test_whether_a_bucket_keeps_what_is_deleted(
    s3: Any, s3_bucket: str, gcs: Any, gcs_bucket: str
) -> None:
    def keeps(address: str) -> bool | None:
        return open_store(address).study_store().backend.keeps_deleted()

    assert keeps(f"s3://{s3_bucket}") is False
    s3.put_bucket_versioning(Bucket=s3_bucket, VersioningConfiguration={"Status": "Enabled"})
    assert keeps(f"s3://{s3_bucket}") is True
    assert keeps("s3://no-such-bucket-there") is None
    bucket = gcs.get_bucket(gcs_bucket)
    assert bucket.soft_delete_policy.retention_duration_seconds  # as Google has it by default
    assert keeps(f"gs://{gcs_bucket}") is True
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.patch()
    assert keeps(f"gs://{gcs_bucket}") is False
    bucket.versioning_enabled = True
    bucket.patch()
    assert keeps(f"gs://{gcs_bucket}") is True
    assert keeps("gs://no-such-bucket-there") is None
