"""The checks of a pipeline's options."""

import inspect
import math
from collections.abc import Callable, Container, Iterable, Mapping
from datetime import timedelta
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.defining.parameters import PREVIOUS, has_previous
from orch_assets.orchestration.defining.similar_names import suggestion
from orch_assets.orchestration.durations import parse_duration
from orch_assets.orchestration.study_machine import StudyMachine

if TYPE_CHECKING:
    from orch_assets.orchestration.pipeline import StudyPipeline

_LISTS: Final = {"owners": str, "kinds": str, "studies": str, "columns": object}
_EXAMPLES: Final = {"owners": "team:data", "kinds": "pandas", "studies": "ONC-*"}
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "group": ((str,), "text"),
    "tags": ((Mapping,), "a dict from text to text"),
    "retries": ((int,), "a number of 0 or more"),
    "io_manager_key": ((str,), "text"),
    "code_version": ((str, type(None)), "text"),
    "machine": ((StudyMachine, type(None)), "a StudyMachine"),
    "on_request": ((bool,), "True or False"),
    "reconciled": ((bool,), "True or False"),
    "incremental": ((bool,), "True or False"),
    "pure": ((bool,), "True or False"),
    "daily": ((bool,), "True or False"),
}


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Check the names of the options of ``@study_pipeline``.

    Raises:
        PipelineDefinitionError: One is unknown; the message suggests another.
    """
    options = list(known)
    for name in given:
        if name not in options:
            raise PipelineDefinitionError(
                f"@study_pipeline has no option {name}.{suggestion(name, options)} Its options: "
                f"{', '.join(options)}."
            )


def timeout_seconds(pipeline: str, timeout: Any) -> float | None:
    """Return a timeout in seconds; None is no limit.

    Raises:
        PipelineDefinitionError: It is neither a number above 0, nor a duration.
    """
    if isinstance(timeout, timedelta):
        timeout = timeout.total_seconds()
    if isinstance(timeout, str):
        try:
            timeout = parse_duration(timeout).total_seconds()
        except ValueError:
            timeout = math.nan
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and 0 < timeout < math.inf):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline}: timeout can't be read. Give seconds above 0, a timedelta, or "
            'text such as "90s", "10m" or "2h".'
        )
    seconds: float | None = timeout
    return seconds


def check_pipeline(pipeline: "StudyPipeline") -> None:
    """Check the options of a pipeline against each other and against its function.

    Raises:
        PipelineDefinitionError: One is wrong; the message names it.
    """
    _check_options(pipeline)
    _check_function(pipeline.function, pipeline)
    if pipeline.incremental:
        _check_incremental(pipeline)
    if pipeline.pure:
        _check_pure(pipeline)
    elif pipeline.daily:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is daily, which says when a pure pipeline is called again. "
            "Make it pure, or remove daily."
        )


def _check_options(pipeline: "StudyPipeline") -> None:
    name = pipeline.name
    for option, kind in _LISTS.items():
        value = getattr(pipeline, option)
        if isinstance(value, str):
            example = f", such as {option}={[value or _EXAMPLES.get(option, '')]!r}"
            raise PipelineDefinitionError(
                f"Pipeline {name}: {option} is text; give a list{example}."
            )
        if not isinstance(value, (list, tuple, set, frozenset)) or not all(
            isinstance(each, kind) for each in value
        ):
            raise PipelineDefinitionError(
                f"Pipeline {name}: {option} must be a list{' of texts' if kind is str else ''}."
            )
    for option, (types, words) in _TYPES.items():
        value = getattr(pipeline, option)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise PipelineDefinitionError(f"Pipeline {name}: {option} must be {words}.")
    if not all(_is_error_type(each) for each in pipeline.retry_on):
        raise PipelineDefinitionError(
            f"Pipeline {name}: retry_on must be an exception type or a tuple of exception types."
        )
    if pipeline.retries < 0 or (pipeline.retries and not pipeline.retry_on):
        raise PipelineDefinitionError(
            f"Pipeline {name}: retries is {pipeline.retries}; give a number of 0 or more "
            "and, as retry_on, the errors worth another attempt."
        )
    if not (name.isidentifier() and name.isascii()) or iskeyword(name):
        raise PipelineDefinitionError(
            f"Pipeline {name!r}: the name must be a Python identifier of ASCII "
            "letters, so that another pipeline can take it as a parameter."
        )


def _is_error_type(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _check_function(function: Callable[..., Any], pipeline: "StudyPipeline") -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is a generator; return a table or a stream of record "
            "batches instead."
        )
    if pipeline.machine is not None and inspect.iscoroutinefunction(function):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is async and has a machine; return the execution's input "
            "from a plain function."
        )


def _check_incremental(pipeline: "StudyPipeline") -> None:
    if pipeline.machine is not None:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is incremental and has a machine, which can't receive the "
            "previous result. Remove one of the two."
        )
    if not has_previous(pipeline.function, pipeline.name):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is incremental, so its function needs the keyword parameter "
            f"{PREVIOUS}=None for its previous result."
        )


def _check_pure(pipeline: "StudyPipeline") -> None:
    if not pipeline.upstreams or pipeline.machine or pipeline.reconciled or pipeline.resources:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is pure, so its data must come from upstream parameters. "
            "Give it at least one, and neither machine, reconciled nor a resource."
        )


def check_resources(pipeline: "StudyPipeline", resources: Container[str] | None) -> None:
    """Check that a code location has the resources that a pipeline needs.

    Args:
        pipeline: The pipeline.
        resources: Keys of the resources; None skips the check.

    Raises:
        PipelineDefinitionError: One is missing; the message suggests another key.
    """
    if resources is None:
        return
    key = pipeline.io_manager_key
    known = [str(each) for each in resources] if isinstance(resources, Iterable) else []
    if key not in resources:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name}: io_manager_key is {key!r}, but the code location has no "
            f"resource with this key.{suggestion(key, known)}"
        )
    for key in pipeline.resources:
        if key not in resources:
            raise PipelineDefinitionError(
                f"Pipeline {pipeline.name}: the parameter {key} is a resource, but the code "
                f"location has none with this key.{suggestion(key, known)}"
            )
