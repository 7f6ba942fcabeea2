"""Going through all that is stored, and naming what isn't as it was published."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.stores.artifact_sets import SetIndex
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.maintenance.inventory import ArtifactObjects, take_stock
from orch_assets.stores.names import leads_from_below
from orch_assets.stores.object_keys import inside
from orch_assets.stores.publishing import Publisher
from orch_assets.stores.spooling import sha256_of

_LEFTOVER: Final = "no publication has it: one that was cut short or is under way left it"


@dataclass(frozen=True)
class Problem:
    """Something that isn't as it was published.

    Attributes:
        uri: of the object.
        artifact: whose it is.
        problem: what is wrong, a clause.
        leftover: it is whole and nothing points at it: a publication that was killed left it,
            or its manifest was removed. No reader meets it; ``retain()`` removes it.
    """

    uri: str
    artifact: str
    problem: str
    leftover: bool = False

    def __str__(self) -> str:
        return f"{self.uri}: {self.problem}"


class Verification:
    """Reads every object below a folder of a store."""

    def __init__(self, publisher: Publisher, backend: Backend, prefix: str) -> None:
        self._publisher = publisher
        self._backend = backend
        self._prefix = prefix
        # Versions that a manifest names as inputs, by URI of the artifact and hash.
        self._inputs: set[tuple[str, str]] = set()

    def run(self, folder: str, progress: Callable[[int, int], object]) -> list[Problem]:
        """Return what is wrong, in order of the artifacts."""
        stocks = take_stock(self._backend, folder, self._prefix)
        done, total = 0, sum(map(len, stocks))
        progress(done, total)
        faults = []
        # All manifests first: they tell what the data must be there for.
        for fault in chain(
            chain.from_iterable(map(self._manifest_checks, stocks)),
            chain.from_iterable(map(self._data_checks, stocks)),
        ):
            if fault:
                faults.append(fault)
            done += 1
            progress(min(done, total), total)
        return sorted(faults, key=lambda fault: fault.artifact)

    # Checks yield one fault or None for each object, and for each that should be there.

    def _manifest_checks(self, stock: ArtifactObjects) -> Iterator[Problem | None]:
        if stock.manifests and not stock.is_named:  # else no store published it
            yield self._fault(stock, stock.keys.current, self._name_problem(stock))
        for sha256, entries in sorted(stock.manifests.items()):
            for entry in entries:
                yield self._fault(stock, entry, self._manifest_problem(stock, entry, sha256))
            if sha256 not in stock.versions:
                missing = "this version is missing; a manifest has it"
                yield self._fault(stock, stock.keys.version(sha256), missing)

    def _data_checks(self, stock: ArtifactObjects) -> Iterator[Problem | None]:
        keys = stock.keys
        current = self._hash(keys.current) if stock.current else None
        for sha256 in sorted(stock.versions):
            yield self._version_fault(stock, sha256, current)
        used = self._members_in_use(stock)
        for sha256 in sorted(stock.members):
            problem = self._bytes_problem(keys.member(sha256), sha256)
            leftover = not problem and used is not None and sha256 not in used
            yield self._fault(stock, keys.member(sha256), problem, leftover=leftover)
        if current is not None:
            known = self._is_known(stock, current)
            problem = None if known else f"no manifest has its bytes ({current})"
            yield self._fault(stock, keys.current, problem)

    def _name_problem(self, stock: ArtifactObjects) -> str | None:
        if leads_from_below(inside(self._prefix, stock.keys.path)):
            return None
        return (
            "a development version named it so, and no name leads here any more: publish "
            f"{stock.keys.name!r} again, then remove this object and "
            f"{self._backend.uri(stock.keys.hidden)}"
        )

    def _manifest_problem(self, stock: ArtifactObjects, entry: str, sha256: str) -> str | None:
        try:
            manifest = self._publisher.entry(stock.keys, entry, sha256).manifest
        except ArtifactNotFoundError:
            if self._publisher.entries(stock.keys, sha256):
                return None  # retention put it together with others
            return "it was removed while it was looked for"
        except ArtifactCorruptError:
            return "this manifest can't be read, or is of another version"
        for publication in manifest.publications:
            self._inputs.update(publication.inputs.items())
        return None

    def _version_fault(
        self, stock: ArtifactObjects, sha256: str, current: str | None
    ) -> Problem | None:
        key = stock.keys.version(sha256)
        problem = self._bytes_problem(key, sha256)
        if not problem and not self._is_known(stock, sha256):
            if sha256 == current:
                problem = "no manifest has this version, and it is the current one"
            elif (self._backend.uri(stock.keys.current), sha256) in self._inputs:
                problem = "no manifest has this version, and one names it as its input"
            else:
                return self._fault(stock, key, None, leftover=True)
        elif not problem:
            lost = sorted(self._members_of(stock, sha256) - stock.members)
            problem = f"its tables are missing: {', '.join(lost)}" if lost else None
        return self._fault(stock, key, problem)

    def _bytes_problem(self, key: str, sha256: str) -> str | None:
        found = self._hash(key)
        return None if found == sha256 else f"its bytes have the hash {found}"

    def _members_in_use(self, stock: ArtifactObjects) -> set[str] | None:
        """Return the tables of all publications of a set; None where one can't be read."""
        try:
            return {
                member
                for sha256 in stock.versions
                if stock.members and self._is_known(stock, sha256)
                for member in self._members_of(stock, sha256)
            }
        except (ArtifactNotFoundError, ValueError, KeyError, TypeError):  # damaged, told elsewhere
            return None

    def _members_of(self, stock: ArtifactObjects, sha256: str) -> set[str]:
        if stock.keys.kind != "set":
            return set()
        with self._backend.open(stock.keys.version(sha256)) as file:
            return {each.sha256 for each in SetIndex.read(file).members.values()}

    def _is_known(self, stock: ArtifactObjects, sha256: str) -> bool:
        # Another publisher may have come since the stock was taken.
        return bool(stock.manifests.get(sha256) or self._publisher.entries(stock.keys, sha256))

    def _hash(self, key: str) -> str:
        try:
            with self._backend.open(key) as file:
                return sha256_of(file)
        except ArtifactNotFoundError:
            return "none: it was removed"

    def _fault(
        self, stock: ArtifactObjects, key: str, problem: str | None, *, leftover: bool = False
    ) -> Problem | None:
        if not problem and not leftover:
            return None
        return Problem(self._backend.uri(key), stock.keys.name, problem or _LEFTOVER, leftover)
