"""Erasing: nothing of a study is left in any store, and nothing else is touched."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from orch_assets.errors import ErasureRefusedError
from orch_assets.stores import ArtifactKind, PipelineStore, derived_from
from orch_assets.stores.erasing.erasure_record import digest
from orch_assets.stores.erasing.study_erasure import ErasureCertificate, StudyErasure
from orch_assets.study import study_context
from orch_assets_tests.contracts.store_documents import DOCUMENTS
from orch_assets_tests.contracts.store_fixtures import Objects, OpenStore, StoreFixtures
from orch_assets_tests.contracts.store_places import Dying, Killed

PLANTED = "planted answer"
STUDY, OTHER = "S1", "S10"
# Keys that are like the study's, each with what it is made of in paths.
ALIKE = (OTHER, "s1", "S1~x", "S1.csv", "S1-2", "%S1", "S1 b")
WINDOWS = "features/by-window"
RUN = "0f9619ff-8b86-4d01-b42d-00cf4fc964ff"


def table(*studies: str, n: int = 1) -> pa.Table:
    answers = [PLANTED if each == STUDY else "another answer" for each in studies]
    return pa.table({"study_key": [*studies], "n": [n] * len(studies), "answer": answers})


class Trial:
    """An open and a restricted store with artifacts of several studies, and of the account."""

    def __init__(self, stores: Mapping[str, PipelineStore], folder: Path) -> None:
        self.stores = {**stores}
        self.open, self.restricted = stores["open"], stores["restricted"]
        self.folder = folder

    def publish(self, study: str, times: int = 2) -> None:
        """Publish what pipelines make of a study, and a failure report."""
        for n in range(times):
            with study_context(study):
                self.restricted.publish(table(study, n=n), f"records/{study}")
                records = self.open.publish(table(study, n=n), f"records/{study}")
                with derived_from({records.uri: records.sha256}):
                    tables = {"AE": table(study, n=n), "DM": table(study)}
                    self.open.publish_set(tables, f"form_tables/{study}")
                self.open.publish_json([study], f"note/{study}")
        with study_context(study):
            self.open.publish_files({"a.xpt": self.file(study)}, f"form_tables_xpt/{study}", "xpt")
            self.open.publish_document(DOCUMENTS["image/png"], f"charts/{study}", "image/png")
            report = {"message": table(study)["answer"][0].as_py()}
            self.restricted.publish_json(report, f"failures/{RUN}/{STUDY}/{study}")
        self.open.publish(table(study), f"visits/2026-01/{study}")

    def account(self, *studies: str) -> None:
        """Publish what is made of all studies."""
        self.open.publish(table(*studies), "study_results")
        sets = [self.open.previous_members(f"form_tables/{each}") for each in studies]
        with derived_from({each.uri: each.version for each in sets if each}):
            files = {"a.duckdb": self.file(*studies)}
            self.open.publish_files(files, "form_tables_duckdb", "duckdb")

    def file(self, *studies: str) -> Path:
        path = self.folder / "file"
        path.write_text(str(table(*studies).to_pydict()))
        return path

    def erasure(self, study: str = STUDY) -> StudyErasure:
        return StudyErasure(study, self.stores)

    def erase(self, study: str = STUDY) -> ErasureCertificate:
        erasure = self.erasure(study)
        return erasure.carry_out(erasure.plan(), lambda _done, _total: None)

    def faults(self) -> list[str]:
        problems = [each for store in self.stores.values() for each in store.verify()]
        return [str(each) for each in problems if not each.leftover]


def holding(objects: Mapping[str, bytes]) -> list[str]:
    """Return the objects that hold the planted answer, or whose keys have the study's key."""
    return [key for key, data in objects.items() if _contains(data) or _names_study(key)]


def _contains(data: bytes) -> bool:
    if data[:4] != b"PAR1":
        return PLANTED.encode() in data
    import pyarrow.parquet as pq

    return PLANTED in str(pq.read_table(pa.BufferReader(data)).to_pylist())


def _names_study(key: str) -> bool:
    """Return whether the study's key is in a key, elsewhere than in that of its certificate."""
    parts = key.split("/")
    if "erasures" in parts:
        return False
    if "failures" in parts:  # the third folder is a pipeline of the study's name
        del parts[parts.index("failures") + 2]
    names = {*parts, *(part.rpartition(".")[0] for part in parts)}
    return STUDY in {name.partition("~~")[0] for name in names}


class ErasingContract(StoreFixtures):
    @pytest.fixture(params=["a folder of the open store", "a place of its own"])
    def trial(self, request: pytest.FixtureRequest, open_store: OpenStore, tmp_path: Path) -> Trial:
        below = request.param.startswith("a folder")
        prefix = "trials/prod/restricted" if below else "restricted"
        stores = {"open": open_store(prefix="trials/prod"), "restricted": open_store(prefix=prefix)}
        folder = tmp_path.parent / f"{tmp_path.name}-files"
        folder.mkdir()
        return Trial(stores, folder)

    def test_nothing_of_the_study_is_left_and_nothing_else_is_touched(
        self, trial: Trial, objects: Objects
    ) -> None:
        trial.publish(STUDY)
        with study_context(STUDY):  # a name of the pipeline's own
            trial.open.publish(table(STUDY), WINDOWS)
        for study in ALIKE:
            trial.publish(study, times=1)
        trial.account(STUDY, OTHER)
        versions = {
            each.content.sha256
            for name, kind in (("records/S1", "table"), ("form_tables/S1", "set"))
            for each in trial.open.versions(name, kind=ArtifactKind(kind))
        }
        kept = trial.open.publish(table(OTHER), "pooled").sha256
        trial.account(OTHER)
        before = objects()
        assert len(holding(before)) > 40
        certificate = trial.erase()
        after = objects()
        assert holding(after) == []
        new = {key for key in after if key not in before}
        assert all("/erasures/" in key for key in new)
        assert {key: after[key] for key in after.keys() - new} == {
            key: data for key, data in before.items() if key in after
        }
        gone = before.keys() - after.keys()
        assert certificate.faults == ()
        assert trial.faults() == []
        value = certificate.value
        assert len(gone) == sum(each["objects"] for each in value["stores"])
        listed = {
            version["sha256"]
            for store in value["stores"]
            for each in store["artifacts"]
            for version in each["versions"]
        }
        assert versions < listed
        assert kept not in listed
        assert sorted(trial.open.list_artifacts("records")) == sorted(
            f"records/{each}" for each in ALIKE
        )
        assert trial.open.download_json(f"erasures/{STUDY}") == value
        assert value["sha256"] == digest({k: v for k, v in value.items() if k != "sha256"})
        assert trial.erasure().plan().artifacts == []
        assert len(trial.open.versions("study_results")) == 1

    def test_a_plan_changes_nothing_and_says_what_would_go(
        self, trial: Trial, objects: Objects
    ) -> None:
        trial.publish(STUDY)
        before = objects()
        plan = trial.erasure().plan()
        assert objects() == before
        assert plan.objects == len(before)
        assert plan.blocked == ()
        assert (
            plan.newest
            == trial.open.manifest(f"visits/2026-01/{STUDY}").publications[-1].published_at
        )

    def test_what_needs_the_study_stands_against_it(self, trial: Trial, objects: Objects) -> None:
        trial.publish(STUDY, times=1)
        trial.publish(OTHER, times=1)
        trial.account(STUDY, OTHER)
        record = trial.open.previous(f"records/{STUDY}")
        assert record
        with study_context(OTHER), derived_from({record.uri: record.version}):
            trial.restricted.publish(table(OTHER), f"peers/{OTHER}")
        trial.open.mark("interim", {f"records/{STUDY}": record.version}, study=STUDY)
        before = objects()
        with pytest.raises(ErasureRefusedError) as caught:
            trial.erase()
        text = str(caught.value)
        assert objects() == before
        assert "The current version of 'study_results' has rows of the study" in text
        assert f"'form_tables_duckdb' was made from form_tables/{STUDY}" in text
        assert f"'peers/{OTHER}' was made from records/{STUDY}, and belongs to another" in text
        assert "The mark 'interim'" in text
        assert f"orch-assets marks remove interim --study {STUDY}" in text
        trial.open.remove_mark("interim", study=STUDY)
        trial.restricted.delete(f"peers/{OTHER}", history=True)
        trial.account(OTHER)
        assert trial.erase().faults == ()
        assert holding(objects()) == []

    def test_killed_again_and_again_it_is_completed(self, trial: Trial, objects: Objects) -> None:
        """Each time it gets further; what went in all runs is in one certificate."""
        trial.publish(STUDY, times=1)
        trial.publish(OTHER, times=1)
        trial.account(STUDY, OTHER)
        trial.account(OTHER)
        before = objects()
        others = {key: data for key, data in before.items() if OTHER in key}
        plan = trial.erasure().plan()
        whole = Trial(trial.stores, trial.folder)
        for changes in range(1, 100):
            backend = Dying(whole.open._backend, changes)
            trial.stores = {
                label: PipelineStore(backend, store._prefix, store._format)
                for label, store in whole.stores.items()
            }
            try:
                certificate = trial.erase()
            except Killed:
                is_begun = any("/_erasures/" in key for key in objects())
                unfinished = [each for each in whole.faults() if "is unfinished" in each]
                assert bool(unfinished) is is_begun
                assert (whole.erasure().plan().unfinished is not None) is is_begun
            else:
                break
        assert changes > 5
        assert holding(objects()) == []
        assert {key: data for key, data in objects().items() if OTHER in key} == others
        assert whole.faults() == []
        stores = certificate.value["stores"]
        erased = {each["uri"] for store in stores for each in store["artifacts"]}
        assert erased == {each.uri for each in plan.artifacts}
        assert sum(each["objects"] for each in stores) == plan.objects
        assert 1 < len(certificate.value["runs"]) < changes
        assert not any("_erasures" in key for key in objects())

    def test_what_is_published_meanwhile_goes_too(
        self, trial: Trial, objects: Objects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trial.publish(STUDY, times=1)
        verify, published = StudyErasure._verified, []

        def publishing(self: StudyErasure, *args: Any) -> Any:
            if not published:
                published.append(trial.open.publish(table(STUDY, n=7), f"late/{STUDY}").sha256)
            return verify(self, *args)

        monkeypatch.setattr(StudyErasure, "_verified", publishing)
        certificate = trial.erase()
        assert holding(objects()) == []
        assert published[0] in json.dumps(certificate.value)
        assert trial.faults() == []
