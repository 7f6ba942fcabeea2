"""What is in a store, by one listing; manifests are read only if somebody asks for them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.lazy import cached_property
from orch_assets.stores.backends.base import Backend, Listed
from orch_assets.stores.maintenance.input_versions import inputs_of
from orch_assets.stores.maintenance.inventory import ArtifactObjects, collect_objects
from orch_assets.stores.maintenance.surplus_manifests import MarkedUntil, marked_until
from orch_assets.stores.manifest import Manifest, manifests_of
from orch_assets.stores.object_keys import ArtifactKeys, mark_prefix
from orch_assets.stores.order.marks import Marks
from orch_assets.stores.publishing import Publisher

# Requests that are sent at the same time.
_AT_ONCE: Final = 16

In = TypeVar("In")
Out = TypeVar("Out")


class StoreContents:
    """The objects of a store, and their marks and manifests, each read once.

    Args:
        publisher: Reads manifests.
        backend: Holds the bytes.
        prefix: Prefix of the store.
        inside: URI of a store inside this one, whose artifacts aren't its own.
    """

    def __init__(
        self, publisher: Publisher, backend: Backend, prefix: str, inside: str | None = None
    ) -> None:
        self._publisher = publisher
        self._backend = backend
        self._prefix = prefix
        self._inside = inside

    @cached_property
    def listed(self) -> Mapping[str, Listed]:
        """All objects by key."""
        return {each.key: each for each in self._backend.listing(self._prefix)}

    @cached_property
    def artifacts(self) -> Sequence[ArtifactObjects]:
        """The objects of each artifact, those of a store inside this one included."""
        return collect_objects(self._backend, self._prefix, self._prefix, self.listed)

    @cached_property
    def own(self) -> Sequence[ArtifactObjects]:
        """The artifacts of this store, without those of a store inside it."""
        inside = self._inside
        if inside is None:
            return self.artifacts
        return [
            each
            for each in self.artifacts
            if not self._backend.uri(each.keys.current).startswith(f"{inside.rstrip('/')}/")
        ]

    @cached_property
    def _marks(self) -> Mapping[str, Listed]:
        """The objects of the marks, by key."""
        below = {k: each for k, each in self.listed.items() if mark_prefix(k) is not None}
        return {**Marks(self._backend, self._prefix).objects(self._prefix), **below}

    def is_marked_since(self, keys: ArtifactKeys | None = None) -> bool:
        """Return whether a mark was set since the marks were listed.

        Args:
            keys: The artifact that it may hold; by default an artifact right below the prefix.
        """
        now = Marks(self._backend, self._prefix).objects(keys.path if keys else self._prefix)
        return any(self._marks.get(key) != each for key, each in now.items())

    @cached_property
    def marked(self) -> MarkedUntil:
        """The marked versions."""
        marks = Marks(self._backend, self._prefix)
        found = ((marks.read(key), mark_prefix(key) or "") for key in sorted(self._marks))
        return marked_until((mark, prefix) for mark, prefix in found if mark is not None)

    @cached_property
    def manifests(self) -> Mapping[str, Mapping[str, Manifest]]:
        """The manifests of all versions, by key of the current object and version."""

        def read(objects: ArtifactObjects) -> dict[str, Manifest]:
            entries = []
            for sha256, keys in objects.manifests.items():
                for key in keys:
                    try:
                        entries.append(self._publisher.entry(objects.keys, key, sha256))
                    except ArtifactNotFoundError:
                        continue  # another upkeep removed it
            return {each.content.sha256: each for each in manifests_of(entries)}

        found = at_once(read, self.artifacts)
        return {
            objects.keys.current: manifests
            for objects, manifests in zip(self.artifacts, found, strict=True)
        }

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Yield the inputs that manifests of this store list: artifact URIs and versions."""
        for manifests in self.manifests.values():
            for manifest in manifests.values():
                yield from inputs_of(manifest)


def at_once(work: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
    """Do something with each item, several at a time; return the results in their order."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [*pool.map(work, items)]
