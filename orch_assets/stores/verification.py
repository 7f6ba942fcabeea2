"""Going through all that is stored, and naming what isn't as it was published."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.stores.backend import Backend
from orch_assets.stores.inventory import Stock, take_stock
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.sets import SetIndex
from orch_assets.stores.spooling import sha256_of


@dataclass(frozen=True)
class Fault:
    """Something that isn't as it was published.

    Attributes:
        uri: of the object.
        artifact: whose it is.
        problem: what is wrong, a clause.
    """

    uri: str
    artifact: str
    problem: str

    def __str__(self) -> str:
        return f"{self.uri}: {self.problem}"


class Verification:
    """Reads every object below a folder of a store."""

    def __init__(self, publisher: Publisher, backend: Backend, prefix: str) -> None:
        self._publisher = publisher
        self._backend = backend
        self._prefix = prefix

    def run(self, folder: str, progress: Callable[[int, int], object]) -> list[Fault]:
        """Return what is wrong, in order of the artifacts."""
        stocks = take_stock(self._backend, folder, self._prefix)
        done, total = 0, sum(map(len, stocks))
        progress(done, total)
        faults = []
        for stock in stocks:
            for key, problem in self._checks(stock):
                if problem:
                    faults.append(Fault(self._backend.uri(key), stock.keys.name, problem))
                done += 1
                progress(min(done, total), total)
        return faults

    def _checks(self, stock: Stock) -> Iterator[tuple[str, str | None]]:
        """Yield each object's key and problem, and so for each object that should be there."""
        keys = stock.keys
        for sha256, entries in sorted(stock.manifests.items()):
            for entry in entries:
                yield entry, self._manifest_problem(stock, entry, sha256)
            if sha256 not in stock.versions:
                yield keys.version(sha256), "this version is missing; a manifest has it"
        for sha256 in sorted(stock.members):
            yield keys.member(sha256), self._bytes_problem(keys.member(sha256), sha256)
        for sha256 in sorted(stock.versions):
            yield keys.version(sha256), self._version_problem(stock, sha256)
        if stock.current:
            yield keys.current, self._current_problem(stock)

    def _manifest_problem(self, stock: Stock, entry: str, sha256: str) -> str | None:
        try:
            self._publisher.entry(stock.keys, entry, sha256)
        except ArtifactNotFoundError:
            return "it was removed while it was looked for"
        except ArtifactCorruptError:
            return "this manifest can't be read, or is of another version"
        return None

    def _bytes_problem(self, key: str, sha256: str) -> str | None:
        found = self._hash(key)
        return None if found == sha256 else f"its bytes have the hash {found}"

    def _version_problem(self, stock: Stock, sha256: str) -> str | None:
        key = stock.keys.version(sha256)
        problem = self._bytes_problem(key, sha256)
        if problem:
            return problem
        if not self._is_known(stock, sha256):
            return "no manifest has this version"
        if stock.keys.kind == "set":
            with self._backend.open(key) as file:
                members = {each.sha256 for each in SetIndex.read(file).members.values()}
            lost = sorted(members - stock.members)
            return f"its tables are missing: {', '.join(lost)}" if lost else None
        return None

    def _current_problem(self, stock: Stock) -> str | None:
        found = self._hash(stock.keys.current)
        if self._is_known(stock, found):
            return None
        return f"no manifest has its bytes ({found})"

    def _is_known(self, stock: Stock, sha256: str) -> bool:
        # Another publisher may have come since the stock was taken.
        return bool(stock.manifests.get(sha256) or self._publisher.entries(stock.keys, sha256))

    def _hash(self, key: str) -> str:
        try:
            with self._backend.open(key) as file:
                return sha256_of(file)
        except ArtifactNotFoundError:
            return "none: it was removed"
