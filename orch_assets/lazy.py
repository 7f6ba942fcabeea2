"""Names of modules that are looked up when they are first used."""

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def attributes_of(
    package: str, homes: Mapping[str, str], former: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package that imports its names on first use.

    Args:
        package: the package's own name.
        homes: its public names, each with the module that defines it, named from the package on.
        former: as :func:`former_names` has it; None for none.
    """
    renamed = former_names(package, former or {})

    def get(name: str) -> Any:
        if name not in homes:
            return renamed(name)
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return get, lambda: sorted(homes)


def former_names(module: str, former: Mapping[str, str]) -> Callable[[str], Any]:
    """Return ``__getattr__`` of a module whose names of the release before go on working.

    Args:
        module: the module's own name.
        former: the names of the release before, each with today's name.
    """

    def get(name: str) -> Any:
        if name not in former:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is now {module}.{former[name]}; "
            "the old name goes with the next release.",
            DeprecationWarning,
            stacklevel=3,
        )
        return getattr(sys.modules[module], former[name])

    return get
