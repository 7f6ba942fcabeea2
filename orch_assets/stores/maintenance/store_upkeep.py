"""Removing from a store what is old and no longer needed, beside whoever publishes.

One listing of the store says almost all: names of manifest entries hold their moments, and each
object has its size and its age. Indexes of sets are read to find members that no version has.
Manifests are read only if a version may be removed, to find the inputs of the versions that stay.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final

from orch_assets.errors import StoreUnavailableError
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.maintenance.marked_runs import MarkedRuns
from orch_assets.stores.maintenance.old_data import OldData
from orch_assets.stores.maintenance.store_contents import StoreContents, at_once
from orch_assets.stores.maintenance.surplus_manifests import surplus_manifests
from orch_assets.stores.maintenance.upkeep_terms import (
    ALL_LEFTOVERS,
    KINDS,
    LEFTOVERS,
    MANIFESTS,
    REPORTS,
    TEMPORARY,
    Cutoffs,
    Freed,
    Neighbour,
    Removal,
)
from orch_assets.stores.members.readable_files import BEGUN
from orch_assets.stores.publishing import Publisher

# Keys that are removed between two looks at the marks.
_AT_ONCE: Final = 1000


class StoreUpkeep:
    """Removes from a store what is old.

    It never removes what is current, marked, or an input of a version that stays.

    Args:
        publisher: Reads manifests.
        backend: Holds the bytes.
        prefix: Prefix of the store.
        neighbour: What is around the store.
    """

    def __init__(
        self, publisher: Publisher, backend: Backend, prefix: str, neighbour: Neighbour
    ) -> None:
        self._publisher = publisher
        self._backend = backend
        self._prefix = prefix
        self._neighbour = neighbour
        self._contents = StoreContents(publisher, backend, prefix, neighbour.inside)
        self._runs = MarkedRuns(backend, prefix)
        self._freed: dict[str, Freed] = {}
        self._lock = threading.Lock()
        self.problems: list[str] = []

    def run(self, cutoffs: Cutoffs, *, dry_run: bool = False) -> list[Freed]:
        """Remove what is old, and return what that was, by kind.

        ``problems`` then has a sentence for each reason why something old stays.

        Args:
            cutoffs: What is old.
            dry_run: Write nothing; return what would be removed.

        Raises:
            ArtifactCorruptError: A mark can't be read; nothing was removed.
            StoreUnavailableError: The store can't be read, or objects can't be deleted.
        """
        old = OldData(self._contents, self._backend, self._neighbour, cutoffs)
        removals = [*old.removals()]
        self.problems += old.problems
        with_versions = {key for each in removals for key in each.manifests}
        surplus = [
            key
            for objects in self._contents.own
            for key in surplus_manifests(objects, cutoffs.manifests, self._contents.marked)
            if key not in with_versions
        ]
        self._remove_surplus(surplus, dry_run=dry_run)
        at_once(lambda each: self._carry_out(each, dry_run=dry_run), removals)
        self._remove_parts(cutoffs.leftovers, dry_run=dry_run)
        self._mend(cutoffs.leftovers, dry_run=dry_run)
        return self.freed

    def remove_leftovers(
        self, is_chosen: Callable[[str], bool], *, dry_run: bool = False
    ) -> Counter[str]:
        """Remove what is in the store of publications that never took effect, whatever its age.

        ``problems`` then says why something stays. Of temporary parts, nobody can tell whose they
        are: all of them are removed, and :attr:`freed` counts them.

        Args:
            is_chosen: Returns whether leftovers of an artifact are removed, by its name.
            dry_run: Write nothing; return what would be removed.

        Returns:
            The number of removed objects by artifact.

        Raises:
            StoreUnavailableError: The store can't be read, or objects can't be deleted.
        """
        if not dry_run and self._neighbour.is_busy():
            self._explain("What publications left behind stays, because runs are under way.")
            return Counter()
        old = OldData(self._contents, self._backend, self._neighbour, ALL_LEFTOVERS, is_chosen)
        removals = [*old.removals()]
        self.problems += old.problems
        done = at_once(lambda each: self._carry_out(each, dry_run=dry_run), removals)
        self._remove_parts(ALL_LEFTOVERS.leftovers, dry_run=dry_run, elsewhere=False)
        removed = Counter[str]()
        for each in (removal for removal, is_done in zip(removals, done, strict=True) if is_done):
            removed[each.objects.keys.name] += len(each.data)
        return removed

    @property
    def freed(self) -> list[Freed]:
        """What was removed so far, by kind."""
        return [self._freed[kind] for kind in KINDS if kind in self._freed]

    def marked_runs(self) -> set[str]:
        """Return the IDs of the runs that the marks of this store are of, as they are now."""
        return self._runs.ids()

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Yield the inputs that manifests of this store list: artifact URIs and versions."""
        return self._contents.inputs()

    def _carry_out(self, removal: Removal, *, dry_run: bool) -> bool:
        """Remove something unless somebody relies on it; return whether that was done."""
        if not dry_run and not self._is_quiet(removal):
            return False
        # Manifests first: a version without a manifest is a harmless leftover, but a manifest
        # without its version is damage.
        for keys in (removal.manifests, removal.data, removal.places):
            self._remove(removal.kind, keys, dry_run=dry_run)
        return True

    def _remove_surplus(self, keys: Sequence[str], *, dry_run: bool) -> None:
        for start in range(0, len(keys), _AT_ONCE):
            if not dry_run and self._contents.is_marked_since():
                self._explain("Some manifests stay, because marks were set meanwhile.")
                return
            self._remove(MANIFESTS, keys[start : start + _AT_ONCE], dry_run=dry_run)

    def _is_quiet(self, removal: Removal) -> bool:
        """Return whether nobody marks or publishes an artifact, who relies on what is stored."""
        keys, stay = removal.objects.keys, "Some versions, reports and leftovers stay, because"
        if self._contents.is_marked_since(keys):
            self._explain(f"{stay} marks were set meanwhile.")
        elif removal.kind == REPORTS:
            return True
        elif not set(self._backend.list(keys.hidden, hidden=True)) <= self._contents.listed.keys():
            self._explain(f"{stay} they were published meanwhile.")
        # Asked last: whoever published until then is under way, or has ended since.
        elif self._neighbour.is_busy():
            self._explain(f"{stay} runs are under way, or were until just now.")
        else:
            return True
        return False

    def _explain(self, problem: str) -> None:
        with self._lock:
            if problem not in self.problems:
                self.problems.append(problem)

    def _remove(self, kind: str, keys: Sequence[str], *, dry_run: bool) -> None:
        listed = [self._contents.listed[key] for key in keys if key in self._contents.listed]
        if listed and not dry_run:
            self._backend.delete_all([each.key for each in listed])
        self._note(kind, len(listed), sum(each.size for each in listed))

    def _remove_parts(self, before: datetime, *, dry_run: bool, elsewhere: bool = True) -> None:
        try:
            for part in self._backend.temporary_parts(self._prefix, before):
                if part.elsewhere and not elsewhere:
                    continue
                if not dry_run:
                    part.remove()
                self._note(TEMPORARY, 1, part.size)
        except StoreUnavailableError as error:  # some buckets need another permission for it
            self.problems.append(f"Temporary parts stay. {error}")

    def _note(self, kind: str, count: int, size: int) -> None:
        with self._lock:
            if not count:
                return
            self._freed.setdefault(kind, Freed(kind)).add(count, size)

    def _mend(self, before: datetime, *, dry_run: bool) -> None:
        """Complete the copies of members that a killed publisher has begun."""
        for objects in self._contents.own:
            begun = (name for name in objects.readable if name.startswith(BEGUN))
            found = [self._contents.listed.get(f"{objects.keys.readable}/{name}") for name in begun]
            old = [each for each in found if each and each.modified < before]
            if old:
                self._note(LEFTOVERS, len(old), sum(each.size for each in old))
                if not dry_run:
                    self._publisher.readable.mend_current(objects.keys)
