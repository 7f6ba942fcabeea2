"""``Skip`` in the plain library: a success that says why there is nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets import Skip, study_pipeline
from orch_assets.errors import UnstorableValueError
from orch_assets_tests.orchestration.registries import execute


@given(st.text(max_size=400))
def test_a_reason_is_one_printable_line_of_at_most_200_characters(text):
    reason = Skip(text).reason
    assert len(reason) <= 200
    assert reason.isprintable()
    assert reason == " ".join(reason.split(" "))
    if len(text) > 200 and text.isprintable() and " " not in text:
        assert reason == f"{text[:199]}…"


@pytest.mark.parametrize("value", [["Jane Roe"], {"name": "Jane Roe"}, None, b"Jane Roe"])
def test_a_reason_that_is_not_text_is_refused_and_not_shown(value):
    """A table as the reason would show its first rows to everybody who sees the event."""
    with pytest.raises(UnstorableValueError, match="must be text") as caught:
        raise Skip(value)
    assert "Jane" not in str(caught.value)


def test_a_skipped_study_is_a_success_with_the_reason():
    def work(study_key, sdk, study_logger, days=1):
        if study_key == "A":
            raise Skip("no PK in this study")
        return days

    results = execute(work, "A", "B")
    assert results["A"] == {
        "status": "SUCCESS",
        "data": {"skipped": "no PK in this study"},
        "error": None,
        "duration_seconds": results["A"]["duration_seconds"],
    }
    assert results["B"]["data"] == 1


def test_an_async_pipeline_skips_likewise_and_nothing_is_retried():
    calls = []

    @study_pipeline(retries=3, retry_on=Exception)
    async def work(study_key, sdk, study_logger):
        calls.append(study_key)
        raise Skip("nothing to do")

    assert execute(work, "A")["A"]["data"] == {"skipped": "nothing to do"}
    assert calls == ["A"]


def test_a_marked_pipeline_is_called_only_for_its_studies():
    @study_pipeline(studies=["ONC-*"])
    def work(study_key, sdk, study_logger):
        return study_key

    results = execute(work, "ONC-1", "CARD-1")
    assert results["ONC-1"]["data"] == "ONC-1"
    assert results["CARD-1"]["data"] == {"skipped": "the pipeline is only for the studies ONC-*"}
