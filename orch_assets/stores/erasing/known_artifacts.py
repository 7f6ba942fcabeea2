"""The study that is erased, and what is known about artifacts: little enough to hold all of it."""

import functools
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from orch_assets.stores.maintenance.inventory import ArtifactObjects
from orch_assets.stores.manifest import Manifest
from orch_assets.stores.object_keys import CERTIFICATES, ArtifactKeys

# Failure reports: failures/<run>/<pipeline>/<study>. A study may be named like a pipeline.
_REPORTS: Final = "failures"
# Outputs of ops: ~ops/<run>/<step>/<output>.
_OPS: Final = "~ops"
# Folders of this package's own artifacts, which are each of one study.
OWN_FOLDERS: Final = frozenset({CERTIFICATES, _REPORTS})
# The column of tables over several studies.
STUDY_COLUMN: Final = "study_key"
_TEXTS: Final = frozenset({"string", "large_string", "string_view"})


@dataclass(frozen=True)
class ErasedStudy:
    """The study that is erased.

    Attributes:
        key: Key of the study.
        parts: The key as it may be written in artifacts' names.
        over_studies: Assets whose partitions are studies, as they are named in stores: which part
            of the partition is the study, from 0, and the number of the parts.
        is_of_run: Returns whether a run was of this study only; None if that isn't known.
    """

    key: str
    parts: frozenset[str]
    over_studies: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    is_of_run: Callable[[str], bool | None] = lambda _run: None

    @property
    def certificate(self) -> str:
        """Name of the artifact with its certificates."""
        return f"{CERTIFICATES}/{self.key}"

    def is_in(self, name: str) -> bool:
        """Return whether an artifact's name has the study's key, whatever that means there."""
        first, *others = name.split("/")
        if first == _OPS or not others:
            return False
        return not self.parts.isdisjoint(others[-1:] if first == _REPORTS else others)

    def owns(self, name: str) -> bool | None:
        """Return whether a name is that of an artifact of this study.

        Returns:
            None if nobody can tell: the asset isn't known, or its partitions aren't studies. A
            site may have the key of a study.
        """
        first, *others = name.split("/")
        if first in OWN_FOLDERS and others:
            return others[-1] in self.parts
        if first == _OPS and others:
            return self.is_of_run(others[0])
        place, number = self.over_studies.get(first, (0, 0))
        return others[place] in self.parts if number and number == len(others) else None


@functools.cache  # there are many versions, but few studies
def _shared(studies: frozenset[str | None]) -> frozenset[str | None]:
    return studies


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """What is known about a version.

    Attributes:
        sha256: SHA-256 of the version.
        bytes: Number of its bytes; for a set or files, including all members.
        publications: How often it was published.
        first_published_at: When it was published first, in UTC, ISO 8601.
        last_published_at: The same of its last publication.
        studies: The studies whose pipelines published it; None for publications outside of these.
        inputs: What it was made from: artifact URIs and versions.
        carried_over: The other versions of the artifact whose rows it may still have.
        study_type: Arrow type of its column ``study_key``; None without one.
    """

    sha256: str
    bytes: int
    publications: int
    first_published_at: str
    last_published_at: str
    studies: frozenset[str | None]
    inputs: tuple[tuple[str, str], ...]
    carried_over: tuple[str, ...]
    study_type: str | None

    @classmethod
    def of(cls, manifest: Manifest) -> "KnownVersion":
        """Return what a manifest says."""
        content, publications = manifest.content, manifest.publications
        moments = sorted(each.published_at for each in publications)
        inputs = dict.fromkeys(item for each in publications for item in each.inputs.items())
        return cls(
            sys.intern(content.sha256),
            content.bytes,
            len(moments),
            moments[0],
            moments[-1],
            _shared(frozenset(each.study for each in publications)),
            tuple((sys.intern(uri), sys.intern(version)) for uri, version in inputs),
            tuple(sys.intern(each) for each in manifest.carried_over if each != content.sha256),
            dict(content.columns).get(STUDY_COLUMN) if manifest.kind == "table" else None,
        )

    @property
    def has_study_keys(self) -> bool:
        """Whether its column ``study_key`` is of a type in which a key is readable as text."""
        inner = (self.study_type or "").removeprefix("dictionary<values=").partition(",")[0]
        return inner in _TEXTS or inner.lstrip("u").startswith("int")


@dataclass(frozen=True)
class KnownArtifact:
    """An artifact with what its manifests say.

    Attributes:
        objects: Its objects.
        versions: Its versions, in order of their last publication.
        is_damaged: Whether a manifest can't be read, and so is missing here.
    """

    objects: ArtifactObjects
    versions: Sequence[KnownVersion]
    is_damaged: bool

    @property
    def keys(self) -> ArtifactKeys:
        """Keys of the artifact."""
        return self.objects.keys

    @property
    def name(self) -> str:
        """Name of the artifact."""
        return self.objects.keys.name

    @property
    def is_stored(self) -> bool:
        """Whether a store wrote it; otherwise, there is only a file like a current object."""
        return len(self.objects) > self.objects.has_current

    @property
    def is_op_output(self) -> bool:
        """Whether it is what an op of a run handed to the next one."""
        return self.name.startswith(f"{_OPS}/")

    @property
    def studies(self) -> frozenset[str | None]:
        """The studies whose pipelines published it; None for publications outside of these."""
        return frozenset[str | None]().union(*(each.studies for each in self.versions))

    def is_of(self, study: ErasedStudy, recorded: Collection[str], uri: str) -> bool:
        """Return whether the whole artifact is a study's.

        Args:
            study: The study.
            recorded: URIs of the artifacts that an unfinished erasure lists as the study's.
            uri: URI of this artifact.
        """
        studies = self.studies
        if studies - {study.key, None} or not self.is_stored:
            return False
        if studies == {study.key} or (study.key in studies and study.is_in(self.name)):
            return True
        if uri in recorded and (not studies or self.is_op_output):
            return True
        return self.objects.is_named and bool(study.owns(self.name))

    def unpublished(self) -> set[str]:
        """Return the stored versions that have no manifest."""
        return self.objects.versions - {each.sha256 for each in self.versions}
