"""What is announced, once, and when it is over: without Dagster, a clock or a receiver."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from orch_assets.alerts.announced import (
    Announced,
    RegistryFailure,
    identity_of,
    with_causes,
    with_check,
    with_missing,
    with_registry,
    with_stale,
)
from orch_assets.alerts.message import AlertMessage
from orch_assets.orchestration.reporting.failure_summary import FailedStep, causes_of
from orch_assets.orchestration.reporting.results import Failure

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
STUDIES = [f"S{number:02}" for number in range(40)]
TABLES = ["labs", "sites"]
DAY_AND_A_HALF = timedelta(hours=36)


def failed(studies, kind, at=1.0, pipeline="labs", explanation=""):
    failure = Failure(kind, place=f"{pipeline}.py:7 in {pipeline}", explanation=explanation)
    return [FailedStep(study, pipeline, failure, at=at) for study in studies]


def titles(update):
    return [each.title for each in update.messages]


def causes(announced, failures, successes=(), studies=STUDIES, **options):
    found = {(study, "labs"): at for study, at in dict(successes).items()}
    return with_causes(announced, failures, found, studies, AT, **options)


def stored(announced):
    """Return what is announced as a cursor gives it back."""
    again = Announced.from_json(json.loads(json.dumps(announced.as_json())))
    assert again == announced
    return again


THREE = [
    *failed(STUDIES[:20], "ValueError"),
    *failed(STUDIES[20:35], "KeyError"),
    *failed(STUDIES[35:], "Timeout"),
]


def test_three_causes_over_forty_studies_are_three_alerts_and_then_one_recovered_each():
    first = causes(Announced(), {"run1": THREE})
    assert titles(first) == [
        "20 studies failed: ValueError",
        "15 studies failed: KeyError",
        "5 studies failed: Timeout",
    ]
    again = causes(stored(first.announced), {"run1": THREE})
    assert again.messages == ()
    mended = causes(stored(again.announced), {"run1": THREE}, dict.fromkeys(STUDIES, 2.0))
    assert titles(mended) == [f"Recovered: {title}" for title in titles(first)]
    assert causes(mended.announced, {}).messages == ()


def test_an_alert_of_a_cause_says_what_where_and_which_studies_and_run():
    (message,) = causes(Announced(), {"0123456789ab": failed(["S01", "S02"], "KeyError")}).messages
    assert message.lines == (
        "KeyError (at labs.py:7 in labs)",
        "2 studies: S01, S02",
        "pipeline: labs",
        "run 01234567",
    )
    assert (message.run_id, message.at) == ("0123456789ab", "2026-03-01T06:00:00+00:00")


def test_a_cause_is_announced_again_for_each_run_but_recovers_once():
    first = causes(Announced(), {"run1": failed(STUDIES[:3], "KeyError")})
    failures = {
        "run1": failed(STUDIES[:3], "KeyError"),
        "run2": failed(STUDIES[:2], "KeyError", 2.0),
    }
    second = causes(first.announced, failures)
    assert titles(second) == ["2 studies failed: KeyError"]
    (cause,) = second.announced.causes.values()
    assert cause.runs == ("run1", "run2")  # S02 still fails as it did in the first
    mended = causes(second.announced, failures, dict.fromkeys(STUDIES[:3], 3.0))
    assert titles(mended) == ["Recovered: 2 studies failed: KeyError"]


def test_a_run_whose_failures_a_later_run_repeats_is_forgotten():
    steps = {"run1": failed(["S01"], "KeyError"), "run2": failed(["S01"], "KeyError", 2.0)}
    (cause,) = causes(Announced(), steps).announced.causes.values()
    assert cause.runs == ("run2",)


def test_a_cause_is_open_until_the_last_of_its_studies_has_succeeded():
    first = causes(Announced(), {"run1": failed(["S01", "S02"], "KeyError")})
    half = causes(first.announced, {"run1": failed(["S01", "S02"], "KeyError")}, {"S01": 2.0})
    assert (half.messages, half.announced) == ((), first.announced)


def test_a_retired_study_keeps_no_cause_open():
    steps = {"run1": failed(["S01"], "KeyError")}
    first = causes(Announced(), steps)
    assert titles(causes(first.announced, steps, studies=["S02"])) == [
        "Recovered: 1 study failed: KeyError"
    ]


def test_a_study_that_fails_for_another_cause_belongs_to_that_one():
    first = causes(Announced(), {"run1": failed(["S01"], "KeyError")})
    steps = {"run1": failed(["S01"], "KeyError"), "run2": failed(["S01"], "ValueError", 2.0)}
    second = causes(first.announced, steps)
    assert titles(second) == [
        "1 study failed: ValueError",
        "Recovered: 1 study failed: KeyError",
    ]


def test_a_failure_that_is_mended_before_anyone_looks_is_not_announced():
    steps = {"run1": failed(["S01"], "KeyError")}
    assert causes(Announced(), steps, {"S01": 2.0}).messages == ()


def test_a_consequence_of_another_failure_is_no_cause():
    steps = {"run1": failed(["S01"], "UpstreamFailed", explanation="sites")}
    assert causes(Announced(), steps).messages == ()


def test_an_undecided_cause_stays_open():
    steps = failed(["S01"], "RunEnded")
    first = causes(Announced(), {"run1": steps})
    identity = identity_of(causes_of(steps)[0])
    later = causes(first.announced, {"run1": []}, undecided=[identity])
    assert (later.messages, later.announced) == ((), first.announced)


def test_stale_studies_are_announced_together_and_each_once():
    pairs = {(study, table) for study in ("S01", "S02") for table in ("labs", "sites")}
    first = with_stale(Announced(), pairs, STUDIES, TABLES, DAY_AND_A_HALF, AT)
    (message,) = first.messages
    assert message.title == "2 studies without success for 36 h"
    assert message.lines == ("S01, S02: labs, sites",)
    more = with_stale(
        stored(first.announced), {*pairs, ("S03", "labs")}, STUDIES, TABLES, DAY_AND_A_HALF, AT
    )
    assert titles(more) == ["1 study without success for 36 h"]
    over = with_stale(more.announced, {("S03", "labs")}, STUDIES, TABLES, DAY_AND_A_HALF, AT)
    assert titles(over) == ["Recovered: 2 studies have succeeded again"]
    assert over.messages[0].lines == ("S01, S02: labs, sites",)


def test_a_retired_study_is_neither_stale_nor_recovered():
    first = with_stale(Announced(), {("S01", "labs")}, STUDIES, TABLES, DAY_AND_A_HALF, AT)
    gone = with_stale(first.announced, set(), ["S02"], TABLES, DAY_AND_A_HALF, AT)
    assert (gone.messages, gone.announced) == ((), Announced())


def test_a_table_that_is_gone_has_not_recovered():
    first = with_stale(Announced(), {("S01", "labs")}, STUDIES, TABLES, DAY_AND_A_HALF, AT)
    gone = with_stale(first.announced, set(), STUDIES, ["sites"], DAY_AND_A_HALF, AT)
    assert (gone.messages, gone.announced) == ((), Announced())


def test_many_causes_of_a_run_share_an_alert_beyond_the_twentieth():
    steps = [step for study in STUDIES for step in failed([study], f"Error{study}")]
    first = causes(Announced(), {"run1": steps})
    assert len(first.messages) == 21
    assert first.messages[-1].title == "20 studies failed for more causes"
    assert causes(stored(first.announced), {"run1": steps}).messages == ()
    mended = causes(first.announced, {"run1": steps}, dict.fromkeys(STUDIES, 2.0))
    assert len(mended.messages) == 21
    assert mended.messages[-1].title == "Recovered: 20 studies failed for more causes"


def test_a_failed_tick_is_announced_once_and_its_end_once():
    failure = RegistryFailure("StudyLossError", "The registry lacks 9 of 10 known studies.")
    first = with_registry(Announced(), failure, AT)
    assert titles(first) == ["study_registry_sensor failed: StudyLossError"]
    assert first.messages[0].lines[0] == failure.text
    assert with_registry(first.announced, failure, AT).messages == ()
    other = with_registry(first.announced, RegistryFailure("CredentialsError"), AT)
    assert titles(other) == ["study_registry_sensor failed: CredentialsError"]
    over = with_registry(stored(other.announced), None, AT)
    assert titles(over) == ["Recovered: study_registry_sensor works again (CredentialsError)"]
    assert with_registry(over.announced, None, AT).messages == ()


def test_missing_studies_return_or_are_retired():
    first = with_missing(Announced(), ["S01", "S02"], STUDIES, AT)
    assert titles(first) == ["2 studies are missing from iMednet"]
    assert with_missing(first.announced, ["S01", "S02"], STUDIES, AT).messages == ()
    over = with_missing(stored(first.announced), [], STUDIES[2:], AT)
    assert [(each.title, each.lines) for each in over.messages] == [
        ("Recovered: 1 study is listed by iMednet again", ("S02",)),
        ("Recovered: 1 missing study was retired", ("S01",)),
    ]


def test_a_failed_check_is_announced_for_each_run_until_the_study_passes():
    first = with_check(Announced(), "dictionary", {"run1": {"S01": "2 changes."}}, (), AT)
    assert titles(first) == ["Check dictionary: 1 study fails"]
    assert first.messages[0].lines == ("S01: 2 changes.",)
    again = with_check(stored(first.announced), "dictionary", {"run2": {"S01": ""}}, (), AT)
    assert titles(again) == ["Check dictionary: 1 study fails"]
    over = with_check(again.announced, "dictionary", {}, ["S01"], AT)
    assert titles(over) == ["Recovered: Check dictionary: 1 study passes again"]


def test_an_alert_is_cut_to_its_limits_and_holds_no_unseen_characters():
    lines = ["a\u202eb\x00c\nd", "x" * 2000, *["y" * 800] * 30]
    message = AlertMessage.make("test", "T" * 500, lines, AT)
    assert len(message.title) == 140
    assert message.lines[0] == "a?b?c d"
    assert len(message.lines[1]) == 900
    assert sum(map(len, message.lines)) < 6100
    assert message.lines[-1] == f"… and {len(lines) - len(message.lines) + 1} more lines"


@pytest.mark.parametrize("number", [20, 21])
def test_only_the_first_names_are_listed(number):
    message = with_missing(Announced(), STUDIES[:number], STUDIES, AT).messages[0]
    assert message.lines[0].endswith("S19" if number == 20 else "S19 and 1 more")
