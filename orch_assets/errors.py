"""The errors of orch-assets.

In parentheses: the error of Python's that it is as well. What is wrong with an argument, or with a
setting, is a ``ValueError``; what isn't there is a ``LookupError``; what isn't installed is an
``ImportError``.

::

    OrchAssetsError
    ├── StudyKeyError (ValueError)    a key that can't name a study here
    ├── StudyCancelledError       a study that timed out or was cancelled tried to publish
    ├── UncaughtFailureError      a study whose thread or finalizer failed tried to publish
    ├── PipelineDefinitionError (ValueError)   a study pipeline or graph that can't be built
    ├── SettingError (ValueError)     a setting that can't be read as what it must be
    ├── MissingExtraError (ImportError)   a package of an extra that isn't installed
    ├── ImednetError                  the registry, and what runs over it
    │   ├── CredentialsError          keys are missing
    │   ├── StudyNotFoundError (LookupError)   the registry lists no such study
    │   ├── RegistryError             the registry's answer, or none
    │   │   ├── RegistryUnreachableError   no answer in time, after all tries
    │   │   ├── RegistryRefusedError       400, 401, 403 or an error envelope
    │   │   │   └── RegistryNotFoundError (LookupError)   404
    │   │   ├── RegistryFailedError        408, 425, 429 or 5xx, after all tries
    │   │   ├── RegistryDataError          an answer that isn't what the API promises
    │   │   └── IncompleteTableError       what arrived doesn't reconcile with the totals
    │   │       └── TableChangedError        rows moved behind a stream; reading anew may help
    │   │           └── DictionaryChangedError    a variable was withheld while rows were read
    │   ├── WithheldValueError        records hold what the data dictionary withholds by now
    │   └── OrchestratorError         a run over studies that can't start
    │       ├── OrchestratorArgumentError (ValueError)   what it was given is wrong
    │       │   └── FilterConflictError   whitelist and blacklist at once
    │       ├── NoStudiesError (LookupError)   the filter leaves no study
    │       ├── StudiesInUseError     a run over studies that would lose its studies goes on
    │       └── StudyLossError        the registry lacks too many known studies at once
    ├── StoreError                    artifacts
    │   ├── StoreAddressError (ValueError)    an address that no store can be at
    │   ├── ArtifactNameError (ValueError)    a name that can't be stored
    │   ├── ArtifactNotFoundError (LookupError)   nothing of that name
    │   ├── ArtifactCorruptError      bytes and manifest disagree
    │   ├── UnstorableTableError (ValueError)   a table that would not come back as it is
    │   ├── UnstorableValueError (ValueError)   a value that JSON has not
    │   └── StoreUnavailableError     the store can't be read or written
    └── StateMachineError             AWS Step Functions: its branch is in step_functions/errors.py

Every message names the study, endpoint, artifact or setting, and what to do. No message holds a
value of a data row or a key. A name in it that a pipeline may have made of data is marked, so that
logs can leave it out; see ``marked_names``.
"""

from collections.abc import Collection
from typing import Any

from orch_assets.marked_names import MarkedError, named, named_path


class OrchAssetsError(MarkedError):
    """Base of every error of this package."""


class StudyKeyError(OrchAssetsError, ValueError):
    """A key that can't be a study's: it would not survive as a path, a partition or a URL.

    Attributes:
        study_key: the key as it came.
        reason: why it is refused, a clause such as ``"is empty"``.
    """

    def __init__(self, study_key: object, reason: str) -> None:
        self.study_key = study_key
        self.reason = reason
        super().__init__(f"Study key {named(study_key)} {reason}.")


class StudyCancelledError(OrchAssetsError):
    """A study that was timed out or cancelled tried to publish; nothing was published."""

    def __init__(self, study_key: str) -> None:
        self.study_key = study_key
        super().__init__(
            f"Study {named(study_key, shown=study_key)} timed out or was cancelled; its results "
            "can no longer be published."
        )


class UncaughtFailureError(OrchAssetsError):
    """A study tried to publish after one of its threads or finalizers failed; nothing was."""

    def __init__(self, study_key: str) -> None:
        self.study_key = study_key
        super().__init__(
            f"A thread, finalizer or callback of study {named(study_key, shown=study_key)} failed, "
            "so the study fails and publishes nothing more. The log names the type and place."
        )


class PipelineDefinitionError(OrchAssetsError, ValueError):
    """A study pipeline, or a graph of them, that can't be built; says which and why."""


class SettingError(OrchAssetsError, ValueError):
    """A setting that can't be read.

    Attributes:
        setting: the environment variable's (or parameter's) name.
    """

    def __init__(self, setting: str, problem: str) -> None:
        self.setting = setting
        super().__init__(f"{setting} {problem}")


class MissingExtraError(OrchAssetsError, ImportError):
    """A package that an extra of orch-assets brings is not installed.

    Attributes:
        package: its name for pip.
        extra: the extra's name.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f'{package} is not installed. Run: pip install "orch-assets[{extra}]"')


class ImednetError(OrchAssetsError):
    """Base of what the registry, and the orchestration over it, can raise."""


class CredentialsError(ImednetError):
    """The registry's keys are missing.

    Attributes:
        missing: names of the environment variables that would supply them.
    """

    def __init__(self, missing: Collection[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(
            f"No iMednet keys: set {' and '.join(self.missing)} in the environment, "
            "or ORCH_REGISTRY=demo for the embedded registry."
        )


class StudyNotFoundError(ImednetError, LookupError):
    """The registry doesn't list a study, or lists it twice.

    Attributes:
        study_key: the study.
    """

    def __init__(self, study_key: str, listed: int) -> None:
        self.study_key = study_key
        super().__init__(
            f"The registry lists {listed} studies {study_key}: check that the keys may "
            "still see it; if it is gone for good, `orch-assets studies retire` it."
        )


class RegistryError(ImednetError):
    """The registry answered wrongly, or not at all.

    Attributes:
        endpoint: path of the request below ``/api/v1/edc``, without its query.
        study_key: the study asked for; None for requests about no single study.
        page: 0-based page; None where the request isn't paged.
        status: HTTP status; None where there was no answer.
        code: the API's own error code (1000, 9000, 9001, …); None where it gave none.
    """

    def __init__(
        self,
        problem: str,
        *,
        endpoint: str,
        study_key: str | None = None,
        page: int | None = None,
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.study_key = study_key
        self.page = page
        self.status = status
        self.code = code
        where = named_path(endpoint) + (f", page {page}" if page is not None else "")
        super().__init__(f"iMednet registry, {where}: {problem}")


class RegistryUnreachableError(RegistryError):
    """No usable answer arrived: connection refused or reset, timeout, cut body."""


class RegistryRefusedError(RegistryError):
    """The registry said no: 400, 401, 403, 404, or an error envelope, at 200 too."""


class RegistryNotFoundError(RegistryRefusedError, LookupError):
    """The registry said 404: there is no such study, or job, for these keys."""


class RegistryFailedError(RegistryError):
    """The registry kept failing: 408, 425, 429 or 5xx at every try."""


class RegistryDataError(RegistryError):
    """An answer that isn't what the API promises: no JSON, no data, a field of another type."""


class IncompleteTableError(RegistryError):
    """What arrived doesn't reconcile with the registry's own totals; no table is made of it.

    Attributes:
        expected: the registry's ``totalElements``.
        arrived: rows with distinct IDs that arrived.
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: int | None,
        arrived: int | None,
        endpoint: str,
        study_key: str | None = None,
        page: int | None = None,
    ) -> None:
        self.expected = expected
        self.arrived = arrived
        super().__init__(problem, endpoint=endpoint, study_key=study_key, page=page)


class TableChangedError(IncompleteTableError):
    """Rows moved in pages that a stream had handed on: nothing but a new reading can help."""


class DictionaryChangedError(TableChangedError):
    """A variable that was open when reading began is withheld now; nothing was stored."""

    def __init__(self, study_key: str) -> None:
        super().__init__(
            "the data dictionary changed while the table was read, and withholds what it had "
            "shown; nothing was stored. Run it again.",
            expected=None,
            arrived=None,
            endpoint="/variables",
            study_key=study_key,
        )


class WithheldValueError(ImednetError):
    """Records were split by an older data dictionary, and hold what is withheld by now."""

    def __init__(self) -> None:
        super().__init__(
            "The open records hold values of variables that the data dictionary withholds by now: "
            "they were split by an older one. Materialize variables and records, then this again."
        )


class OrchestratorError(ImednetError):
    """A run over studies that can't start. A study's own failure is a result, never raised."""


class OrchestratorArgumentError(OrchestratorError, ValueError):
    """An argument, of the orchestrator or of the call, that no run can start with."""


class FilterConflictError(OrchestratorArgumentError):
    """Whitelist and blacklist are both non-empty; raised before any request.

    Attributes:
        whitelist: as given.
        blacklist: as given.
    """

    def __init__(self, whitelist: Collection[str], blacklist: Collection[str]) -> None:
        self.whitelist = whitelist
        self.blacklist = blacklist
        super().__init__(
            "Whitelist and blacklist exclude each other; give one of them. "
            f"Whitelist: {', '.join(sorted(whitelist))}. "
            f"Blacklist: {', '.join(sorted(blacklist))}."
        )


class NoStudiesError(OrchestratorError, LookupError):
    """The filter leaves none of the registry's studies."""


class StudiesInUseError(OrchestratorError):
    """Studies can't be retired: that would break a run or a backfill that goes on.

    Attributes:
        study_keys: the studies to retire.
        work: the runs and backfills, such as ``"run 2f3a…"``.
    """

    def __init__(self, study_keys: Collection[str], work: Collection[str]) -> None:
        self.study_keys = tuple(study_keys)
        self.work = tuple(work)
        super().__init__(
            f"Retiring {', '.join(self.study_keys)} would break {', '.join(self.work)}. Wait for "
            "its end, or terminate it in the UI; `orch-assets runs` tells whether its process is "
            "gone, and how to close it then. Nothing was retired."
        )


class StudyLossError(OrchestratorError):
    """The registry lacks so many known studies at once that it may be its mistake.

    Attributes:
        lost: the known studies that it did not list.
        known: how many studies are known.
    """

    def __init__(self, lost: Collection[str], known: int) -> None:
        self.lost = tuple(lost)
        self.known = known
        named = ", ".join(self.lost[:20]) + (", …" if len(self.lost) > 20 else "")  # noqa: PLR2004 - enough to recognise
        super().__init__(
            f"The registry lacks {len(self.lost)} of {known} known studies ({named}). Nothing was "
            "changed. If they are really gone, accept the loss for as long as it takes: "
            f"ORCH_ACCEPT_STUDY_LOSS={len(self.lost)}."
        )


class StoreError(OrchAssetsError):
    """Base of what an artifact store can raise.

    Attributes:
        artifact: the artifact's name or URI; None where the whole store is meant.
    """

    def __init__(self, problem: str, *, artifact: str | None = None) -> None:
        self.artifact = artifact
        super().__init__(problem)


class StoreAddressError(StoreError, ValueError):
    """An address, or a bucket's name, that no store can be at."""


class ArtifactNameError(StoreError, ValueError):
    """A name that can't be stored: empty, ``..``, control characters, too long."""


class ArtifactNotFoundError(StoreError, LookupError):
    """Nothing of that name (or version) is in the store."""


class ArtifactCorruptError(StoreError):
    """The bytes and the manifest disagree, or one of them is missing; nothing is returned."""


class UnstorableTableError(StoreError, ValueError):
    """A table that would not come back as it went in; names the column, never a value."""


class UnstorableValueError(StoreError, ValueError):
    """A value that is no table, and that JSON has not."""


class StoreUnavailableError(StoreError):
    """The store can't be read or written: permissions, a full disk, a missing bucket."""


class StateMachineError(OrchAssetsError):
    """Base of what building, deploying and executing a state machine can raise."""


_FORMER = {"StudyGivenUpError": "StudyCancelledError", "TableMovedError": "TableChangedError"}


def __getattr__(name: str) -> Any:
    from orch_assets.lazy import former_names

    return former_names(__name__, _FORMER)(name)
