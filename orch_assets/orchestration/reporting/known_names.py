"""Names that an error may show because they can't be data: those in the pipeline's own source.

A ``KeyError`` names the key that was not found. That is usually a typing error in the pipeline, but
it may be a value of a row. So the name is shown only if the pipeline's source file contains it as a
whole token of the matching kind, or if it is a column of an iMednet table.

The same applies to the names of columns, tables of a set, artifacts, studies and types in the
package's own errors, events and metadata. There, any token of the source counts, and so does the
study's own key.
"""

import contextlib
import functools
import inspect
import re
import tokenize
from collections.abc import Callable, Collection, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from orch_assets.study import get_current_study

# Columns that this package adds to tables: partition keys, levels of an unnamed index.
_OUR_COLUMNS: Final = re.compile(r"study_key|partition_key|value|__index_level_[0-9]+__")


@dataclass(frozen=True)
class KnownNames:
    """The names in a source file, by kind.

    Attributes:
        identifiers: Every name.
        attributes: Names after a dot.
        modules: Modules in import statements and their parent packages: ``a.b`` and ``a``.
        strings: Whole string literals, without f-strings and literals that contain an escape.
        others: Further known names, such as names of assets.
        everything: Whether every name is known because all data is made up.
        variables: Returns the study's open variables that are known at the time of the call.
    """

    identifiers: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    strings: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    everything: bool = False
    variables: Callable[[], Collection[str]] = tuple

    def knows(self, name: str) -> bool:
        """Return whether a name of any kind can't be data; an artifact's is checked by part."""
        return self.everything or self._knows(name) or all(map(self._knows, name.split("/")))

    def _knows(self, name: str) -> bool:
        return (
            name in self.identifiers
            or name in self.strings
            or name in self.others
            or name in table_columns()
            or name == get_current_study()
            or _OUR_COLUMNS.fullmatch(name) is not None
            or name in self.variables()
        )

    def name_in(self, error: BaseException) -> str | None:
        """Return the name that an error is about; None if there is none or it may be data.

        Supports ImportError, NameError, AttributeError, KeyError and their subclasses.
        """
        # The built-in class's own member: a subclass may have overridden it.
        if isinstance(error, KeyError):
            arguments = BaseException.__dict__["args"].__get__(error)
            name, known = arguments[0] if arguments else None, self.strings | table_columns()
        elif isinstance(error, AttributeError):
            name = AttributeError.__dict__["name"].__get__(error)
            known = self.attributes | self.strings | table_columns()
        elif isinstance(error, ImportError):
            name = ImportError.__dict__["name"].__get__(error)
            known = self.modules | self.strings
        elif isinstance(error, NameError):
            name, known = NameError.__dict__["name"].__get__(error), self.identifiers
        else:
            return None
        # Only str itself: a subclass may define its own comparison.
        return name if type(name) is str and name in known else None


def file_of(function: Callable[..., Any] | None) -> str | None:
    """Return the file that a function is defined in; None if it is not a Python function."""
    code = getattr(inspect.unwrap(function), "__code__", None) if function else None
    return code.co_filename if code else None


def names_known_to(function: Callable[..., Any] | None) -> KnownNames:
    """Return the names in a function's file; no names if it can't be read."""
    file = file_of(function)
    return names_in(file) if file else KnownNames()


# A context variable, not an attribute of the run: log formatters, IO managers and Python's hooks
# for uncaught exceptions need the names, and none of them receives an object of the run.
_current: ContextVar[KnownNames | None] = ContextVar("orch_assets_known_names", default=None)


@contextlib.contextmanager
def allow_names(
    function: Callable[..., Any],
    others: Iterable[str] = (),
    variables: Callable[[], Collection[str]] = tuple,
    *,
    everything: bool = False,
) -> Iterator[None]:
    """Set what :func:`current_known_names` returns while a pipeline runs inside the block.

    Args:
        function: The pipeline.
        others: Known names other than those in the pipeline's file.
        variables: Returns the study's open variables that are known at the time of the call.
        everything: Whether all data is made up.
    """
    known = replace(
        names_known_to(function),
        others=frozenset(others),
        variables=variables,
        everything=everything,
    )
    token = _current.set(known)
    try:
        yield
    finally:
        _current.reset(token)


def current_known_names() -> KnownNames | None:
    """Return the names that the running pipeline may show; None outside a pipeline."""
    return _current.get()


@functools.cache
def table_columns() -> frozenset[str]:
    """Return the columns of all iMednet tables."""
    from orch_assets.imednet import models
    from orch_assets.imednet.fields import fields_of

    rows = [
        each
        for each in vars(models).values()
        if isinstance(each, type) and issubclass(each, models.RegistryRow)
    ]
    return frozenset({field.name for row in rows for field in fields_of(row)} | {"extra"})


@functools.cache
def names_in(file: str) -> KnownNames:
    """Return the names in a source file; no names if it can't be read."""
    identifiers, attributes, modules, strings = set(), set(), set(), set()
    try:
        for token, before, chain in _tokens(file):
            if token.type == tokenize.NAME:
                identifiers.add(token.string)
                attributes.update([token.string] if before == "." else [])
                modules.update([chain] if chain else [])
            elif token.type == tokenize.STRING:
                strings.update(_text_of(token.string))
    except (OSError, SyntaxError, UnicodeError, tokenize.TokenError):
        return KnownNames()
    return KnownNames(
        frozenset(identifiers), frozenset(attributes), frozenset(modules), frozenset(strings)
    )


def _tokens(file: str) -> Iterator[tuple[tokenize.TokenInfo, str, str]]:
    """Yield each token with the text of the previous token and, in an import, the dotted name.

    Does not use ``ast``, which occasionally fails in CPython 3.11 when another thread parses too.
    """
    before, chain, first = "", "", ""
    with Path(file).open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type in {tokenize.COMMENT, tokenize.NL}:
                continue
            first = first or token.string.strip()
            is_name = token.type == tokenize.NAME and first in {"import", "from"}
            if is_name:
                chain = f"{chain}.{token.string}" if before == "." and chain else token.string
            elif token.string != ".":
                chain = ""
            yield token, before, chain if is_name else ""
            before = token.string
            if token.type == tokenize.NEWLINE:
                first = ""


def _text_of(literal: str) -> list[str]:
    """Return the text of a string literal in a list; an empty list if the literal has escapes."""
    prefix = literal[: min(literal.index(quote) for quote in "'\"" if quote in literal)].lower()
    quoted = literal[len(prefix) :]
    marks = 3 if quoted[:3] in {"'''", '"""'} else 1
    text = quoted[marks:-marks]
    is_plain = prefix in {"", "u"} and "\\" not in text
    return [text] if is_plain or prefix == "r" else []
