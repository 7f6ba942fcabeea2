"""Describes a pipeline file that can't be imported: where and why it fails, and what it declares.

The text of an exception may quote data that the file read during its import, such as an API key. So
the text is shown only if it occurs literally in the source, or if each of its words occurs in the
source or in Python's own messages.
"""

import builtins
import re
import traceback
from pathlib import Path
from typing import Final

from orch_assets.orchestration.reporting.exception_sources import is_ours

# Exceptions whose texts are usually Python's own sentences about names.
_NAME_ERRORS: Final = (ImportError, NameError, AttributeError, KeyError, TypeError)
_WORD: Final = re.compile(r"\w+")
_PYTHON_WORDS: Final = frozenset(
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
    """Return the names of the pipelines that a file's text declares, in order."""
    names = []
    for declaration in _DECLARED.finditer(_text(file)):
        argument = _NAME.search(declaration["arguments"])
        names.append(argument[1] if argument else declaration["function"])
    return names


def line_of(error: BaseException, file: Path, display_name: str) -> str:
    """Return the file and the line where its import failed.

    Args:
        error: The exception that the import raised.
        file: The imported file.
        display_name: Name of the file in messages.
    """
    error = _original(error)
    if isinstance(error, SyntaxError) and _is_in_a_file(error):
        error_file = Path(str(error.filename))
        name = display_name if error_file == file else error_file.name
        return f"{name}, line {error.lineno}" if error.lineno else name
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return f"{display_name}, line {lines[-1]}" if lines else display_name


def cause_of(error: BaseException, file: Path) -> str:
    """Return an exception's type, and its text if that reveals nothing but source code."""
    error = _original(error)
    kind, text = type(error).__name__, _message(error)
    if isinstance(error, SyntaxError) and _is_in_a_file(error):
        text = str(error.msg)
    elif not (text and _shows_source_only(error, text, _text(file))):
        return f"{kind}."
    return f"{kind}: {text.rstrip('.')}."


def _original(error: BaseException) -> BaseException:
    """Return the SystemExit or similar that was wrapped in an ImportError, else the error."""
    cause = error.__cause__
    return cause if cause is not None and not isinstance(cause, Exception) else error


def _is_in_a_file(error: SyntaxError) -> bool:
    """Return whether the error is in a source file, and not in code generated at run time."""
    return error.filename is not None and Path(error.filename).is_file()


def _message(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())
    except BaseException:  # noqa: BLE001 - a broken __str__ must not break the code location
        return ""


def _shows_source_only(error: BaseException, text: str, source: str) -> bool:
    if is_ours(error) or text in source:
        return True
    if not isinstance(error, _NAME_ERRORS):
        return False
    if isinstance(error, ImportError) and error.path:
        text = text.replace(f"({error.path})", "")
    quoted = [single or double for single, double in _QUOTED.findall(text)]
    words = _WORD.findall(_COUNT.sub("", _QUOTED.sub("", text)))
    known = _PYTHON_WORDS | set(_WORD.findall(source))
    names_are_known = all(each in source or hasattr(builtins, each) for each in quoted)
    return names_are_known and all(each in known or each.lower() in known for each in words)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
