"""Selects the studies of a run from the registry: by whitelist or blacklist, never both."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from orch_assets.errors import FilterConflictError, OrchestratorArgumentError, StudyKeyError
from orch_assets.orchestration.defining.similar_names import closest_key, did_you_mean
from orch_assets.study import check_study_key

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyFilter:
    """A whitelist or a blacklist of study keys.

    Attributes:
        whitelist: Select only these studies; None is no whitelist, an empty one selects nothing.
        blacklist: Select all studies except these; None or empty excludes nothing.

    Raises:
        FilterConflictError: Both are non-empty.
        OrchestratorArgumentError: One of them is a string or not a collection of strings.
    """

    whitelist: Collection[str] | None = None
    blacklist: Collection[str] | None = None

    def __post_init__(self) -> None:
        for name in ("whitelist", "blacklist"):
            _check_collection(name, getattr(self, name))
        if self.whitelist and self.blacklist:
            raise FilterConflictError(self.whitelist, self.blacklist)

    def selects(self, study_key: str) -> bool:
        """Return whether this study passes the filter."""
        if self.whitelist is not None:
            return _contains(self.whitelist, study_key)
        blacklist = self.blacklist or ()
        return not (_contains(blacklist, study_key) or study_key.strip() in blacklist)

    @property
    def named(self) -> set[str]:
        """Every key that the filter names."""
        return {*(self.whitelist or ()), *(self.blacklist or ())}


def _contains(keys: Collection[str], study_key: str) -> bool:
    """Return whether a filter names a key.

    A key that contains commas also counts as named if all its parts are: a comma-separated setting
    can't name it otherwise.
    """
    return study_key in keys or ("," in study_key and all(p in keys for p in _parts(study_key)))


def _parts(study_key: str) -> list[str]:
    return [part for each in study_key.split(",") if (part := each.strip())]


def _check_collection(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, str):
        raise OrchestratorArgumentError(
            f"{name} is a string; give a set of study keys, such as {{'ONC-301'}}."
        )
    if not isinstance(value, Collection) or not all(isinstance(key, str) for key in value):
        raise OrchestratorArgumentError(f"{name} must be a set of study keys (strings), or None.")


@dataclass(frozen=True)
class Selection:
    """The result of applying a filter to the registry's studies, in the registry's order.

    Attributes:
        selected: The studies to run, each once.
        excluded: Keys that the filter excludes, including invalid ones.
        unknown: Keys that the filter names but the registry does not list, sorted.
        refused: Keys that pass the filter but are not valid study keys, each with the reason.
        closest: For an unknown key, the most similar key of the registry, if there is one.
        whitelisted: Whether the filter is a whitelist, so that unknown keys were requested.
    """

    selected: list[str]
    excluded: list[str]
    unknown: list[str]
    refused: dict[str, str]
    closest: dict[str, str] = field(default_factory=dict)
    whitelisted: bool = False

    @property
    def not_runnable(self) -> list[str]:
        """A sentence for each requested study that can't be run."""
        advice = (
            "Remove it from the whitelist."
            if self.whitelisted
            else "Correct it in iMednet, or add it to the blacklist (IMEDNET_BLACKLIST)."
        )
        refused = [f"Study key {key!r} {why}. {advice}" for key, why in self.refused.items()]
        return refused + (self._unknown_named_by("whitelist") if self.whitelisted else [])

    @property
    def warnings(self) -> list[str]:
        """A sentence for each unknown study of a blacklist."""
        return [] if self.whitelisted else self._unknown_named_by("blacklist")

    def _unknown_named_by(self, kind: str) -> list[str]:
        return [
            f"The {kind} names study {key}, which is not in the registry."
            + did_you_mean(self.closest.get(key))
            for key in self.unknown
        ]


@dataclass(frozen=True)
class StudyChoice:
    """The studies that a user requested by key.

    Attributes:
        chosen: Studies that can be run, each once, in the registry's order.
        not_runnable: A sentence for each other study, with the reason.
    """

    chosen: list[str]
    not_runnable: list[str]


def choose_studies(selection: Selection, study_keys: Iterable[str]) -> StudyChoice:
    """Choose studies by key from those that the filter selects."""
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
            if not isinstance(key, str) or study_filter.selects(key):
                refused[str(error.study_key)] = error.reason
                continue
        study_key = str(key)
        (selected if study_filter.selects(study_key) else excluded).append(study_key)
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
        if "," in key and _contains(study_filter.named, key):
            known.update(_parts(key))
    return sorted(study_filter.named - known)


def warn_about(selection: Selection, study_filter: StudyFilter) -> None:
    """Log what the caller may not have intended."""
    if study_filter.whitelist is not None and not study_filter.whitelist:
        _log.warning("The whitelist is empty: no study is selected. Use None for no filter.")
    for sentence in (*selection.not_runnable, *selection.warnings):
        _log.warning(sentence)
