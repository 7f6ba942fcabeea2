"""Redaction: blinded values leave the history of an artifact, and nothing else does."""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.stores import PipelineStore, derived_from
from orch_assets.stores.maintenance.redaction import RedactedVersion, Redaction
from orch_assets.stores.order.marks import Mark
from orch_assets_tests.contracts.store_fixtures import (
    Objects,
    OpenStore,
    Overwrite,
    Remove,
    StoreFixtures,
)
from orch_assets_tests.contracts.store_places import Killed, dying

PLANTED = "planted answer"
RECORDS, DICTIONARY, FORMS, REPORT = "records/S", "variables/S", "form_tables/S", "report/S"


def table(secret: str | None = PLANTED, n: int = 1) -> pa.Table:
    return pa.table({"n": [n, n + 1], "secret": pa.array([secret, None], pa.string())})


def without_secret(rows: pa.Table) -> pa.Table:
    return rows.set_column(1, "secret", pa.nulls(rows.num_rows, pa.string()))


class Study:
    """Artifacts of a study in which TERM is blinded after the first versions."""

    def __init__(self, store: PipelineStore) -> None:
        self.store = store

    def blind(self, **blinded: bool) -> None:
        rows = [(name, "AE", 1, flag) for name, flag in blinded.items()]
        frame = pd.DataFrame(rows, columns=["variable_name", "form_key", "form_id", "blinded"])
        self.store.publish(frame.astype({"blinded": "boolean"}), DICTIONARY)

    def make(self, name: str, value: Any, *inputs: str) -> str:
        """Publish a table, a set or a value made from the current versions of others."""
        with derived_from({each.uri: each.version for each in map(self.current, inputs)}):
            if isinstance(value, dict):
                return self.store.publish_set(value, name).sha256
            if isinstance(value, list):
                return self.store.publish_json(value, name).sha256
            return self.store.publish(value, name).sha256

    def current(self, name: str) -> Any:
        return self.store.previous(name)

    def forms_before(self) -> None:
        """Publish a set before the blinding."""
        self.blind(TERM=False)
        self.make(FORMS, {"AE": table(), "DM": table(None)}, DICTIONARY)
        self.blind(TERM=True)

    def before_and_after(self) -> datetime:
        """Publish records and a set before and after the blinding; return a moment before it."""
        self.blind(TERM=False)
        self.make(RECORDS, table(), DICTIONARY)
        self.make(FORMS, {"AE": table(), "DM": table(None)}, RECORDS, DICTIONARY)
        moment = datetime.now(UTC)
        self.blind(TERM=True)
        self.make(RECORDS, table(None, n=5), DICTIONARY)
        self.make(FORMS, {"AE": table(None, n=5), "DM": table(None)}, RECORDS, DICTIONARY)
        return moment

    def redact(self, store: PipelineStore | None = None) -> list[RedactedVersion]:
        redaction: Redaction = (store or self.store).redaction()
        return [
            redaction.replace(each, without_secret, self.current(DICTIONARY))
            for each in redaction.found
        ]


def holding(objects: Objects) -> list[str]:
    """Return the objects that hold the planted answer."""
    return [key for key, data in objects().items() if contains(data)]


def contains(data: bytes) -> bool:
    if data[:4] != b"PAR1":
        return PLANTED.encode() in data
    import pyarrow.parquet as pq

    return PLANTED in str(pq.read_table(pa.BufferReader(data)).to_pylist())


class RedactionContract(StoreFixtures):
    def test_a_redacted_version_is_in_the_place_of_the_old_one(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        study = Study(store)
        moment = study.before_and_after()
        old = store.manifest(RECORDS, as_of=moment)
        current = store.manifest(RECORDS).content.sha256
        assert holding(objects)
        found = {each.found.artifact: each for each in study.redact()}
        assert sorted(found) == [FORMS, RECORDS]
        assert holding(objects) == []
        assert store.download_table(RECORDS, as_of=moment).equals(table(None))
        new = store.manifest(RECORDS, as_of=moment)
        assert found[RECORDS].version == new.content.sha256 != old.content.sha256
        (was,), (publication,) = old.publications, new.publications
        assert publication.published_at == was.published_at
        assert publication.number == was.number
        assert publication.redacts == (old.content.sha256,)
        assert publication.redacted_variables == ("AE.TERM",)
        assert {"redaction_reason", "redacted_by", "redacted_at"} <= {*publication.provenance}
        members = store.download_set_tables(FORMS, as_of=moment)
        assert members["AE"].equals(table(None))
        assert store.manifest(RECORDS).content.sha256 == current
        assert store.blinded_since() == []
        assert store.verify() == []

    def test_the_copies_of_a_current_set_are_redacted(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        study = Study(store)
        study.forms_before()
        assert any(key.endswith(f"form_tables/S~~1/AE.{store.table_format}") for key in objects())
        (redacted,) = study.redact()
        assert holding(objects) == []
        copy = store.publication_of(FORMS, "AE")
        assert copy
        assert copy.version == redacted.version
        assert store.verify() == []

    def test_tables_that_sets_took_from_such_a_version_are_redacted(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        study = Study(store)
        study.forms_before()
        for n in (5, 7):
            tables = store.previous_members(FORMS) or {}
            study.make(FORMS, {**tables, "DM": table(None, n=n)}, DICTIONARY)
        assert len(study.redact()) == 3
        assert holding(objects) == []
        assert store.blinded_since() == []
        assert store.verify() == []

    def test_copies_that_a_killed_publisher_left_are_redacted(
        self, store: PipelineStore, objects: Objects, overwrite: Overwrite, remove: Remove
    ) -> None:
        """It was killed after the commit of a set without the values."""
        study = Study(store)
        study.before_and_after()
        files = objects()
        old = next(each for key, each in files.items() if "/members/" in key and contains(each))
        overwrite(next(key for key in files if key.endswith(f"/S~~1/AE.{store.table_format}")), old)
        for key in (key for key in files if "/readable/" in key):
            remove(key)
        study.redact()
        assert holding(objects) == []
        assert store.verify() == []

    def test_files_made_of_such_a_version_are_found_and_removed(
        self, store: PipelineStore, objects: Objects, tmp_path: Path
    ) -> None:
        study = Study(store)
        study.blind(TERM=False)
        study.make(RECORDS, table(), DICTIONARY)
        (tmp_path / "AE.xpt").write_text(PLANTED)
        for text in (PLANTED, "none"):
            (tmp_path / "AE.xpt").write_text(text)
            records = study.current(RECORDS)
            with derived_from({records.uri: records.version}):
                store.publish_files({"AE.xpt": tmp_path / "AE.xpt"}, "forms_xpt/S", "xpt")
            study.blind(TERM=True)
            study.make(RECORDS, table(None), DICTIONARY)
        redaction = store.redaction()
        found = {each.artifact: each for each in redaction.found}
        assert {name: each.is_current for name, each in found.items()} == {
            RECORDS: False,
            "forms_xpt/S": False,
        }
        assert found["forms_xpt/S"].kind == "files"
        redaction.remove(found["forms_xpt/S"])
        study.redact()
        assert holding(objects) == []
        assert store.verify() == []

    def test_the_hash_of_the_old_version_leads_to_the_redacted_one(
        self, store: PipelineStore
    ) -> None:
        study = Study(store)
        moment = study.before_and_after()
        old = store.manifest(RECORDS, as_of=moment).content.sha256
        study.redact()
        new = store.manifest(RECORDS, as_of=moment).content.sha256
        with pytest.raises(ArtifactNotFoundError, match=f"redacted: read version {new}"):
            store.download(RECORDS, old)

    def test_a_current_version_is_redacted_by_a_new_publication(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        study = Study(store)
        study.blind(TERM=False)
        study.make(RECORDS, table(), DICTIONARY)
        moment = datetime.now(UTC)
        study.blind(TERM=True)
        study.redact()
        for as_of in (None, moment):
            assert store.download_table(RECORDS, as_of=as_of).equals(table(None))
        assert holding(objects) == []
        assert store.blinded_since() == []
        assert store.verify() == []
        study.make(RECORDS, table(None, n=9), DICTIONARY)
        assert store.download_table(RECORDS, as_of=moment).equals(table(None))

    def test_a_version_without_the_values_stays_and_is_found_no_more(
        self, store: PipelineStore
    ) -> None:
        study = Study(store)
        study.blind(TERM=False)
        versions = [study.make(RECORDS, table(None, n=n), DICTIONARY) for n in (1, 5)]
        study.blind(TERM=True)
        assert [each.version for each in study.redact()] == versions
        assert store.blinded_since() == []
        assert [each.content.sha256 for each in store.versions(RECORDS)] == versions

    def test_what_was_made_from_a_redacted_version_is_still_found(
        self, store: PipelineStore
    ) -> None:
        study = Study(store)
        study.blind(TERM=False)
        study.make(RECORDS, table(), DICTIONARY)
        report = study.make(REPORT, [PLANTED], RECORDS)
        study.blind(TERM=True)
        redaction = store.redaction()
        (records,) = [each for each in redaction.found if each.artifact == RECORDS]
        redaction.replace(records, without_secret, study.current(DICTIONARY))
        (left,) = store.blinded_since()
        assert (left.artifact, left.version, left.variables) == (REPORT, report, ("AE.TERM",))
        study.make(RECORDS, table(None, n=5), DICTIONARY)
        store.retain(keep_last=1)
        assert [each.artifact for each in store.blinded_since()] == [REPORT]

    def test_a_removed_version_is_no_answer_to_its_moment(
        self, store: PipelineStore, objects: Objects
    ) -> None:
        study = Study(store)
        study.blind(TERM=False)
        study.make(REPORT, table(), DICTIONARY)
        moment = datetime.now(UTC)
        study.blind(TERM=True)
        study.make(REPORT, table(None, n=5), DICTIONARY)
        redaction = store.redaction()
        (found,) = redaction.found
        assert redaction.remove(found).version is None
        with pytest.raises(ArtifactNotFoundError, match="or redaction has removed"):
            store.download(REPORT, as_of=moment)
        assert holding(objects) == []
        assert store.verify() == []

    def test_a_mark_follows_to_the_redacted_version(self, store: PipelineStore) -> None:
        study = Study(store)
        study.blind(TERM=False)
        old = study.make(RECORDS, table(), DICTIONARY)
        store.mark("interim", {RECORDS: old}, study="S", run="r1")
        study.blind(TERM=True)
        study.make(RECORDS, table(None, n=5), DICTIONARY)
        redaction = store.redaction()
        assert [redaction.is_marked(each) for each in redaction.found] == [True]
        study.redact()
        assert store.download_table(RECORDS, as_of="interim").equals(table(None))
        assert store.verify() == []

    def test_what_stands_for_a_redacted_version_is_marked(self, store: PipelineStore) -> None:
        """The events of a run still have the hash of the version that was redacted."""
        study = Study(store)
        study.blind(TERM=False)
        old = study.make(RECORDS, table(), DICTIONARY)
        study.blind(TERM=True)
        study.make(RECORDS, table(None, n=5), DICTIONARY)
        study.redact()
        for _ in range(2):  # setting it again changes nothing
            store.mark("interim", {RECORDS: old}, study="S", run="r1")
        assert store.download_table(RECORDS, as_of="interim").equals(table(None))

    def test_a_second_variable_is_redacted_from_a_redacted_version(
        self, store: PipelineStore
    ) -> None:
        study = Study(store)
        study.blind(TERM=False, AGE=False)
        old = study.make(RECORDS, table(), DICTIONARY)
        moment = datetime.now(UTC)
        study.blind(TERM=True, AGE=False)
        study.make(RECORDS, table(None, n=5), DICTIONARY)
        study.redact()
        study.blind(TERM=True, AGE=True)
        study.make(RECORDS, table(None, n=7), DICTIONARY)
        redaction = store.redaction()
        for each in redaction.found:
            redaction.replace(each, lambda rows: rows.select(["n"]), study.current(DICTIONARY))
        assert store.download_table(RECORDS, as_of=moment).column_names == ["n"]
        (publication,) = store.manifest(RECORDS, as_of=moment).publications
        assert publication.redacts[0] == old
        assert publication.redacted_variables == ("AE.AGE", "AE.TERM")
        assert store.verify() == []

    @pytest.mark.parametrize("late", ["mark", "redaction"])
    def test_a_mark_set_meanwhile_holds_the_redacted_version(
        self,
        store: PipelineStore,
        open_store: OpenStore,
        monkeypatch: pytest.MonkeyPatch,
        late: str,
    ) -> None:
        """Each looked before the other had changed anything: the mark is late, or the removal."""
        study, other = Study(store), open_store(prefix="trials/prod", format=store._format)
        study.before_and_after()
        old = {each.artifact: each.version for each in store.redaction().found}
        put, remove, redacted = store._marks.put, Redaction._remove_data, []

        def put_late(mark: Mark) -> Any:
            redacted.extend(study.redact(other))
            return put(mark)

        def remove_late(*args: Any) -> None:
            if not store.marks():
                store.mark("interim", old, study="S")
            remove(*args)

        if late == "mark":
            monkeypatch.setattr(store._marks, "put", put_late)
            returned = [store.mark("interim", old, study="S")]
        else:
            monkeypatch.setattr(Redaction, "_remove_data", remove_late)
            redacted.extend(study.redact(other))
            returned = []
        (mark,) = store.marks()
        held = {each.artifact: each.version for each in mark.versions}
        assert held == {each.found.artifact: each.version for each in redacted}
        assert [mark] == (returned or [mark])
        assert store.download_table(RECORDS, as_of="interim").equals(table(None))
        store.retain(keep_last=1)
        assert store.verify() == []

    @pytest.mark.parametrize("is_current", [True, False])
    def test_a_killed_redaction_leaves_nothing_half_and_the_next_one_completes_it(
        self, open_store: OpenStore, objects: Objects, is_current: bool
    ) -> None:
        """Killed before each of its changes; each time, the next one is not killed."""
        for changes in itertools.count(step=self.share):
            store = open_store(prefix=f"killed/{changes}", format="parquet")
            study, moment = blinded(store, is_current=is_current)
            try:
                study.redact(dying(store, changes))
            except Killed:
                was_killed = True
            else:
                was_killed = False
            for as_of in (moment, "interim"):
                members = store.download_set_tables(FORMS, as_of=as_of)
                assert members["AE"] in (table(), table(None))
                assert members["DM"].equals(table(None))
            study.redact()
            for as_of in (moment, "interim"):
                assert store.download_set_tables(FORMS, as_of=as_of)["AE"].equals(table(None))
            assert store.blinded_since() == []
            assert holding(objects) == []
            assert [each for each in store.verify() if not each.leftover] == []
            if not was_killed:
                break
        assert changes > 4


def blinded(store: PipelineStore, *, is_current: bool) -> tuple[Study, datetime]:
    """Return a study with a marked set that was made before a blinding, and a moment then."""
    study = Study(store)
    study.blind(TERM=False)
    old = study.make(FORMS, {"AE": table(), "DM": table(None)}, DICTIONARY)
    store.mark("interim", {FORMS: old}, study="S")
    moment = datetime.now(UTC)
    study.blind(TERM=True)
    if not is_current:
        study.make(FORMS, {"AE": table(None, n=5)}, DICTIONARY)
    return study, moment
