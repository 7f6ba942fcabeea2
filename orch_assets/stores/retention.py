"""Removing old versions, and none that something still rests on."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.stores.backend import Backend
from orch_assets.stores.inventory import Stock, take_stock
from orch_assets.stores.manifest import Manifest
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.sets import SetIndex
from orch_assets.stores.spooling import sha256_of


class Retention:
    """Removes versions below a folder of a store."""

    def __init__(self, publisher: Publisher, backend: Backend, prefix: str) -> None:
        self._publisher = publisher
        self._backend = backend
        self._prefix = prefix

    def run(self, folder: str, keep_last: int, keep_days: float | None) -> list[str]:
        """Keep by the rules, remove the rest, and return the URIs of what was removed."""
        stocks = take_stock(self._backend, self._prefix, self._prefix)
        known = {stock.keys.current: self._manifests(stock) for stock in stocks}
        below = f"{folder}/" if folder else ""
        chosen = [stock for stock in stocks if stock.keys.current.startswith(below)]
        stay = {current: set(manifests) for current, manifests in known.items()}
        for stock in chosen:
            current = stock.keys.current
            stay[current] = self._by_the_rules(stock, known[current], keep_last, keep_days)
        self._add_inputs(stay, known)
        return [uri for stock in chosen for uri in self._removed(stock, stay[stock.keys.current])]

    def _manifests(self, stock: Stock) -> dict[str, Manifest]:
        """Return the manifests of an artifact's versions, the one last published last."""
        found = self._publisher.manifests(stock.keys) if stock.manifests else []
        return {manifest.content.sha256: manifest for manifest in found}

    def _by_the_rules(
        self,
        stock: Stock,
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

    def _current(self, stock: Stock) -> str:
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

    def _removed(self, stock: Stock, stay: set[str]) -> list[str]:
        keys = stock.keys
        gone = sorted((stock.versions | set(stock.manifests)) - stay)
        unused = sorted(stock.members - self._members(stock, stay))
        # Manifests first: a version without one is known to nobody, a manifest without its
        # version is a fault.
        doomed = [entry for sha256 in gone for entry in stock.manifests.get(sha256, ())]
        data = [keys.version(each) for each in gone] + [keys.member(each) for each in unused]
        for key in doomed + data:
            self._backend.delete(key)
        return [self._backend.uri(key) for key in data]

    def _members(self, stock: Stock, versions: set[str]) -> set[str]:
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
    published = datetime.fromisoformat(manifest.publications[-1].published_at)
    return datetime.now(UTC) - published < timedelta(days=keep_days)
