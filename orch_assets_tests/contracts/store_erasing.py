"""Erasing: nothing of a study is left in any store, and nothing else is touched."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from orch_assets.stores import PipelineStore, derived_from
from orch_assets.stores.erasing.study_erasure import ErasureCertificate, StudyErasure
from orch_assets.study import study_context
from orch_assets_tests.contracts.store_fixtures import Objects, OpenStore, StoreFixtures
from orch_assets_tests.contracts.store_places import Dying, Killed

PLANTED = "planted answer"
STUDY, OTHER = "S1", "S10"
# Keys that are like the study's, each with what it is made of in paths.
ALIKE = (OTHER, "s1", "S1~x", "S1.csv", "S1-2", "%S1", "S1 b")
WINDOWS = "features/by-window"
# Assets over studies: which part of the partition is the study, and how many there are.
OVER_STUDIES = {
    **dict.fromkeys(["records", "form_tables", "charts", "late"], (0, 1)),
    "visits": (0, 2),
}
RUN = "0f9619ff-8b86-4d01-b42d-00cf4fc964ff"


def table(*studies: str, n: int = 1) -> pa.Table:
    answers = [PLANTED if each == STUDY else "another answer" for each in studies]
    return pa.table({"study_key": [*studies], "n": [n] * len(studies), "answer": answers})


class _DyingTogether(Dying):
    """A backend of a process with several; they count their changes together."""

    def __init__(self, backend: Any, left: list[int]) -> None:
        self._shared = left
        super().__init__(backend, left[0])

    def delete_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.delete(key)

    @property
    def _left(self) -> int:
        return self._shared[0]

    @_left.setter
    def _left(self, left: int) -> None:
        self._shared[0] = left


class Trial:
    """An open and a restricted store with artifacts of several studies, and of the account."""

    def __init__(self, stores: Mapping[str, PipelineStore], folder: Path) -> None:
        self.stores = {**stores}
        self.open, self.restricted = stores["open"], stores["restricted"]
        self.folder = folder

    def publish(self, study: str, times: int = 1) -> None:
        """Publish what pipelines make of a study, and a failure report."""
        for n in range(times):
            with study_context(study):
                self.restricted.publish(table(study, n=n), f"records/{study}")
                records = self.open.publish(table(study, n=n), f"records/{study}")
                with derived_from({records.uri: records.sha256}):
                    tables = {"AE": table(study, n=n), "DM": table(study)}
                    self.open.publish_set(tables, f"form_tables/{study}")
        with study_context(study):
            self.open.publish_files({"a.xpt": self.file(study)}, f"form_tables_xpt/{study}", "xpt")
            report = {"message": table(study)["answer"][0].as_py()}
            self.restricted.publish_json(report, f"failures/{RUN}/{STUDY}/{study}")

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

    def dying(self, changes: int) -> "Trial":
        """Return the same stores, killed after some changes in all of them."""
        left = [changes]
        stores = {
            label: PipelineStore(_DyingTogether(store._backend, left), store._prefix, store._format)
            for label, store in self.stores.items()
        }
        return Trial(stores, self.folder)

    def erasure(self, study: str = STUDY, **known: Any) -> StudyErasure:
        return StudyErasure(study, self.stores, **{"over_studies": OVER_STUDIES, **known})

    def erase(self, study: str = STUDY) -> ErasureCertificate:
        erasure = self.erasure(study)
        return erasure.carry_out(erasure.plan(), lambda _done, _total: None)

    def faults(self) -> list[str]:
        problems = [each for store in self.stores.values() for each in store.verify()]
        return [str(each) for each in problems if not each.leftover]


class Disk(Trial):
    """The stores of a trial in two folders."""

    def objects(self) -> dict[str, bytes]:
        root = self.folder / "stores"
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }


def holding(objects: Mapping[str, bytes]) -> list[str]:
    """Return the objects that hold the planted answer, or whose keys have the study's key."""
    return [key for key, data in objects.items() if holds_answer(data) or _names_study(key)]


def holds_answer(data: bytes) -> bool:
    """Return whether an object holds the planted answer."""
    return PLANTED in content(data)


def content(data: bytes) -> str:
    """Return what an object holds, as text."""
    if data[:4] != b"PAR1":
        return data.decode(errors="replace")
    import pyarrow.parquet as pq

    return str(pq.read_table(pa.BufferReader(data)).to_pylist())


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
    def test_killed_twice_it_is_completed_and_nothing_else_is_touched(
        self, open_store: OpenStore, objects: Objects, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """What went in all runs is in one certificate."""
        stores = {"open": open_store(prefix="open"), "restricted": open_store(prefix="restricted")}
        trial = Trial(stores, tmp_path_factory.mktemp("files"))
        trial.publish(STUDY)
        trial.publish(OTHER)
        trial.account(STUDY, OTHER)
        trial.account(OTHER)
        before = objects()
        plan = trial.erasure().plan()
        for changes in (6, 20):
            with pytest.raises(Killed):
                trial.dying(changes).erase()
            assert [each for each in trial.open.verify() if "is unfinished" in str(each)]
        certificate = trial.erase()
        assert certificate.faults == ()
        after = objects()
        assert holding(after) == []
        gone = {uri for each in plan.artifacts for uri in each.keys}
        assert before.keys() - after.keys() == gone
        new = after.keys() - before.keys()
        assert all("/erasures/" in key for key in new)
        assert all(after[key] == before[key] for key in after.keys() - new)
        found = certificate.value["stores"]
        assert {each["uri"] for store in found for each in store["artifacts"]} == {
            each.uri for each in plan.artifacts
        }
        assert [each["objects"] for each in found] == [
            sum(len(each.keys) for each in artifacts) for artifacts in plan.stores.values()
        ]
        assert len(certificate.value["runs"]) == 3
        assert trial.open.download_json(f"erasures/{STUDY}") == certificate.value
