"""What can be said of a file of pipelines that can't be imported: where, why, and what it declares.

The text of an exception may quote what the file read at its import, a key among it. It is shown
where the source itself has it word for word, and where each of its words is the source's or one of
those that Python's own sentences are made of.
"""

import builtins
import re
import traceback
from pathlib import Path
from typing import Final

from orch_assets.orchestration.reporting.exception_sources import is_ours

# Their texts are most often Python's own sentences about names.
_OF_NAMES: Final = (ImportError, NameError, AttributeError, KeyError, TypeError)
_WORD: Final = re.compile(r"\w+")
_OF_PYTHON: Final = frozenset(
    _WORD.findall(
        "a an and another are argument arguments as async at attribute attributes awaitable base "
        "be because but call callable can cannot circular class concatenate context convert "
        "defined did does due expected for free from function generator given got has have if "
        "implement import in index indices initialized instance instances int integer integers is "
        "iterable it its item keyword keywords likely list manager mean method missing module "
        "most multiple must name named no not NoneType object of one only operand operator or "
        "package parent partially positional protocol referenced relative required s scope slices "
        "str string subscriptable supported supports takes the to top tuple type types unexpected "
        "unhashable unpack unsupported use value values variable was were where with without you"
    )
)
_COUNT: Final = re.compile(r"\b\d+ (?=(?:required |positional |keyword)|arguments?\b|was\b|were\b)")
_DECLARED: Final = re.compile(
    r"^@study_pipeline\b(?P<arguments>.*?)^(?:async\s+)?def\s+(?P<function>\w+)",
    re.MULTILINE | re.DOTALL,
)
_NAME: Final = re.compile(r"\bname\s*=\s*[\"'](\w+)[\"']")
_QUOTED: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def names_in(file: Path) -> list[str]:
    """Return the names of the pipelines that a file's text declares, in its order."""
    names = []
    for found in _DECLARED.finditer(_text(file)):
        given = _NAME.search(found["arguments"])
        names.append(given[1] if given else found["function"])
    return names


def line_of(error: BaseException, file: Path, shown: str) -> str:
    """Return the file and the line where its import failed.

    Args:
        error: that its import raised.
        file: the file.
        shown: how it is named to people.
    """
    error = _raised(error)
    if isinstance(error, SyntaxError) and _is_of_a_file(error):
        name = shown if Path(str(error.filename)) == file else Path(str(error.filename)).name
        return f"{name}, line {error.lineno}" if error.lineno else name
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return f"{shown}, line {lines[-1]}" if lines else shown


def cause_of(error: BaseException, file: Path) -> str:
    """Return an exception's type, and its text where that shows nothing but source."""
    error = _raised(error)
    kind, text = type(error).__name__, _said(error)
    if isinstance(error, SyntaxError) and _is_of_a_file(error):
        text = str(error.msg)
    elif not (text and _shows_source_only(error, text, _text(file))):
        return f"{kind}."
    return f"{kind}: {text.rstrip('.')}."


def _raised(error: BaseException) -> BaseException:
    """Return the SystemExit or the like that an ImportError stands for."""
    cause = error.__cause__
    return cause if cause is not None and not isinstance(cause, Exception) else error


def _is_of_a_file(error: SyntaxError) -> bool:
    """Whether it is about a source file, and not about code that is made as it runs."""
    return error.filename is not None and Path(error.filename).is_file()


def _said(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())
    except BaseException:  # noqa: BLE001 - a broken __str__ must not take the location down
        return ""


def _shows_source_only(error: BaseException, text: str, source: str) -> bool:
    if is_ours(error) or text in source:
        return True
    if not isinstance(error, _OF_NAMES):
        return False
    if isinstance(error, ImportError) and error.path:
        text = text.replace(f"({error.path})", "")
    quoted = [one or other for one, other in _QUOTED.findall(text)]
    words = _WORD.findall(_COUNT.sub("", _QUOTED.sub("", text)))
    known = _OF_PYTHON | set(_WORD.findall(source))
    names = all(each in source or hasattr(builtins, each) for each in quoted)
    return names and all(each in known or each.lower() in known for each in words)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
