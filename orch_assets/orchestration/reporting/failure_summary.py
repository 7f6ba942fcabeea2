"""The failures of a run, grouped by cause over studies and pipelines."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from orch_assets.orchestration.reporting.results import UPSTREAM_FAILED, Failure

# Maximum length of a line of names. The others are counted: the run's log names every failure.
_WIDTH: Final = 160
MOST_CAUSES: Final = 20
# Characters shown of a long error: its beginning, and its end, which holds the place.
_BEGINNING, _END = 600, 120

# What differs between failures of one cause: an endpoint, URI, path or execution ARN, and a count
# or page number, but not an HTTP status or error code.
_PATH: Final = re.compile(r"\S*/\S*|\barn:\S+")
_NUMBER: Final = re.compile(r"(?<![\w.])(?<!HTTP )(?<!code )\d[\d,.]*\b")


@dataclass(frozen=True)
class FailedStep:
    """A step of a study that failed.

    Attributes:
        study_key: The study.
        pipeline: The pipeline.
        failure: Why it failed.
        report: URI of the failure report; None if there is none.
        run_id: ID of the Dagster run; None if it is the current one.
        at: When it was recorded, as a timestamp; 0 before that.
    """

    study_key: str
    pipeline: str
    failure: Failure
    report: str | None = None
    at: float = 0.0
    run_id: str | None = None

    @property
    def is_consequence(self) -> bool:
        """Whether it failed only because an upstream failed, which is a failure of its own."""
        return self.failure.kind == UPSTREAM_FAILED

    @property
    def text(self) -> str:
        """The loggable text of the failure, on one line."""
        return " ".join(self.failure.loggable.split())


@dataclass(frozen=True)
class Cause:
    """Failures of one type, raised at one place, whose texts differ only by study.

    Attributes:
        failures: At least one, in order of occurrence.
    """

    failures: tuple[FailedStep, ...]

    @property
    def studies(self) -> list[str]:
        """The failed studies, each once."""
        return list(dict.fromkeys(each.study_key for each in self.failures))

    @property
    def pipelines(self) -> list[str]:
        """The failed pipelines, each once."""
        return list(dict.fromkeys(each.pipeline for each in self.failures))

    @property
    def text(self) -> str:
        """Why the first of them failed: type, explanation and place, at most 723 characters."""
        return _shortened(self.failures[0].text)

    @property
    def place(self) -> str:
        """Where they were raised, such as ``labs.py:32 in labs``; empty if nothing was raised."""
        return self.failures[0].failure.place

    @property
    def of_studies(self) -> str:
        """The failed studies: ``study: A`` or ``3 studies: A, B, C``, at most a line of them."""
        return f"{_count(self.studies, 'study', 'studies')}: {_joined(self.studies)}"

    @property
    def of_pipelines(self) -> str:
        """The failed pipelines, as the studies."""
        return f"{_count(self.pipelines, 'pipeline', 'pipelines')}: {_joined(self.pipelines)}"

    @property
    def newest_run(self) -> str | None:
        """ID of the Dagster run of the last of them; None if it is the current one."""
        return self.failures[-1].run_id

    @property
    def report(self) -> tuple[str, str] | None:
        """A label, which counts the failure reports, and the URI of the first; None without one."""
        reports = [each.report for each in self.failures if each.report]
        if not reports:
            return None
        more = f" (the first of {len(reports)})" if reports[1:] else ""
        return f"failure report{more}", reports[0]

    @property
    def identity(self) -> tuple[str, str, str]:
        """What its failures share, in any run: type, place, and text without names and numbers."""
        return _group_of(self.failures[0])

    @property
    def lines(self) -> list[str]:
        """The first failure's text, and then the studies, the pipelines and the failure report."""
        report = [": ".join(self.report)] if self.report else []
        return [self.text, self.of_studies, self.of_pipelines, *report]

    def __str__(self) -> str:
        return "\n  ".join(["- " + self.lines[0], *self.lines[1:]])


def causes_of(failed: Iterable[FailedStep]) -> list[Cause]:
    """Return the causes, the most frequent first; ``UpstreamFailed`` is not a cause."""
    groups: dict[tuple[str, str, str], list[FailedStep]] = {}
    for each in failed:
        if not each.is_consequence:
            groups.setdefault(_group_of(each), []).append(each)
    return sorted(
        (Cause(tuple(group)) for group in groups.values()), key=lambda c: -len(c.failures)
    )


def summarize_failures(failed: Sequence[FailedStep], studies: int) -> str:
    """Return a summary of a run with failed studies, in a few lines.

    Args:
        failed: Every failed step; at least one.
        studies: Number of studies in the run.
    """
    causes = causes_of(failed)
    upstream = sum(each.is_consequence for each in failed)
    lines = [f"{len({each.study_key for each in failed})} of {studies} studies failed:"]
    lines += map(str, causes[:MOST_CAUSES])
    if causes[MOST_CAUSES:]:
        lines.append(f"- {len(causes) - MOST_CAUSES} more causes: see the errors in the run's log")
    if upstream:
        lines.append(missing_for_upstream(upstream))
    return "\n".join(lines)


def missing_for_upstream(results: int) -> str:
    """Return the sentence that counts results whose upstream failed."""
    are = "result is" if results == 1 else "results are"
    return f"{results} more {are} missing because an upstream failed."


def _group_of(failed: FailedStep) -> tuple[str, str, str]:
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
    """Return the names; if they are too long, the first ones and the number of the others."""
    width = 0
    for shown, name in enumerate(names):
        width += len(name) + 2
        if shown and width > _WIDTH:
            return f"{', '.join(names[:shown])} and {len(names) - shown} more"
    return ", ".join(names)
