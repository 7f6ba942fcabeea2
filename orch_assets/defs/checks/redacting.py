"""What is to be done with open versions that hold values of variables blinded since.

Versions of shipped tables are rewritten. Nobody but its author can tell which columns of a user's
own table, or which parts of a JSON value or a document, came from a variable: of these, older
versions are removed, and the current one must be made again by its pipeline first. So must the
current ``record_changes``, since its next run moves the rows of the variable to the restricted
store; until then, the versions stay that this run compares.
"""

import re
from collections.abc import Callable, Collection, Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from orch_assets.imednet.blinding.redaction_rules import Rewrite, rewrite_of
from orch_assets.imednet.history.publications import all_rows
from orch_assets.lazy import cached_property
from orch_assets.refreshing import StoredTable
from orch_assets.stores import ArtifactKind
from orch_assets.stores.maintenance.blinded_since import BlindedSince
from orch_assets.stores.maintenance.upkeep_terms import TEMPORARY, Neighbour

if TYPE_CHECKING:
    from orch_assets.stores.maintenance.redaction import RedactedVersion
    from orch_assets.stores.store import PipelineStore


class Action(StrEnum):
    """What is to be done with a version.

    Attributes:
        REWRITE: Put a version without the values in its place.
        REMOVE: Remove it, with nothing in its place.
        RUN: Run its pipeline first: it is the current version, and can't be rewritten, or its next
            run continues it.
        NEEDED: Nothing yet: a version that stays for now was made from it, or the next run of
            ``record_changes`` reads it.
        MARKED: Nothing: it is marked.
    """

    REWRITE = "rewrite"
    REMOVE = "remove"
    RUN = "run"
    NEEDED = "needed"
    MARKED = "marked"


# The name of an artifact of a pipeline: folders, the pipeline, the study.
_NAME: Final = re.compile(r"(?P<folder>(?:.*/)?)(?P<pipeline>[^/]+)/(?P<study>[^/]+)")

# The history of a study, which can't be read again: a run appends to it.
_CONTINUED: Final = re.compile(r"(?:.*/)?record_changes/[^/]+")


@dataclass(frozen=True)
class RedactionStep:
    """A version, and what is to be done with it.

    Attributes:
        found: The version.
        action: What is to be done.
        rewrite: Rewrites its tables; None if it can't be rewritten.
        dictionary: The dictionary by which it does so.
    """

    found: BlindedSince
    action: Action
    rewrite: "Rewrite | None" = None
    dictionary: StoredTable | None = None


class RedactionPlan:
    """What is to be done in a store.

    Args:
        store: The open store.
        studies: Only these studies; empty for all.
        marked: Whether marked versions are redacted, too.
        is_busy: Returns whether runs may be publishing.
    """

    def __init__(
        self,
        store: "PipelineStore",
        studies: Collection[str] = (),
        *,
        marked: bool = False,
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._is_busy = is_busy
        self._studies = studies
        self._with_marked = marked
        self._redaction = store.redaction()
        self._dictionaries: dict[str, StoredTable | None] = {}

    @cached_property
    def steps(self) -> Sequence[RedactionStep]:
        """The steps, in order of artifacts; each version is in one of them."""
        found = self._redaction.found
        steps = [self._step(each) for each in found if self._is_chosen(each.artifact)]
        staying = [each for each in found if not self._is_chosen(each.artifact)]
        while True:  # what stays keeps what it was made from, and that in turn
            staying += [each.found for each in steps if each.action not in _REDACTING]
            needed = set[tuple[str, str]]().union(*map(self._redaction.inputs, staying))
            later = [self._unless_needed(each, needed) for each in steps]
            if later == steps:
                return steps
            steps = later

    def carry_out(self, step: RedactionStep) -> "RedactedVersion | None":
        """Carry out a step; return what became of its version, or None if it stays.

        Raises:
            StoreError: The store can't be read or written.
        """
        if step.action == Action.REMOVE:
            return self._redaction.remove(step.found)
        if step.action != Action.REWRITE or step.rewrite is None or step.dictionary is None:
            return None
        return self._redaction.replace(step.found, step.rewrite, step.dictionary)

    def remove_leftovers(self, *, dry_run: bool) -> tuple[Sequence[tuple[str, int]], Sequence[str]]:
        """Remove what publications left behind that never took effect.

        No manifest says what it was made from, so it may hold the values. Artifacts of studies are
        left out in which no variable was blinded, but temporary parts may be of any artifact.

        Args:
            dry_run: Write nothing; return what would be removed.

        Returns:
            Artifacts, or what else it was, each with the number of removed objects; and why
            something stays, in sentences.

        Raises:
            StoreError: The store can't be read, or objects can't be deleted.
        """
        concerns = self._redaction.concerns
        if not any(map(concerns, self._studies or [""])):
            return [], []
        upkeep = self._store.upkeep(Neighbour(is_busy=self._is_busy))
        removed = upkeep.remove_leftovers(
            lambda artifact: concerns(artifact) and self._is_chosen(artifact), dry_run=dry_run
        )
        parts = [(each.kind, each.count) for each in upkeep.freed if each.kind == TEMPORARY]
        return [*sorted(removed.items()), *parts], upkeep.problems

    def _is_continued(self, found: BlindedSince) -> bool:
        """Return whether the next run moves rows of a version to the restricted store."""
        # A former format of the store has another URI.
        is_own = self._redaction.place(found)[0] == self._store.uri(found.artifact)
        return is_own and found.is_current and bool(_CONTINUED.fullmatch(found.artifact))

    @cached_property
    def _compared(self) -> set[tuple[str, str]]:
        """The versions that these runs compare with what is current then."""
        continued = filter(self._is_continued, self._redaction.found)
        return set[tuple[str, str]]().union(*map(self._redaction.inputs, continued))

    def _is_chosen(self, artifact: str) -> bool:
        return not self._studies or artifact.rpartition("/")[2] in self._studies

    def _step(self, found: BlindedSince) -> RedactionStep:
        if self._is_continued(found):
            return RedactionStep(found, Action.RUN)
        if self._redaction.is_marked(found) and not self._with_marked:
            return RedactionStep(found, Action.MARKED)
        if self._redaction.place(found) in self._compared:
            return RedactionStep(found, Action.NEEDED)
        match = _NAME.fullmatch(found.artifact)
        if match and found.kind in {ArtifactKind.TABLE, ArtifactKind.SET}:
            dictionary = self._stored(f"{match['folder']}variables/{match['study']}")
            intervals = self._stored(f"{match['folder']}intervals/{match['study']}")
            if dictionary is not None:
                rewrite = rewrite_of(
                    match["pipeline"], all_rows(dictionary), intervals and all_rows(intervals)
                )
                if rewrite is not None:
                    return RedactionStep(found, Action.REWRITE, rewrite, dictionary)
        return RedactionStep(found, Action.RUN if found.is_current else Action.REMOVE)

    def _unless_needed(
        self, step: RedactionStep, needed: Container[tuple[str, str]]
    ) -> RedactionStep:
        if step.action == Action.REMOVE and self._redaction.place(step.found) in needed:
            return RedactionStep(step.found, Action.NEEDED)
        return step

    def _stored(self, name: str) -> StoredTable | None:
        if name not in self._dictionaries:
            self._dictionaries[name] = self._store.previous(name)
        return self._dictionaries[name]


_REDACTING: Final = frozenset({Action.REWRITE, Action.REMOVE})
