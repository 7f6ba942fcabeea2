"""Suggests the name that somebody may have meant."""

import difflib
from collections.abc import Iterable


def did_you_mean(study_key: str | None) -> str:
    """Return a question that suggests a similar key; "" without a suggestion."""
    return f" Did you mean {study_key}?" if study_key is not None else ""


def closest_key(study_key: str, study_keys: Iterable[str]) -> str | None:
    """Return the most similar of these keys, ignoring case; None if none is similar.

    Of equally similar keys, the first is returned.
    """
    by_folded: dict[str, str] = {}
    for each in study_keys:
        by_folded.setdefault(each.casefold(), each)
    matches = difflib.get_close_matches(study_key.strip().casefold(), by_folded, n=1)
    return by_folded[matches[0]] if matches else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a question that suggests a similar name of a pipeline's source; "" without one."""
    close = closest_key(name, known)
    return did_you_mean(None if close is None else f"`{close}`")
