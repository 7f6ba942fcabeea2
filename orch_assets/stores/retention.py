"""Removing old versions, and none that something still rests on."""

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.stores.backend import Backend
from orch_assets.stores.inventory import Stock, take_stock
from orch_assets.stores.manifest import Manifest
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.sets import SetIndex
from orch_assets.stores.spooling import sha256_of

# A version, wherever it is: the key of its artifact's current object and its hash.
_Version = tuple[str, str]


class Retention:
    """Removes versions below a folder of a store."""

    def __init__(self, publisher: Publisher, backend: Backend, prefix: str) -> None:
        self._publisher = publisher
        self._backend = backend
        self._prefix = prefix

    def run(self, folder: str, keep_last: int, keep_days: float | None) -> list[str]:
        """Keep by the rules, remove the rest, and return the URIs of what was removed."""
        stocks = take_stock(self._backend, self._prefix, self._prefix)
        manifests = {
            (stock.keys.current, manifest.content.sha256): manifest
            for stock in stocks
            for manifest in self._manifests(stock)
        }
        chosen = [stock for stock in stocks if stock.keys.current.startswith(_below(folder))]
        roots: set[_Version] = set()
        for stock in stocks:
            ours = [known for known in manifests if known[0] == stock.keys.current]
            if stock in chosen:
                ours = [
                    *ours[len(ours) - keep_last :],
                    *(known for known in ours if _is_young(manifests[known], keep_days)),
                    (stock.keys.current, self._current(stock)),
                ]
            roots.update(ours)
        kept = self._with_inputs(roots, manifests)
        return [uri for stock in chosen for uri in self._removed(stock, kept)]

    def _manifests(self, stock: Stock) -> list[Manifest]:
        """Return the artifact's versions, the one last published last."""
        return self._publisher.manifests(stock.keys) if stock.manifests else []

    def _current(self, stock: Stock) -> str:
        if not stock.current:
            return ""
        try:
            with self._backend.open(stock.keys.current) as file:
                return sha256_of(file)
        except ArtifactNotFoundError:
            return ""

    def _with_inputs(
        self, roots: Iterable[_Version], manifests: dict[_Version, Manifest]
    ) -> set[_Version]:
        """Add what the manifests of kept versions name as inputs, and so on."""
        by_uri = {
            (self._backend.uri(current), sha256): (current, sha256) for current, sha256 in manifests
        }
        kept: set[_Version] = set()
        pending = list(roots)
        while pending:
            version = pending.pop()
            if version in kept:
                continue
            kept.add(version)
            if version in manifests:
                for publication in manifests[version].publications:
                    pending += [
                        by_uri[each] for each in publication.inputs.items() if each in by_uri
                    ]
        return kept

    def _removed(self, stock: Stock, kept: set[_Version]) -> list[str]:
        keys = stock.keys
        stay = {sha256 for current, sha256 in kept if current == keys.current}
        gone = sorted((stock.versions | set(stock.manifests)) - stay)
        unused = sorted(stock.members - self._members(stock, stay)) if gone else []
        # Manifests first: a version without one is known to nobody, a manifest without its
        # version is a fault.
        doomed = [entry for sha256 in gone for entry in stock.manifests.get(sha256, ())]
        data = [keys.version(each) for each in gone] + [keys.member(each) for each in unused]
        for key in doomed + data:
            self._backend.delete(key)
        return [self._backend.uri(key) for key in data]

    def _members(self, stock: Stock, versions: set[str]) -> set[str]:
        """Return the tables that versions of a set consist of."""
        if stock.keys.kind != "set":
            return set()
        found = set()
        for sha256 in versions & stock.versions:
            with self._backend.open(stock.keys.version(sha256)) as file:
                found |= {each.sha256 for each in SetIndex.read(file).members.values()}
        return found


def _below(folder: str) -> str:
    return f"{folder}/" if folder else ""


def _is_young(manifest: Manifest, keep_days: float | None) -> bool:
    if keep_days is None:
        return False
    published = datetime.fromisoformat(manifest.publications[-1].published_at)
    return datetime.now(timezone.utc) - published < timedelta(days=keep_days)
