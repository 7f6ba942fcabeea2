"""Study pipelines: plain functions of a study, marked for Dagster and still callable."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, overload, runtime_checkable

from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.study_machine import StudyMachine

if TYPE_CHECKING:
    from orch_assets.imednet.descriptions import DescribedColumn

T_Output_co = TypeVar("T_Output_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])

_LEADING: Final = ("study_key", "sdk", "study_logger")
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
_TABLE_TYPES: Final = {
    "pa.Table": ARROW,
    ARROW: ARROW,
    "pa.RecordBatchReader": READER,
    READER: READER,
    "SplitTable": SPLIT,
    SPLIT: SPLIT,
}


@runtime_checkable
class StudyWorkerCallable(Protocol[T_Output_co]):
    """What ``MultiStudyOrchestrator.execute_pipeline`` runs for each study."""

    def __call__(
        self, study_key: str, sdk: Any, study_logger: Any, *args: Any, **kwargs: Any
    ) -> T_Output_co:
        """Do the study's work and return its data."""
        ...


@dataclass(frozen=True)
class StudyPipeline:
    """A study pipeline and what Dagster is to know of it.

    Attributes:
        function: the function itself.
        name: the asset's name.
        upstreams: names of the pipelines whose results it takes, by parameter.
        description: for people; the docstring.
        group: Dagster's asset group.
        owners: e-mail addresses or ``team:…``.
        kinds: Dagster's kinds, at most three.
        tags: Dagster's tags.
        retries: further tries after an error of ``retry_on``; the registry's errors are retried
            by the registry's own layer and never here.
        retry_on: errors that are worth another try.
        timeout: seconds that one study may take; None is no limit.
        io_manager_key: the resource that keeps its tables.
        code_version: changes when the code does.
        on_request: whether it runs only when somebody selects it by name.
        reconciled: whether it reads a table of the registry as a stream: its asset has the check
            ``reconciled``, and it is read anew where rows moved behind the stream.
        columns: of its table, where they are the same for every study; shown in the catalogue.
        machine: what does the work; the function only makes the input of an execution.
    """

    function: Callable[..., Any]
    name: str
    upstreams: tuple[str, ...]
    description: str | None = None
    group: str = "studies"
    owners: Sequence[str] = ()
    kinds: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    retries: int = 0
    retry_on: tuple[type[BaseException], ...] = ()
    timeout: float | None = None
    io_manager_key: str = "io_manager"
    code_version: str | None = None
    on_request: bool = False
    reconciled: bool = False
    columns: "Sequence[DescribedColumn]" = ()
    machine: StudyMachine | None = None

    @property
    def is_async(self) -> bool:
        """Whether it waits on the event loop instead of a worker."""
        return self.machine is not None or inspect.iscoroutinefunction(self.function)

    def table_type(self, upstream: str) -> str:
        """Return what a parameter's table is to be: ``PANDAS``, ``ARROW``, ``READER`` or ``SPLIT``.

        By the parameter's annotation, a class or its text (so that a module need not import
        pandas to name it); pandas without one.
        """
        annotation = self.function.__annotations__.get(upstream, "")
        if isinstance(annotation, type):
            annotation = f"{annotation.__module__.partition('.')[0]}.{annotation.__name__}"
        return _TABLE_TYPES.get(str(annotation), PANDAS)


@overload
def study_pipeline(function: F) -> F: ...


@overload
def study_pipeline(
    *,
    name: str | None = ...,
    group: str = ...,
    owners: Sequence[str] = ...,
    kinds: Sequence[str] = ...,
    tags: Mapping[str, str] | None = ...,
    retries: int = ...,
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = ...,
    timeout: float | None = ...,
    io_manager_key: str = ...,
    code_version: str | None = ...,
    on_request: bool = ...,
    reconciled: bool = ...,
    columns: "Sequence[DescribedColumn]" = ...,
    machine: StudyMachine | None = ...,
) -> Callable[[F], F]: ...


def study_pipeline(
    function: F | None = None,
    *,
    name: str | None = None,
    group: str = "studies",
    owners: Sequence[str] = (),
    kinds: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    retries: int = 0,
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = (),
    timeout: float | None = None,
    io_manager_key: str = "io_manager",
    code_version: str | None = None,
    on_request: bool = False,
    reconciled: bool = False,
    columns: "Sequence[DescribedColumn]" = (),
    machine: StudyMachine | None = None,
) -> Any:
    """Mark a function as a study pipeline; it stays the same callable.

    The function takes ``study_key, sdk, study_logger`` first. Every further parameter without a
    default names an upstream pipeline and receives that pipeline's result for the same study.

    Args:
        function: the function, when the decorator is used without arguments.
        name: the asset's name; the function's by default.
        group: Dagster's asset group.
        owners: e-mail addresses or ``team:…``.
        kinds: Dagster's kinds, at most three.
        tags: Dagster's tags.
        retries: further tries for errors of ``retry_on``.
        retry_on: errors that are worth another try. The registry's errors never are: they were
            retried where they happened.
        timeout: seconds that one study may take; None is no limit.
        io_manager_key: the Dagster resource that keeps its tables.
        code_version: by default a hash of the source file.
        on_request: run it only when somebody selects it by name; jobs, schedules and automation
            leave it out.
        reconciled: it returns a table of the registry as the stream ``sdk.<endpoint>.batches()``.
            Its asset then has the check ``reconciled``, one evaluation a study, and where rows
            moved behind the stream the table is read anew, twice at most.
        columns: the columns of its table with a description each, where they are the same for
            every study; Dagster's catalogue shows them.
        machine: the state machine that does the work. The function then returns the input of an
            execution (None is the study's key and what it takes); of each upstream it gets the
            URI of the artifact, and None where that has none.

    Raises:
        PipelineDefinitionError: the function's signature or a parameter here is wrong.

    Example:
        >>> @study_pipeline(group="safety")
        ... def enrolled(study_key, sdk, study_logger, subjects):
        ...     '''Enrolled subjects of a study.'''
        ...     return {"enrolled": sum(subjects["subject_status"] == "Enrolled")}
        >>> enrolled.__name__
        'enrolled'
    """

    def mark(marked: F) -> F:
        own_name = name or str(getattr(marked, "__name__", repr(marked)))
        pipeline = StudyPipeline(
            function=marked,
            name=own_name,
            upstreams=upstream_parameters(marked, own_name),
            description=inspect.getdoc(marked),
            group=group,
            owners=owners,
            kinds=kinds,
            tags=tags or {},
            retries=retries,
            retry_on=retry_on if isinstance(retry_on, tuple) else (retry_on,),
            timeout=timeout,
            io_manager_key=io_manager_key,
            code_version=code_version or _source_hash(marked),
            on_request=on_request,
            reconciled=reconciled,
            columns=columns,
            machine=machine,
        )
        _check(pipeline)
        setattr(marked, _MARK, pipeline)
        return marked

    return mark if function is None else mark(function)


def pipeline_of(function: object) -> StudyPipeline | None:
    """Return what ``@study_pipeline`` noted on a function; None where it marked nothing."""
    return getattr(function, _MARK, None)


def upstream_parameters(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    """Return the parameters that name upstream pipelines, in order.

    Raises:
        PipelineDefinitionError: the first three aren't ``study_key, sdk, study_logger``, or an
            upstream is given by position only.
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
        raise PipelineDefinitionError(f"Pipeline {name} is no function: {error}.") from error


def _check(pipeline: StudyPipeline) -> None:
    if inspect.isgeneratorfunction(pipeline.function) or inspect.isasyncgenfunction(
        pipeline.function
    ):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is a generator; return what it makes: a table, or a stream "
            "of record batches."
        )
    if pipeline.machine is not None and inspect.iscoroutinefunction(pipeline.function):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name} is async and has a machine; return the execution's input "
            "from a plain function: what waits is the machine."
        )
    for name, wanted in _ARGUMENT_TYPES.items():
        if not isinstance(getattr(pipeline, name), wanted):
            raise PipelineDefinitionError(
                f"Pipeline {pipeline.name}: {name} is {getattr(pipeline, name)!r}; see the "
                "docstring of study_pipeline for what it takes."
            )
    if not (pipeline.name.isidentifier() and pipeline.name.isascii()) or iskeyword(pipeline.name):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name!r}: the name must be a Python identifier of ASCII "
            "letters, so that a parameter of another pipeline can ask for it."
        )
    if pipeline.retries < 0 or (pipeline.retries and not pipeline.retry_on):
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name}: retries is {pipeline.retries}; give a number from 0 and, "
            "with it, the errors that are worth it as retry_on."
        )
    if pipeline.timeout is not None and not pipeline.timeout > 0:
        raise PipelineDefinitionError(
            f"Pipeline {pipeline.name}: timeout is {pipeline.timeout}; give seconds above 0."
        )


def _source_hash(function: Callable[..., Any]) -> str | None:
    code = getattr(function, "__code__", None)
    try:
        source = Path(code.co_filename).read_bytes() if code else b""
    except OSError:  # typed at a prompt: no file, no version
        source = b""
    return hashlib.sha256(source).hexdigest()[:12] if source else None
