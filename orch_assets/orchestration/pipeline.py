"""Study pipelines: functions of one study, marked for Dagster and still callable."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
    runtime_checkable,
)

from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.study_machine import StudyMachine

if TYPE_CHECKING:
    from orch_assets.imednet.descriptions import DescribedColumn

T_Output_co = TypeVar("T_Output_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")

_LEADING: Final = ("study_key", "sdk", "study_logger")
# The parameter that receives the previous result of an incremental pipeline.
PREVIOUS: Final = "previous"
_ARGUMENT_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "group": (str,),
    "owners": (list, tuple, set, frozenset),
    "kinds": (list, tuple, set, frozenset),
    "tags": (Mapping,),
    "retries": (int,),
    "timeout": (int, float, type(None)),
    "io_manager_key": (str,),
    "machine": (StudyMachine, type(None)),
    "columns": (tuple, list),
}
_MARK: Final = "__study_pipeline__"

PANDAS: Final = "pandas.DataFrame"
ARROW: Final = "pyarrow.Table"
READER: Final = "pyarrow.RecordBatchReader"
SPLIT: Final = "orch_assets.SplitTable"
HISTORY: Final = "orch_assets.TableHistory"
_TABLE_TYPES: Final = {
    "pa.Table": ARROW,
    ARROW: ARROW,
    "pa.RecordBatchReader": READER,
    READER: READER,
    "SplitTable": SPLIT,
    SPLIT: SPLIT,
    "TableHistory": HISTORY,
    HISTORY: HISTORY,
}


@runtime_checkable
class StudyWorkerCallable(Protocol[T_Output_co]):
    """A function that ``MultiStudyOrchestrator.execute_pipeline`` runs for each study."""

    def __call__(
        self, study_key: str, sdk: Any, study_logger: Any, *args: Any, **kwargs: Any
    ) -> T_Output_co:
        """Process the study and return its data."""
        ...


@dataclass(frozen=True, kw_only=True)
class _PipelineSettings:
    """What ``@study_pipeline`` takes and ``StudyPipeline`` holds, said once.

    :func:`study_pipeline` describes each of them.
    """

    group: str = "studies"
    owners: Sequence[str] = ()
    kinds: Sequence[str] = ()
    tags: Mapping[str, str] | None = None
    retries: int = 0
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = ()
    timeout: float | None = None
    io_manager_key: str = "io_manager"
    code_version: str | None = None
    on_request: bool = False
    reconciled: bool = False
    incremental: bool = False
    pure: bool = False
    columns: "Sequence[DescribedColumn]" = ()
    machine: StudyMachine | None = None


@dataclass(frozen=True)
class StudyPipeline(_PipelineSettings):
    """A study pipeline with its settings, as ``@study_pipeline`` records them.

    Attributes:
        function: The pipeline's function.
        name: Name of the pipeline and of its asset.
        upstreams: Names of the pipelines whose results the function takes, in parameter order.
        description: The function's docstring.

    The other attributes are the parameters of :func:`study_pipeline`.
    """

    function: Callable[..., Any]
    name: str
    upstreams: tuple[str, ...]
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    retry_on: tuple[type[BaseException], ...] = field(default=(), kw_only=True)

    @property
    def is_async(self) -> bool:
        """Whether the pipeline waits on the event loop instead of occupying a worker."""
        return self.machine is not None or inspect.iscoroutinefunction(self.function)

    @property
    def taken(self) -> tuple[str, ...]:
        """The upstreams whose values the function receives, not only addresses or histories."""
        types = {} if self.machine else {name: self.table_type(name) for name in self.upstreams}
        return tuple(name for name, each in types.items() if each != HISTORY)

    def table_type(self, upstream: str) -> str:
        """Return the table type of a parameter, such as ``PANDAS``, ``ARROW`` or ``HISTORY``.

        The parameter's annotation decides. It may be a class or its name as text, so that a
        module can name a pandas type without importing pandas. Without an annotation: pandas.
        """
        annotation = self.function.__annotations__.get(upstream, "")
        if isinstance(annotation, type):
            annotation = f"{annotation.__module__.partition('.')[0]}.{annotation.__name__}"
        return _TABLE_TYPES.get(str(annotation), PANDAS)


@dataclass(frozen=True, kw_only=True)
class PipelineOptions(_PipelineSettings):
    """The options of one ``@study_pipeline(…)``; called with a function, marks it."""

    name: str | None = None

    def __call__(self, function: F) -> F:
        """Mark the function and return it."""
        name = self.name or str(getattr(function, "__name__", repr(function)))
        retry_on = self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)
        settings = vars(self) | {
            "name": name,
            "tags": self.tags or {},
            "retry_on": retry_on,
            "code_version": self.code_version or _source_hash(function),
        }
        pipeline = StudyPipeline(
            function=function,
            upstreams=upstream_parameters(function, name),
            description=inspect.getdoc(function),
            **settings,
        )
        _check(pipeline)
        setattr(function, _MARK, pipeline)
        return function


class _Decorator(Protocol[P]):
    """The type of ``study_pipeline``: used bare, or called with options first."""

    @overload
    def __call__(self, function: F) -> F: ...

    @overload
    def __call__(self, *args: P.args, **options: P.kwargs) -> Callable[[F], F]: ...


def _with_parameters_of(
    options: Callable[P, object],
) -> Callable[[Callable[..., Any]], _Decorator[P]]:
    """Give a decorator the parameters of a dataclass, for type checkers, editors and ``help``."""

    def typed(decorator: Callable[..., Any]) -> _Decorator[P]:
        function, _ = inspect.signature(decorator).parameters.values()
        parameters = inspect.signature(options).parameters.values()
        vars(decorator)["__signature__"] = inspect.Signature([function, *parameters])
        return cast("_Decorator[P]", decorator)

    return typed


@_with_parameters_of(PipelineOptions)
def study_pipeline(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Mark a function as a study pipeline; it stays the same callable.

    The function takes ``study_key, sdk, study_logger`` first. Every further parameter without a
    default names an upstream pipeline and receives that pipeline's result for the same study.

    Args:
        function: The function, when the decorator is used without arguments.
        **options: By keyword:

            - ``name``: Name of the asset; the function's name by default.
            - ``group``: Dagster asset group.
            - ``owners``: E-mail addresses or ``team:…``.
            - ``kinds``: Dagster kinds, at most three.
            - ``tags``: Dagster tags.
            - ``retries``: Further attempts after an error of ``retry_on``.
            - ``retry_on``: Errors worth another attempt. Errors of the iMednet client never are:
              the client has already retried them.
            - ``timeout``: Seconds that one study may take; None is no limit.
            - ``io_manager_key``: Key of the Dagster resource that stores the pipeline's tables.
            - ``code_version``: By default a hash of the source file.
            - ``on_request``: Run the pipeline only when it is selected by name; jobs, schedules
              and automation leave it out.
            - ``reconciled``: The pipeline returns an iMednet table as the stream
              ``sdk.<endpoint>.batches()``. Its asset then has the check ``reconciled``, evaluated
              once for each study. If rows move while the stream is read, the table is read again,
              at most twice.
            - ``incremental``: The function has a parameter ``previous=None`` and receives its
              current result for the same study as a ``PreviousResult``, so that it can read only
              what changed, as ``sdk.<endpoint>.refresh(study_key, previous)`` does. ``previous`` is
              None if nothing is stored, or if a user's own IO manager stores the results. A stream
              that was made from the previous result is stored only if that is still current then.
              Outside of Dagster, ``previous`` stays None and everything is read.
            - ``pure``: The result depends only on the upstream parameters and the function's code:
              on no request, clock, setting or random number. If the versions of all upstream
              artifacts are those that the current result was made from, and so are
              ``code_version``, this package, Python, pyarrow and pandas, the current result stays:
              the function isn't called, and nothing is read or written. By default,
              ``code_version`` doesn't cover other files of yours that the function uses: set it,
              and change it with them. The result must be a table or a set of tables. A pipeline
              that is also ``incremental`` receives ``previous`` only if the same code and packages
              made it.
            - ``columns``: Columns of the table, each with a description, if they are the same for
              every study; shown in Dagster's catalogue.
            - ``machine``: State machine that does the work. The function then returns the input
              of an execution; None means the study key and the upstream URIs. For each upstream
              the function receives the URI of its artifact, or None if it has none.

    Raises:
        PipelineDefinitionError: The function's signature or an option is wrong.

    Example:
        >>> @study_pipeline(group="safety")
        ... def enrolled(study_key, sdk, study_logger, subjects):
        ...     '''Enrolled subjects of a study.'''
        ...     return {"enrolled": sum(subjects["subject_status"] == "Enrolled")}
        >>> enrolled.__name__
        'enrolled'
    """
    # For its TypeError, whose text names only the wrong option.
    inspect.signature(study_pipeline).bind(function, **options)
    mark = PipelineOptions(**options)
    return mark if function is None else mark(function)


def pipeline_of(function: object) -> StudyPipeline | None:
    """Return the :class:`StudyPipeline` of a marked function; None for any other object."""
    return getattr(function, _MARK, None)


def upstream_parameters(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    """Return the parameters that name upstream pipelines, in order.

    Raises:
        PipelineDefinitionError: The first three parameters aren't ``study_key, sdk,
            study_logger``, or an upstream is positional-only.
    """
    parameters = _signature(function, name)
    leading = tuple(parameter.name for parameter in parameters[: len(_LEADING)])
    if leading != _LEADING or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise PipelineDefinitionError(
            f"Pipeline {name} must be f({', '.join(_LEADING)}, …); its parameters are "
            f"({', '.join(str(parameter) for parameter in parameters)})."
        )
    further = parameters[len(_LEADING) :]
    if any(parameter.kind is inspect.Parameter.POSITIONAL_ONLY for parameter in further):
        raise PipelineDefinitionError(f"Pipeline {name}: an upstream can't be positional-only.")
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(
        parameter.name
        for parameter in further
        if parameter.kind in named and parameter.default is inspect.Parameter.empty
    )


def _signature(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise PipelineDefinitionError(f"Pipeline {name} is not a function: {error}.") from error


def _check(pipeline: StudyPipeline) -> None:
    if inspect.isgeneratorfunction(pipeline.function) or inspect.isasyncgenfunction(
        pipeline.function
    ):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is a generator; return a table or a stream of record "
            "batches instead."
        )
    if pipeline.machine is not None and inspect.iscoroutinefunction(pipeline.function):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is async and has a machine; return the execution's input "
            "from a plain function."
        )
    if pipeline.incremental:
        _check_incremental(pipeline)
    if pipeline.pure and (not pipeline.upstreams or pipeline.machine or pipeline.reconciled):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is pure, so its data must come from upstream parameters. "
            "Give it at least one, and neither machine nor reconciled."
        )
    for name, types in _ARGUMENT_TYPES.items():
        if not isinstance(getattr(pipeline, name), types):
            raise PipelineDefinitionError(
                f"Pipeline {pipeline.name}: {name} is {getattr(pipeline, name)!r}; see the "
                "docstring of study_pipeline for what it takes."
            )
    if not (pipeline.name.isidentifier() and pipeline.name.isascii()) or iskeyword(pipeline.name):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name!r}: the name must be a Python identifier of ASCII "
            "letters, so that another pipeline can take it as a parameter."
        )
    if pipeline.retries < 0 or (pipeline.retries and not pipeline.retry_on):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name}: retries is {pipeline.retries}; give a number of 0 or more "
            "and, as retry_on, the errors worth another attempt."
        )
    if pipeline.timeout is not None and not pipeline.timeout > 0:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name}: timeout is {pipeline.timeout}; give seconds above 0."
        )


def _check_incremental(pipeline: StudyPipeline) -> None:
    if pipeline.machine is not None:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is incremental and has a machine, which can't receive the "
            "previous result. Remove one of the two."
        )
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if not any(
        parameter.name == PREVIOUS and parameter.kind in named and parameter.default is None
        for parameter in _signature(pipeline.function, pipeline.name)
    ):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is incremental, so its function needs the keyword parameter "
            f"{PREVIOUS}=None for its previous result."
        )


def _source_hash(function: Callable[..., Any]) -> str | None:
    code = getattr(function, "__code__", None)
    try:
        source = Path(code.co_filename).read_bytes() if code else b""
    except OSError:  # defined at a prompt: no file, so no version
        source = b""
    return hashlib.sha256(source).hexdigest()[:12] if source else None
