"""Which studies of the registry a run is for: whitelist or blacklist, never both."""

import difflib
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from orch_assets.errors import FilterConflictError, OrchestratorArgumentError, StudyKeyError
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
        OrchestratorArgumentError: one of them is a bare string or no collection.
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
            return _names(self.whitelist, study_key)
        blacklist = self.blacklist or ()
        return not (_names(blacklist, study_key) or study_key.strip() in blacklist)

    @property
    def named(self) -> set[str]:
        """Every key that the filter names."""
        return {*(self.whitelist or ()), *(self.blacklist or ())}


def _names(keys: Collection[str], study_key: str) -> bool:
    """Whether a filter names a key.

    A key with commas counts as named when all its pieces are: a comma-separated setting can't
    name it otherwise.
    """
    return study_key in keys or ("," in study_key and all(p in keys for p in _pieces(study_key)))


def _pieces(study_key: str) -> list[str]:
    return [piece for each in study_key.split(",") if (piece := each.strip())]


def _check_collection(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, str):
        raise OrchestratorArgumentError(
            f"{name} is text; give a set of study keys, such as {{'ONC-301'}}."
        )
    if not isinstance(value, Collection) or not all(isinstance(key, str) for key in value):
        raise OrchestratorArgumentError(f"{name} must be a set of study keys (text), or None.")


@dataclass(frozen=True)
class Selection:
    """What a filter made of a registry's studies; every list in the registry's order.

    Attributes:
        selected: the studies to run, each once.
        excluded: keys that only the filter keeps out, impossible ones too.
        unknown: keys that the filter names and the registry does not have, sorted.
        refused: keys that the filter lets through and that can't be study keys here, each with
            the reason.
        closest: for an unknown key, the registry's key that is most like it, if one is.
        whitelisted: whether the filter is a whitelist: then an unknown key was asked for.
    """

    selected: list[str]
    excluded: list[str]
    unknown: list[str]
    refused: dict[str, str]
    closest: dict[str, str] = field(default_factory=dict)
    whitelisted: bool = False

    @property
    def not_runnable(self) -> list[str]:
        """What was asked for and can't be run, a sentence each."""
        advice = (
            "Take it out of the whitelist."
            if self.whitelisted
            else "Correct it in iMednet, or name it in the blacklist (IMEDNET_BLACKLIST)."
        )
        refused = [f"Study key {key!r} {why}. {advice}" for key, why in self.refused.items()]
        return refused + (self._unknown_named_by("whitelist") if self.whitelisted else [])

    @property
    def warnings(self) -> list[str]:
        """What the filter names in vain without asking for it, a sentence each."""
        return [] if self.whitelisted else self._unknown_named_by("blacklist")

    def _unknown_named_by(self, kind: str) -> list[str]:
        return [
            f"The registry has no study {key}, which the {kind} names."
            + did_you_mean(self.closest.get(key))
            for key in self.unknown
        ]


@dataclass(frozen=True)
class StudyChoice:
    """What came of study keys that a person named.

    Attributes:
        chosen: those that can be run, each once, in the registry's order.
        not_runnable: why each of the others can't, a sentence each.
    """

    chosen: list[str]
    not_runnable: list[str]


def choose_studies(selection: Selection, study_keys: Iterable[str]) -> StudyChoice:
    """Choose studies by their keys among those that the filter selects."""
    named = dict.fromkeys(study_keys)
    chosen = [key for key in selection.selected if key in named]
    runnable = set(chosen)
    others = [key for key in named if key not in runnable]
    return StudyChoice(chosen, [_why_not(selection, key) for key in others])


def _why_not(selection: Selection, study_key: str) -> str:
    try:
        check_study_key(study_key)
    except StudyKeyError as error:
        return f"{error} It can't be run."
    if study_key in selection.excluded:
        setting = "IMEDNET_WHITELIST" if selection.whitelisted else "IMEDNET_BLACKLIST"
        return f"Study {study_key} is excluded by the filter. Unset {setting} to run it."
    closest = closest_key(study_key, [*selection.selected, *selection.excluded])
    return f"The registry has no study {study_key}.{did_you_mean(closest)}"


def did_you_mean(study_key: str | None) -> str:
    """Return a question to add to a sentence about an unknown key; "" without a suggestion."""
    return f" Did you mean {study_key}?" if study_key is not None else ""


def closest_key(study_key: str, study_keys: Iterable[str]) -> str | None:
    """Return the one of these keys that is most like another, whatever its case; None if none is.

    Among keys that are equally like it, the first wins.
    """
    by_folded: dict[str, str] = {}
    for each in study_keys:
        by_folded.setdefault(each.casefold(), each)
    found = difflib.get_close_matches(study_key.strip().casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def select_studies(registry_keys: Iterable[object], study_filter: StudyFilter) -> Selection:
    """Apply a filter to the registry's keys; a repeated key counts once."""
    selected: list[str] = []
    excluded: list[str] = []
    refused: dict[str, str] = {}
    seen = list(dict.fromkeys(registry_keys))
    texts = [key for key in seen if isinstance(key, str)]
    for key in seen:
        try:
            check_study_key(key)
        except StudyKeyError as error:
            if not isinstance(key, str) or study_filter.keeps(key):
                refused[str(error.study_key)] = error.reason
                continue
        study_key = str(key)
        (selected if study_filter.keeps(study_key) else excluded).append(study_key)
    unknown = _unknown_keys(study_filter, texts)
    suggestions = {key: closest_key(key, texts) for key in unknown}
    return Selection(
        selected,
        excluded,
        unknown,
        refused,
        closest={key: close for key, close in suggestions.items() if close is not None},
        whitelisted=study_filter.whitelist is not None,
    )


def _unknown_keys(study_filter: StudyFilter, registry_keys: Iterable[str]) -> list[str]:
    known: set[str] = set()
    for key in registry_keys:
        known.add(key)
        if "," in key and _names(study_filter.named, key):
            known.update(_pieces(key))
    return sorted(study_filter.named - known)


def warn_about(selection: Selection, study_filter: StudyFilter) -> None:
    """Say in the log what a caller may not have meant."""
    if study_filter.whitelist is not None and not study_filter.whitelist:
        _log.warning("The whitelist is empty: no study is selected. None is no filter.")
    for sentence in (*selection.not_runnable, *selection.warnings):
        _log.warning(sentence)
