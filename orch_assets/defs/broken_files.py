"""What can be said of a file of pipelines that can't be imported: where, why, and what it declares.

The text of an exception may quote what the file read at its import, a key among it. It is shown
where Python wrote it from the source, and where the source itself has it word for word.
"""

import re
import traceback
from pathlib import Path
from typing import Final

from orch_assets.errors import OrchAssetsError

# Their texts are Python's own, and quote names.
_OF_NAMES: Final = (ImportError, NameError, AttributeError, KeyError, TypeError)
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
    if isinstance(error, SyntaxError) and error.filename:
        name = shown if Path(error.filename) == file else Path(error.filename).name
        return f"{name}, line {error.lineno}" if error.lineno else name
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return f"{shown}, line {lines[-1]}" if lines else shown


def cause_of(error: BaseException, file: Path) -> str:
    """Return an exception's type, and its text where that shows nothing but source."""
    error = _raised(error)
    kind, text = type(error).__name__, _said(error)
    if isinstance(error, SyntaxError):
        text = str(error.msg)
    elif not (text and _shows_source_only(error, text, _text(file))):
        return f"{kind}."
    return f"{kind}: {text.rstrip('.')}."


def _raised(error: BaseException) -> BaseException:
    """Return the SystemExit or the like that an ImportError stands for."""
    cause = error.__cause__
    return cause if cause is not None and not isinstance(cause, Exception) else error


def _said(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())
    except BaseException:  # noqa: BLE001 - a broken __str__ must not take the location down
        return ""


def _shows_source_only(error: BaseException, text: str, source: str) -> bool:
    if isinstance(error, OrchAssetsError) or text in source:
        return True
    quoted = [one or other for one, other in _QUOTED.findall(text)]
    return isinstance(error, _OF_NAMES) and all(each in source for each in quoted)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
