"""Finds study pipelines: marked functions, by themselves or in the modules of packages.

A broken pipeline doesn't affect the others. A file that can't be imported, or a pipeline that can't
be part of the code location, becomes an asset that fails for each study with the reason. All other
pipelines load normally.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import dagster as dg

from orch_assets.defs.broken_files import cause_of, line_of, names_in
from orch_assets.defs.graph import check_buildable
from orch_assets.defs.runs.interrupts import record_interrupts
from orch_assets.defs.state_machines.deployments import deployment_key, takes_all
from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.defining.pipeline_checks import check_resources
from orch_assets.orchestration.ordering import name_problem
from orch_assets.orchestration.pipeline import StudyPipeline, pipeline_of

# A package, a module or a marked function; and one or several of them.
Source = ModuleType | Callable[..., Any]
Sources = Source | Iterable[Source]

# Assets of the code location that aren't pipelines, and the artifacts of erased studies.
_RESERVED: Final = frozenset({"study_results", "erasures"})

_BROKEN: Final = "broken"
_BROKEN_BECAUSE: Final = "Broken: "


@dataclass(frozen=True)
class BrokenFunction:
    """Takes the place of a pipeline that can't be run, and fails for each study.

    Attributes:
        reason: The file, the line and the cause, in one sentence without data values.
    """

    reason: str

    def __call__(self, study_key: str, sdk: Any, study_logger: Any) -> None:  # noqa: ARG002
        """Raise an error with the reason."""
        raise PipelineDefinitionError(self.reason)


@dataclass(frozen=True)
class _BrokenFile:
    """A file that can't be imported: its module's name, what its text declares, and why."""

    module: str
    declared: Sequence[str]
    reason: str


def discover_pipelines(
    sources: Sources,
    resources: Collection[str] | None = None,
    *,
    left_out: Container[str] = (),
) -> list[StudyPipeline]:
    """Return the pipelines of packages, modules and functions, in order.

    A package's pipelines are those that its modules define, by module and order of definition, and
    those of the packages in it. Pipelines that a module imports from elsewhere are left out. A
    broken pipeline, or a file that can't be imported, is replaced by a pipeline that fails for each
    study; :func:`broken_pipelines` returns which ones these are. The replacement of a file has the
    name of its module. The pipelines that its text declares are replaced too, so that pipelines
    that depend on them fail as their dependants.

    Args:
        sources: A package, a module or a marked function, or several of them.
        resources: Keys of the resources, to check each pipeline's IO manager; None skips the check.
        left_out: Names of shipped pipelines that the code location leaves out.

    Raises:
        PipelineDefinitionError: A source is none of these.
    """
    loaded, broken_files = _loaded(sources)
    pipelines = _with_unique_names(loaded, resources)
    claims = {claim for each in pipelines for claim in _claims(each)}
    used = _RESERVED | {name for kind, name in claims if kind == "asset"}
    replacements: list[StudyPipeline] = []
    for file in broken_files:
        for asset in dict.fromkeys([file.module, *file.declared]):
            if asset not in used or asset == file.module:
                replacements.append(_replacement(_unused_name(asset, used), file.reason))
                used |= {replacements[-1].name}
    return _with_upstreams([*pipelines, *replacements], left_out)


def marked_pipelines(sources: Sources) -> list[StudyPipeline]:
    """Return the pipelines of packages, modules and functions as they are marked, unchecked.

    Files that can't be imported are left out.
    """
    return _loaded(sources)[0]


def as_sources(sources: Sources) -> list[Source]:
    """Return one source, or several, as a list."""
    is_one = isinstance(sources, ModuleType | str) or callable(sources)
    return [sources] if is_one else list(sources)  # type: ignore[list-item, arg-type]


def broken_pipelines(pipelines: Iterable[StudyPipeline]) -> dict[str, str]:
    """Return the reason of each broken pipeline, by name."""
    return {
        each.name: each.function.reason
        for each in pipelines
        if isinstance(each.function, BrokenFunction)
    }


def broken_reason(spec: dg.AssetSpec) -> str | None:
    """Return why the asset's pipeline is broken; None if it isn't."""
    is_broken = spec.kinds == {_BROKEN}
    return str(spec.description).removeprefix(_BROKEN_BECAUSE) if is_broken else None


# --- files ---


def _loaded(sources: Sources) -> tuple[list[StudyPipeline], list[_BrokenFile]]:
    loaded: list[StudyPipeline] = []
    broken: list[_BrokenFile] = []
    for source in as_sources(sources):
        if isinstance(source, ModuleType):
            pipelines, broken_files = _in_module(source.__name__)
            loaded += pipelines
            broken += broken_files
        else:
            loaded.append(_marked(source))
    # A function may be listed twice, or have a second name in its module.
    return list({id(each): each for each in loaded}.values()), broken


def _marked(source: object) -> StudyPipeline:
    pipeline = _pipeline_or_none(source)
    if isinstance(pipeline, StudyPipeline):
        return pipeline
    name = getattr(source, "__qualname__", repr(source))
    kind = "a function without @study_pipeline" if callable(source) else type(source).__name__
    raise PipelineDefinitionError(
        f"pipelines has {name}, which is {kind}. Give packages, modules, or functions that are "
        "marked with @study_pipeline."
    )


def _in_module(name: str) -> tuple[list[StudyPipeline], list[_BrokenFile]]:
    """Return the pipelines of a module and, if it is a package, of the modules in it.

    Raises:
        Exception: See :func:`_load`. Only for the module itself, not for one in it.
    """
    module, found = _load(name)
    broken: list[_BrokenFile] = []
    path = getattr(module, "__path__", ())
    for each in sorted(pkgutil.iter_modules(path), key=lambda each: each.name):
        if each.name == "__main__":  # a command: importing it would run it
            continue
        try:
            inner, inner_broken = _in_module(f"{name}.{each.name}")
        except Exception as error:  # noqa: BLE001 - a user's file can raise anything
            broken.append(_broken_file(name, each, error))
        else:
            found += inner
            broken += inner_broken
    return found, broken


def _broken_file(package: str, module: pkgutil.ModuleInfo, error: Exception) -> _BrokenFile:
    folder = Path(str(getattr(module.module_finder, "path", "")))
    file = folder / (f"{module.name}/__init__.py" if module.ispkg else f"{module.name}.py")
    inner = f"{module.name}/{file.name}" if module.ispkg else file.name
    display_name = f"{package.rpartition('.')[2]}/{inner}"
    reason = f"{line_of(error, file, display_name)}: {cause_of(error, file)}"
    return _BrokenFile(module.name, names_in(file), reason)


def _load(name: str) -> tuple[ModuleType, list[StudyPipeline]]:
    """Import a module; return it, and the pipelines that it defines.

    Raises:
        Exception: The exception that its import raised. One that isn't an Exception, such as
            SystemExit, becomes the cause of an ImportError. A real Ctrl-C is raised unchanged.
    """
    with record_interrupts() as interrupts:
        try:
            module = importlib.import_module(name)
            members = [_pipeline_or_none(member) for member in list(vars(module).values())]
        except Exception:
            if interrupts:
                raise KeyboardInterrupt from None
            raise
        except BaseException as error:
            if interrupts:
                raise
            raise ImportError from error
    return module, [
        each
        for each in members
        if isinstance(each, StudyPipeline) and each.function.__module__ == module.__name__
    ]


def _pipeline_or_none(member: object) -> object:
    """Return the pipeline of a marked function, else None; a proxy object may raise when read."""
    with suppress(Exception):
        return pipeline_of(member)
    return None


# --- pipelines ---


def _with_unique_names(
    loaded: Sequence[StudyPipeline], resources: Collection[str] | None
) -> list[StudyPipeline]:
    """Return the pipelines, replacing those with a duplicate name or an invalid definition.

    Of several pipelines with the same name, the one in the module of that name keeps it, else the
    first.
    """
    owners: dict[tuple[str, str], StudyPipeline | None] = {
        ("asset", name): None for name in _RESERVED
    }
    for each in sorted(loaded, key=lambda each: _module(each) != each.name):
        for claim in _claims(each):
            owners.setdefault(claim, each)
    used = {name for kind, name in owners if kind == "asset"}
    pipelines: list[StudyPipeline] = []
    for each in loaded:
        conflict = next((claim for claim in _claims(each) if owners[claim] is not each), None)
        if conflict is not None:
            kind, name = conflict
            owner = owners[conflict]
            holder = owner.place if owner else "the code location"
            reason = f"{each.place}: {holder} has the {kind} {name}, too. Rename one."
            owns_name = owners["asset", each.name] is each
            new_name = each.name if owns_name else _unused_name(_module(each), used)
            pipelines.append(_replacement(new_name, reason))
            used.add(pipelines[-1].name)
            continue
        try:
            check_buildable(each)
            check_resources(each, resources)
        except Exception as error:  # noqa: BLE001 - Dagster rejects definitions with many types
            pipelines.append(_broken(each, " ".join(str(error).split()), used))
        else:
            pipelines.append(each)
    return pipelines


def _with_upstreams(
    pipelines: Sequence[StudyPipeline], left_out: Container[str]
) -> list[StudyPipeline]:
    """Return the pipelines, with replacements for those with a missing or circular upstream."""
    by_name = {each.name: each for each in pipelines}
    checked = []
    for each in pipelines:
        # A study graph can't use the results of a pipeline that runs after it, for all its studies.
        known = [n for n, other in by_name.items() if takes_all(each) or not takes_all(other)]
        missing = [name for name in each.upstreams if name not in known]
        problem: str | None
        if missing and missing[0] in left_out:
            problem = (
                f"Pipeline {each.name} takes the shipped pipeline {missing[0]}, which this code "
                "location leaves out. Add it to `shipped`."
            )
        else:
            problem = name_problem(each, known)
        if problem is None and (cycle := _cycle(each, by_name)):
            problem = f"The pipelines' upstreams form a cycle: {' → '.join(cycle)}."
        checked.append(each if problem is None else _broken(each, problem, ()))
    return checked


def _cycle(start: StudyPipeline, by_name: dict[str, StudyPipeline]) -> list[str] | None:
    """Return a path from a pipeline through its upstreams back to itself; None if there is none."""
    paths = [[start.name, name] for name in start.upstreams]
    visited: set[str] = set()
    for path in paths:  # the loop appends to the list
        if path[-1] == start.name:
            return path
        if path[-1] in by_name and path[-1] not in visited:
            visited.add(path[-1])
            paths += [[*path, name] for name in by_name[path[-1]].upstreams]
    return None


def _claims(pipeline: StudyPipeline) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of everything that must be unique to this pipeline."""
    yield "asset", pipeline.name
    if pipeline.machine is not None:
        yield "asset", deployment_key(pipeline).to_user_string()
        yield "state machine", pipeline.machine.name or pipeline.name


def _broken(pipeline: StudyPipeline, problem: str, used: Iterable[str]) -> StudyPipeline:
    replacement = _replacement(pipeline.name, f"{pipeline.place}: {problem}")
    if not _is_buildable(replacement):  # Dagster rejects the name
        replacement = replace(replacement, name=_unused_name(f"{pipeline.name}_pipeline", used))
    return replace(replacement, on_request=pipeline.on_request)


def _replacement(name: str, reason: str) -> StudyPipeline:
    return StudyPipeline(
        BrokenFunction(reason), name, (), description=f"{_BROKEN_BECAUSE}{reason}", kinds=(_BROKEN,)
    )


def _is_buildable(pipeline: StudyPipeline) -> bool:
    try:
        check_buildable(pipeline)
    except Exception:  # noqa: BLE001 - Dagster rejects definitions with many types
        return False
    return True


def _unused_name(name: str, used: Iterable[str]) -> str:
    """Return a valid asset name that isn't in use: this one, if possible."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    candidates = chain([name, f"{name}_file"], (f"{name}_file{number}" for number in count(2)))
    return next(
        each for each in candidates if each not in used and _is_buildable(_replacement(each, ""))
    )


def _module(pipeline: StudyPipeline) -> str:
    return str(pipeline.function.__module__).rpartition(".")[2]
