"""What receivers were told of, and the alerts that bring them up to date.

Each function compares what was announced with what is wrong now, and returns the alerts for the
difference: a problem is announced once (a cause once for each run), and its end once.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final

from orch_assets.alerts.message import AlertKind, AlertMessage, AlertState, counted, in_a_line
from orch_assets.orchestration.durations import as_text
from orch_assets.orchestration.reporting.failure_summary import Cause, FailedStep, causes_of

# Alerts of causes for a run. If there are more causes, the others share one alert.
_CAUSES: Final = 20
_REST: Final = "rest"

# A study and a table of it.
Pair = tuple[str, str]


@dataclass(frozen=True)
class OpenCause:
    """A cause of failures that was announced and isn't over.

    Attributes:
        title: Title of its newest alert.
        runs: The runs whose failures aren't all mended, oldest first.
        kind: Type of the error.
    """

    title: str
    runs: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True)
class RegistryFailure:
    """Why the last tick of ``study_registry_sensor`` failed.

    Attributes:
        kind: The error's type.
        text: Its text, if it may be shown; else empty.
    """

    kind: str
    text: str = ""


@dataclass(frozen=True)
class Announced:
    """What receivers were told of and isn't over.

    Attributes:
        causes: Causes of failures, by identity.
        stale: Studies and tables without a success for too long.
        registry: Type of the error of the registry's last tick; None if it succeeded.
        missing: Studies that are missing from iMednet.
        checks: Studies that fail a check, by name of the check.
    """

    causes: Mapping[str, OpenCause] = field(default_factory=dict)
    stale: frozenset[Pair] = frozenset()
    registry: str | None = None
    missing: frozenset[str] = frozenset()
    checks: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Announced":
        """Return what :meth:`as_json` describes."""
        causes = stored.get("causes", {})
        return cls(
            causes={k: OpenCause(title, tuple(r), kind) for k, (title, r, kind) in causes.items()},
            stale=pairs_from_json(stored.get("stale", ())),
            registry=stored.get("registry"),
            missing=frozenset(stored.get("missing", ())),
            checks={name: frozenset(keys) for name, keys in stored.get("checks", {}).items()},
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "causes": {
                k: [each.title, list(each.runs), each.kind] for k, each in self.causes.items()
            },
            "stale": pairs_as_json(self.stale),
            "registry": self.registry,
            "missing": sorted(self.missing),
            "checks": {name: sorted(keys) for name, keys in self.checks.items()},
        }


@dataclass(frozen=True)
class Update:
    """What is announced from now on, and the alerts that say so."""

    announced: Announced
    messages: tuple[AlertMessage, ...] = ()


def identity_of(cause: Cause) -> str:
    """Return what is the same for a cause in each run."""
    parts = "\n".join(cause.identity).encode("utf-8", "backslashreplace")
    return hashlib.sha256(parts).hexdigest()[:16]


def with_causes(
    announced: Announced,
    failures: Mapping[str, Sequence[FailedStep]],
    successes: Mapping[Pair, float],
    studies: Collection[str],
    at: datetime,
    *,
    undecided: Collection[str] = (),
) -> Update:
    """Return the update for causes of failures.

    A cause is over when no study fails for it any more: the failed pipelines have succeeded, the
    study was retired, or it now fails for another cause.

    Args:
        announced: What was announced.
        failures: The failures of each run: of runs that ended meanwhile, and of those with open
            causes.
        successes: When studies and pipelines last succeeded, as a timestamp. Those that haven't
            since the oldest failure may be left out.
        studies: All studies; retired ones are none.
        at: The current time.
        undecided: Identities of causes that stay open for now.
    """
    open_steps = _unmended(failures, successes, set(studies))
    now_open = {key: announced.causes[key] for key in undecided if key in announced.causes}
    messages: list[AlertMessage] = []
    for identity, causes in _by_identity(failures).items():
        still = [run for run, cause in causes.items() if open_steps & set(cause.failures)]
        if still:
            before = announced.causes.get(identity, OpenCause("", ()))
            make = _of_rest if identity == _REST else _of_cause
            new = [make(causes[run], run, at) for run in still if run not in before.runs]
            title = new[-1].title if new else before.title
            kind = causes[still[-1]].failures[0].failure.kind
            now_open[identity] = OpenCause(title, tuple(still), kind)
            messages += new
    messages += [
        _recovered(
            AlertKind.CAUSE,
            each.title,
            ["No study fails for this cause any more."],
            at,
            run_id=each.runs[-1],
        )
        for identity, each in announced.causes.items()
        if identity not in now_open
    ]
    return Update(replace(announced, causes=now_open), tuple(messages))


def with_stale(
    announced: Announced,
    stale: Collection[Pair],
    studies: Collection[str],
    tables: Collection[str],
    stale_after: timedelta,
    at: datetime,
) -> Update:
    """Return the update for studies without a success for too long.

    Args:
        announced: What was announced.
        stale: Studies and tables without a success for too long.
        studies: All studies. One that was retired is neither stale nor recovered.
        tables: All tables. One that is gone is neither, too.
        stale_after: What is too long.
        at: The current time.
    """
    now, known, watched = frozenset(stale), set(studies), set(tables)
    new = now - announced.stale
    over = {pair for pair in announced.stale - now if pair[0] in known and pair[1] in watched}
    messages = []
    if new:
        number = counted(len({study for study, _ in new}), "study", "studies")
        title = f"{number} without success for {as_text(stale_after)}"
        messages.append(AlertMessage.make(AlertKind.STALE, title, _by_tables(new), at))
    if over:
        number = counted(len({study for study, _ in over}), "study has", "studies have")
        title = f"{number} succeeded again"
        messages.append(_recovered(AlertKind.STALE, title, _by_tables(over), at))
    return Update(replace(announced, stale=now), tuple(messages))


def with_registry(announced: Announced, failure: RegistryFailure | None, at: datetime) -> Update:
    """Return the update for the last tick of ``study_registry_sensor``; None if it succeeded."""
    if failure is None and announced.registry is not None:
        title = f"study_registry_sensor works again ({announced.registry})"
        message = _recovered(AlertKind.REGISTRY, title, [], at)
    elif failure is not None and failure.kind != announced.registry:
        title = f"study_registry_sensor failed: {failure.kind}"
        lines = [failure.text, "New studies are neither found nor run until it works again."]
        message = AlertMessage.make(AlertKind.REGISTRY, title, filter(None, lines), at)
    else:
        return Update(announced)
    return Update(replace(announced, registry=failure.kind if failure else None), (message,))


def with_missing(
    announced: Announced, missing: Collection[str], studies: Collection[str], at: datetime
) -> Update:
    """Return the update for studies that are missing from iMednet.

    Args:
        announced: What was announced.
        missing: The studies that are missing now.
        studies: All studies, including these; retired ones are none.
        at: The current time.
    """
    now, known = frozenset(missing), set(studies)
    new, over = sorted(now - announced.missing), sorted(announced.missing - now)
    back = [key for key in over if key in known]
    retired = [key for key in over if key not in known]
    messages = []
    if new:
        title = f"{counted(len(new), 'study is', 'studies are')} missing from iMednet"
        lines = [in_a_line(new), "A study that stays missing for three ticks is retired."]
        messages.append(AlertMessage.make(AlertKind.MISSING, title, lines, at))
    if back:
        title = f"{counted(len(back), 'study is', 'studies are')} listed by iMednet again"
        messages.append(_recovered(AlertKind.MISSING, title, [in_a_line(back)], at))
    if retired:
        title = f"{counted(len(retired), 'missing study was', 'missing studies were')} retired"
        messages.append(_recovered(AlertKind.MISSING, title, [in_a_line(retired)], at))
    return Update(replace(announced, missing=now), tuple(messages))


def with_check(
    announced: Announced,
    check: str,
    failed: Mapping[str, Mapping[str, str]],
    passed: Collection[str],
    at: datetime,
) -> Update:
    """Return the update for a check of the data dictionary.

    Args:
        announced: What was announced.
        check: Name of the check.
        failed: The studies that failed it last in the runs that ended meanwhile, by run, with what
            the check said of each.
        passed: The studies that passed it last in these runs.
        at: The current time.
    """
    before = announced.checks.get(check, frozenset())
    messages = []
    for run_id, studies in failed.items():
        title = f"Check {check}: {counted(len(studies), 'study fails', 'studies fail')}"
        lines = [f"{key}: {text}" if text else key for key, text in studies.items()]
        messages.append(AlertMessage.make(AlertKind.CHECK, title, lines, at, run_id=run_id))
    now = (before | {key for studies in failed.values() for key in studies}) - set(passed)
    if over := sorted(before - now):
        title = f"Check {check}: {counted(len(over), 'study passes', 'studies pass')} again"
        messages.append(_recovered(AlertKind.CHECK, title, [in_a_line(over)], at))
    checks = {**announced.checks, check: now}
    return Update(replace(announced, checks=checks), tuple(messages))


def pairs_as_json(pairs: Iterable[Pair]) -> list[list[list[str]]]:
    """Return studies and tables as lists: tables, and the studies that all of them have."""
    return [[list(tables), studies] for tables, studies in _grouped(pairs)]


def pairs_from_json(stored: Iterable[Sequence[Sequence[str]]]) -> frozenset[Pair]:
    """Return the pairs that :func:`pairs_as_json` describes."""
    return frozenset(
        (study, table) for tables, studies in stored for study in studies for table in tables
    )


def _unmended(
    failures: Mapping[str, Sequence[FailedStep]],
    successes: Mapping[Pair, float],
    studies: Collection[str],
) -> set[FailedStep]:
    """Return the newest failure of each study and pipeline that hasn't succeeded since."""
    newest: dict[Pair, FailedStep] = {}
    for step in chain.from_iterable(failures.values()):
        pair = (step.study_key, step.pipeline)
        if not step.is_consequence and step.study_key in studies:
            newest[pair] = max(step, newest.get(pair, step), key=lambda each: each.at)
    return {s for pair, s in newest.items() if successes.get(pair, -1.0) < s.at}


def _by_identity(failures: Mapping[str, Sequence[FailedStep]]) -> dict[str, dict[str, Cause]]:
    """Return the causes by identity and run; the least frequent ones of a run count as one."""
    found: dict[str, dict[str, Cause]] = {}
    for run_id, steps in failures.items():
        causes = causes_of(steps)
        for cause in causes[:_CAUSES]:
            found.setdefault(identity_of(cause), {})[run_id] = cause
        if rest := causes[_CAUSES:]:
            together = tuple(chain.from_iterable(each.failures for each in rest))
            found.setdefault(_REST, {})[run_id] = Cause(together)
    return found


def _of_cause(cause: Cause, run_id: str, at: datetime) -> AlertMessage:
    number = counted(len(cause.studies), "study", "studies")
    title = f"{number} failed: {cause.failures[0].failure.kind}"
    lines = [*cause.lines, f"run {run_id[:8]}"]
    return AlertMessage.make(AlertKind.CAUSE, title, lines, at, run_id=run_id)


def _of_rest(cause: Cause, run_id: str, at: datetime) -> AlertMessage:
    number = counted(len(cause.studies), "study", "studies")
    title = f"{number} failed for more causes"
    lines = [cause.of_studies, cause.of_pipelines, f"run {run_id[:8]}: its log has all causes"]
    return AlertMessage.make(AlertKind.CAUSE, title, lines, at, run_id=run_id)


def _recovered(
    kind: AlertKind, title: str, lines: Iterable[str], at: datetime, run_id: str | None = None
) -> AlertMessage:
    return AlertMessage.make(
        kind, f"Recovered: {title}", lines, at, state=AlertState.RECOVERED, run_id=run_id
    )


def _by_tables(pairs: Iterable[Pair]) -> Iterator[str]:
    for tables, studies in _grouped(pairs):
        yield f"{in_a_line(studies)}: {in_a_line(tables)}"


def _grouped(pairs: Iterable[Pair]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Return which studies have which tables, the largest group first."""
    tables: dict[str, set[str]] = {}
    for study, table in pairs:
        tables.setdefault(study, set()).add(table)
    groups: dict[tuple[str, ...], list[str]] = {}
    for study in sorted(tables):
        groups.setdefault(tuple(sorted(tables[study])), []).append(study)
    return sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
