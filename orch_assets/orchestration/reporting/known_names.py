"""Names that an error may tell because they can't be data: those of the pipeline's own source.

A ``KeyError`` names what was looked for. That is most often a slip of the pen in the pipeline, and
may as well be a value of a row. So a name is told where the pipeline's source file has it as a
whole token of the fitting kind, or where it is a column of one of the registry's tables.

The same goes for names in our own errors, events and metadata, of columns, tables of a set,
artifacts, studies and types: there any token of the source will do, and the study's own key.
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

# Columns that tables get from us: keys of partitions, levels of an index without a name.
_OUR_COLUMNS: Final = re.compile(r"study_key|partition_key|value|__index_level_[0-9]+__")


@dataclass(frozen=True)
class KnownNames:
    """The names that a source file has, by what they stand for.

    Attributes:
        identifiers: every name.
        attributes: names after a dot.
        modules: what import statements name, and the packages above: ``a.b`` and ``a``.
        strings: whole literals of text; none with an escape, and no f-string.
        others: names that are known beside the file's, such as assets'.
        everything: whether no name is data, since all data is made up.
        variables: returns the study's open variables, as far as they are known by then.
    """

    identifiers: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    strings: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    everything: bool = False
    variables: Callable[[], Collection[str]] = tuple

    def knows(self, name: str) -> bool:
        """Whether a name of any kind can't be data; of an artifact's, each of its parts."""
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
        """Return the name that an error is about; None where it may be data, or there is none.

        It knows ImportError, NameError, AttributeError, KeyError and what is derived from them.
        """
        # The built-in class's own member: a subclass may have put anything in its place.
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
        # Text itself, nothing derived from it, which could compare as it likes.
        return name if type(name) is str and name in known else None


def file_of(function: Callable[..., Any] | None) -> str | None:
    """Return the file that a function is defined in; None for what is no Python function."""
    code = getattr(inspect.unwrap(function), "__code__", None) if function else None
    return code.co_filename if code else None


def names_known_to(function: Callable[..., Any] | None) -> KnownNames:
    """Return the names in the file that a function is defined in; none where it can't be read."""
    file = file_of(function)
    return names_in(file) if file else KnownNames()


_here: ContextVar[KnownNames | None] = ContextVar("orch_assets_known_names", default=None)


@contextlib.contextmanager
def allow_names(
    function: Callable[..., Any],
    others: Iterable[str] = (),
    variables: Callable[[], Collection[str]] = tuple,
    *,
    everything: bool = False,
) -> Iterator[None]:
    """Work for a pipeline: inside, :func:`current_known_names` answers what may be named.

    Args:
        function: the pipeline.
        others: names that are known beside those of its file.
        variables: returns the study's open variables, as far as they are known by then.
        everything: whether all data is made up.
    """
    known = replace(
        names_known_to(function),
        others=frozenset(others),
        variables=variables,
        everything=everything,
    )
    token = _here.set(known)
    try:
        yield
    finally:
        _here.reset(token)


def current_known_names() -> KnownNames | None:
    """Return the names that the pipeline at work here may tell; None outside of one."""
    return _here.get()


@functools.cache
def table_columns() -> frozenset[str]:
    """Return the columns of all tables of the registry."""
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
    """Return the names in a source file; none where it can't be read."""
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
    """Yield each token with the text before it and, in an import, the dotted name so far.

    Not by ``ast``: it fails in CPython 3.11 now and then when another thread parses too.
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
    """Return the text of a string literal that is written as it is."""
    prefix = literal[: min(literal.index(quote) for quote in "'\"" if quote in literal)].lower()
    quoted = literal[len(prefix) :]
    marks = 3 if quoted[:3] in {"'''", '"""'} else 1
    text = quoted[marks:-marks]
    as_it_is = prefix in {"", "u"} and "\\" not in text
    return [text] if as_it_is or prefix == "r" else []
