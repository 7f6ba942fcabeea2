"""Module attributes that are imported on first use, and deprecated names of attributes."""

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
        package: Name of the package.
        homes: Its public names, each with the module that defines it, relative to the package.
        former: Deprecated names, as for :func:`former_names`; None for none.
    """
    renamed = former_names(package, former or {})

    def get(name: str) -> Any:
        if name not in homes:
            return renamed(name)
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return get, lambda: sorted(homes)


def former_names(module: str, former: Mapping[str, str]) -> Callable[[str], Any]:
    """Return ``__getattr__`` of a module in which the names of the previous release still work.

    Args:
        module: Name of the module.
        former: The names of the previous release, each with its current name.
    """

    def get(name: str) -> Any:
        if name not in former:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is now {module}.{former[name]}; "
            "the old name will be removed in the next release.",
            DeprecationWarning,
            stacklevel=3,
        )
        return getattr(sys.modules[module], former[name])

    return get
