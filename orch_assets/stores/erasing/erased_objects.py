"""What an erasure removes, as its record and its certificate list it: no data, only hashes."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from orch_assets.stores.erasing.known_artifacts import KnownVersion
from orch_assets.stores.manifest import known


@dataclass(frozen=True)
class ErasedVersion:
    """A version that goes.

    Attributes:
        sha256: SHA-256 of the version.
        bytes: Number of its bytes; for a set or files, including all members.
        publications: How often it was published; 0 if its publication was killed.
        first_published_at: UTC, ISO 8601; None if it was never published, or can't be told.
        last_published_at: The same of its last publication.
    """

    sha256: str
    bytes: int
    publications: int = 0
    first_published_at: str | None = None
    last_published_at: str | None = None

    @classmethod
    def of(cls, version: KnownVersion) -> "ErasedVersion":
        """Return what is known about a version."""
        moments = (version.first_published_at, version.last_published_at)
        return cls(version.sha256, version.bytes, version.publications, *moments)


@dataclass(frozen=True)
class ErasedArtifact:
    """An artifact that goes, or some versions of one that stays.

    Attributes:
        artifact: Name of the artifact in its store.
        kind: An ``ArtifactKind``, such as ``table``.
        uri: URI of its current object.
        whole: Whether the artifact goes; otherwise, only these versions of it do.
        reason: Why versions of an artifact that stays go, as a clause; empty for a whole artifact.
        versions: The versions.
        keys: Keys of all its objects that go, in the order in which they do.
        folders: Folders of a disk that held only these objects.
    """

    artifact: str
    kind: str
    uri: str
    whole: bool
    reason: str
    versions: tuple[ErasedVersion, ...]
    keys: tuple[str, ...]
    folders: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ErasedArtifact":
        """Read what ``dataclasses.asdict`` returned."""
        fields = known(cls, value)
        versions = (ErasedVersion(**known(ErasedVersion, each)) for each in value["versions"])
        fields["versions"] = tuple(versions)
        return cls(**{**fields, "keys": tuple(value["keys"]), "folders": tuple(value["folders"])})

    def merged(self, later: "ErasedArtifact") -> "ErasedArtifact":
        """Return this artifact with what was found of it later."""
        versions = {each.sha256: each for each in (*later.versions, *self.versions)}
        return replace(
            self,
            whole=self.whole or later.whole,
            versions=tuple(versions.values()),
            keys=tuple(dict.fromkeys([*self.keys, *later.keys])),
            folders=tuple(dict.fromkeys([*self.folders, *later.folders])),
        )

    def to_certificate(self, *, hashes: bool) -> dict[str, Any]:
        """Return what a certificate lists: the number of the objects instead of their keys.

        Args:
            hashes: Whether it lists the versions, too. Who can guess a small table confirms it by
                its hash, so the open store's certificate has none of the restricted store.
        """
        value = asdict(self)
        del value["folders"], value["keys"]
        if not hashes:
            del value["versions"]
        return {**value, "objects": len(self.keys), "version_count": len(self.versions)}


def merged_artifacts(
    recorded: Iterable[ErasedArtifact], found: Iterable[ErasedArtifact]
) -> tuple[ErasedArtifact, ...]:
    """Return the artifacts of two listings, each once, in order of their URIs."""
    by_uri: dict[str, ErasedArtifact] = {}
    for each in (*recorded, *found):
        by_uri[each.uri] = by_uri[each.uri].merged(each) if each.uri in by_uri else each
    return tuple(by_uri[uri] for uri in sorted(by_uri))
