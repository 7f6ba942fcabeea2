"""Removing old versions, and none that something still rests on; compacting manifests."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from orch_assets.errors import ArtifactNotFoundError, StoreUnavailableError
from orch_assets.stores.artifact_sets import SetIndex
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.maintenance.compaction import Compaction, surplus_entries
from orch_assets.stores.maintenance.inventory import ArtifactObjects, take_stock
from orch_assets.stores.manifest import Entry, Manifest, told_by
from orch_assets.stores.object_keys import ArtifactKeys, below
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.spooling import sha256_of

# A key that nothing is ever stored at.
_NEVER_THERE: Final = ".orch/never-there"


@dataclass(frozen=True)
class _Plan:
    """What is to be removed of an artifact: its manifests and its data; what is put together."""

    keys: ArtifactKeys
    manifests: Sequence[str]
    data: Sequence[str]
    surplus: Sequence[Sequence[Entry]]

    @property
    def doomed(self) -> list[str]:
        return [*self.manifests, *self.data]


class Retention:
    """Removes versions below a folder of a store."""

    def __init__(self, publisher: Publisher, backend: Backend, prefix: str) -> None:
        self._publisher = publisher
        self._backend = backend
        self._prefix = prefix

    def run(self, folder: str, keep_last: int, keep_days: float | None) -> list[str]:
        """Keep by the rules, remove the rest, and return the URIs of what was removed."""
        stocks = take_stock(self._backend, self._prefix, self._prefix)
        entries = {stock.keys.current: self._entries(stock) for stock in stocks}
        known = {
            current: {manifest.content.sha256: manifest for manifest in told_by(found)}
            for current, found in entries.items()
        }
        start = f"{folder}/" if folder else ""
        chosen = [stock for stock in stocks if stock.keys.current.startswith(start)]
        stay = {current: set(manifests) for current, manifests in known.items()}
        for stock in chosen:
            current = stock.keys.current
            stay[current] = self._by_the_rules(stock, known[current], keep_last, keep_days)
        self._add_inputs(stay, known)
        plans = [self._plan(stock, stay[stock.keys.current], entries) for stock in chosen]
        if any(plan.doomed or plan.surplus for plan in plans):
            self._check_right_to_delete()
        return [uri for plan in plans for uri in self._carry_out(plan)]

    def _entries(self, stock: ArtifactObjects) -> list[Entry]:
        return self._publisher.read_entries(stock.keys) if stock.manifests else []

    def _plan(
        self, stock: ArtifactObjects, stay: set[str], entries: Mapping[str, Collection[Entry]]
    ) -> "_Plan":
        keys = stock.keys
        gone = sorted((stock.versions | set(stock.manifests)) - stay)
        unused = sorted(stock.members - self._members(stock, stay))
        return _Plan(
            keys=keys,
            manifests=[entry for sha256 in gone for entry in stock.manifests.get(sha256, ())],
            data=[keys.version(each) for each in gone] + [keys.member(each) for each in unused],
            surplus=surplus_entries(entries[keys.current], stay),
        )

    def _check_right_to_delete(self) -> None:
        """Delete what isn't there: who may not is told before anything is written or removed."""
        try:
            self._backend.delete(below(self._prefix, _NEVER_THERE))
        except StoreUnavailableError as error:
            raise StoreUnavailableError(
                f"retain() can't delete objects here, so nothing was changed. {error.marked}",
                artifact=error.artifact,
            ) from None

    def _carry_out(self, plan: "_Plan") -> list[str]:
        # Manifests first: a version without one is known to nobody, a manifest without its
        # version is a fault.
        for key in plan.doomed:
            self._backend.delete(key)
        Compaction(self._publisher, self._backend).run(plan.keys, plan.surplus)
        return [self._backend.uri(key) for key in plan.data]

    def _by_the_rules(
        self,
        stock: ArtifactObjects,
        manifests: Mapping[str, Manifest],
        keep_last: int,
        keep_days: float | None,
    ) -> set[str]:
        versions = list(manifests)
        stay = set(versions[max(0, len(versions) - keep_last) :])
        stay |= {sha256 for sha256 in versions if _is_young(manifests[sha256], keep_days)}
        if stock.current and not stock.versions <= stay:
            stay.add(self._current(stock))
        return stay

    def _current(self, stock: ArtifactObjects) -> str:
        try:
            with self._backend.open(stock.keys.current) as file:
                return sha256_of(file)
        except ArtifactNotFoundError:
            return ""

    def _add_inputs(
        self, stay: Mapping[str, set[str]], known: Mapping[str, Mapping[str, Manifest]]
    ) -> None:
        """Add what the manifests of versions that stay name as inputs, and so on."""
        by_uri = {self._backend.uri(current): current for current in known}
        pending = [(current, sha256) for current, versions in stay.items() for sha256 in versions]
        while pending:
            current, sha256 = pending.pop()
            manifest = known[current].get(sha256)
            for publication in manifest.publications if manifest else ():
                for uri, version in publication.inputs.items():
                    source = by_uri.get(uri)
                    if source is not None and version not in stay[source]:
                        stay[source].add(version)
                        pending.append((source, version))

    def _members(self, stock: ArtifactObjects, versions: set[str]) -> set[str]:
        """Return the tables that versions of a set consist of."""
        if not stock.members:
            return set()
        found = set()
        for sha256 in versions & stock.versions:
            with self._backend.open(stock.keys.version(sha256)) as file:
                found |= {each.sha256 for each in SetIndex.read(file).members.values()}
        return found


def _is_young(manifest: Manifest, keep_days: float | None) -> bool:
    if keep_days is None:
        return False
    # Not the last one alone: its clock may have been behind.
    published = max(datetime.fromisoformat(each.published_at) for each in manifest.publications)
    return datetime.now(UTC) - published < timedelta(days=keep_days)
