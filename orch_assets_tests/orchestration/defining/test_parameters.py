"""The parameters of a pipeline's function: upstream, optional upstream, setting or resource."""

from datetime import date, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets import study_pipeline
from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.defining.pipeline_checks import timeout_seconds
from orch_assets.orchestration.ordering import in_dependency_order
from orch_assets.orchestration.pipeline import pipeline_of

if TYPE_CHECKING:
    from nowhere import Unknown


class Mode(Enum):
    """A choice."""

    FAST = 1


def marked(function, **options):
    return pipeline_of(study_pipeline(**options)(function))


def test_each_parameter_is_what_its_default_and_annotation_say():
    def work(
        study_key,
        sdk,
        study_logger,
        a,
        b: "pa.Table | None" = None,
        c: pd.DataFrame | None = None,
        d=None,
        e: Any = None,
        f: "Unknown" = None,
        *args,
        days: int = 3,
        since: date | None = None,
        mode=Mode.FAST,
        text: "str" = "",
        mailer: Annotated[Any, "resource_param"],
        previous=None,
        **kwargs,
    ):
        """Work."""

    pipeline = marked(work, incremental=True)
    assert pipeline.upstreams == ("a", "b", "c", "d", "e", "f")
    assert pipeline.optional == ("b", "c", "d", "e", "f")
    assert [each.name for each in pipeline.settings] == ["days", "since", "mode", "text"]
    assert pipeline.resources == ("mailer",)
    assert [pipeline.table_type(name) for name in "abc"] == [
        "pandas.DataFrame",
        "pyarrow.Table",
        "pandas.DataFrame",
    ]


def test_the_help_is_the_line_of_the_docstring():
    def work(study_key, sdk, study_logger, a=1, b=2, c=3, d=4):  # noqa: D417 - d has no help
        """Work.

        More: not a parameter.

        Args:
            study_key: The study.
            a: What a is: one,
                or two.
            b (int): What b is.

            c:
                What c is.

        Returns:
            d: Nothing.
        """

    assert [each.help for each in marked(work).settings] == [
        "What a is: one, or two.",
        "What b is.",
        "What c is.",
        "",
    ]


def with_dict(study_key, sdk, study_logger, days={}):  # noqa: B006
    """Have a default of no type."""


def with_numbers(study_key, sdk, study_logger, days: list[int] = ()):
    """Have an annotation of no type."""


def with_wrong_default(study_key, sdk, study_logger, days: int = "x"):
    """Have a default of another type."""


def with_secret(study_key, sdk, study_logger, sftp_password="x"):
    """Have a secret as a setting."""


def with_key(study_key, sdk, study_logger, api_key: str = ""):
    """Have a key as a setting."""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (with_dict, "days has a default, so it is a setting, but the type of its default can't"),
        (with_numbers, r"its annotation can't be used. Use int, float, str, bool, .* list\[str\]"),
        (with_wrong_default, "the default of the setting days must be a whole number"),
        (with_secret, "sftp_password would be shown in the UI .* dagster.ConfigurableResource"),
        (with_key, "api_key would be shown"),
    ],
)
def test_what_can_be_none_of_them_is_refused(function, said):
    with pytest.raises(PipelineDefinitionError, match=said):
        study_pipeline(function)


def test_a_harmless_name_is_no_secret():
    def work(study_key, sdk, study_logger, subject_key="x", tokenize=False, monkey=1):
        """Have names that only look like secrets."""

    assert len(marked(work).settings) == 3


def subjects(study_key, sdk, study_logger):
    """Give subjects."""


def misspelt(study_key, sdk, study_logger, subject):
    """Take an unknown upstream."""


def misspelt_optional(study_key, sdk, study_logger, subject=None):
    """Take an unknown optional upstream."""


def same_name(study_key, sdk, study_logger, subjects=3):
    """Have a setting with the name of a pipeline."""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (misspelt, "no pipeline has that name. Did you mean `subjects`?"),
        (misspelt_optional, "annotate it, such as `subject: int | None = None`"),
        (same_name, "setting 'subjects', which is also the name of a pipeline"),
    ],
)
def test_a_wrong_name_is_an_error_with_file_and_line(function, said):
    with pytest.raises(PipelineDefinitionError) as raised:
        in_dependency_order([marked(subjects), marked(function)])
    assert said in str(raised.value)
    line = function.__code__.co_firstlineno
    assert f"defining/test_parameters.py, line {line}: " in str(raised.value)


@pytest.mark.parametrize("incremental", [False, True])
def test_previous_is_neither_an_upstream_nor_a_setting(incremental):
    """So a pipeline stays right whose option incremental is removed."""

    def work(study_key, sdk, study_logger, a, *, previous=None):
        """Work."""

    pipeline = marked(work, incremental=incremental)
    assert (pipeline.upstreams, pipeline.optional, pipeline.settings) == (("a",), (), ())


def test_a_pure_pipeline_takes_no_resource():
    def work(study_key, sdk, study_logger, a, mailer: Annotated[Any, "resource_param"]):
        """Take both."""

    with pytest.raises(PipelineDefinitionError, match="neither machine, reconciled nor a resource"):
        study_pipeline(pure=True)(work)


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(None, None), (5, 5), (0.5, 0.5), ("90s", 90), ("10m", 600), ("2h", 7200), ("1.5h", 5400)],
)
def test_a_timeout_is_seconds_or_a_duration(timeout, seconds):
    assert timeout_seconds("work", timeout) == seconds
    assert marked(subjects, timeout=timeout).timeout == seconds


@given(st.timedeltas(min_value=timedelta(microseconds=1)))
def test_a_timeout_may_be_any_positive_timedelta(timeout):
    assert timeout_seconds("work", timeout) == timeout.total_seconds()


@given(st.integers(1, 10**6), st.sampled_from("smh"), st.sampled_from(["", " "]))
def test_a_duration_is_a_number_and_a_unit(number, unit, space):
    seconds = number * {"s": 1, "m": 60, "h": 3600}[unit]
    assert timeout_seconds("work", f"{number}{space}{unit}") == seconds


@given(st.text())
def test_any_text_is_a_duration_or_an_error_that_tells_how_to_write_one(text):
    try:
        assert timeout_seconds("work", text) > 0
    except PipelineDefinitionError as error:
        assert 'text such as "90s", "10m" or "2h"' in str(error)  # noqa: PT017
