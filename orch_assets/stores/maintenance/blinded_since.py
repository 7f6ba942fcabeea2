"""Open versions that may hold values of variables that have been blinded since.

Blinding a variable changes only what is published from then on. Earlier versions stay until
somebody removes them. Manifests show which versions these are: they list the version of the table
``variables`` from which an artifact was made, and its other inputs, whose manifests do the same.
What a user's incremental pipeline makes, what replaces a version that the publisher names, and a
set that takes tables of an earlier one may also have rows of the earlier version, which the
manifest names (``carried_over``). Retention doesn't keep that version; without it, the trace ends.

An artifact is found only if its manifest lists its inputs: what a pipeline or an asset reads
through its parameters, and what is read inside ``noting_inputs()``.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orch_assets.lazy import cached_property
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.formats.table_files import TableFiles
from orch_assets.stores.maintenance.inventory import stored_hash
from orch_assets.stores.manifest import Manifest
from orch_assets.stores.object_keys import ArtifactKeys
from orch_assets.stores.publishing import Publisher

if TYPE_CHECKING:
    import pyarrow as pa

# The table of the shipped pipeline, one for each study.
_DICTIONARY: Final = re.compile(r"(?:.*/)?variables/[^/]+")
# What holds no values either: it is made of dictionaries alone, or has IDs only.
_WITHOUT_VALUES: Final = re.compile(r"(?:.*/)?(?:dictionary_changes|tombstones)/[^/]+")
_COLUMNS: Final = ("variable_name", "form_key", "form_id", "blinded")
# The default location of the restricted store, whose readers may see withheld values.
_RESTRICTED: Final = "restricted/"

_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class BlindedSince:
    """A version that may hold values of variables that were open then and are blinded now.

    Attributes:
        uri: URI of the version's object.
        artifact: Name of the artifact in the store.
        kind: An ``ArtifactKind``, such as ``table``.
        extension: Extension of the artifact's current object.
        version: SHA-256 of the version.
        is_current: Whether it is the current version. It can be removed only after a newer one
            has been published.
        variables: The variables, each as ``<form>.<variable>``.
    """

    uri: str
    artifact: str
    kind: str
    extension: str
    version: str
    is_current: bool
    variables: tuple[str, ...]

    def keys(self, prefix: str) -> ArtifactKeys:
        """Return the keys of the artifact in a store with this prefix."""
        return ArtifactKeys.of(self.artifact, prefix, self.kind, self.extension)

    def __str__(self) -> str:
        what = "the current version" if self.is_current else "an older version"
        return (
            f"{self.uri}: {what} of {self.artifact}, made before these variables were blinded: "
            f"{', '.join(self.variables)}"
        )


class BlindedVersions:
    """Finds versions made before variables were blinded; reads each manifest once.

    Args:
        publisher: Reads manifests.
        backend: Holds the bytes.
        artifacts: The artifacts to check, including the tables ``variables``.
        dictionary: Returns a version of a table ``variables``, by its keys and its SHA-256.
        extension: That of the store's format. If a store's format was changed, a study has several
            tables ``variables``; that of the store's format is the current one.
    """

    def __init__(
        self,
        publisher: Publisher,
        backend: Backend,
        artifacts: Iterable[ArtifactKeys],
        dictionary: "Callable[[ArtifactKeys, str], pa.Table]",
        extension: str,
    ) -> None:
        self._publisher = publisher
        self._backend = backend
        self._by_uri = {
            backend.uri(keys.current): keys
            for keys in artifacts
            if not keys.name.startswith(_RESTRICTED)
        }
        self._dictionary = dictionary
        self._extension = extension
        self._manifests: dict[str, Mapping[str, Manifest]] = {}
        self._blinded: dict[tuple[str, str], frozenset[str]] = {}

    def __iter__(self) -> Iterator[BlindedSince]:
        if not self._blinded_by_dictionary:
            return
        for uri, keys in sorted(self._by_uri.items(), key=lambda item: item[1].name):
            if _holds_no_values(keys):
                continue
            current = stored_hash(self._backend, keys.current)
            for version in self._manifests_of(uri):
                variables = self._blinded_variables(uri, version)
                if variables:
                    yield BlindedSince(
                        uri=self._backend.uri(keys.version(version)),
                        artifact=keys.name,
                        kind=keys.kind,
                        extension=keys.extension,
                        version=version,
                        is_current=version == current,
                        variables=tuple(sorted(variables)),
                    )

    def concerns(self, name: str) -> bool:
        """Return whether an artifact may be made from values blinded since, by its name alone.

        Only artifacts of studies in which no variable was blinded, and those of the restricted
        store, are certain not to be.
        """
        is_open = bool(self._blinded_by_dictionary) and not name.startswith(_RESTRICTED)
        return is_open and _study_of(name) not in self._other_studies

    @cached_property
    def _other_studies(self) -> set[str]:
        studies = {_study_of(keys.name) for keys in self._by_uri.values() if _is_dictionary(keys)}
        return studies - {
            _study_of(self._by_uri[uri].name) for uri, _ in self._blinded_by_dictionary
        }

    @cached_property
    def _blinded_by_dictionary(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """The variables that an older dictionary has open and the current one has blinded."""
        dictionaries = [keys for keys in self._by_uri.values() if _is_dictionary(keys)]
        own = {keys.name: keys for keys in dictionaries if keys.extension == self._extension}
        blinded = {}
        for keys in dictionaries:
            newest, versions = own.get(keys.name, keys), self._versions(keys)
            if newest is keys and len(versions) < 2:  # noqa: PLR2004 - nothing to compare
                continue
            current = stored_hash(self._backend, newest.current)
            if current is None or (newest is keys and current not in versions):
                continue
            now_open = _open_variables(self._dictionary(newest, current))
            for version in versions - ({current} if newest is keys else set()):
                variables = _open_variables(self._dictionary(keys, version)) - now_open
                if variables:
                    blinded[self._backend.uri(keys.current), version] = variables
        return blinded

    def _blinded_variables(self, uri: str, version: str) -> frozenset[str]:
        """Return the variables that were open when a version was made and are blinded now.

        If the same bytes were published again with a later dictionary, they hold no values that
        this dictionary withholds.
        """
        item = (uri, version)
        if item in self._blinded_by_dictionary:
            return self._blinded_by_dictionary[item]
        if uri not in self._by_uri or _holds_no_values(self._by_uri[uri]):
            return _NONE
        if item not in self._blinded:
            self._blinded[item] = _NONE  # ends the recursion if an artifact is among its own inputs
            self._blinded[item] = _NONE.union(*self._with_carried_over(uri, version))
        return self._blinded[item]

    def _with_carried_over(self, uri: str, version: str) -> Iterator[frozenset[str]]:
        """Yield the variables of a version, and of the earlier ones whose rows it may still have.

        Each version may carry over rows of the one before, so what is known already is taken.
        """
        seen: set[str] = set()
        pending = [version]
        while pending:
            each = pending.pop()
            if each in seen:
                continue
            seen.add(each)
            if each != version and (uri, each) in self._blinded:
                yield self._blinded[uri, each]
            else:
                yield self._by_inputs(uri, each)
                manifest = self._manifests_of(uri).get(each)
                pending += manifest.carried_over if manifest else ()

    def _by_inputs(self, uri: str, version: str) -> frozenset[str]:
        """Return the variables that were open when the inputs of a version were made."""
        manifest = self._manifests_of(uri).get(version)
        if manifest is None:
            return self._redacted_variables(uri, version)
        return frozenset.intersection(
            *(
                _NONE.union(
                    *(self._blinded_variables(*each) for each in publication.inputs.items())
                )
                for publication in manifest.telling
            )
        )

    def _redacted_variables(self, uri: str, version: str) -> frozenset[str]:
        """Return the variables whose values a version held that was redacted."""
        return _NONE.union(
            *(
                publication.redacted_variables
                for manifest in self._manifests_of(uri).values()
                for publication in manifest.publications
                if version in publication.redacts
            )
        )

    def _manifests_of(self, uri: str) -> Mapping[str, Manifest]:
        if uri not in self._manifests:
            manifests = self._publisher.manifests(self._by_uri[uri])
            self._manifests[uri] = {each.content.sha256: each for each in manifests}
        return self._manifests[uri]

    def _versions(self, keys: ArtifactKeys) -> set[str]:
        objects = self._backend.list(f"{keys.hidden}/versions", hidden=True)
        return {key.rpartition("/")[2] for key in objects}


def read_version(
    publisher: Publisher,
    files: Mapping[StorageFormat, TableFiles],
    keys: ArtifactKeys,
    version: str,
) -> "pa.Table":
    """Return a version of a table in any format, after verifying it."""
    import pyarrow as pa

    with publisher.open(keys, version) as (file, manifest):
        table_files = files[StorageFormat(keys.extension)]
        schema, batches = table_files.stream(file, manifest.content, keys.name)
        return pa.Table.from_batches(batches, schema)


def _study_of(name: str) -> str:
    return name.rpartition("/")[2]


def _is_dictionary(keys: ArtifactKeys) -> bool:
    return keys.kind == "table" and bool(_DICTIONARY.fullmatch(keys.name))


def _holds_no_values(keys: ArtifactKeys) -> bool:
    without_values = keys.kind == "table" and bool(_WITHOUT_VALUES.fullmatch(keys.name))
    return without_values or _is_dictionary(keys)


def _open_variables(table: "pa.Table") -> frozenset[str]:
    """Return the variables that a table ``variables`` has open, each as ``<form>.<variable>``."""
    if not {*_COLUMNS} <= {*table.column_names}:
        return _NONE  # a user's own table of that name
    variables: dict[tuple[str, object], tuple[str, bool]] = {}
    for name, form_key, form_id, blinded in zip(
        *(table[column].to_pylist() for column in _COLUMNS), strict=True
    ):
        variable = ((name or "").casefold(), form_key or form_id)
        label, is_open = variables.get(variable, (f"{form_key or form_id}.{name}", True))
        variables[variable] = (label, is_open and blinded is False)
    return frozenset(label for label, is_open in variables.values() if is_open)
