"""Where the inputs that manifests list are now.

A manifest has the address that an artifact had when it was read. A store may have been moved, or
restored elsewhere, since. Then the rest of the address, or the version, says which artifact it was.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from orch_assets.stores.erasing.erased_objects import ErasedArtifact
from orch_assets.stores.erasing.known_artifacts import ErasedStudy, KnownArtifact
from orch_assets.stores.object_keys import parse_key

if TYPE_CHECKING:
    from orch_assets.stores.erasing.study_store import StudyStore

Place = tuple[str, str]


class TracedInputs:
    """Finds the artifacts that are behind the addresses of inputs.

    Args:
        study: The study that is erased.
        roots: URIs of the stores, each ending with a slash.
    """

    def __init__(self, study: ErasedStudy, roots: Collection[str]) -> None:
        self._study = study
        self._roots = tuple(sorted(roots, key=len, reverse=True))
        self._versions: dict[str, set[str]] = {}
        self._erased: dict[str, set[str]] = {}
        # Artifacts of other studies. Their versions are, too, also those that were removed.
        self._of_others: set[str] = set()
        self._by_path: dict[str, set[str]] = defaultdict(set)
        self._by_version: dict[str, set[str]] = defaultdict(set)

    def add_staying(self, store: "StudyStore", artifact: KnownArtifact) -> None:
        """Add an artifact that stays."""
        versions, uri = {each.sha256 for each in artifact.versions}, store.uri(artifact.keys)
        self._add(self._versions, uri, versions)
        if artifact.studies - {None} or self._study.owns(artifact.name) is False:
            self._of_others.add(uri)

    def add_erased(self, artifact: ErasedArtifact) -> None:
        """Add a whole artifact that goes, or has gone."""
        self._add(self._erased, artifact.uri, {each.sha256 for each in artifact.versions})

    def places(self, item: Place) -> Iterator[Place]:
        """Yield where an input is now, or was before it was erased; nothing if that is unknown."""
        uri, version = item
        found: Iterable[str] = {uri}
        if not self._is_known(uri):
            is_elsewhere = not uri.startswith(self._roots)
            by_path = self._in_former_root(uri) if is_elsewhere else set()
            found = by_path or (self._by_version[version] if is_elsewhere else ())
        for each in sorted(found):
            yield each, version

    def erased(self, item: Place) -> str | None:
        """Return the URI of the study's artifact that an input is; None if it is none of these."""
        for uri, version in self.places(item):
            is_of_other = version in self._versions.get(uri, ())  # published there since
            if uri in self._erased and not is_of_other:
                return uri
        return item[0] if self._owner(item[0]) else None

    def is_told(self, item: Place) -> bool:
        """Return whether it is known what an input is, and so whether it is the study's."""
        found = [*self.places(item)]
        if found:
            return any(
                uri in self._erased or uri in self._of_others or version in self._versions[uri]
                for uri, version in found
            )
        return self._owner(item[0]) is not None

    def _add(self, among: dict[str, set[str]], uri: str, versions: set[str]) -> None:
        among.setdefault(uri, set()).update(versions)
        for root in self._roots:
            if uri.startswith(root):
                self._by_path[unquote(uri.removeprefix(root))].add(uri)
        for version in versions:
            self._by_version[version].add(uri)

    def _is_known(self, uri: str) -> bool:
        return uri in self._versions or uri in self._erased

    def _in_former_root(self, uri: str) -> set[str]:
        """Return the artifacts whose paths below their stores the address ends with.

        A name alone may be that of another project's artifact.
        """
        parts = unquote(uri).split("/")
        for start in range(1, len(parts) - 1):  # the longest path says most
            if found := self._by_path.get("/".join(parts[start:])):
                return found
        return set()

    def _owner(self, uri: str) -> bool | None:
        """Return whether an artifact that is gone was the study's, by its name; None if unknown."""
        root = next((each for each in self._roots if uri.startswith(each)), None)
        if root is None or self._is_known(uri):
            return None
        parsed = parse_key(unquote(uri.removeprefix(root)), "")
        return self._study.owns(parsed.keys.name) if parsed else None
