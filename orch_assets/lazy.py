"""What is made on first use: attributes of modules and of objects; and deprecated names."""

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property as cached_property  # noqa: PLC0414 - exported
else:

    class cached_property:  # noqa: N801 - the name of what it replaces
        """``functools.cached_property`` as it is since Python 3.12.

        That of Python 3.11 has one lock for all objects of a class: while the attribute of one
        study is made, perhaps from a file or an answer of iMednet, all other studies wait.
        """

        def __init__(self, make: Callable[[Any], Any]) -> None:
            self._make = make
            self.__doc__ = make.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = instance.__dict__[self._name] = self._make(instance)
            return value


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
