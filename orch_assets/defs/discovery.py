"""Finds the study pipelines of a package: one module, one or more marked functions.

What is broken costs nobody else anything: a file that can't be imported, or a pipeline that can't
be part of the code location, becomes an asset that fails for each study and says why. The others
load as if it were not there.
"""

import importlib
import pkgutil
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from orch_assets.defs.broken_files import cause_of, line_of, names_in
from orch_assets.defs.graph import check_buildable
from orch_assets.defs.runs.interrupts import noting_interrupts
from orch_assets.defs.state_machines.deployments import deployment_key, takes_all
from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.pipeline import StudyPipeline, pipeline_of

# Assets of the code location that are no pipelines.
_TAKEN: Final = frozenset({"study_results"})


@dataclass(frozen=True)
class BrokenFunction:
    """Stands for a pipeline that can't be run; fails for each study.

    Attributes:
        reason: the file, the line and the cause, in one sentence without data values.
    """

    reason: str

    def __call__(self, study_key: str, sdk: Any, study_logger: Any) -> None:  # noqa: ARG002
        """Raise the reason."""
        raise PipelineDefinitionError(self.reason)


def discover_pipelines(
    package: ModuleType, resources: Container[str] | None = None
) -> list[StudyPipeline]:
    """Return the pipelines that a package's modules define, by module and order of definition.

    A pipeline that a module imports from elsewhere is not its own and is left out. In the place of
    a broken pipeline, and of a file that can't be imported, stands one that fails for each study;
    :func:`broken_pipelines` tells which those are. An imported file that stays broken is named
    after the module; the pipelines that its text declares stand beside it, so that what takes them
    fails as their dependant.
    """
    found: list[StudyPipeline] = []
    files: list[tuple[str, Sequence[str], str]] = []
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
        file = _file(module)
        try:
            found += _load(f"{package.__name__}.{module.name}")
        except Exception as error:  # noqa: BLE001 - whatever somebody's file does at import
            inner = f"{module.name}/{file.name}" if module.ispkg else file.name
            shown = f"{package.__name__.rpartition('.')[2]}/{inner}"
            reason = f"{line_of(error, file, shown)}: {cause_of(error, file)}"
            files.append((module.name, names_in(file), reason))
    sound = _one_of_each_name(found, resources)
    taken = _TAKEN | {name for each in sound for kind, name in _claims(each) if kind == "asset"}
    stands: list[StudyPipeline] = []
    for name, declared, reason in files:
        for asset in dict.fromkeys([name, *declared]):
            if asset not in taken or asset == name:
                stands.append(_stand_in(_free(asset, taken), reason))
                taken |= {stands[-1].name}
    return _with_upstreams([*sound, *stands])


def broken_pipelines(pipelines: Iterable[StudyPipeline]) -> dict[str, str]:
    """Return why pipelines are broken, by name; empty when all are sound."""
    return {
        each.name: each.function.reason
        for each in pipelines
        if isinstance(each.function, BrokenFunction)
    }


# --- files ---


def _file(module: pkgutil.ModuleInfo) -> Path:
    folder = Path(str(getattr(module.module_finder, "path", "")))
    return folder / (f"{module.name}/__init__.py" if module.ispkg else f"{module.name}.py")


def _load(name: str) -> list[StudyPipeline]:
    """Import a module; return its own pipelines.

    Raises:
        Exception: whatever its import raised; what isn't an Exception, such as SystemExit, is the
            cause of an ImportError. A real Ctrl-C is raised as it is.
    """
    with noting_interrupts() as interrupts:
        try:
            module = importlib.import_module(name)
            members = [_mark(member) for member in list(vars(module).values())]
        except Exception:
            if interrupts:
                raise KeyboardInterrupt from None
            raise
        except BaseException as error:
            if interrupts:
                raise
            raise ImportError from error
    return [
        each
        for each in members
        if isinstance(each, StudyPipeline) and each.function.__module__ == module.__name__
    ]


def _mark(member: object) -> object:
    """Return what ``@study_pipeline`` noted; a proxy of something else may refuse to be asked."""
    with suppress(Exception):
        return pipeline_of(member)
    return None


# --- pipelines ---


def _one_of_each_name(
    found: Sequence[StudyPipeline], resources: Container[str] | None
) -> list[StudyPipeline]:
    """Return the pipelines; of those that share a name, and of unsound ones, a stand-in.

    The name is kept by the pipeline of the module that bears it, else by the first.
    """
    owners: dict[tuple[str, str], StudyPipeline | None] = {("asset", name): None for name in _TAKEN}
    for each in sorted(found, key=lambda each: _module(each) != each.name):
        for claim in _claims(each):
            owners.setdefault(claim, each)
    taken = {name for kind, name in owners if kind == "asset"}
    chosen: list[StudyPipeline] = []
    for each in found:
        lost = next((claim for claim in _claims(each) if owners[claim] is not each), None)
        if lost is not None:
            kind, name = lost
            owner = owners[lost]
            who = f"{_place(owner)} has" if owner else "the code location has"
            reason = f"{_place(each)}: {who} the {kind} {name}, too. Rename one."
            own = owners["asset", each.name] is each
            chosen.append(_stand_in(each.name if own else _free(_module(each), taken), reason))
            taken.add(chosen[-1].name)
            continue
        try:
            check_buildable(each)
            _check_io_manager(each, resources)
        except Exception as error:  # noqa: BLE001 - Dagster's many refusals of a definition
            chosen.append(_broken(each, " ".join(str(error).split()), taken))
        else:
            chosen.append(each)
    return chosen


def _check_io_manager(pipeline: StudyPipeline, resources: Container[str] | None) -> None:
    key = pipeline.io_manager_key
    if resources is not None and key not in resources:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name}: io_manager_key is {key!r}, and definitions.py has no such "
            "resource."
        )


def _with_upstreams(pipelines: Sequence[StudyPipeline]) -> list[StudyPipeline]:
    """Return the pipelines; a stand-in for one that takes what isn't there, or takes itself."""
    by_name = {each.name: each for each in pipelines}
    chosen = []
    for each in pipelines:
        # A study graph can't take what is made of all studies of an earlier run.
        known = [n for n, other in by_name.items() if takes_all(each) or not takes_all(other)]
        missing = [name for name in each.upstreams if name not in known]
        if missing:
            fault = (
                f"Pipeline {each.name} takes a parameter {missing[0]!r}, and no pipeline has that "
                f"name. Give it a default if it is none. Pipelines: {', '.join(sorted(known))}."
            )
            chosen.append(_broken(each, fault, ()))
        elif cycle := _cycle(each, by_name):
            fault = f"The pipelines' upstreams form a cycle: {' → '.join(cycle)}."
            chosen.append(_broken(each, fault, ()))
        else:
            chosen.append(each)
    return chosen


def _cycle(start: StudyPipeline, by_name: dict[str, StudyPipeline]) -> list[str] | None:
    """Return a way from a pipeline through its upstreams back to itself."""
    ways = [[start.name, name] for name in start.upstreams]
    seen: set[str] = set()
    for way in ways:  # grows as it goes
        if way[-1] == start.name:
            return way
        if way[-1] in by_name and way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, name] for name in by_name[way[-1]].upstreams]
    return None


def _claims(pipeline: StudyPipeline) -> Iterator[tuple[str, str]]:
    """Yield what none but this pipeline may have: the kind of thing and its name."""
    yield "asset", pipeline.name
    if pipeline.machine is not None:
        yield "asset", deployment_key(pipeline).to_user_string()
        yield "state machine", pipeline.machine.name or pipeline.name


def _broken(pipeline: StudyPipeline, fault: str, taken: Iterable[str]) -> StudyPipeline:
    stand = _stand_in(pipeline.name, f"{_place(pipeline)}: {fault}")
    if not _can_be(stand):  # it is the name that Dagster refuses
        stand = replace(stand, name=_free(f"{pipeline.name}_pipeline", taken))
    return replace(stand, on_request=pipeline.on_request)


def _stand_in(name: str, reason: str) -> StudyPipeline:
    return StudyPipeline(
        BrokenFunction(reason), name, (), description=f"Broken: {reason}", kinds=("broken",)
    )


def _can_be(pipeline: StudyPipeline) -> bool:
    try:
        check_buildable(pipeline)
    except Exception:  # noqa: BLE001 - as above
        return False
    return True


def _free(name: str, taken: Iterable[str]) -> str:
    """Return a name that an asset can have and that none has: this one, if possible."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    tries = chain([name, f"{name}_file"], (f"{name}_file{number}" for number in count(2)))
    return next(each for each in tries if each not in taken and _can_be(_stand_in(each, "")))


def _module(pipeline: StudyPipeline) -> str:
    return str(pipeline.function.__module__).rpartition(".")[2]


def _place(pipeline: StudyPipeline) -> str:
    """Return the file and line where a pipeline is defined, as a person would name them."""
    code = getattr(pipeline.function, "__code__", None)
    file = f"{'/'.join(str(pipeline.function.__module__).split('.')[-2:])}.py"
    return f"{file}, line {code.co_firstlineno}" if code else file
