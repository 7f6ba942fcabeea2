"""The summary of a run with failed studies: each cause once, in a few lines."""

from hypothesis import given
from hypothesis import strategies as st

from orch_assets.orchestration.reporting.failure_summary import (
    FailedStep,
    causes_of,
    summarize_failures,
)
from orch_assets.orchestration.reporting.results import Failure

STUDIES = [f"CARD-{number}" for number in range(201, 213)]
PIPELINES = [f"pipeline_{number}" for number in range(13)]


def failed_step(
    study: str,
    pipeline: str,
    kind: str,
    explanation: str = "",
    place: str = "",
    report: str | None = None,
) -> FailedStep:
    failure = Failure(kind, explanation=explanation, place=place)
    return FailedStep(study, pipeline, failure, report)


def refused(study: str, pipeline: str, status: int = 403) -> FailedStep:
    text = (
        f"iMednet registry, /studies/{study}/{pipeline}, page 0: HTTP {status}: the keys may not "
        "read this."
    )
    report = f"s3://b/restricted/failures/r-1/{pipeline}/{study}.json"
    return failed_step(study, pipeline, "RegistryRefusedError", text, "http.py:150 in get", report)


def test_one_cause_over_12_studies_and_13_pipelines_is_a_few_short_lines() -> None:
    failed = [refused(study, pipeline) for study in STUDIES for pipeline in PIPELINES]
    lines = summarize_failures(failed, 12).splitlines()
    assert lines == [
        "12 of 12 studies failed:",
        f"- {failed[0].text}",
        f"  12 studies: {', '.join(STUDIES)}",
        f"  13 pipelines: {', '.join(PIPELINES)}",
        f"  failure report (the first of 156): {failed[0].report}",
    ]
    assert max(map(len, lines)) < 200


def test_names_that_take_too_much_room_are_counted() -> None:
    failed = [refused(f"{study}-{n}", "a") for n in range(10) for study in STUDIES]
    told = summarize_failures(failed, 120).splitlines()[2]
    assert told.startswith("  120 studies: CARD-201-0, CARD-202-0, ")
    assert told.endswith(" and 107 more")
    long = failed_step("S" * 300, "a", "E")
    assert f"study: {'S' * 300}" in summarize_failures([long], 1)


def test_what_failed_for_its_upstream_is_counted_and_no_cause() -> None:
    failed = [
        failed_step("S", "a", "ValueError", "", "a.py:3 in a", "file:///r/a/S.json"),
        failed_step("S", "b", "UpstreamFailed", "a"),
        failed_step("S", "c", "UpstreamFailed", "b"),
    ]
    assert summarize_failures(failed, 3).splitlines() == [
        "1 of 3 studies failed:",
        "- ValueError (at a.py:3 in a)",
        "  study: S",
        "  pipeline: a",
        "  failure report: file:///r/a/S.json",
        "2 more results are missing because an upstream failed.",
    ]


def test_another_status_place_type_or_name_is_another_cause() -> None:
    told = [
        ("ValueError", "", "a.py:3 in a"),
        ("ValueError", "", "a.py:4 in a"),
        ("TypeError", "", "a.py:3 in a"),
        ("KeyError", "'AGE'", "a.py:3 in a"),
        ("KeyError", "'SEX'", "a.py:3 in a"),
    ]
    failed = [failed_step("S", "a", *each) for each in told]
    failed += [refused("S", "a", 403), refused("S", "a", 404)]
    assert [len(cause.failures) for cause in causes_of(failed)] == [1] * 7


def test_counts_pages_and_addresses_make_no_other_cause() -> None:
    texts = [
        f"iMednet registry, /studies/{study}/sites, page {page}: {page} of {page + 1} rows for "
        f"{study}, see arn:aws:states:us-east-1:{page}:execution:x"
        for page, study in enumerate(["A/1", "S", "ONC-301"])
    ]
    failed = [
        failed_step(key, "sites", "IncompleteTableError", text, "paging.py:33 in read")
        for key, text in zip(["A/1", "S", "ONC-301"], texts, strict=True)
    ]
    (cause,) = causes_of(failed)
    assert cause.studies == ["A/1", "S", "ONC-301"]


def test_what_failed_most_comes_first_and_many_causes_are_counted() -> None:
    failed = [failed_step("S", "a", "E", "", f"a.py:{line} in a") for line in range(25)]
    failed += [failed_step(study, "b", "E", "", "b.py:1 in b") for study in STUDIES]
    lines = summarize_failures(failed, 13).splitlines()
    assert lines[1] == "- E (at b.py:1 in b)"
    assert lines[-1] == "- 6 more causes: see the errors in the run's log"
    assert len(lines) == 1 + 20 * 3 + 1


def test_a_text_of_any_length_keeps_its_place() -> None:
    failed = failed_step("S", "a", "ValueError", "x\n" * 10_000, "a.py:3 in a")
    told = summarize_failures([failed], 1)
    assert len(told.splitlines()) == 4
    assert len(told) < 1000
    assert "(at a.py:3 in a)" in told


NAMES = st.text(min_size=1, max_size=60)


@given(
    failed=st.lists(
        st.builds(failed_step, NAMES, NAMES, st.sampled_from(["E", "UpstreamFailed"]), NAMES),
        min_size=1,
        max_size=200,
    )
)
def test_every_failure_belongs_to_one_cause_or_to_its_upstream(failed: list[FailedStep]) -> None:
    """Every failure is counted exactly once, whatever the names of studies and the texts."""
    own = [each for each in failed if not each.is_consequence]
    told = [each for cause in causes_of(failed) for each in cause.failures]
    assert sorted(told, key=repr) == sorted(own, key=repr)
    studies = len({each.study_key for each in failed})
    assert summarize_failures(failed, 999).startswith(f"{studies} of 999 studies failed:")
