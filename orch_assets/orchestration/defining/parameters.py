"""What the parameters of a pipeline's function are: upstreams, settings or resources."""

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.defining.setting_types import (
    SETTING_TYPES,
    SettingType,
    annotated_type,
    type_of_default,
)

_LEADING: Final = ("study_key", "sdk", "study_logger")
# The parameter that receives the previous result of an incremental pipeline.
PREVIOUS: Final = "previous"
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

# Classes of Dagster whose subclasses are resources.
_RESOURCES: Final = frozenset({"ConfigurableResourceFactory", "TreatAsResourceParam"})

# A setting is shown in the launchpad, in events and in manifests, so it can't be one of these.
_SECRETS: Final = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|token|credentials?|(api|access|private|security)_?key)s?(_|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Setting:
    """A parameter of a pipeline that a user may set.

    Attributes:
        name: Name of the parameter.
        type: Type of its values.
        default: Its default.
        help: What the docstring says about it, in one line; "" for nothing.
    """

    name: str
    type: SettingType
    default: Any
    help: str = ""


@dataclass(frozen=True)
class PipelineParameters:
    """The parameters of a pipeline's function after ``study_key, sdk, study_logger``.

    Attributes:
        upstreams: Names of upstream pipelines, in order.
        optional: Those of the upstreams whose parameter is None if they were skipped.
        settings: The settings, in order.
        resources: Keys of the Dagster resources that the function receives.
    """

    upstreams: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    resources: tuple[str, ...] = ()


def parameters_of(function: Callable[..., Any], name: str) -> PipelineParameters:
    """Return what the parameters of a function are.

    ``previous=None`` is none of them: it receives the previous result of an incremental pipeline,
    and keeps None in any other.

    A parameter that is annotated with a Dagster resource is the resource with its name. Any other
    parameter without a default is an upstream. One whose default is None is an upstream, too,
    unless its annotation is a type of settings, such as ``int | None``. All others are settings.

    Raises:
        PipelineDefinitionError: The first three parameters aren't ``study_key, sdk,
            study_logger``, an upstream is positional-only, or a parameter can be none of these.
    """
    upstreams, optional, resources, settings = [], [], [], []
    helps = dict(_helps(inspect.getdoc(function) or ""))
    for parameter in _further(function, name):
        key, default = parameter.name, parameter.default
        annotation = _annotation(function, parameter)
        if key == PREVIOUS and default is None:
            continue
        if _is_resource(annotation):
            resources.append(key)
        elif default is inspect.Parameter.empty:
            upstreams.append(key)
        elif default is None and annotated_type(annotation) is None:
            upstreams.append(key)
            optional.append(key)
        else:
            settings.append(_setting(name, parameter, annotation, helps.get(key, "")))
    return PipelineParameters(tuple(upstreams), tuple(optional), tuple(settings), tuple(resources))


def has_previous(function: Callable[..., Any], name: str) -> bool:
    """Return whether a function has the keyword parameter ``previous=None``."""
    return any(
        each.name == PREVIOUS and each.kind in _NAMED and each.default is None
        for each in _signature(function, name)
    )


def _signature(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise PipelineDefinitionError(f"Pipeline {name} is not a function: {error}.") from error


def _further(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    """Return the named parameters after the first three."""
    parameters = _signature(function, name)
    leading = tuple(parameter.name for parameter in parameters[: len(_LEADING)])
    if leading != _LEADING or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        # Without annotations and defaults, which may hold anything.
        names = ", ".join(parameter.name for parameter in parameters)
        raise PipelineDefinitionError(
            f"Pipeline {name} must be f({', '.join(_LEADING)}, …); its parameters are ({names})."
        )
    further = parameters[len(_LEADING) :]
    if any(parameter.kind is inspect.Parameter.POSITIONAL_ONLY for parameter in further):
        raise PipelineDefinitionError(f"Pipeline {name}: an upstream can't be positional-only.")
    return [parameter for parameter in further if parameter.kind in _NAMED]


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return a parameter's annotation; as text if it names what can't be imported here."""
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return annotation
    holder = SimpleNamespace(__annotations__={parameter.name: annotation})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(holder, names, include_extras=True)[parameter.name]
    except Exception:  # noqa: BLE001 - evaluating an annotation may raise anything
        return annotation


def _is_resource(annotation: Any) -> bool:
    """Return whether Dagster would give a resource to a parameter with this annotation.

    It is a ``ConfigurableResource`` or ``ResourceParam[…]``, told apart without importing Dagster.
    """
    if "resource_param" in getattr(annotation, "__metadata__", ()):
        return True
    kind = typing.get_origin(annotation) or annotation
    return isinstance(kind, type) and any(
        each.__name__ in _RESOURCES and each.__module__.startswith("dagster.")
        for each in kind.__mro__
    )


def _setting(
    pipeline: str, parameter: inspect.Parameter, annotation: Any, help_text: str
) -> Setting:
    name, default = parameter.name, parameter.default
    is_typed = annotation is not inspect.Parameter.empty
    setting_type = annotated_type(annotation) if is_typed else type_of_default(default)
    if setting_type is None:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline}: the parameter {name} has a default, so it is a setting, but "
            f"{'its annotation' if is_typed else 'the type of its default'} can't be used. Use "
            f"{SETTING_TYPES}. For an upstream, remove the default or make it None. What nobody "
            "sets, such as a function, belongs into the module."
        )
    if _SECRETS.search(name):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline}: the setting {name} would be shown in the UI and in events. Take "
            "a secret from a resource: annotate a parameter with a dagster.ConfigurableResource."
        )
    try:
        setting_type.read(default)
    except ValueError as error:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline}: the default of the setting {name} {error}"
        ) from None
    return Setting(name, setting_type, default, help_text)


def _helps(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield each parameter that a Google docstring describes, with its description in one line."""
    lines = iter(docstring.splitlines())
    if not any(line.strip() in {"Args:", "Arguments:"} for line in lines):
        return
    name, texts, indent = "", [""], 0
    for line in lines:
        if line.strip() and not line.startswith(" "):
            break  # the next section
        depth = len(line) - len(line.lstrip())
        entry = re.match(r"\s+(\w+)(?: ?\([^)]*\))?:\s*(.*)", line)
        if entry and (not name or depth <= indent):
            yield name, " ".join(texts).strip()
            name, texts, indent = entry[1], [entry[2]], depth
        else:
            texts.append(line.strip())
    yield name, " ".join(texts).strip()
