"""Names that an error may tell because they can't be data: those of the pipeline's own source.

A ``KeyError`` names what was looked for. That is most often a slip of the pen in the pipeline, and
may as well be a value of a row. So a name is told where the pipeline's source file has it as a
whole token of the fitting kind, or where it is a column of one of the registry's tables.
"""

import functools
import inspect
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class KnownNames:
    """The names that a source file has, by what they stand for.

    Attributes:
        identifiers: every name.
        attributes: names after a dot.
        modules: what import statements name, and the packages above: ``a.b`` and ``a``.
        strings: whole literals of text; none with an escape, and no f-string.
    """

    identifiers: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    strings: frozenset[str] = frozenset()

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


def names_known_to(function: Callable[..., Any]) -> KnownNames:
    """Return the names in the file that a function is defined in; none where it can't be read."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return _names_in(code.co_filename) if code else KnownNames()


@functools.cache
def table_columns() -> frozenset[str]:
    """Return the columns of all tables of the registry."""
    from orch_assets.registry import models
    from orch_assets.registry.fields import fields_of

    rows = [
        each
        for each in vars(models).values()
        if isinstance(each, type) and issubclass(each, models.RegistryRow)
    ]
    return frozenset({field.name for row in rows for field in fields_of(row)} | {"extra"})


@functools.cache
def _names_in(file: str) -> KnownNames:
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
