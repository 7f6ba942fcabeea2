"""Which stored versions are the inputs of others."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from orch_assets.stores.backends.base import Backend
from orch_assets.stores.manifest import Manifest


def add_inputs(
    backend: Backend,
    retained: Mapping[str, set[str]],
    manifests: Mapping[str, Mapping[str, Manifest]],
    further: Iterable[tuple[str, str]] = (),
) -> None:
    """Add the inputs of retained versions, their inputs, and so on.

    Args:
        backend: Holds the bytes.
        retained: The versions by key of the current object; this adds to it.
        manifests: The manifest of each version, likewise.
        further: URI and version of each input that stays in any case.
    """
    sources = InputSources(backend, manifests)
    pending = [(current, sha256) for current, found in retained.items() for sha256 in found]

    def add(inputs: Iterable[tuple[str, str]]) -> None:
        for source, version in sources.find(inputs):
            if version not in retained[source]:
                retained[source].add(version)
                pending.append((source, version))

    add(further)
    while pending:
        current, sha256 = pending.pop()
        manifest = manifests[current].get(sha256)
        if manifest:
            add(inputs_of(manifest))


class InputSources:
    """Finds the artifacts that inputs are versions of.

    Args:
        backend: Holds the bytes.
        manifests: The manifest of each version, by key of the current object and version.
    """

    def __init__(self, backend: Backend, manifests: Mapping[str, Mapping[str, Manifest]]) -> None:
        self._by_uri = {backend.uri(current): current for current in manifests}
        self._stored: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for current, found in manifests.items():
            for version, manifest in found.items():
                self._stored[version].add((current, version))
                for publication in manifest.publications:
                    for redacted in publication.redacts:
                        self._stored[redacted].add((current, version))

    def find(self, inputs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Yield the artifact and the version of each input, and versions that stand for it.

        An input with an unknown URI is found by its version alone: the store may have been moved
        since, and a version too many does no harm.
        """
        for uri, version in inputs:
            known = self._by_uri.get(uri)
            if known is not None:
                yield known, version
            for source, stored in self._stored.get(version, ()):
                if known in {None, source}:
                    yield source, stored


def inputs_of(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield the URI and the version of each input that a manifest lists."""
    for publication in manifest.publications:
        yield from publication.inputs.items()
        # The artifact of a former dictionary isn't recorded; it is one of the inputs.
        yield from product(publication.inputs, publication.redacted_dictionaries)
