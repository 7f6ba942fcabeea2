"""Open versions that were made while a variable was open that is withheld by now.

Blinding a variable changes what is published from then on. What was published before stays, until
somebody removes it. Which versions these are, the manifests tell: they name the version of the
table ``variables`` that an artifact was made by, and of what else it was made from, which was made
by one in its turn.

An artifact is only found where its manifest names its inputs: what a pipeline or an asset reads
through its parameters, and what is read inside of ``noting_inputs()``.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.maintenance.inventory import take_stock
from orch_assets.stores.manifest import Manifest
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.spooling import sha256_of

if TYPE_CHECKING:
    import pyarrow as pa

# The shipped table, one for each study.
_DICTIONARY: Final = re.compile(r"(?:.*/)?variables/[^/]+")
_COLUMNS: Final = ("variable_name", "form_key", "form_id", "blinded")
# Where the restricted store is by default. Those who may read it may read what it has.
_RESTRICTED: Final = "restricted/"

_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class BlindedSince:
    """A version that may hold values of variables that were open then, and are withheld by now.

    Attributes:
        uri: of the version's object.
        artifact: its name in the store.
        kind: ``table``, ``set`` or ``json``.
        version: its SHA-256.
        is_current: whether it is what readers get now; then it must be made anew first.
        variables: the variables, each as ``<form>.<variable>``.
    """

    uri: str
    artifact: str
    kind: str
    version: str
    is_current: bool
    variables: tuple[str, ...]

    def __str__(self) -> str:
        what = "the current version" if self.is_current else "an older version"
        return (
            f"{self.uri}: {what} of {self.artifact}, made while these were open that are withheld "
            f"by now: {', '.join(self.variables)}"
        )


class BlindedVersions:
    """Looks for such versions; each manifest is read once.

    Args:
        publisher: reads manifests.
        backend: holds the objects.
        artifacts: those to look at, dictionaries among them.
        dictionary: returns a version of a table ``variables``, by its name and version.
    """

    def __init__(
        self,
        publisher: Publisher,
        backend: Backend,
        artifacts: Iterable[ArtifactKeys],
        dictionary: "Callable[[str, str], pa.Table]",
    ) -> None:
        self._publisher = publisher
        self._backend = backend
        self._by_uri = {
            backend.uri(keys.current): keys
            for keys in artifacts
            if not keys.name.startswith(_RESTRICTED)
        }
        self._dictionary = dictionary
        self._manifests: dict[str, Mapping[str, Manifest]] = {}
        self._found: dict[tuple[str, str], frozenset[str]] = {}

    def __iter__(self) -> Iterator[BlindedSince]:
        if not self._lost:
            return
        for uri, keys in sorted(self._by_uri.items(), key=lambda item: item[1].name):
            if _is_dictionary(keys):
                continue  # it holds no values
            current = self._current(keys)
            for version in self._manifests_of(uri):
                variables = self._made_while_open(uri, version)
                if variables:
                    yield BlindedSince(
                        uri=self._backend.uri(keys.version(version)),
                        artifact=keys.name,
                        kind=keys.kind,
                        version=version,
                        is_current=version == current,
                        variables=tuple(sorted(variables)),
                    )

    @cached_property
    def _lost(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """What each older dictionary had open that its current version has not."""
        found = {}
        for uri, keys in self._by_uri.items():
            versions = self._versions(keys) if _is_dictionary(keys) else set()
            current = self._current(keys) if len(versions) > 1 else None
            if current not in versions:
                continue
            now = _open_variables(self._dictionary(keys.name, current))
            for version in versions - {current}:
                lost = _open_variables(self._dictionary(keys.name, version)) - now
                if lost:
                    found[uri, version] = lost
        return found

    def _made_while_open(self, uri: str, version: str) -> frozenset[str]:
        """Return what was open when a version was made, and is no more.

        The same bytes may have been published again by a later dictionary: then they hold nothing
        that this one withholds.
        """
        place = (uri, version)
        if place in self._lost:
            return self._lost[place]
        if uri not in self._by_uri or _is_dictionary(self._by_uri[uri]):
            return _NONE
        if place not in self._found:
            self._found[place] = _NONE  # what is made from itself, by way of others, adds nothing
            manifest = self._manifests_of(uri).get(version)
            by_publication = [
                _NONE.union(*(self._made_while_open(*each) for each in publication.inputs.items()))
                for publication in (manifest.publications if manifest else ())
            ]
            if by_publication:
                self._found[place] = frozenset.intersection(*by_publication)
        return self._found[place]

    def _manifests_of(self, uri: str) -> Mapping[str, Manifest]:
        if uri not in self._manifests:
            found = self._publisher.manifests(self._by_uri[uri])
            self._manifests[uri] = {manifest.content.sha256: manifest for manifest in found}
        return self._manifests[uri]

    def _versions(self, keys: ArtifactKeys) -> set[str]:
        objects = self._backend.list(f"{keys.hidden}/versions", hidden=True)
        return {key.rpartition("/")[2] for key in objects}

    def _current(self, keys: ArtifactKeys) -> str | None:
        try:
            with self._backend.open(keys.current) as file:
                return sha256_of(file)
        except ArtifactNotFoundError:
            return None


def all_artifacts(backend: Backend, folder: str, prefix: str) -> list[ArtifactKeys]:
    """Return the keys of all that is stored below a folder of the store with that prefix."""
    return [stock.keys for stock in take_stock(backend, folder, prefix)]


def _is_dictionary(keys: ArtifactKeys) -> bool:
    return keys.kind == "table" and bool(_DICTIONARY.fullmatch(keys.name))


def _open_variables(table: "pa.Table") -> frozenset[str]:
    """Return the variables that a table says are open, each as ``<form>.<variable>``."""
    if not {*_COLUMNS} <= {*table.column_names}:
        return _NONE  # somebody's own table of that name
    found: dict[tuple[str, object], tuple[str, bool]] = {}
    for name, form_key, form_id, blinded in zip(
        *(table[column].to_pylist() for column in _COLUMNS), strict=True
    ):
        place = ((name or "").casefold(), form_key or form_id)
        named, is_open = found.get(place, (f"{form_key or form_id}.{name}", True))
        found[place] = (named, is_open and blinded is False)
    return frozenset(named for named, is_open in found.values() if is_open)
