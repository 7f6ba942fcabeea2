"""Which studies of the registry a run is for: whitelist or blacklist, never both."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from orch_assets.errors import FilterConflictError, OrchestratorError, StudyKeyError
from orch_assets.study import check_study_key

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyFilter:
    """A whitelist or a blacklist of study keys.

    Attributes:
        whitelist: only these; None is no whitelist, an empty one selects nothing.
        blacklist: all but these; None or empty excludes nothing.

    Raises:
        FilterConflictError: both are non-empty.
        OrchestratorError: one of them is a bare string or no collection.
    """

    whitelist: Collection[str] | None = None
    blacklist: Collection[str] | None = None

    def __post_init__(self) -> None:
        for name in ("whitelist", "blacklist"):
            _check_collection(name, getattr(self, name))
        if self.whitelist and self.blacklist:
            raise FilterConflictError(self.whitelist, self.blacklist)

    def keeps(self, study_key: str) -> bool:
        """Whether the filter lets this study through."""
        if self.whitelist is not None:
            return study_key in self.whitelist
        return study_key not in (self.blacklist or ())

    @property
    def named(self) -> set[str]:
        """Every key that the filter names."""
        return {*(self.whitelist or ()), *(self.blacklist or ())}


def _check_collection(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, str):
        raise OrchestratorError(
            f"{name} is the text {value!r}; give a set of study keys, such as {{{value!r}}}."
        )
    if not isinstance(value, Collection) or not all(isinstance(key, str) for key in value):
        raise OrchestratorError(f"{name} must be a set of study keys (text), or None.")


@dataclass(frozen=True)
class Selection:
    """What a filter made of a registry's studies; every list in the registry's order.

    Attributes:
        selected: the studies to run, each once.
        excluded: studies that only the filter keeps out.
        unknown: keys that the filter names and the registry does not have, sorted.
        refused: keys that can't be study keys here, each with the reason.
    """

    selected: list[str]
    excluded: list[str]
    unknown: list[str]
    refused: dict[str, str]


def select_studies(registry_keys: Iterable[object], study_filter: StudyFilter) -> Selection:
    """Apply a filter to the registry's keys; a repeated key counts once."""
    selected: list[str] = []
    excluded: list[str] = []
    refused: dict[str, str] = {}
    seen: set[object] = set()
    for key in registry_keys:
        if key in seen:
            continue
        seen.add(key)
        try:
            study_key = check_study_key(key)
        except StudyKeyError as error:
            refused[str(error.study_key)] = error.reason
            continue
        (selected if study_filter.keeps(study_key) else excluded).append(study_key)
    unknown = sorted(study_filter.named - {key for key in seen if isinstance(key, str)})
    return Selection(selected, excluded, unknown, refused)


def warn_about(selection: Selection, study_filter: StudyFilter) -> None:
    """Say in the log what a caller may not have meant."""
    if study_filter.whitelist is not None and not study_filter.whitelist:
        _log.warning("The whitelist is empty: no study is selected. None is no filter.")
    if selection.unknown:
        _log.warning("The registry has no study %s.", ", ".join(selection.unknown))
    for key, reason in selection.refused.items():
        _log.warning("Study key %r %s: the study is left out.", key, reason)
