"""Erasing a study: what is not surely the study's stays, and stands against it or is named."""

import json
import os
import shlex
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from orch_assets.errors import ErasureRefusedError
from orch_assets.stores import ArtifactKind, LocalPipelineStore, PipelineStore, derived_from
from orch_assets.stores.erasing.erasure_record import ErasureRecords
from orch_assets.stores.erasing.study_erasure import StudyErasure
from orch_assets.stores.erasing.study_store import StudyStore
from orch_assets.stores.maintenance.upkeep_terms import Cutoffs
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.study import study_context
from orch_assets_tests.contracts.store_erasing import (
    OTHER,
    OVER_STUDIES,
    STUDY,
    Disk,
    holding,
    table,
)
from orch_assets_tests.contracts.store_places import Killed

# What says nothing about studies.
PLAIN = pa.table({"n": [1]})


@pytest.fixture
def trial(tmp_path: Path) -> Disk:
    stores = {
        "open": LocalPipelineStore(tmp_path / "stores/open"),
        "restricted": LocalPipelineStore(tmp_path / "stores/restricted", private=True),
    }
    return Disk(stores, tmp_path)


def records(trial: Disk, study: str = STUDY, n: int = 1) -> dict[str, str]:
    """Publish a study's table; return it as an input."""
    with study_context(study):
        published = trial.open.publish(table(study, n=n), f"records/{study}")
    return {published.uri: published.sha256}


def derived(inputs: dict[str, str], value: pa.Table, name: str, store: PipelineStore) -> None:
    with derived_from(inputs):
        store.publish(value, name)


def reasons(trial: Disk, **known: Any) -> str:
    return " ".join(map(str, trial.erasure(**known).plan().blocked))


def meanwhile(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Do something once, while the stores are verified."""
    verify, done = StudyErasure._verified, []

    def verified(self: StudyErasure, *args: Any) -> Any:
        if not done:
            done.append(do())
        return verify(self, *args)

    monkeypatch.setattr(StudyErasure, "_verified", verified)


def test_what_the_account_publishes_of_it_meanwhile_leaves_it_unfinished(
    trial: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = records(trial)
    meanwhile(monkeypatch, lambda: derived(inputs, table(STUDY), "late_results", trial.open))
    with pytest.raises(ErasureRefusedError, match=r"is unfinished: .*'late_results'"):
        trial.erase()
    trial.open.publish(table(OTHER), "late_results")
    assert trial.erase().faults == ()
    assert holding(trial.objects()) == []
    assert len(trial.open.versions("late_results")) == 1


def test_a_run_that_begins_meanwhile_leaves_it_unfinished(trial: Disk) -> None:
    records(trial)
    asked: list[str] = []

    def refusals() -> list[str]:
        asked.append("")
        return ["A run is unfinished."] if len(asked) == 2 else []

    erasure = trial.erasure(refusals=refusals)
    with pytest.raises(ErasureRefusedError, match=r"is unfinished: .* A run is unfinished\."):
        erasure.carry_out(erasure.plan(), lambda _done, _total: None)
    assert trial.erase().faults == ()


def test_a_site_may_have_the_key_of_the_study(trial: Disk) -> None:
    records(trial)
    for name in (f"by_site/{STUDY}", f"sites/{STUDY}/{OTHER}", f"visits/{OTHER}/{STUDY}"):
        trial.open.publish(PLAIN, name)
    plan = trial.erasure().plan()
    assert [each.artifact for each in plan.artifacts] == [f"records/{STUDY}"]
    assert plan.unexamined == (f"by_site/{STUDY}", f"sites/{STUDY}/{OTHER}")
    over = {**OVER_STUDIES, "sites": (1, 2), "by_site": (0, 1)}
    plan = trial.erasure(over_studies=over).plan()
    assert {each.artifact for each in plan.artifacts} == {f"records/{STUDY}", f"by_site/{STUDY}"}
    assert plan.unexamined == ()
    derived(records(trial), PLAIN, f"by_site/{STUDY}", trial.open)
    assert "Its name has the study's key, but no asset" in reasons(trial)


@pytest.mark.parametrize("is_set", [False, True], ids=["version", "member"])
def test_what_a_killed_publication_of_the_account_left_stands_against_it(
    trial: Disk, is_set: bool
) -> None:
    records(trial)

    def publish(where: Disk, *studies: str) -> None:
        if is_set:
            where.open.publish_set({"a": table(*studies)}, "pool")
        else:
            where.open.publish(table(*studies), "pool")

    publish(trial, OTHER)
    with pytest.raises(Killed):
        publish(trial.dying(1), STUDY, OTHER)
    with study_context(OTHER), pytest.raises(Killed):  # another study's is not in the way
        trial.dying(1).open.publish(table(OTHER, n=2), f"records/{OTHER}")
    (blocked,) = trial.erasure().plan().blocked
    assert "'pool' has data of a publication that was killed, or is under way (objects: 1)" in str(
        blocked
    )
    trial.open.retain(keep_last=1, keep_days=36500)
    trial.erase()
    assert holding(trial.objects()) == []


def test_inputs_are_recognized_after_the_store_was_moved(tmp_path: Path) -> None:
    def moved(name: str) -> Disk:
        stores = {
            "open": LocalPipelineStore(tmp_path / name / "open"),
            "restricted": LocalPipelineStore(tmp_path / name / "restricted"),
        }
        return Disk(stores, tmp_path)

    trial = moved("before")
    (uri,) = records(trial)  # of a version that was removed
    derived({uri: "0" * 64}, PLAIN, "by_path", trial.open)
    with study_context(STUDY):
        once = trial.open.publish(table(STUDY, n=9), "features")
    derived({once.uri: once.sha256}, PLAIN, "by_hash", trial.open)
    derived(records(trial, OTHER), PLAIN, "of_other", trial.open)
    derived({"s3://elsewhere/other.parquet": "f" * 64}, PLAIN, "unknown", trial.open)
    shutil.move(tmp_path / "before", tmp_path / "after")
    plan = moved("after").erasure().plan()
    text = " ".join(map(str, plan.blocked))
    assert f"The current version of 'by_path' was made from records/{STUDY}" in text
    assert "The current version of 'by_hash' was made from features" in text
    assert "of_other" not in text
    assert plan.unexamined == ("unknown",)


def test_what_was_made_from_what_is_gone_is_told_by_its_name(trial: Disk) -> None:
    gone = records(trial)
    trial.open.delete(f"records/{STUDY}", history=True)
    trial.restricted.publish(table(STUDY), f"records/{STUDY}")
    derived(gone, PLAIN, "summary", trial.open)
    assert "The current version of 'summary' was made from" in reasons(trial)


def test_a_table_that_is_continued_still_holds_the_study(trial: Disk) -> None:
    """Unless its column study_key says that it doesn't."""
    for name, later in (("cumulative", PLAIN), ("results", table(OTHER))):
        derived(records(trial), PLAIN, name, trial.open)
        first = trial.open.previous(name)
        assert first
        more = pa.concat_tables([later, later])
        derived({first.uri: first.version}, more, name, trial.open)
    assert "The current version of 'cumulative' was made from another" in reasons(trial)
    assert "results" not in reasons(trial)
    trial.open.publish(pa.table({"n": [3]}), "cumulative")
    plan = trial.erasure().plan()
    assert plan.blocked == ()
    going = {each.artifact: len(each.versions) for each in plan.artifacts if not each.whole}
    assert going == {"cumulative": 2, "results": 1}
    assert plan.unexamined == ("cumulative",)


@pytest.mark.parametrize("is_set", [False, True], ids=["table", "set"])
def test_what_carries_rows_over_holds_the_study_until_it_is_made_anew(
    trial: Disk, is_set: bool
) -> None:
    """The publisher notes only what it reads of other studies."""

    def carry_over(inputs: dict[str, str], n: int) -> None:
        with derived_from(inputs):
            if is_set:
                tables = trial.open.previous_members("acct") or {"first": PLAIN}
                trial.open.publish_set({**tables, "n": pa.table({"n": [n]})}, "acct")
                return
            before = trial.open.previous("acct")
            rows = pa.Table.from_batches(before.batches()) if before else PLAIN
            replaces = before and before.version
            trial.open.publish(pa.concat_tables([rows, PLAIN]), "acct", replaces=replaces)

    carry_over(records(trial), 1)
    kind = ArtifactKind.SET if is_set else ArtifactKind.TABLE
    for n in (2, 3):
        carry_over(records(trial, OTHER), n)
    assert "The current version of 'acct' was made from another version" in reasons(trial)
    assert trial.erasure(OTHER).plan().blocked
    with derived_from(records(trial, OTHER)):  # the same again, made anew: it lacks the study
        if is_set:
            trial.open.publish_set(trial.open.download_set_tables("acct"), "acct")
        else:
            trial.open.publish(trial.open.download_table("acct"), "acct")
    assert len(trial.open.versions("acct", kind=kind)) == 3
    plan = trial.erasure().plan()
    assert (plan.blocked, plan.unexamined) == ((), ())
    going = {each.artifact: len(each.versions) for each in plan.artifacts if not each.whole}
    assert going == {"acct": 2}


def test_what_carries_rows_of_a_removed_version_over_is_named(trial: Disk) -> None:
    derived(records(trial), PLAIN, "acct", trial.open)
    first = trial.open.previous("acct")
    assert first
    with derived_from(records(trial, OTHER)):
        trial.open.publish(pa.table({"n": [1, 2]}), "acct", replaces=first.version)
    trial.open.retain(keep_last=1)
    plan = trial.erasure().plan()
    assert (plan.blocked, plan.unexamined) == ((), ("acct",))


def test_the_column_study_key_may_be_of_another_type(trial: Disk) -> None:
    with study_context("301"):
        trial.open.publish(table("301"), "records/301")
    numbers = pa.array([301, 302])
    names = pa.array(["301", "302"])
    for name, column in (("whole", numbers), ("category", names.dictionary_encode())):
        trial.open.publish(pa.table({"study_key": column}), name)
    trial.open.publish(pa.table({"study_key": numbers.cast("double")}), "broken")
    trial.open.publish(pa.table({"study_key": numbers.slice(1)}), "others")
    plan = trial.erasure("301").plan()
    text = " ".join(map(str, plan.blocked))
    assert "'whole' has rows of the study" in text
    assert "'category' has rows of the study" in text
    assert "others" not in text
    assert plan.unexamined == ("broken",)


def test_each_version_must_say_what_it_was_made_from(trial: Disk) -> None:
    records(trial)
    trial.open.publish(PLAIN, "summary")
    derived(records(trial, OTHER), pa.table({"n": [2]}), "summary", trial.open)
    (uri,) = records(trial, OTHER)
    derived({uri: "0" * 64}, PLAIN, "of_other", trial.open)  # of a version that was removed
    plain = trial.open.publish(PLAIN, "plain")
    derived({plain.uri: "0" * 64}, PLAIN, "of_account", trial.open)
    assert trial.erasure().plan().unexamined == ("of_account", "plain", "summary")


def test_what_was_published_again_since_the_plan_stays(trial: Disk) -> None:
    old, new = table(OTHER, n=1), table(OTHER, n=2)
    derived(records(trial), table(OTHER, n=3), "single", trial.open)
    with derived_from(records(trial)):
        trial.open.publish_set({"a": table(STUDY), "b": old}, "pool")
    trial.open.publish_set({"b": new}, "pool")
    trial.open.publish(table(OTHER, n=4), "single")
    erasure = trial.erasure()
    plan = erasure.plan()
    trial.open.publish_set({"b": old}, "pool")  # the member is in the version that goes
    trial.open.publish(table(OTHER, n=3), "single")  # the version that goes
    with pytest.raises(ErasureRefusedError, match="is unfinished"):
        erasure.carry_out(plan, lambda _done, _total: None)
    assert trial.faults() == [each for each in trial.faults() if "unfinished" in each]
    assert [*trial.open.download_set("pool")["b"]["n"]] == [1]
    trial.open.publish(table(OTHER, n=4), "single")
    assert trial.erase().faults == ()
    assert holding(trial.objects()) == []
    assert trial.faults() == []


def test_files_that_no_store_wrote_stay_among_the_copies_of_members(trial: Disk) -> None:
    with study_context(STUDY):
        trial.open.publish_set({"AE": table(STUDY), "DM": table(STUDY)}, f"form_tables/{STUDY}")
    folder = trial.folder / f"stores/open/form_tables/{STUDY}~~1"
    names = ("analysis.xlsx", "mine.csv", "sub/notes.txt", f"../{STUDY}/mine.csv")
    foreign = [folder.joinpath(each).resolve() for each in names]
    alike = ArtifactKeys.of(f"visits/{STUDY}/2026-02", "", "table", "csv").current
    foreign.append(trial.folder / "stores/open" / alike)
    for path in foreign:
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("by hand")
    with study_context(OTHER):  # the copy of a member is no foreign object
        trial.open.publish_set({STUDY: table(OTHER)}, f"form_tables/{OTHER}")
    (folder / "DM.parquet").write_text("changed by hand")
    plan = trial.erasure().plan()
    assert plan.foreign == tuple(sorted(each.as_uri() for each in foreign))
    assert trial.erase().value["not_erased"] == list(plan.foreign)
    assert all(each.exists() for each in foreign)
    assert sorted(each.name for each in folder.glob("*.*")) == ["analysis.xlsx", "mine.csv"]


def test_certificates_stay(trial: Disk) -> None:
    records(trial)
    trial.erase()
    records(trial)
    trial.erase()
    name = f"erasures/{STUDY}"
    old = datetime.now(UTC) + timedelta(days=1)
    trial.open.retain(keep_last=1)
    trial.open.upkeep().run(Cutoffs(manifests=old, versions=old, leftovers=old))
    assert len(trial.open.versions(name, kind=ArtifactKind.JSON)) == 2


def test_a_former_format_of_a_table_goes_if_a_newer_one_has_nothing_of_it(trial: Disk) -> None:
    records(trial)
    former = LocalPipelineStore(trial.folder / "stores/open", format="csv")
    former.publish(table(OTHER), "results")
    former.publish(table(STUDY, OTHER), "results")
    assert "The current version of 'results' (as CSV) has rows of the study" in reasons(trial)
    trial.open.publish(table(STUDY, OTHER), "results")
    assert "The current version of 'results' (as CSV) has rows of the study" in reasons(trial)
    trial.open.publish(table(OTHER), "results")
    assert trial.erase().faults == ()
    assert holding(trial.objects()) == []
    assert len(former.versions("results")) == 1
    assert trial.open.download_table("results").equals(table(OTHER))


def test_what_ops_handed_on_goes_if_it_holds_the_study(trial: Disk) -> None:
    inputs = records(trial)
    derived(inputs, PLAIN, "~ops/run1/step/result", trial.open)
    for run in ("of_study", "of_other", "unknown"):
        trial.open.publish(PLAIN, f"~ops/{run}/step/result")
    known = {"of_study": True, "of_other": False}
    plan = trial.erasure(is_of_run=known.get).plan()
    assert plan.blocked == ()
    assert plan.unexamined == ("~ops/unknown/step/result",)
    erasure = trial.erasure(is_of_run=known.get)
    erasure.carry_out(erasure.plan(), lambda _done, _total: None)
    kept = ["~ops/of_other/step/result", "~ops/unknown/step/result"]
    assert trial.open.list_artifacts("~ops") == kept
    assert not [each for each in trial.objects() if "run1" in each]


def test_two_spellings_of_one_store_are_one(trial: Disk) -> None:
    alias = trial.folder / "alias"
    alias.symlink_to(trial.folder / "stores/open")
    trial.stores["archive"] = LocalPipelineStore(alias)
    records(trial)
    plan = trial.erasure().plan()
    assert list(plan.stores) == ["open", "restricted"]
    with pytest.raises(Killed):
        trial.dying(7).erase()
    certificate = trial.erase()
    assert certificate.value["stores"][0]["objects"] == plan.objects
    assert holding(trial.objects()) == []


def test_an_unfinished_erasure_is_completed_with_the_same_stores(trial: Disk) -> None:
    archive = LocalPipelineStore(trial.folder / "stores/archive")
    trial.stores["archive"] = archive
    records(trial)
    with study_context(STUDY):
        archive.publish(table(STUDY), f"records/{STUDY}")
    with pytest.raises(Killed):
        trial.dying(9).erase()
    del trial.stores["archive"]
    assert "also one of the archive store at file://" in reasons(trial)
    trial.stores = {"restricted": trial.restricted, "open": trial.open, "archive": archive}
    assert f"whose record is at {(trial.folder / 'stores/open').as_uri()}" in reasons(trial)
    trial.stores = {"open": trial.open, "restricted": trial.restricted, "archive": archive}
    assert trial.erase().faults == ()
    assert holding(trial.objects()) == []


def test_a_store_in_another_one_is_counted_once(tmp_path: Path) -> None:
    stores = {
        "open": LocalPipelineStore(tmp_path / "stores/open"),
        "restricted": LocalPipelineStore(tmp_path / "stores/open/restricted"),
    }
    trial = Disk(stores, tmp_path)
    records(trial)
    trial.restricted.publish_json({}, f"notes/{OTHER}")
    objects = len(trial.objects())
    (version,) = (tmp_path / "stores/open/restricted").rglob("versions/*")
    version.write_bytes(b"damaged")
    plan = trial.erasure().plan()
    value = trial.erase().value
    verified = [each["verified"] for each in value["stores"]]
    assert [bool(each["faults"]) for each in verified] == [False, True]
    assert sum(each["objects"] for each in verified) == objects - plan.objects


@pytest.mark.parametrize("step", ["write", "remove"])
def test_a_mark_that_is_set_meanwhile_leaves_it_unfinished(
    trial: Disk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Another study marks a version of the account: before the last look at the marks, or after."""
    records(trial)
    trial.open.publish(table(STUDY, OTHER), "results")
    old = trial.open.manifest("results").content.sha256
    trial.open.publish(table(OTHER), "results")
    owner = ErasureRecords if step == "write" else StudyStore
    original = getattr(owner, step)

    def marking(self: Any, *args: Any) -> Any:
        trial.open.mark("interim", {"results": old}, study=OTHER)
        monkeypatch.undo()
        return original(self, *args)

    monkeypatch.setattr(owner, step, marking)
    with pytest.raises(ErasureRefusedError, match=r"is unfinished: .* mark 'interim'"):
        trial.erase()
    left = [each.content.sha256 for each in trial.open.versions("results")]
    assert (old in left) == (step == "write")
    assert "mark 'interim'" in reasons(trial)
    trial.open.remove_mark("interim", study=OTHER)
    assert trial.erase().faults == ()
    assert holding(trial.objects()) == []


def test_what_was_erased_may_be_published_again_and_marked(trial: Disk) -> None:
    derived(records(trial), PLAIN, "results", trial.open)
    trial.open.publish(table(OTHER), "results")
    with pytest.raises(Killed):
        trial.dying(9).erase()
    version = trial.open.publish(PLAIN, "results").sha256
    trial.open.mark("interim", {"results": version}, study=OTHER)
    assert trial.erase().faults == ()


def test_the_way_to_remove_a_mark_is_one_that_works(tmp_path: Path) -> None:
    above = LocalPipelineStore(tmp_path / "stores")
    stores = {
        "open": LocalPipelineStore(tmp_path / "stores", "open"),
        "restricted": LocalPipelineStore(tmp_path / "stores/restricted"),
    }
    trial = Disk(stores, tmp_path)
    study = "S 1"
    with study_context(study):
        version = trial.open.publish(table(study), f"records/{study}").sha256
    trial.open.mark("first look", {f"records/{study}": version}, study=study)
    above.mark("above", {f"open/records/{study}": version}, study=study)
    first, second = sorted(map(str, trial.erasure(study).plan().blocked), key=len)
    command = f"orch-assets marks remove {shlex.quote('first look')} --study {shlex.quote(study)}"
    assert command in min(first, second, key=lambda each: "first look" not in each)
    assert "It lies at file://" in max(first, second, key=lambda each: "first look" not in each)


def test_the_certificate_has_no_hashes_of_the_restricted_store(trial: Disk) -> None:
    records(trial)
    with study_context(STUDY):
        secret = trial.restricted.publish(table(STUDY, n=7), f"arms/{STUDY}").sha256
    value = trial.erase().value
    assert secret not in json.dumps(value)
    restricted = value["stores"][1]
    details = trial.restricted.download_json(f"erasures/{STUDY}")
    assert secret in json.dumps(details)
    manifest = trial.restricted.manifest(f"erasures/{STUDY}", kind=ArtifactKind.JSON)
    assert restricted["details"]["sha256"] == manifest.content.sha256
    assert restricted["artifacts"][0]["version_count"] == 1


def test_objects_go_in_the_order_in_which_nobody_is_misled(trial: Disk) -> None:
    """Copies, the current object, manifests, and then data, in as few requests as possible."""
    with study_context(STUDY):
        trial.open.publish_set({"AE": table(STUDY)}, f"form_tables/{STUDY}")
    removed: list[list[str]] = []
    backend = trial.open._backend
    delete_all = backend.delete_all
    backend.delete_all = lambda keys: (removed.append([*keys]), delete_all(keys))  # type: ignore[method-assign]
    trial.erase()
    assert [os.path.splitext(each[0])[1] for each in removed[:2]] == [".parquet", ".set"]  # noqa: PTH122 - keys
    assert ["/manifests/" in each[0] for each in removed] == [False, False, True, False]
