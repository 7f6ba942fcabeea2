"""The studies that a pipeline is for: keys, or patterns of keys."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

_WILDCARDS: Final = {"*": ".*", "?": "."}


def is_for(study_key: str, patterns: Sequence[str]) -> bool:
    """Return whether a study's key matches one of the patterns; without patterns, every key does.

    ``*`` stands for any characters, ``?`` for one. All others stand for themselves, brackets too.
    Upper and lower case differ.

    Example:
        >>> is_for("ONC-301", ["ONC-*", "CARD-202"])
        True
        >>> is_for("onc-301", ["ONC-*", "CARD-202"])
        False
    """
    return not patterns or any(_pattern(each).fullmatch(study_key) for each in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    text = re.sub(r"\*+", "*", text)  # "**" means the same, and is slow to match
    return re.compile("".join(_WILDCARDS.get(each, re.escape(each)) for each in text), re.DOTALL)


def not_for_the_study(patterns: Sequence[str]) -> str:
    """Return the reason with which a pipeline is skipped for a study that it isn't for."""
    return f"the pipeline is only for the studies {', '.join(patterns)}"
