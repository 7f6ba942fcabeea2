"""An error shows the name that was not found if the source contains it, and never a value."""

import functools
import importlib.util
import uuid
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orch_assets.orchestration.reporting.known_names import (
    KnownNames,
    names_known_to,
    table_columns,
)
from orch_assets.orchestration.reporting.results import describe_failure
from orch_assets_tests.orchestration.lookups import LOOKUPS

SOURCE = '''
"""A pipeline, with `comment` and "docstring" words."""
import json as j
from collections.abc import Mapping
# in_a_comment
ESCAPED, RAW, F, BYTES = "tab\\t", r"raw\\d", f"{j}_formatted", b"bytes"

def pipeline(study_key, sdk, study_logger):
    frame = {"AESTDAT": 1, 'it"s': 2}
    for a in frame:
        sdk.subjetcs.list(key=a)
    return frame["AEENDAT"] + undefined_thing + """long
text"""
'''


def function_of(folder: Path, source: str, name: str = "pipeline"):
    """Return a function of a module with this source."""
    path = folder / f"m{uuid.uuid4().hex}.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


@pytest.fixture
def pipeline(tmp_path: Path):
    return function_of(tmp_path, SOURCE)


def told(error: BaseException, function) -> str:
    """Return what an error's text shows between type and place."""
    try:
        raise error  # noqa: TRY301
    except BaseException as raised:  # noqa: BLE001
        text = describe_failure(raised, function).loggable
    return text.removeprefix(type(error).__name__).partition(" (at ")[0].removeprefix(": ")


def test_the_names_of_a_source_file_by_what_they_stand_for(pipeline) -> None:
    names = names_known_to(pipeline)
    assert {"pipeline", "frame", "undefined_thing", "a", "study_logger"} <= names.identifiers
    assert names.attributes == {"abc", "subjetcs", "list"}
    assert {"json", "collections", "collections.abc"} <= names.modules
    assert names.strings == {
        'A pipeline, with `comment` and "docstring" words.',
        r"raw\d",
        "AESTDAT",
        'it"s',
        "AEENDAT",
        "long\ntext",
    }


def test_a_name_that_the_source_has_is_told(pipeline) -> None:
    """A misspelt name is shown if the pipeline's file contains it, so that it can't be data."""
    assert told(KeyError("AEENDAT"), pipeline) == "'AEENDAT'"
    assert told(AttributeError(name="subjetcs"), pipeline) == "'subjetcs'"
    assert told(NameError(name="undefined_thing"), pipeline) == "'undefined_thing'"
    assert told(ModuleNotFoundError(name="collections.abc"), pipeline) == "'collections.abc'"
    assert told(ImportError(name="json"), pipeline) == "'json'"


def test_a_column_of_the_registrys_tables_is_told(pipeline) -> None:
    assert told(KeyError("subject_key"), pipeline) == "'subject_key'"
    assert told(AttributeError(name="record_data"), pipeline) == "'record_data'"


def test_the_message_names_it_before_the_place(pipeline) -> None:
    with pytest.raises(KeyError) as caught:
        LOOKUPS["key"]("AESTDAT")
    text = describe_failure(caught.value, pipeline).loggable
    assert text.startswith("KeyError: 'AESTDAT' (at lookups.py:")


@pytest.mark.parametrize(
    "error",
    [
        KeyError("a"),  # a variable's name is no literal
        KeyError("frame"),
        KeyError("AE"),  # a part of a literal
        KeyError("in_a_comment"),
        KeyError("_formatted"),
        KeyError(5),
        KeyError(("AESTDAT",)),
        KeyError(),
        KeyError("['AESTDAT'] not in index"),  # pandas' sentences
        AttributeError(name="a"),  # a variable's name is no attribute
        AttributeError("AESTDAT"),  # a text, and no name
        AttributeError(name="planted"),
        NameError(name="AESTDAT"),
        ImportError(name="frame"),
        ImportError(name="collections.planted"),
        ValueError("AESTDAT"),
        LookupError("AESTDAT"),
    ],
    ids=repr,
)
def test_anything_else_is_told_by_type_and_place_alone(pipeline, error: BaseException) -> None:
    assert told(error, pipeline) == ""


class Text(str):
    """A string that equals everything."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True


class OverriddenError(KeyError, AttributeError):
    """An error that overrides its members."""

    @property
    def name(self):
        raise RuntimeError("planted")

    args = property(lambda self: ("AESTDAT",))

    def __repr__(self) -> str:
        raise SystemExit


def test_what_an_error_says_of_itself_is_not_relied_on(pipeline) -> None:
    assert told(KeyError(Text("AESTDAT")), pipeline) == ""
    assert told(OverriddenError("planted"), pipeline) == ""


@pytest.mark.parametrize("source", [None, "def pipeline(:\n", "x = '''\n", "\xff"])
def test_a_source_that_can_not_be_read_has_no_names(tmp_path: Path, source: str | None) -> None:
    function = function_of(tmp_path, SOURCE)
    path = Path(function.__code__.co_filename)
    if source is None:
        path.unlink()
    else:
        path.write_bytes(source.encode("latin-1"))
    assert names_known_to(function) == KnownNames()
    assert told(KeyError("AESTDAT"), function) == ""


def test_a_function_in_a_wrapper_is_looked_for_where_it_is_defined(tmp_path: Path) -> None:
    inner = function_of(tmp_path, SOURCE)

    @functools.wraps(inner)
    def wrapper(*args):
        return inner(*args)

    assert told(KeyError("AESTDAT"), wrapper) == "'AESTDAT'"
    assert told(KeyError("AESTDAT"), functools.partial(inner)) == ""
    assert told(KeyError("AESTDAT"), None) == ""


@pytest.mark.parametrize("lookup", LOOKUPS.values(), ids=LOOKUPS)
@given(value=st.text(min_size=1))
@settings(deadline=None)
def test_a_value_is_never_told_whatever_looks_for_it(lookup, value: str) -> None:
    """A lookup by a data value, of whatever kind, shows type and place only."""
    names = names_known_to(lookup)
    assume(value not in names.strings | names.identifiers | table_columns())
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whichever it is
        lookup(value)
    failure = describe_failure(caught.value, lookup)
    assert failure.explanation == ""
    assert failure.loggable.startswith(f"{caught.type.__name__} (at ")


def test_everything_is_told_of_made_up_data(pipeline) -> None:
    error = ValueError("subject 001-007")
    assert (
        describe_failure(error, pipeline, show_all=True).loggable == "ValueError: subject 001-007"
    )
