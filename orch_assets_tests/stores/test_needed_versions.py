"""What an upkeep leaves because something needs it that is hard to see, or has just begun to."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orch_assets.stores import ArtifactKind, PipelineStore, derived_from, open_store
from orch_assets.stores.maintenance.upkeep_terms import Cutoffs, Neighbour
from orch_assets.study import study_context
from orch_assets_tests.contracts.store_redaction import RECORDS, Study

JSON = ArtifactKind.JSON


def all_is_old() -> Cutoffs:
    later = datetime.now(UTC) + timedelta(hours=1)
    return Cutoffs(manifests=later, versions=later, reports=later, leftovers=later)


def versions(store: PipelineStore, name: str) -> list[str]:
    return [each.content.sha256 for each in store.versions(name, kind=JSON)]


def test_inputs_stay_in_a_store_that_was_moved(tmp_path: Path) -> None:
    """Manifests name the inputs at the former place: an upkeep and a retention find them."""
    former = open_store(tmp_path / "former")
    source = former.publish_json(1, "x")
    with derived_from({source.uri: source.sha256}):
        former.publish_json("made of 1", "y")
    for number in (2, 3):
        former.publish_json(number, "x")
    shutil.move(tmp_path / "former", tmp_path / "new")
    store = open_store(tmp_path / "new")
    newest = versions(store, "x")[-1]
    store.upkeep().run(all_is_old())
    assert versions(store, "x") == [source.sha256, newest]
    store.retain(keep_last=1)
    assert versions(store, "x") == [source.sha256, newest]


def test_a_redacted_input_of_another_store_stays(tmp_path: Path) -> None:
    """The other store names the version that this one stands for."""
    store = open_store(tmp_path)
    study = Study(store)
    moment = study.before_and_after()
    old = store.manifest(RECORDS, as_of=moment).content.sha256
    study.redact()
    new = store.manifest(RECORDS, as_of=moment).content.sha256
    uri = store.uri(RECORDS)
    needed = store.upkeep(Neighbour(inputs=lambda: [(uri, old)]))
    needed.run(all_is_old())
    assert new in {each.content.sha256 for each in store.versions(RECORDS)}
    store.upkeep().run(all_is_old())
    assert new not in {each.content.sha256 for each in store.versions(RECORDS)}


def test_a_mark_that_is_set_meanwhile_holds(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in (1, 1, 1, 2, 2, 2):
        store.publish_json(number, "x")
    first, last = versions(store, "x")

    def inputs() -> list[tuple[str, str]]:
        """Set a mark, as somebody may do while the upkeep reads manifests."""
        store.mark("interim", {"x": first}, study="ONC-301")
        return []

    upkeep = store.upkeep(Neighbour(inputs=inputs))
    assert upkeep.run(all_is_old()) == []
    assert versions(store, "x") == [first, last]
    assert [len(each.publications) for each in store.versions("x", kind=JSON)] == [3, 3]
    assert upkeep.problems == [
        "Some manifests stay, because marks were set meanwhile.",
        "Some versions, reports and leftovers stay, because marks were set meanwhile.",
    ]
    store.upkeep().run(all_is_old())
    assert versions(store, "x") == [first, last]


def test_what_a_marked_run_published_stays_in_a_compacted_entry(tmp_path: Path) -> None:
    """Its name has a moment after the mark, but one of its publications is the marked run's."""
    store = open_store(tmp_path)
    for study in ("1", "2", "3", "4", "5", "6"):
        with study_context(study):
            version = store.publish_json({}, "x").sha256
        if study == "2":
            store.mark("interim", {"x": version}, study="ONC-301")
        if study == "4":
            store.retain(keep_last=1)
    (freed,) = store.upkeep().run(all_is_old())
    assert (freed.kind, freed.count) == ("manifests", 1)
    (marked,) = store.versions("x", kind=JSON)
    assert [each.study for each in marked.publications] == ["1", "2", "3", "4", "6"]
