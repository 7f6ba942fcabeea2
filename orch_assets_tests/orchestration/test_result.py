"""The failure that describes an exception."""

import linecache
import traceback

import pytest

from orch_assets.errors import StudyKeyError
from orch_assets.orchestration.reporting.results import describe_failure
from orch_assets.study import check_study_key


def raised(error):
    try:
        raise error  # noqa: TRY301 - its traceback is what is tested
    except BaseException as caught:  # noqa: BLE001 - whatever was given
        return caught


def test_a_failure_has_what_may_be_logged_and_what_may_not():
    failure = describe_failure(raised(ValueError("Ms Jones")))
    assert failure.error == "ValueError: Ms Jones"
    assert failure.loggable.startswith("ValueError (at test_result.py:")
    assert "in raised" in failure.loggable
    assert "Jones" not in failure.loggable
    assert "Ms Jones" in failure.trace


def test_the_text_of_our_own_errors_may_be_logged_where_we_raised_them():
    with pytest.raises(StudyKeyError) as ours:
        check_study_key("A/B")
    here = describe_failure(ours.value, raised)  # whose file has the literal
    assert here.loggable.startswith(
        "StudyKeyError: Study key 'A/B' holds '/', which no partition key can carry. (at study.py:"
    )
    assert describe_failure(ours.value).loggable.startswith(
        "StudyKeyError: Study key … holds '/', which no partition key can carry. (at study.py:"
    )
    theirs = describe_failure(raised(StudyKeyError("Ms Jones", "is here")))
    assert theirs.loggable.startswith("StudyKeyError (at test_result.py:")


def test_an_exception_that_was_never_raised_has_no_place():
    assert describe_failure(KeyError("x")).loggable == "KeyError"


def test_a_traceback_that_cannot_be_formatted_is_its_stack(monkeypatch):
    def fail(*_args, **_kwargs):
        raise SystemError("AST constructor recursion depth mismatch")

    monkeypatch.setattr(traceback, "format_exception", fail)
    failure = describe_failure(raised(ValueError("x")))
    assert failure.error == "ValueError: x"
    assert failure.trace.endswith("in raised\n")


def test_source_that_cannot_be_read_does_not_hide_the_failure(monkeypatch):
    def fail(*_args, **_kwargs):
        raise SystemExit("no source")

    error = raised(ValueError("x"))
    with monkeypatch.context() as broken:
        broken.setattr(linecache, "checkcache", fail)
        failure = describe_failure(error)
    assert failure.error == "ValueError: x"
    assert failure.place.endswith(" in raised")
    assert failure.trace.endswith(" in raised\n")


def test_half_a_character_in_a_text_is_escaped() -> None:
    """UTF-8 can't encode it, so the failure report could not be written."""
    failure = describe_failure(raised(ValueError("half \ud800")))
    assert failure.message == r"half \ud800"
    assert r"half \ud800" in failure.trace
    for text in (failure.error, failure.loggable, failure.trace):
        text.encode()


def test_an_exception_that_refuses_to_be_asked_is_described() -> None:
    class ClosedError(Exception):
        def __getattribute__(self, name: str) -> object:
            raise RuntimeError

    def pipeline() -> None:
        raise ClosedError

    try:
        pipeline()
    except BaseException as error:  # noqa: BLE001 - pytest would ask it
        failure = describe_failure(error, pipeline)
    assert failure.loggable.startswith("ClosedError")
