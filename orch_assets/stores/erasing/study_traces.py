"""What else holds a study's data, and what stands against its erasure.

A version holds them if its manifest lists a version of the study as an input, or a version that
holds them; if a pipeline of the study published it; or if it is a table with the study's key in its
column ``study_key``. An earlier version of an artifact that belongs to no study, such as
``study_results`` or ``form_tables_duckdb``, is erased with the study. Anything else stands against
the erasure: the current version must be made again first, without the study.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orch_assets.errors import ErasureRefusedError
from orch_assets.marked_names import named
from orch_assets.stores.erasing.erased_objects import ErasedArtifact
from orch_assets.stores.erasing.study_store import (
    OWN_FOLDERS,
    STUDY_COLUMN,
    ErasedStudy,
    KnownArtifact,
    StudyStore,
)
from orch_assets.stores.manifest import Manifest
from orch_assets.stores.object_keys import mark_prefix
from orch_assets.stores.order.marks import Mark


@dataclass
class FoundInStore:
    """What was found in one store.

    Attributes:
        store: The store.
        artifacts: What is to be erased.
        staying: Artifacts that stay.
    """

    store: StudyStore
    artifacts: list[ErasedArtifact] = field(default_factory=list)
    staying: list[KnownArtifact] = field(default_factory=list)


@dataclass(frozen=True)
class _Version:
    """A version of an artifact that stays."""

    store: StudyStore
    artifact: KnownArtifact
    manifest: Manifest

    @property
    def place(self) -> tuple[str, str]:
        return self.store.uri(self.artifact.keys), self.manifest.content.sha256

    @property
    def inputs(self) -> Iterator[tuple[str, str]]:
        for publication in self.manifest.publications:
            yield from publication.inputs.items()


class StudyTraces:
    """Finds what is to be erased in all stores together, since inputs lead from one to another.

    Args:
        study: The study.
        stores: The stores, by what they are called.
        recorded: URIs of the artifacts that an unfinished erasure of the study lists.

    Attributes:
        found: What is to be erased, by store.
        blocked: What stands against it, and what to do.
        unexamined: Artifacts of which nobody can tell whether they hold the study's data.
    """

    def __init__(
        self,
        study: ErasedStudy,
        stores: Mapping[str, StudyStore],
        recorded: Collection[str],
    ) -> None:
        self._study = study
        self.found = {label: FoundInStore(store) for label, store in stores.items()}
        for each in self.found.values():
            self._divide(each)
        whole = (item.uri for each in self.found.values() for item in each.artifacts)
        self._erased_uris = {*recorded, *whole}
        versions = [*self._staying_versions()]
        self._reasons = self._holding(versions)
        blocked = (*self._damaged(), *self._add_versions(versions), *self._marked())
        self.blocked = [*map(ErasureRefusedError, dict.fromkeys(blocked))]
        self.unexamined = sorted(self._unexamined(versions))

    def _divide(self, found: FoundInStore) -> None:
        for artifact in found.store.artifacts(self._study):
            if found.store.is_of_study(artifact, self._study):
                found.artifacts.append(found.store.whole(artifact))
            else:
                found.staying.append(artifact)

    def _staying_versions(self) -> Iterator[_Version]:
        for found in self.found.values():
            for artifact in found.staying:
                for manifest in artifact.manifests:
                    yield _Version(found.store, artifact, manifest)

    def _holding(self, versions: Sequence[_Version]) -> dict[tuple[str, str], str]:
        """Return why versions hold the study's data, as clauses."""
        reasons = {each.place: reason for each in versions if (reason := self._reason(each))}
        while True:
            more = {
                each.place: "was made from another version that holds its data"
                for each in versions
                if each.place not in reasons and self._is_derived(each, reasons)
            }
            if not more:
                return reasons
            reasons |= more

    def _reason(self, version: _Version) -> str:
        made_from = sorted({uri for uri, _ in version.inputs} & self._erased_uris)
        if made_from:
            name = next((each.artifact for each in self._all() if each.uri == made_from[0]), "")
            return f"was made from {name or 'a table of the study'}"
        studies = {each.study for each in version.manifest.publications}
        if self._study.key in studies:
            return "was published by a pipeline of the study"
        is_of_account = studies == {None}
        if is_of_account and version.store.has_rows_of(
            version.artifact, version.manifest, self._study
        ):
            return "has rows of the study"
        return ""

    def _is_derived(self, version: _Version, reasons: Mapping[tuple[str, str], str]) -> bool:
        own, _ = version.place  # a table that is continued without the study's rows lacks them
        return any(item in reasons and item[0] != own for item in version.inputs)

    def _all(self) -> Iterable[ErasedArtifact]:
        return (item for each in self.found.values() for item in each.artifacts)

    def _damaged(self) -> Iterator[str]:
        for found in self.found.values():
            for artifact in found.staying:
                if artifact.is_damaged:
                    yield (
                        f"{named(artifact.keys.name)} has a manifest that can't be read, so nobody "
                        "can tell whether it holds data of the study. `orch-assets verify "
                        f"{found.store.root}` names it."
                    )

    def _add_versions(self, versions: Iterable[_Version]) -> Iterator[str]:
        """Add earlier versions of artifacts of the account; yield what stands against it."""
        holding: dict[str, list[_Version]] = defaultdict(list)
        for each in versions:
            if each.place in self._reasons:
                holding[each.place[0]].append(each)
        for found in self.found.values():
            for artifact in found.staying:
                held = holding.get(found.store.uri(artifact.keys), [])
                if held and not (problem := self._problem(held)):
                    hashes = [each.manifest.content.sha256 for each in held]
                    reason = self._reasons[held[-1].place]
                    found.artifacts.append(found.store.some(artifact, hashes, reason))
                elif held:
                    yield problem

    def _problem(self, held: Sequence[_Version]) -> str:
        """Return why versions of an artifact can't be erased; empty if they can be."""
        store, artifact = held[0].store, held[0].artifact
        name, others = named(artifact.keys.name), artifact.studies - {self._study.key, None}
        if others:
            return (
                f"{name} {self._reasons[held[-1].place]}, and belongs to another study: "
                f"{len(held)} of its versions hold data of study {self._study.key}. Make it again "
                "without this study, and remove these versions with store.retain(); or remove it "
                "with store.delete(…, history=True)."
            )
        current = store.current_version(artifact.keys)
        reasons = {each.place[1]: self._reasons[each.place] for each in held}
        if current not in reasons:
            return ""
        return (
            f"The current version of {name} {reasons[current]}. Make it again without the study "
            "(materialize that asset once the study is retired); its earlier versions are then "
            "erased with the study."
        )

    def _marked(self) -> Iterator[str]:
        for found in self.found.values():
            store = found.store
            versions = {
                (item.uri, each.sha256)
                for item in found.artifacts
                if not item.whole
                for each in item.versions
            }
            for key in store.marks.keys(store.prefix):
                mark = store.marks.read(key)
                if mark and self._is_held(store, mark, mark_prefix(key) or "", versions):
                    yield (
                        f"The mark {named(mark.name)} ({mark}) holds versions that would go. "
                        f"Remove it with `orch-assets marks remove {mark.name} --study "
                        f"{mark.study}`."
                    )

    def _is_held(
        self, store: StudyStore, mark: Mark, prefix: str, versions: Collection[tuple[str, str]]
    ) -> bool:
        if mark.study == self._study.key:
            return True
        held = {(store.uri(each.keys(prefix)), each.version) for each in mark.versions}
        return bool(held & {*versions} or {uri for uri, _ in held} & self._erased_uris)

    def _unexamined(self, versions: Sequence[_Version]) -> Iterator[str]:
        """Yield the artifacts that record no inputs, and have neither a study nor its column.

        So is one that has the study's name, but was published by a pipeline of another study.
        """
        judged = {each.place[0] for each in versions if each.place in self._reasons}
        studies = {p.study for each in versions for p in each.manifest.publications} - {None}
        for found in self.found.values():
            for artifact in found.staying:
                first, *others = artifact.keys.name.split("/")
                is_other = bool(artifact.studies - {None}) or not studies.isdisjoint(others)
                is_told = is_other or first in OWN_FOLDERS or _is_described(artifact)
                is_named = found.store.has_name(artifact, self._study)
                is_judged = found.store.uri(artifact.keys) in judged
                if not is_judged and (is_named or not is_told):
                    yield artifact.keys.name


def _is_described(artifact: KnownArtifact) -> bool:
    """Return whether the manifests of an artifact tell from which studies it was made."""
    return any(
        STUDY_COLUMN in dict(each.content.columns) or any(p.inputs for p in each.publications)
        for each in artifact.manifests
    )
