"""An alert, as plain text. Each format makes its own of it."""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from itertools import accumulate
from typing import Any, Final

# Longer texts are cut: a cursor holds what isn't delivered, and receivers have limits, too.
_MAX_TITLE: Final = 140
_MAX_LINE: Final = 900
_MAX_LINES: Final = 25
_MAX_LENGTH: Final = 6000
# Names in one line.
_MAX_NAMES: Final = 20


class AlertKind(StrEnum):
    """What an alert is about.

    Attributes:
        CAUSE: A cause of failures in a run.
        STALE: Studies without a success for too long.
        REGISTRY: A tick of ``study_registry_sensor`` failed.
        MISSING: Studies are missing from iMednet.
        CHECK: A check of the data dictionary failed.
        OUTBOX: Earlier alerts were left out.
        TEST: Nothing: someone tried the settings.
    """

    CAUSE = "cause"
    STALE = "stale"
    REGISTRY = "registry"
    MISSING = "missing"
    CHECK = "check"
    OUTBOX = "outbox"
    TEST = "test"


class AlertState(StrEnum):
    """Whether an alert tells of a problem or of its end."""

    PROBLEM = "problem"
    RECOVERED = "recovered"


@dataclass(frozen=True)
class AlertMessage:
    """An alert.

    Attributes:
        id: The same if the alert is delivered twice.
        kind: What it is about.
        state: A problem, or its end.
        title: One line, at most 140 characters.
        lines: The details, plain text.
        at: When it was noticed, ISO 8601 in UTC.
        run_id: The run that it is about; None if it is about no single run.
    """

    id: str
    kind: AlertKind
    state: AlertState
    title: str
    lines: tuple[str, ...]
    at: str
    run_id: str | None = None

    @classmethod
    def make(
        cls,
        kind: AlertKind,
        title: str,
        lines: Iterable[str],
        at: datetime,
        *,
        state: AlertState = AlertState.PROBLEM,
        run_id: str | None = None,
    ) -> "AlertMessage":
        """Return an alert of these texts, cut to its limits and free of control characters."""
        shown = _fitting([_clean(line, _MAX_LINE) for line in lines])
        moment, short = at.isoformat(timespec="seconds"), _clean(title, _MAX_TITLE)
        content = "\n".join([kind, state, short, *shown, moment, run_id or ""])
        number = hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()[:20]
        return cls(number, kind, state, short, tuple(shown), moment, run_id)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "AlertMessage":
        """Return the alert that :meth:`as_json` describes."""
        values = {**stored, "lines": tuple(stored["lines"])}
        values |= {"kind": AlertKind(stored["kind"]), "state": AlertState(stored["state"])}
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """Return the alert as JSON values."""
        return {**asdict(self), "lines": list(self.lines)}


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun: ``1 study``, ``2 studies``."""
    return f"{number} {one if number == 1 else many}"


def in_a_line(names: Sequence[str]) -> str:
    """Return the first 20 names, and the number of the others."""
    more = len(names) - _MAX_NAMES
    shown = ", ".join(names[:_MAX_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown


def _fitting(lines: list[str]) -> list[str]:
    """Return the lines, or the first ones that fit and the number of the others."""
    lengths = list(accumulate(len(line) for line in lines))
    fitting = sum(length <= _MAX_LENGTH for length in lengths[:_MAX_LINES])
    if fitting == len(lines):
        return lines
    return [*lines[: fitting - 1], f"… and {len(lines) - fitting + 1} more lines"]


def _clean(text: str, limit: int) -> str:
    """Return a text on one line, without characters that hide or turn round what follows."""
    one_line = " ".join(text.split())
    shown = "".join("?" if unicodedata.category(c) in _UNSEEN else c for c in one_line)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


# Control and format characters, lone surrogates, private and unassigned ones.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
