"""What failed in a run, told by cause: one cause over many studies and pipelines is told once."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from orch_assets.orchestration.reporting.results import UPSTREAM_FAILED, Failure

# Of a line of names. What doesn't fit is counted: the run's log has a line for each failure.
_WIDTH: Final = 160
_CAUSES: Final = 20
# Of an error's text: its beginning, and its end, which has the place.
_BEGINNING, _END = 600, 120

# An endpoint, a URI, a path, an execution; and a count or a page, but no status and no code.
_PATH: Final = re.compile(r"\S*/\S*|\barn:\S+")
_NUMBER: Final = re.compile(r"(?<![\w.])(?<!HTTP )(?<!code )\d[\d,.]*\b")


@dataclass(frozen=True)
class FailedStep:
    """A step of a study that failed.

    Attributes:
        study_key: the study.
        pipeline: the step.
        failure: why.
        report: the failure report's URI; None where there is none.
    """

    study_key: str
    pipeline: str
    failure: Failure
    report: str | None = None

    @property
    def is_consequence(self) -> bool:
        """Whether it failed for another step alone, which is a failure of its own."""
        return self.failure.kind == UPSTREAM_FAILED

    @property
    def text(self) -> str:
        """What may be logged of it, on one line."""
        return " ".join(self.failure.loggable.split())


@dataclass(frozen=True)
class Cause:
    """Failures that are alike: of one type, at one place, with texts that differ by study only.

    Attributes:
        failures: at least one, in the order in which they came.
    """

    failures: tuple[FailedStep, ...]

    @property
    def studies(self) -> list[str]:
        """The studies that it failed, each once."""
        return list(dict.fromkeys(each.study_key for each in self.failures))

    @property
    def pipelines(self) -> list[str]:
        """The pipelines that it failed, each once."""
        return list(dict.fromkeys(each.pipeline for each in self.failures))

    def __str__(self) -> str:
        lines = [
            f"- {_shortened(self.failures[0].text)}",
            f"{_count(self.studies, 'study', 'studies')}: {_joined(self.studies)}",
            f"{_count(self.pipelines, 'pipeline', 'pipelines')}: {_joined(self.pipelines)}",
        ]
        reports = [each.report for each in self.failures if each.report]
        if reports:
            more = f" (the first of {len(reports)})" if reports[1:] else ""
            lines.append(f"failure report{more}: {reports[0]}")
        return "\n  ".join(lines)


def causes_of(failed: Iterable[FailedStep]) -> list[Cause]:
    """Return why steps failed, what failed most first; ``UpstreamFailed`` is no cause."""
    found: dict[tuple[str, str, str], list[FailedStep]] = {}
    for each in failed:
        if not each.is_consequence:
            found.setdefault(_likeness(each), []).append(each)
    return sorted((Cause(tuple(alike)) for alike in found.values()), key=lambda c: -len(c.failures))


def summarize_failures(failed: Sequence[FailedStep], studies: int) -> str:
    """Return what people are told of a run with failed studies, in a few lines.

    Args:
        failed: every step that failed; at least one.
        studies: how many studies the run had.
    """
    causes = causes_of(failed)
    upstream = sum(each.is_consequence for each in failed)
    lines = [f"{len({each.study_key for each in failed})} of {studies} studies failed:"]
    lines += map(str, causes[:_CAUSES])
    if causes[_CAUSES:]:
        lines.append(f"- {len(causes) - _CAUSES} more causes: see the errors in the run's log")
    if upstream:
        results = "result is" if upstream == 1 else "results are"
        lines.append(f"{upstream} more {results} missing because an upstream failed.")
    return "\n".join(lines)


def _likeness(failed: FailedStep) -> tuple[str, str, str]:
    """Return what failures of one cause have in common: no study, no pipeline, path or count."""
    text = failed.failure.explanation
    for name in (failed.study_key, quote(failed.study_key, safe=""), failed.pipeline):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "…", text)
    return failed.failure.kind, failed.failure.place, _NUMBER.sub("#", _PATH.sub("…", text))


def _shortened(text: str) -> str:
    if len(text) <= _BEGINNING + _END:
        return text
    return f"{text[:_BEGINNING]} … {text[-_END:]}"


def _count(names: Sequence[str], one: str, many: str) -> str:
    return one if len(names) == 1 else f"{len(names)} {many}"


def _joined(names: Sequence[str]) -> str:
    """Return the names; where they take too much room, the first ones and how many more."""
    taken = 0
    for fitting, name in enumerate(names):
        taken += len(name) + 2
        if fitting and taken > _WIDTH:
            return f"{', '.join(names[:fitting])} and {len(names) - fitting} more"
    return ", ".join(names)
