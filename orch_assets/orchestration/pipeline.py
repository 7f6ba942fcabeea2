"""Study pipelines: functions of one study, marked for Dagster and still callable."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
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

from orch_assets.orchestration.defining.parameters import Setting, parameters_of
from orch_assets.orchestration.defining.pipeline_checks import (
    check_names,
    check_pipeline,
    timeout_seconds,
)
from orch_assets.orchestration.defining.received_types import HISTORY, STORED, received_type
from orch_assets.orchestration.study_machine import StudyMachine

if TYPE_CHECKING:
    from orch_assets.imednet.descriptions import DescribedColumn

T_Output_co = TypeVar("T_Output_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")

_MARK: Final = "__study_pipeline__"


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
    studies: Sequence[str] = ()
    retries: int = 0
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = ()
    timeout: float | str | timedelta | None = None
    io_manager_key: str = "io_manager"
    code_version: str | None = None
    on_request: bool = False
    reconciled: bool = False
    incremental: bool = False
    pure: bool = False
    daily: bool = False
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
        optional: Those of the upstreams whose parameter is None where they were skipped.
        settings: The parameters that a user may set.
        resources: Keys of the Dagster resources that the function receives.
        timeout: Seconds that one study may take; None is no limit.

    The other attributes are the parameters of :func:`study_pipeline`.
    """

    function: Callable[..., Any]
    name: str
    upstreams: tuple[str, ...]
    description: str | None = None
    optional: tuple[str, ...] = field(default=(), kw_only=True)
    settings: tuple[Setting, ...] = field(default=(), kw_only=True)
    resources: tuple[str, ...] = field(default=(), kw_only=True)
    tags: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    retry_on: tuple[type[BaseException], ...] = field(default=(), kw_only=True)
    timeout: float | None = field(default=None, kw_only=True)

    @property
    def is_async(self) -> bool:
        """Whether the pipeline waits on the event loop instead of occupying a worker."""
        return self.machine is not None or inspect.iscoroutinefunction(self.function)

    @property
    def place(self) -> str:
        """The file and the line where the pipeline is defined, for messages."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        module = str(getattr(self.function, "__module__", "?"))
        file = f"{'/'.join(module.split('.')[-2:])}.py"
        return f"{file}, line {code.co_firstlineno}" if code else file

    @property
    def is_shipped(self) -> bool:
        """Whether the pipeline is one of this package's own."""
        return str(self.function.__module__).startswith("orch_assets.pipelines.")

    @property
    def taken(self) -> tuple[str, ...]:
        """The upstreams whose values the function receives, not only what is stored."""
        types = {} if self.machine else {name: self.table_type(name) for name in self.upstreams}
        return tuple(name for name, each in types.items() if each not in {HISTORY, STORED})

    def table_type(self, upstream: str) -> str:
        """Return the type in which a parameter receives its upstream: see ``received_type``."""
        return received_type(self.function.__annotations__.get(upstream, ""))


@dataclass(frozen=True, kw_only=True)
class PipelineOptions(_PipelineSettings):
    """The options of one ``@study_pipeline(…)``; called with a function, marks it."""

    name: str | None = None

    def __call__(self, function: F) -> F:
        """Mark the function and return it."""
        name = self.name or str(getattr(function, "__name__", type(function).__name__))
        parameters = parameters_of(function, name)
        retry_on = self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)
        options = vars(self) | {
            "name": name,
            "tags": {} if self.tags is None else self.tags,
            "timeout": timeout_seconds(name, self.timeout),
            "retry_on": retry_on,
            "code_version": self.code_version or _source_hash(function),
        }
        pipeline = StudyPipeline(
            function=function,
            description=inspect.getdoc(function),
            **vars(parameters),
            **options,
        )
        check_pipeline(pipeline)
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

    The function takes ``study_key, sdk, study_logger`` first. Each further parameter is one of:

    - An *upstream*, if it has no default. It names another pipeline, and receives that pipeline's
      result for the same study. If that was skipped (:class:`Skip`), this pipeline is skipped, too.
    - An *optional upstream*, if its default is None and its annotation isn't a type of settings. It
      receives None where the upstream was skipped.
    - A *setting*, if it has any other default. Its type is that of its annotation, otherwise that
      of its default: ``int``, ``float``, ``str``, ``bool``, ``datetime.date``, a ``Literal`` of
      texts, an ``Enum`` or ``list[str]``, each also with ``| None``. Its line in the docstring's
      ``Args:`` is its help. It is set in the launchpad, with ``orch-assets run --set``, and for
      single studies. Its value is shown in Dagster's UI and in manifests, so it can't be a secret.
      Its name can't be that of a pipeline.
    - A *resource*, if its annotation is a ``dagster.ConfigurableResource`` or a
      ``dagster.ResourceParam``. It receives the resource whose key is its name.

    ``previous=None`` is none of these: see ``incremental``. In any other pipeline it stays None.

    Args:
        function: The function, when the decorator is used without arguments.
        **options: By keyword:

            - ``name``: Name of the asset; the function's name by default.
            - ``group``: Dagster asset group.
            - ``owners``: E-mail addresses or ``team:…``.
            - ``kinds``: Dagster kinds, at most three.
            - ``tags``: Dagster tags.
            - ``studies``: The studies that the pipeline is for: a list of keys, or of patterns with
              ``*`` for any characters and ``?`` for one; upper and lower case differ. For other
              studies the pipeline is skipped without being called. By default it is for all.
            - ``retries``: Further attempts after an error of ``retry_on``.
            - ``retry_on``: Errors worth another attempt. Errors of the iMednet client never are:
              the client has already retried them.
            - ``timeout``: Seconds that one study may take, a ``timedelta``, or text such as
              ``"90s"``, ``"10m"`` or ``"2h"``; None is no limit.
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
            - ``pure``: The result depends only on the upstream parameters, the settings and the
              function's code: on no request, clock, environment variable or random number. If the
              versions of all upstream artifacts are those that the current result was made from,
              and so are the settings, ``code_version``, this package, Python, pyarrow and pandas,
              the current result stays: the function isn't called, and nothing is read or written.
              By default, ``code_version`` doesn't cover other files of yours that the function
              uses: set it, and change it with them. The result must be a table or a set of tables.
              A pipeline that is also ``incremental`` receives ``previous`` only if the same code
              and packages made it.
            - ``daily``: The result of a pure pipeline depends on the current day in UTC, too.
              On another day, the pipeline is called again.
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
    check_names(options, [each.name for each in fields(PipelineOptions)])
    mark = PipelineOptions(**options)
    return mark if function is None else mark(function)


def pipeline_of(function: object) -> StudyPipeline | None:
    """Return the :class:`StudyPipeline` of a marked function; None for any other object."""
    return getattr(function, _MARK, None)


def _source_hash(function: Callable[..., Any]) -> str | None:
    code = getattr(function, "__code__", None)
    try:
        source = Path(code.co_filename).read_bytes() if code else b""
    except OSError:  # defined at a prompt: no file, so no version
        source = b""
    return hashlib.sha256(source).hexdigest()[:12] if source else None
