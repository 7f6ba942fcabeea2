"""Types and places of exceptions, shown only with names that occur in a source file.

A pipeline can turn a value into the name of a type, function or file: by ``type(value, …)``,
``exec()`` or ``compile()``. Such names are left out: a type is shown as its nearest base class
whose name is in a source file, a place as the nearest frame that is in a module's file.
"""

import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path, PurePath
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

from orch_assets.errors import OrchAssetsError
from orch_assets.orchestration.reporting.known_names import KnownNames, names_in

_PACKAGE: Final = Path(__file__).parents[2]
_PIPELINES: Final = _PACKAGE / "pipelines"  # shipped or the user's: their texts may quote data

# A traceback often ends deep in pandas or json; the useful line is the last one outside libraries.
_LIBRARIES: Final = (
    "<frozen ",  # the import system
    *(path for name in ("stdlib", "purelib", "platlib") if (path := sysconfig.get_path(name))),
)

# Python's names for unnamed code.
_NAMELESS: Final = {"<module>", "<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}

# The built-in members: a metaclass may override them.
_name_of: Any = type.__dict__["__name__"].__get__
_qualified_name_of: Any = type.__dict__["__qualname__"].__get__
_mro_of: Any = type.__dict__["__mro__"].__get__


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return an exception's traceback from the built-in member, which a class may override."""
    own: TracebackType | None = BaseException.__dict__["__traceback__"].__get__(error)
    return own


def frames_of(error: BaseException) -> list[tuple[FrameType, int]]:
    """Return the frames that an exception passed through, outermost first, each with its line."""
    return list(traceback.walk_tb(traceback_of(error)))


def safe_type_name(kind: type, known: KnownNames) -> str:
    """Return the name of a type or, if it isn't in the type's source, of the nearest base class."""
    name: str = next(_name_of(each) for each in _mro_of(kind) if _is_in_source(each, known))
    return name


def place_of(error: BaseException, pipeline_file: str | None) -> str:
    """Return where an exception was raised, such as ``labs.py:32 in labs``; "" if unknown.

    Args:
        error: The exception.
        pipeline_file: The pipeline's file; its frames count, however it was loaded.
    """
    frames = [
        (frame.f_code, line)
        for frame, line in frames_of(error)
        if frame.f_code.co_filename == pipeline_file or _is_of_a_module(frame)
    ]
    own = [each for each in frames if not each[0].co_filename.startswith(_LIBRARIES)]
    if not frames:
        return ""
    code, line = (own or frames)[-1]
    place = f"{PurePath(code.co_filename).name}:{line}"
    return f"{place} in {code.co_name}" if _is_named_in_its_file(code) else place


def is_ours(error: BaseException) -> bool:
    """Return whether this package raised the error: a pipeline may raise our classes, too."""
    kind = type(error)
    if not (issubclass(kind, OrchAssetsError) and _module_has(kind)):
        return False
    frames: Sequence[FrameType] = [each for each, _ in frames_of(error)]
    return bool(frames) and _is_our_code(frames[-1]) and kind.__module__.startswith("orch_assets.")


def _is_our_code(frame: FrameType) -> bool:
    file = Path(frame.f_code.co_filename)
    ours = file.is_relative_to(_PACKAGE) and not file.is_relative_to(_PIPELINES)
    return ours and _is_of_a_module(frame)


def _is_of_a_module(frame: FrameType) -> bool:
    """Return whether a frame's code belongs to a loaded module and is from that module's file."""
    module = sys.modules.get(str(frame.f_globals.get("__name__")))
    return (
        module is not None
        and vars(module) is frame.f_globals
        and getattr(module, "__file__", None) == frame.f_code.co_filename
    )


def _is_named_in_its_file(code: CodeType) -> bool:
    return code.co_name in _NAMELESS or code.co_name in names_in(code.co_filename).identifiers


def _is_in_source(kind: type, known: KnownNames) -> bool:
    name, module = _name_of(kind), _module_of(kind)
    file = getattr(module, "__file__", None)
    if name in known.identifiers:
        return True
    if isinstance(file, str) and file.endswith(".py"):
        in_source = name in names_in(file).identifiers
        # A library may create its types in a loop; their names are not our data.
        return in_source or (file.startswith(_LIBRARIES) and _module_has(kind))
    return _module_has(kind)


def _module_of(kind: type) -> Any:
    name = vars(kind).get("__module__", "builtins")
    return sys.modules.get(name) if type(name) is str else None


def _module_has(kind: type) -> bool:
    """Return whether a type is what its module holds under its qualified name."""
    member = _module_of(kind)
    for part in _qualified_name_of(kind).split("."):
        member = getattr(member, "__dict__", {}).get(part)
    return member is kind
