"""Files of a user's own repository, written into a folder that Python can import from."""

import importlib
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

HEAD = "from orch_assets import study_pipeline\n"


def pipeline(name: str, *upstreams: str, arguments: str = "", body: str = "return 1") -> str:
    """Return the text of a pipeline."""
    parameters = ", ".join(["study_key", "sdk", "study_logger", *upstreams])
    mark = f"@study_pipeline({arguments})" if arguments else "@study_pipeline"
    return f"{mark}\ndef {name}({parameters}):\n    {body}\n"


def write_package(folder: Path, name: str, files: dict[str, str]) -> None:
    """Write modules of a package, each by its name with dots; folders become packages."""
    for module, text in {"__init__": "", **files}.items():
        *folders, stem = module.split(".")
        place = folder / name
        for each in folders:
            place /= each
            place.mkdir(parents=True, exist_ok=True)
            if not (place / "__init__.py").exists():
                (place / "__init__.py").write_text("")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{stem}.py").write_text(text)


@contextmanager
def packages(folder: Path) -> Iterator[Callable[..., ModuleType]]:
    """Give what writes and imports packages with names of their own; forget them at the end."""
    made: list[str] = []

    def make(**files: str) -> ModuleType:
        made.append(f"trials_{uuid.uuid4().hex}")
        write_package(folder, made[-1], files)
        importlib.invalidate_caches()
        return importlib.import_module(made[-1])

    sys.path.insert(0, str(folder))
    try:
        yield make
    finally:
        sys.path.remove(str(folder))
        for name in [each for each in sys.modules if each.partition(".")[0] in made]:
            del sys.modules[name]
