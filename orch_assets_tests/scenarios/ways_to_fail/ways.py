"""Ways for a pipeline to fail with data in its message: one function and one study for each.

The data is a text of the way's own, put together when it runs, so that no source file has it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

FOUND = re.compile(rb"(?i)planted_(\w+?)_planted")


@dataclass(frozen=True)
class Way:
    """A way to fail.

    Attributes:
        function: takes the planted text; fails, or returns what can't be stored.
        error: how the error in the study's event begins; None where the study succeeds.
        reported: whether the failure report has the text.
        shows: whether the text is to be seen, because the pipeline's own code shows it.
        by: the pipeline that takes this way.
    """

    function: Callable[..., Any]
    error: str | None
    reported: bool
    shows: bool
    by: str

    @property
    def name(self) -> str:
        """The function's name; the way's study has it, too."""
        return self.function.__name__

    @property
    def text(self) -> str:
        """The data."""
        mark = "planted"
        return f"{mark}_{self.name}_{mark}"


WAYS: dict[str, Way] = {}


def way(
    error: str | None, *, reported: bool = True, shows: bool = False, by: str = "plain"
) -> Callable[[F], F]:
    """Return a decorator that notes a function as a way to fail."""

    def note(function: F) -> F:
        assert function.__name__ not in WAYS
        WAYS[function.__name__] = Way(function, error, reported and error is not None, shows, by)
        return function

    return note
