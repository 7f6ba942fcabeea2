"""What else holds a study's data, and what stands against its erasure.

A version holds them if its manifest lists a version of the study as an input, or a version that
holds them, or says that it may still have rows of such a version; if a pipeline of the study
published it; or if it is a table with the study's key in its column ``study_key``. An earlier
version of an artifact that belongs to no study, such as ``study_results`` or
``form_tables_duckdb``, is erased with the study. Anything else stands against the erasure: the
current version must be made again first, without the study.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orch_assets.errors import ArtifactNotFoundError, ErasureRefusedError
from orch_assets.marked_names import named
from orch_assets.stores.erasing.erased_objects import ErasedArtifact
from orch_assets.stores.erasing.known_artifacts import (
    OWN_FOLDERS,
    ErasedStudy,
    KnownArtifact,
    KnownVersion,
)
from orch_assets.stores.erasing.mark_refusals import mark_refusals
from orch_assets.stores.erasing.study_store import StudyStore
from orch_assets.stores.erasing.traced_inputs import Place, TracedInputs


@dataclass
class FoundInStore:
    """What was found in one store.

    Attributes:
        label: What the store is called.
        store: The store.
        recorded: What an unfinished erasure lists in it.
        artifacts: What is to be erased.
        staying: Artifacts that stay.
    """

    label: str
    store: StudyStore
    recorded: Sequence[ErasedArtifact] = ()
    artifacts: list[ErasedArtifact] = field(default_factory=list)
    staying: list[KnownArtifact] = field(default_factory=list)


@dataclass(frozen=True)
class _Version:
    """A version of an artifact that stays."""

    found: FoundInStore
    artifact: KnownArtifact
    known: KnownVersion

    @property
    def place(self) -> Place:
        return self.found.store.uri(self.artifact.keys), self.known.sha256

    @property
    def made_from(self) -> Sequence[Place]:
        """Its inputs, and the earlier versions whose rows it may still have."""
        uri, _ = self.place
        return [*self.known.inputs, *((uri, each) for each in self.known.carried_over)]


class StudyTraces:
    """Finds what is to be erased in all stores together, since inputs lead from one to another.

    Args:
        study: The study.
        stores: The stores, by what they are called.
        recorded: What an unfinished erasure of the study lists, by store.
        leftovers: Whether data of killed publications stand against the erasure.

    Attributes:
        found: What is to be erased, by store.
        blocked: What stands against it, and what to do.
        unexamined: Artifacts of which nobody can tell whether they hold the study's data.
    """

    def __init__(
        self,
        study: ErasedStudy,
        stores: Mapping[str, StudyStore],
        recorded: Mapping[str, Sequence[ErasedArtifact]],
        *,
        leftovers: bool = True,
    ) -> None:
        self._study = study
        self.found = {
            label: FoundInStore(label, store, recorded.get(label, ()))
            for label, store in stores.items()
        }
        self._inputs = TracedInputs(study, [store.root for store in stores.values()])
        for found in self.found.values():
            self._divide(found)
        versions = [*self._staying_versions()]
        self._rows = self._rows_of_study(versions)
        self._reasons = self._holding(versions)
        held: dict[str, list[_Version]] = defaultdict(list)
        for each in versions:
            if each.place in self._reasons:
                held[each.place[0]].append(each)
        blocked = [*self._damaged(), *self._add_versions(held)]
        blocked += self._leftovers() if leftovers else ()
        blocked += self._marked()
        self.blocked = [*map(ErasureRefusedError, dict.fromkeys(blocked))]
        self.unexamined = sorted(self._unexamined())

    def _divide(self, found: FoundInStore) -> None:
        recorded = {each.uri for each in found.recorded if each.whole}
        for each in found.recorded:
            if each.whole:
                self._inputs.add_erased(each)
        for artifact in found.store.artifacts(self._study):
            if artifact.is_of(self._study, recorded, found.store.uri(artifact.keys)):
                found.artifacts.append(found.store.whole(artifact))
                self._inputs.add_erased(found.artifacts[-1])
            else:
                found.staying.append(artifact)
                self._inputs.add_staying(found.store, artifact)

    def _staying_versions(self) -> Iterator[_Version]:
        for found in self.found.values():
            for artifact in found.staying:
                for version in artifact.versions:
                    yield _Version(found, artifact, version)

    def _rows_of_study(self, versions: Sequence[_Version]) -> dict[Place, bool]:
        rows: dict[Place, bool] = {}
        for found in self.found.values():
            judged = [
                (each.artifact, each.known)
                for each in versions
                if each.found is found and each.known.studies == {None}
            ]
            rows |= found.store.facts.rows_of(judged, self._study)
        return rows

    def _holding(self, versions: Sequence[_Version]) -> dict[Place, str]:
        """Return why versions hold the study's data, as clauses."""
        reasons = {each.place: reason for each in versions if (reason := self._reason(each))}
        found = -1
        while found < len(reasons):
            found = len(reasons)
            for each in versions:  # oldest first, so a table that is continued takes one pass
                if each.place not in reasons and self._is_derived(each, reasons):
                    reasons[each.place] = "was made from another version that holds its data"
        return reasons

    def _reason(self, version: _Version) -> str:
        made_from = {uri for each in version.known.inputs if (uri := self._inputs.erased(each))}
        if made_from:
            uri = min(made_from)
            names = (
                each.artifact
                for found in self.found.values()
                for each in (*found.artifacts, *found.recorded)
                if each.uri == uri
            )
            return f"was made from {next(names, 'a table of the study')}"
        if self._study.key in version.known.studies:
            return "was published by a pipeline of the study"
        return "has rows of the study" if self._rows.get(version.place) else ""

    def _is_derived(self, version: _Version, reasons: Mapping[Place, str]) -> bool:
        own, _ = version.place
        # A table that is continued lacks the study's rows only if its column says so.
        lacks = self._rows.get(version.place) is False
        return any(
            place in reasons and not (lacks and place[0] == own)
            for item in version.made_from
            for place in self._inputs.places(item)
        )

    def _damaged(self) -> Iterator[str]:
        for found in self.found.values():
            for artifact in found.staying:
                if artifact.is_damaged:
                    yield (
                        f"{named(artifact.name)} has a manifest that can't be read, so nobody "
                        "can tell whether it holds data of the study. `orch-assets verify "
                        f"{found.store.root}` names it."
                    )

    def _add_versions(self, held: Mapping[str, Sequence[_Version]]) -> Iterator[str]:
        """Add earlier versions of artifacts of the account; yield what stands against it."""
        for found in self.found.values():
            for artifact in found.staying:
                versions = held.get(found.store.uri(artifact.keys), ())
                if not versions:
                    continue
                if artifact.is_op_output:  # what a run that has ended handed on
                    found.artifacts.append(found.store.whole(artifact))
                    continue
                hashes = [each.known.sha256 for each in versions]
                current = found.store.current_version(artifact.keys)
                is_former = current in hashes and self._is_former(found, artifact, held)
                if problem := self._problem(versions, None if is_former else current):
                    yield problem
                else:
                    reason = self._reasons[versions[-1].place]
                    some = found.store.some(artifact, hashes, reason, current=is_former)
                    found.artifacts.append(some)

    def _is_former(
        self, found: FoundInStore, artifact: KnownArtifact, held: Mapping[str, Sequence[_Version]]
    ) -> bool:
        """Return whether a table was published since in another format, without the study."""
        for other in found.staying:
            if (other.name, other.keys.kind) == (artifact.name, "table") and other is not artifact:
                holding = held.get(found.store.uri(other.keys), ())
                current = found.store.current_version(other.keys)
                is_clean = current and current not in {each.known.sha256 for each in holding}
                if is_clean and _newest(other) > _newest(artifact):
                    return True
        return False

    def _problem(self, held: Sequence[_Version], current: str | None) -> str:
        """Return why versions of an artifact can't be erased; empty if they can be."""
        artifact = held[0].artifact
        as_csv = " (as CSV)" if artifact.keys.extension == "csv" else ""
        name, others = named(artifact.name), artifact.studies - {self._study.key, None}
        if others:
            return (
                f"{name} {self._reasons[held[-1].place]}, and belongs to another study: "
                f"{len(held)} of its versions hold data of study {self._study.key}. Make it again "
                "without this study, and remove these versions with store.retain(); or remove it "
                "with store.delete(…, history=True)."
            )
        reasons = {each.known.sha256: self._reasons[each.place] for each in held}
        if current not in reasons:
            return ""
        if self._is_doubtful(artifact):
            return (
                f"The current version of {name}{as_csv} {reasons[current]}. Its name has the "
                "study's key, but no asset of the code location says what that means there. If it "
                "is the study's, remove it with store.delete(…, history=True); otherwise, make it "
                "again without the study."
            )
        return (
            f"The current version of {name}{as_csv} {reasons[current]}. Make it "
            "again without the study (materialize that asset once the study is retired); its "
            "earlier versions are then erased with the study. If nothing makes it any more, remove "
            "it with store.delete(…, history=True)."
        )

    def _leftovers(self) -> Iterator[str]:
        """Yield the artifacts of the account with data of killed publications."""
        for found in self.found.values():
            recorded = {key for each in found.recorded for key in each.keys}
            for artifact in found.staying:
                if self._is_of_others(artifact) or artifact.is_damaged:
                    continue
                count = len(_leftover_keys(found.store, artifact) - recorded)
                if count:
                    yield (
                        f"{named(artifact.name)} has data of a publication that was killed, or is "
                        f"under way (objects: {count}). Nobody can tell whether it is the study's. "
                        "`orch-assets upkeep` removes it once it is old; if nothing publishes now, "
                        "so does store.retain(keep_last=1, keep_days=36500), which removes no "
                        "published version."
                    )

    def _marked(self) -> Iterator[str]:
        going = [each for found in self.found.values() for each in found.artifacts]
        gone = [*self._gone()]
        for found in self.found.values():
            yield from mark_refusals(self._study, found.label, found.store, going, gone)

    def _gone(self) -> Iterator[ErasedArtifact]:
        """Yield what an unfinished erasure lists, without versions that were published again."""
        there = {each.place for each in self._staying_versions()}
        for found in self.found.values():
            for each in found.recorded:
                versions = (one for one in each.versions if (each.uri, one.sha256) not in there)
                yield each if each.whole else replace(each, versions=tuple(versions))

    def _is_of_others(self, artifact: KnownArtifact) -> bool:
        """Return whether an artifact is of other studies only, or one of this package's own."""
        by_pipelines = bool(artifact.studies) and None not in artifact.studies
        is_own = artifact.name.partition("/")[0] in OWN_FOLDERS
        return by_pipelines or is_own or self._study.owns(artifact.name) is False

    def _unexamined(self) -> Iterator[str]:
        """Yield the artifacts of which nobody can tell what their versions were made from.

        So is one that has the study's name, but was published by a pipeline of another study, or
        by none, and isn't known to be a partition of an asset over studies.
        """
        studies = {
            study
            for found in self.found.values()
            for artifact in found.staying
            for study in artifact.studies - {None}
        }
        for found in self.found.values():
            for artifact in found.staying:
                first, *others = artifact.name.split("/")
                is_other = bool(artifact.studies - {None}) or not studies.isdisjoint(others)
                is_told = (
                    is_other
                    or first in OWN_FOLDERS
                    or self._study.owns(artifact.name) is False
                    or self._is_described(found, artifact)
                )
                is_named = artifact.is_stored and self._is_doubtful(artifact)
                if is_named or not is_told:
                    yield artifact.name

    def _is_doubtful(self, artifact: KnownArtifact) -> bool:
        """Return whether a staying artifact has the study's key in its name, for unknown reasons.

        The key may be that of another dimension of an asset over studies, and means nothing then.
        """
        is_of_other_asset = self._study.owns(artifact.name) is False and not artifact.studies - {
            None
        }
        return self._study.is_in(artifact.name) and not is_of_other_asset

    def _is_described(self, found: FoundInStore, artifact: KnownArtifact) -> bool:
        """Return whether it is known of each version that stays what it was made from."""
        versions = [_Version(found, artifact, each) for each in artifact.versions]
        return bool(versions) and all(
            each.place in self._rows
            or (
                each.known.study_type is None
                and each.known.inputs
                and all(map(self._inputs.is_told, each.made_from))
            )
            for each in versions
            if each.place not in self._reasons
        )


def _newest(artifact: KnownArtifact) -> str:
    return max((each.last_published_at for each in artifact.versions), default="")


def _leftover_keys(store: StudyStore, artifact: KnownArtifact) -> set[str]:
    """Return the keys of the versions and members that belong to no publication.

    Members of which this can't be told are among them.
    """
    keys, objects = artifact.keys, artifact.objects
    found = {*map(keys.version, artifact.unpublished())}
    if objects.members:
        try:
            used = store.facts.members(keys, objects.versions - artifact.unpublished())
        except (ArtifactNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            used = set()
        found |= {*map(keys.member, objects.members - used)}
    return found
